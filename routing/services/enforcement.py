"""Whether a policy may enforce the score that its rules test: proved on its own pair of backends.

What is missing is a warning while a version is written, judged, simulated and tried; it is a
refusal when the version would become active.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings

from routing.engine.document import parse_policy
from routing.engine.evidence import FEWEST_TO_PROVE, Evidence, Pair, score_place, scored_pairs
from routing.engine.first_weights import FIRST_CLASSIFIER
from routing.engine.policy import Policy
from routing.engine.types import BackendFacts, Finding, PolicyError
from routing.engine.wording import listed
from routing.models import Backend, Classifier, ClassifierProof, PolicyVersion
from screens.errors import Conflict

_MOST_PAIRS = 6


class NotProved(Conflict):
    """The rules test a score that nothing proves on the backends that they route to."""

    default_code = "classifier_unproved"
    default_what_next = (
        "Prove the classifier on this pair and activate again; until then use rules without "
        "gain, score and unfamiliar, or try the version by simulation and in shadow."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A classifier as a policy names it, with its evidence, the newest first."""

    label: str
    is_first: bool
    is_retired: bool
    evidence: tuple[Evidence, ...]

    def on(self, small: frozenset[str], large: frozenset[str]) -> Evidence | None:
        """The newest evidence on a pair, given the names that each of the two goes by.

        A measurement on too few prompts counts only where there is no other.
        """
        found = [one for one in self.evidence if one.is_of(small, large)]
        enough = [one for one in found if one.judged >= FEWEST_TO_PROVE]
        return next(iter(enough or found), None)


def standing_of(label: str | None) -> Standing | None:
    """None where the label names no published classifier; no label is the first classifier."""
    if not label or label == FIRST_CLASSIFIER.label:
        proofs = ClassifierProof.objects.filter(classifier=None, digest=FIRST_CLASSIFIER.digest)
        return Standing(
            label=FIRST_CLASSIFIER.label,
            is_first=True,
            is_retired=False,
            evidence=tuple(evidence_of(proof, None) for proof in proofs),
        )
    name, _, version = label.partition("@")
    found = (
        Classifier.objects.only("name", "version", "card", "state")
        .filter(name=name, version=version if version.isdigit() else 0)
        .first()
    )
    return standing(found) if found else None


def standing(found: Classifier) -> Standing:
    rows = int(found.card["rows"])
    measured = [evidence_of(proof, rows) for proof in found.proofs.all()]
    area = found.card["metrics"]["apgr"]
    own = Evidence(
        small=found.card["pair"]["small"],
        large=found.card["pair"]["large"],
        trained_on=rows,
        # Every prompt is judged by a model of the folds that it is not in.
        judged=rows,
        apgr=area["value"],
        low=area["low"],
    )
    return Standing(
        label=str(found),
        is_first=False,
        is_retired=found.state == Classifier.State.RETIRED,
        evidence=(*measured, own),
    )


def evidence_of(proof: ClassifierProof, trained_on: int | None) -> Evidence:
    return Evidence(
        small=proof.small,
        large=proof.large,
        trained_on=trained_on,
        judged=proof.rows,
        apgr=proof.apgr,
        low=proof.low,
    )


def findings_on_score(policy: Policy, backends: Mapping[str, BackendFacts]) -> list[Finding]:
    """What stands between this policy and enforcing the score that its rules test."""
    if score_place(policy) is None:
        return []
    found = standing_of(policy.classifier)
    if found is None:
        return [
            _finding(
                "classifier_missing",
                f"rules test the score of {policy.classifier}, which is not published here; train "
                "it or name another",
            )
        ]
    if found.is_retired:
        return [
            _finding(
                "classifier_retired",
                f"rules test the score of {found.label}, which was retired; name another version",
            )
        ]
    pairs = scored_pairs(policy, backends)
    return _on_pairs(found, pairs, _names_of({name for pair in pairs for name in pair if name}))


def _names_of(backends: Iterable[str]) -> dict[str, frozenset[str]]:
    """What an eval set may call each backend: its name here, or the model behind it."""
    rows = Backend.objects.filter(name__in=backends).values_list("name", "upstream_model")
    return {
        name: frozenset({name.casefold(), *([model.casefold()] if model else [])})
        for name, model in rows
    }


def _on_pairs(
    found: Standing, pairs: tuple[Pair, ...], names: Mapping[str, frozenset[str]]
) -> list[Finding]:
    findings, unknown = [], []
    for pair in pairs:
        evidence = found.on(_of(pair.small, names), _of(pair.large, names))
        if evidence is None:
            unknown.append(pair)
        elif reasons := evidence.shortcomings():
            findings.append(
                _finding(
                    "classifier_unproved",
                    f"{found.label} is not proved on {pair}: {listed(reasons)}; route by rules or "
                    "try it in shadow until it is",
                )
            )
    if unknown:
        findings.insert(0, _unknown(found, unknown))
    return findings[:_MOST_PAIRS]


def _of(backend: str | None, names: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return names.get(backend, frozenset({backend.casefold()})) if backend else frozenset()


def _unknown(found: Standing, pairs: list[Pair]) -> Finding:
    between = listed([str(pair) for pair in pairs[:_MOST_PAIRS]])
    how = (
        f"prove it with manage.py classifier metrics {found.label} EVALSET --record, where the "
        "set names these backends or the models behind them"
    )
    if found.is_first:
        return _finding(
            "first_classifier",
            "rules test the score of the built-in first classifier, whose weights were set by "
            f"hand; nothing is proved of it on {between}. Train one on this pair, or {how}",
            blocks=not settings.FIRST_CLASSIFIER_MAY_ENFORCE,
        )
    own = found.evidence[-1]
    return _finding(
        "classifier_pair",
        f"{found.label} was trained for {own.small} and {own.large}, and its score decides here "
        f"between {between}; {how}",
    )


def _finding(code: str, message: str, *, blocks: bool = True) -> Finding:
    return Finding(
        code=code, path="classifier", message=message, blocking=False, blocks_activation=blocks
    )


def refuse_unproved(version: PolicyVersion, backends: Mapping[str, BackendFacts]) -> None:
    """Raise NotProved where the version may not enforce the score that its rules test."""
    try:
        policy = parse_policy(version.document)
    except PolicyError:
        return  # the analysis says what is wrong with it
    _hold(policy.classifier)
    findings = [one for one in findings_on_score(policy, backends) if one.blocks_activation]
    if findings:
        raise NotProved(_sentence(version, findings), code=findings[0].code)


def refuse_retired(version: PolicyVersion) -> None:
    """Raise NotProved where the version names a retired classifier that its rules test."""
    try:
        policy = parse_policy(version.document)
    except PolicyError:
        return
    _hold(policy.classifier)
    found = standing_of(policy.classifier) if score_place(policy) is not None else None
    if found is not None and found.is_retired:
        raise NotProved(
            f"{version} tests the score of {found.label}, which was retired.",
            code="classifier_retired",
            what_next="Go back to another version, or engage a kill switch.",
        )


def _hold(label: str | None) -> None:
    """Keep the classifier from being retired until this transaction has ended."""
    name, _, version = (label or "").partition("@")
    if version.isdigit():
        list(
            Classifier.objects.select_for_update()
            .filter(name=name, version=version)
            .values_list("pk", flat=True)
        )


def _sentence(version: PolicyVersion, findings: list[Finding]) -> str:
    said = ". ".join(one.message[:1].upper() + one.message[1:] for one in findings[:2])
    return f"{version} may not become active. {said}."
