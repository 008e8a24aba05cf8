"""Send the sample requests through the live API once, so that every screen has a subject."""

from __future__ import annotations

import json
from typing import Any

import httpx
from django.core.management.base import BaseCommand

from config.demo.prompts import SAMPLES, Sample
from config.demo.seed import facts_file, note_sample_traffic


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--again", action="store_true", help="send them although they were sent before"
        )

    def handle(self, *args: Any, again: bool = False, **options: Any) -> None:
        facts = json.loads(facts_file().read_text())
        if facts.get("sample_traffic_sent") and not again:
            self.stdout.write("The sample requests were sent before.")
            return
        headers = {"authorization": f"Bearer {facts['api_key']}"}
        with httpx.Client(base_url=facts["gateway_url"], headers=headers, timeout=90) as client:
            for sample in SAMPLES:
                self.stdout.write(
                    f"{_send(client, sample, facts['routes'][0])} {sample.text[:60]!r}"
                )
        note_sample_traffic()


def _send(client: httpx.Client, sample: Sample, route: str) -> int:
    extra = {"x-session-id": sample.session, "x-signalbox-data-class": sample.data_class}
    body = {
        "model": route,
        "stream": sample.stream,
        "messages": [{"role": "user", "content": sample.text}],
    }
    answer = client.post(
        "/v1/chat/completions",
        json=body,
        headers={name: value for name, value in extra.items() if value},
    )
    return answer.status_code
