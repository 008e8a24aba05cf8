"""What must hold before a candidate is promoted: the named checks over frozen evidence.

`judge` takes the evidence as JSON and gives the same checks for the same bytes, here and in
`verify_evidence`. It never fetches anything: what is not in the evidence is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routing.engine import checks as the
from routing.engine.checks import FAIL, INCONCLUSIVE, NAMES, PAIRED, PASS, Check, Terms

SCHEMA = "signalbox.evidence/1"
# A person may answer for a number that is missing; nobody may answer for data that leaves.
NEVER_WAIVED = frozenset({"boundary"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All checks in their order. A waived one keeps its verdict."""

    checks: tuple[Check, ...]
    waived: frozenset[str] = frozenset()

    @property
    def standing(self) -> tuple[Check, ...]:
        """What is in the way: failures first."""
        open_ones = [c for c in self.checks if c.verdict != PASS and not self._is_waived(c)]
        return tuple(sorted(open_ones, key=lambda check: check.verdict != FAIL))

    def _is_waived(self, check: Check) -> bool:
        """A waiver answers for what is missing; what was shown to be bad stays bad."""
        return check.verdict == INCONCLUSIVE and check.name in self.waived

    @property
    def verdict(self) -> str:
        left = self.standing
        if not left:
            return PASS
        return FAIL if left[0].verdict == FAIL else INCONCLUSIVE

    @property
    def uses_waiver(self) -> bool:
        return any(self._is_waived(check) for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        return {
            "checks": [check.as_json() for check in self.checks],
            "waived": sorted(self.waived),
            "verdict": self.verdict,
        }


def judge(evidence: Mapping[str, Any]) -> Judgement:
    """Judge frozen evidence. Raises ValueError or KeyError where it is none."""
    if evidence.get("schema") != SCHEMA:
        raise ValueError(f"this is no evidence of the form {SCHEMA}")
    terms = Terms.of(evidence["terms"])
    checks = [the.window(evidence, terms), the.coverage(evidence, terms)]
    per_day = the.per_day_of(evidence)
    for name in PAIRED:
        counts = (evidence.get("counts") or {}).get(name)
        checks.append(the.paired(name, counts, terms, per_day))
    checks += [
        the.cost(evidence.get("cost"), terms, per_day),
        the.segments(evidence.get("segments") or (), terms),
        the.reviewers(evidence.get("reviewers"), terms),
        the.boundary(evidence.get("boundary")),
        the.eval_set(evidence.get("eval_set"), terms),
        the.backtest(evidence.get("backtest"), terms),
    ]
    waived = {one["check"] for one in evidence.get("waivers") or ()} - NEVER_WAIVED
    return Judgement(checks=tuple(checks), waived=frozenset(waived & NAMES.keys()))


def verify(evidence: Mapping[str, Any]) -> list[str]:
    """What a fresh judgement says otherwise than the frozen one; nothing where they agree."""
    frozen, fresh = evidence.get("judgement"), judge(evidence).as_json()
    if not isinstance(frozen, Mapping):
        return ["the evidence holds no judgement"]
    said = {check["name"]: check for check in frozen.get("checks", ())}
    problems = [
        f"{check['name']}: frozen as {said.get(check['name'], {}).get('verdict', 'missing')}, "
        f"recomputed as {check['verdict']}"
        for check in fresh["checks"]
        if said.get(check["name"]) != check
    ]
    if frozen.get("waived") != fresh["waived"] or frozen.get("verdict") != fresh["verdict"]:
        problems.append(
            f"the whole: frozen as {frozen.get('verdict')}, recomputed as {fresh['verdict']}"
        )
    if len(said) != len(fresh["checks"]):
        problems.append("the frozen list of checks has another length")
    return problems
