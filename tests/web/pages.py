"""Every page that can be opened, by whom, and why some addresses are no page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from tests.web.stock import CLAIMS, DESK, TAKEN

Names = Mapping[str, Any]
SIGNALS = '?signals={"turns": 3, "data_class": "restricted"}'


@dataclass(frozen=True, slots=True)
class Walked:
    """An address by its name; words in `args` are looked up in the stock where it knows them."""

    name: str
    who: str = "olivia"
    args: tuple[Any, ...] = ()
    query: str = ""
    note: str = ""

    def __str__(self) -> str:
        shown = "-".join(str(arg) for arg in self.args)
        return " ".join(part for part in (self.name, shown, self.note, f"({self.who})") if part)

    def address(self, stock: Names) -> str:
        args = [stock.get(arg, arg) for arg in self.args]
        return reverse(self.name, args=args) + self.query


def _version(state: str, who: str, slug: str = DESK) -> Walked:
    return Walked("version", who, (slug, state))


def _of(state: str, who: str = "arjun") -> Callable[..., Walked]:
    def make(name: str, *more: Any, query: str = "", note: str = "") -> Walked:
        return Walked(name, who, (DESK, state, *more), query, note)

    return make


_draft = _of("draft")

PAGES = (
    # operate
    Walked("overview"),
    Walked("overview", "noor"),
    Walked("kill-switch"),
    Walked("decisions"),
    Walked("decisions", query=f"?route={DESK}&outcome=held", note="filtered"),
    Walked("decision", "olivia", ("decision",)),
    Walked("decision", "ada", ("held",), note="held"),
    Walked("decision-evidence", "ada", ("decision",)),
    Walked("review-queue", "rui"),
    Walked("review-queue", "noor", query="?tab=all", note="all"),
    Walked("case", "vera", ("case",), note="claimed"),
    Walked("case", "rui", ("case",), note="of somebody else"),
    Walked("review-queue", "vera", note="paused"),
    Walked("reviewers", "ada"),
    Walked("reviewers", "noor", query="?days=7", note="lead"),
    Walked("reviewer", "ada", ("reviewer",)),
    Walked("reviewer", "noor", ("reviewer",), note="paused"),
    # backends and sign-offs
    Walked("backends"),
    Walked("register-backend"),
    Walked("backend", "olivia", ("smollm2-135m",)),
    Walked("backend", "olivia", ("outside",), note="stopped"),
    Walked("change-backend", "olivia", ("outside",)),
    Walked("backend-secret", "olivia", ("outside",)),
    Walked("ask-sign-off", "olivia", ("outside",)),
    Walked("sign-offs", "petra"),
    Walked("sign-off", "petra", ("asked",)),
    Walked("sign-off", "pavel", ("half",)),
    Walked("sign-off", "petra", ("granted",)),
    Walked("sign-off", "ada", ("revoked",)),
    Walked("sign-off", "ada", ("refused",)),
    # routes and the versions of their policies
    Walked("routes"),
    Walked("route", "olivia", (DESK,)),
    Walked("route", "arjun", (DESK,), "?period=week", "week"),
    Walked("route-budget", "olivia", (DESK,)),
    _version("active", "olivia"),
    _version("retired", "olivia"),
    _version("rejected", "arjun"),
    _version("withdrawn", "arjun"),
    _version("in_review", "petra"),
    _version("in_review", "arjun"),
    _version("approved", "olivia"),
    _version("scheduled", "olivia"),
    _version("draft", "arjun"),
    _version("draft", "petra"),
    _version("overtaken", "arjun", CLAIMS),
    _version("conflicting", "arjun", TAKEN),
    Walked("import-draft", "arjun", (DESK,)),
    Walked("version-meaning", "ada", (DESK, "approved")),
    Walked("witness", "ada", (DESK, "approved"), SIGNALS),
    Walked("leak", "ada", (DESK, "approved", "no-such-finding"), note="nothing found"),
    Walked("promote", "olivia", (DESK, "approved")),
    Walked("promote", "petra", (DESK, "approved")),
    Walked("rollout", "olivia", (DESK,)),
    Walked("version-replicas", "olivia", (DESK, "active")),
    Walked("dossier", "petra", (DESK, "approved")),
    # the forms of a draft
    _draft("draft-add-rule"),
    _draft("draft-rule", "narrow-work"),
    _draft("draft-rule", "nested"),
    _draft("draft-rule", "secrets-need-a-person"),
    _draft("draft-default"),
    _draft("draft-thresholds"),
    _draft("draft-fallbacks"),
    _draft("draft-answers"),
    _draft("draft-limits"),
    _draft("draft-tests"),
    # trying a version out
    _draft("simulate-version"),
    _draft("backtests"),
    _of("approved", "petra")("backtests"),
    _draft("backtest", "backtest"),
    _draft("backtest", "waiting_backtest"),
    _draft("backtest-bucket", "backtest", "bucket"),
    _draft("backtest-decision", "backtest", "changed"),
    Walked("classifiers", "arjun"),
    Walked("classifier", "arjun", ("returns", 1)),
    Walked("classifier-training", "arjun", ("training",)),
    Walked("classifier-training", "arjun", ("broken_training",)),
    Walked("classifier-training", "arjun", ("waiting_training",)),
    # prove
    Walked("audit-trail", "ada"),
    Walked("audit-trail", "ada", query="?q=Agreed", note="searched"),
    Walked("audit-event", "ada", ("event",)),
    Walked("audit-health", "ada"),
    Walked("reports", "ada"),
    Walked("report", "ada", ("report",)),
    Walked("report", "ada", ("waiting_report",)),
    Walked("data-flow", "ada"),
    Walked("data-flow-issue", "ada", ("issue",)),
    # settings
    Walked("keys"),
    Walked("new-key"),
    Walked("key", "olivia", ("key",)),
    Walked("key-budget", "olivia", ("key",)),
    Walked("webhooks"),
    Walked("new-webhook"),
    Walked("webhook", "olivia", ("webhook",)),
    Walked("change-webhook", "olivia", ("webhook",)),
    Walked("webhook-deliveries"),
    Walked("webhook-deliveries", query="?state=failed", note="filtered"),
    Walked("webhook-delivery", "olivia", ("webhook_delivery",)),
    Walked("people", "sam"),
    Walked("new-person", "sam"),
    Walked("person", "sam", ("person",)),
    Walked("role-matrix", "sam"),
    Walked("system"),
    Walked("tokens", "olivia"),
    Walked("preferences", "rui"),
    Walked("own-password", "rui"),
    Walked("login", ""),
    Walked("styleguide"),
)

# Names that answer GET and are no page of their own.
NO_PAGES = {
    "new-decisions": "a fragment of the list of decisions",
    "decisions-csv": "a file",
    "export-version": "a file",
    "dossier-pdf": "a file",
    "data-flow-csv": "a file",
    "data-flow-pdf": "a file",
    "decision-evidence-file": "a file",
    "classifier-artefact": "a file",
    "audit-proof": "a text for a verifier",
    "report-bundle": "a file",
}
