"""What the screens show of a finding's witness: where it can be simulated, and its trace."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from routing.engine.types import Finding, plain
from routing.models import PolicyVersion
from routing.queries.decision import rule_rows, signal_rows
from routing.services.leaks import Leak, key_of


def simulation_url(version: PolicyVersion, finding: Finding) -> str:
    """Where exactly this witness is simulated; nothing where the finding has none."""
    place = [version.route.slug, version.number]
    if finding.scenario is not None:
        return reverse("leak", args=[*place, key_of(finding)])
    if finding.witness is None:
        return ""
    signals = {name: plain(value) for name, value in finding.witness.items()}
    return f"{reverse('witness', args=place)}?{urlencode({'signals': json.dumps(signals)})}"


def leak_words(version: PolicyVersion, leak: Leak) -> dict[str, Any]:
    signals = {name: plain(value) for name, value in leak.scenario.signals.items()}
    return {
        "signals": signal_rows(signals),
        "outside": leak.listed.steps[-1].boundary != "private",
        "trace": rule_rows(leak.listed.decision.as_json()),
        "witness_url": reverse("witness", args=[version.route.slug, version.number])
        + f"?{urlencode({'signals': json.dumps(signals)})}",
    }
