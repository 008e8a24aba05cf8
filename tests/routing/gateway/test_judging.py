"""Answers that are judged before their client sees them: measured, escalated, held, or let pass."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import httpx
import pytest

from audit import payloads
from routing.gateway.replica import in_thread
from routing.models import Hold
from tests.faults.upstream import Act, Upstream, answer, completion, silence, stream
from tests.routing.gateway.conftest import START, Live, sealed, snapshot_document


def logprobs_of(pieces: list[str], shares: list[float], others: Any = None) -> dict[str, Any]:
    content = []
    for piece, share in zip(pieces, shares, strict=True):
        top = [{"token": t, "logprob": math.log(p)} for t, p in (others or {piece: share}).items()]
        content.append({"token": piece, "logprob": math.log(share), "top_logprobs": top})
    return {"content": content}


def said(text: str, share: float | None = None, others: Any = None) -> Act:
    """A whole answer whose every token has this probability, or that reports none."""
    pieces = [f"{word} " for word in text.split()]
    pieces[-1] = pieces[-1].rstrip()
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    if share is not None:
        choice["logprobs"] = logprobs_of(pieces, [share] * len(pieces), others)
    return answer(completion(choices=[choice]))


def escalation(signal: str = "token_logprob_q10", **changed: Any) -> dict[str, Any]:
    terms = {
        "confidence": {"signal": signal, "accept_gte": 0.6},
        "on_uncertain": "escalate",
        "to": ["large"],
        "then": "safe_default",
    }
    return {"escalation": {"slm": {**terms, **changed}}}


async def started(
    start: START, policy: dict[str, Any], small: Upstream, large: Upstream, **more: Any
) -> Live:
    """As ``start``, with a small backend that says it can report log-probabilities."""
    live = await start(policy, small=small, large=large, **more)
    ports = {"small": small.port, "large": large.port, **{n: u.port for n, u in more.items()}}
    document = snapshot_document(ports, **policy)
    for backend in document["backends"]:
        if backend["name"] != "large":
            backend["tier"] = "slm"
            backend["capabilities"].append("logprobs")
    assert await live.gateway.replica.adopt(sealed(document), keep=False)
    return live


async def end_of(live: Live, got: httpx.Response) -> dict[str, Any]:
    [end] = await live.ends(got)
    details: dict[str, Any] = end["details"]
    return details


async def test_a_sure_answer_passes_and_its_probabilities_stay_with_us(start: START) -> None:
    small = Upstream(said("It is on its way.", 0.9))
    live = await started(start, escalation(), small, Upstream())

    got = await live.ask()

    assert small.bodies[0]["logprobs"] is True
    assert got.headers["x-signalbox-backend"] == "small"
    assert got.json()["choices"][0]["logprobs"] is None
    [attempt] = (await end_of(live, got))["attempts"]
    assert attempt["confidence"] == {
        "signal": "token_logprob_q10",
        "raw": "0.9000",
        "value": "0.9000",
        "is_calibrated": False,
        "accept_gte": "0.6",
    }


async def test_who_asked_for_probabilities_gets_as_many_as_asked(start: START) -> None:
    others = {"yes": 0.9, "no": 0.05, "maybe": 0.03}
    small = Upstream(said("yes", 0.9, others))
    live = await started(start, escalation("label_margin"), small, Upstream())

    got = await live.say("Yes or no?", logprobs=True, top_logprobs=2)

    assert small.bodies[0]["top_logprobs"] == 5
    [token] = got.json()["choices"][0]["logprobs"]["content"]
    assert len(token["top_logprobs"]) == 2


async def test_an_uncertain_answer_goes_to_the_larger_model_and_is_paid_for(start: START) -> None:
    live = await started(start, escalation(), Upstream(said("Hm", 0.2)), Upstream())

    got = await live.ask()

    assert got.headers["x-signalbox-backend"] == "large"
    assert got.headers["x-signalbox-cause"] == "uncertain_escalated"
    details = await end_of(live, got)
    first, second = details["attempts"]
    assert (first["verdict"], first["confidence"]["value"]) == ("uncertain", "0.2000")
    assert (second["kind"], second.get("verdict")) == ("escalation", None)
    assert details["not_served_usd"] == first["cost_usd"] == "0.000013"
    assert details["cost_usd"] == "0.000026"
    assert details["doubt"]["to"] == "large"
    assert "confidence 0.2000" in details["doubt"]["sentence"]


async def test_the_metrics_count_who_answered_not_who_was_asked_first(start: START) -> None:
    live = await started(start, escalation(), Upstream(said("Hm", 0.2)), Upstream())

    await live.ask()

    counted = (await live.client.get("/metrics")).text
    [line] = [one for one in counted.splitlines() if one.startswith("signalbox_decisions_total{")]
    for label in ('backend="large"', 'cause="uncertain_escalated"', 'tier="llm"'):
        assert label in line


async def test_a_backend_that_reports_nothing_counts_as_uncertain(start: START) -> None:
    live = await started(start, escalation(), Upstream(said("Sure")), Upstream())

    got = await live.ask()

    assert got.headers["x-signalbox-cause"] == "uncertain_escalated"
    first, _ = (await end_of(live, got))["attempts"]
    assert first["confidence"]["raw"] is None


async def test_one_that_cannot_report_is_not_asked_to(start: START) -> None:
    small = Upstream()
    live = await start(escalation(), small=small, large=Upstream())

    got = await live.ask()

    assert "logprobs" not in small.bodies[0]
    assert got.headers["x-signalbox-cause"] == "uncertain_escalated"


@pytest.mark.parametrize(
    ("others", "backend"),
    [({"yes": 0.9, "no": 0.05}, "small"), ({"yes": 0.5, " Yes": 0.4, "no": 0.1}, "small"),
     ({"yes": 0.5, "no": 0.45}, "large")],
    ids=["far ahead", "one label in two spellings", "nearly as likely"],
)  # fmt: skip
async def test_a_label_is_judged_by_its_lead(start: START, others: Any, backend: str) -> None:
    policy = escalation("label_margin")
    live = await started(start, policy, Upstream(said("yes", 0.5, others)), Upstream())

    assert (await live.ask()).headers["x-signalbox-backend"] == backend


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["city", "age"],
    "additionalProperties": False,
}
JSON_PIECES = ['{"city"', ": ", '"Oslo"', ', "age": ', "41", "}"]


@pytest.mark.parametrize(
    ("pieces", "doubtful", "backend"),
    [
        (JSON_PIECES, None, "small"),
        (JSON_PIECES, 1, "small"),
        (JSON_PIECES, 4, "large"),
        (['{"city": "Oslo"', "}"], None, "large"),
        (['{"city": "Oslo", "age": "x"', "}"], None, "large"),
        (["Oslo, ", "41"], None, "large"),
    ],
    ids=["sure", "a doubtful comma", "a doubtful age", "a field short", "wrong type", "no JSON"],
)
async def test_json_is_judged_by_its_weakest_field_and_its_schema(
    start: START, pieces: list[str], doubtful: int | None, backend: str
) -> None:
    shares = [0.3 if place == doubtful else 0.95 for place in range(len(pieces))]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(pieces)},
        "logprobs": logprobs_of(pieces, shares),
        "finish_reason": "stop",
    }
    small = Upstream(answer(completion(choices=[choice])))
    live = await started(start, escalation("json_field_min"), small, Upstream())
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}

    got = await live.say("Where, and how old?", response_format=wanted)

    assert got.headers["x-signalbox-backend"] == backend


async def test_a_calibration_speaks_instead_of_the_raw_value(start: START) -> None:
    small, large = Upstream(said("Hm", 0.5)), Upstream()
    live = await started(start, escalation(), small, large)
    document = snapshot_document({"small": small.port, "large": large.port}, **escalation())
    document["backends"][0] |= {
        "capabilities": ["logprobs"],
        "calibrations": [
            {
                "signal": "token_logprob_q10",
                "route": "support",
                "labels": 300,
                "points": [["0.2", "0.1"], ["0.4", "0.7"], ["0.6", "0.9"]],
            }
        ],
    }
    assert await live.gateway.replica.adopt(sealed(document), keep=False)

    got = await live.ask()

    [attempt] = (await end_of(live, got))["attempts"]
    assert (attempt["confidence"]["raw"], attempt["confidence"]["value"]) == ("0.5000", "0.8000")
    assert attempt["confidence"]["is_calibrated"] is True


# what else can follow


async def test_the_safe_default_answers_where_the_policy_says_so(start: START) -> None:
    policy = escalation(on_uncertain="safe_default", to=[])
    live = await started(start, policy, Upstream(said("Hm", 0.2)), Upstream())

    got = await live.ask()

    assert got.headers["x-signalbox-outcome"] == "safe_default"
    assert got.json()["choices"][0]["message"]["content"] == "A colleague will answer shortly."


async def test_no_time_for_the_larger_model_means_what_the_policy_says_then(start: START) -> None:
    live = await started(start, escalation(), Upstream(said("Hm", 0.2)), large := Upstream())
    for _ in range(10):
        live.gateway.replica.latencies.note("large", 60.0)

    got = await live.ask()

    assert got.headers["x-signalbox-outcome"] == "safe_default"
    assert large.bodies == []
    assert (await end_of(live, got))["no_time_for"] == ["large"]


async def test_a_larger_model_that_fails_leaves_what_the_policy_says_then(start: START) -> None:
    large = Upstream(answer(b"{}", status=500))
    live = await started(start, escalation(), Upstream(said("Hm", 0.2)), large)

    got = await live.ask()

    assert got.headers["x-signalbox-outcome"] == "safe_default"
    assert (await end_of(live, got))["escalation_failed"] == "upstream_error"


async def test_or_the_doubted_answer_where_the_policy_accepts_it(start: START) -> None:
    large = Upstream(answer(b"{}", status=500))
    live = await started(start, escalation(then="accept"), Upstream(said("Hm", 0.2)), large)

    got = await live.ask()

    assert got.json()["choices"][0]["message"]["content"] == "Hm"


@pytest.mark.django_db(transaction=True)
async def test_a_hold_out_of_doubt_shows_the_reviewer_the_doubted_answer(start: START) -> None:
    hold = {"hold": {"queue": "triage", "hold_s": 1, "on_timeout": "safe_default"}}
    policy = escalation(on_uncertain=hold, to=[])
    live = await started(start, policy, Upstream(said("Perhaps on Monday.", 0.2)), Upstream())

    got = await live.ask()

    assert got.headers["x-signalbox-outcome"] == "safe_default"
    decision = got.headers["x-signalbox-decision-id"]
    row = await in_thread(lambda: Hold.objects.get(pk=decision))
    assert (row.state, row.queue, row.candidate_backend) == ("expired", "triage", "small")
    assert "is uncertain" in row.sentence
    kept = row.candidate_payload
    assert kept is not None
    text = await in_thread(lambda: payloads.open_payload(kept))
    assert text == b"Perhaps on Monday."
    assert (await end_of(live, got))["attempts"][0]["verdict"] == "uncertain"


@pytest.mark.django_db(transaction=True)
async def test_a_stream_that_could_be_held_sends_no_word_before_it_is_judged(start: START) -> None:
    hold = {"hold": {"queue": "triage", "hold_s": 1, "on_timeout": "refuse"}}
    policy = escalation(on_uncertain=hold, to=[])
    live = await started(start, policy, Upstream(said("Perhaps.", 0.2)), Upstream())

    got = await live.ask(stream=True)

    assert "Perhaps" not in got.text
    assert "human_review_denied" in got.text


async def test_a_pin_is_not_judged(start: START) -> None:
    small = Upstream(said("Hm", 0.1))
    live = await started(start, escalation(), small, Upstream())

    got = await live.say("Where?", model="small")

    assert got.headers["x-signalbox-backend"] == "small"


# streams


def flow(count: int, share: float, *, pause_s: float = 0.0, silent: bool = False) -> Act:
    events = []
    for place in range(count):
        choice: dict[str, Any] = {"index": 0, "delta": {"content": f"w{place} "}}
        if not silent:
            choice["logprobs"] = logprobs_of([f"w{place} "], [share])
        events.append(choice)
    events.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    pieces = [
        b"data: " + json.dumps({"id": "c", "model": "theirs", "choices": [one]}).encode() + b"\n\n"
        for one in events
    ]
    return stream(*pieces, b"data: [DONE]\n\n", pause_s=pause_s)


async def test_a_short_stream_is_read_whole_before_its_first_word(start: START) -> None:
    small = Upstream(said("All of it at once.", 0.9))
    live = await started(start, escalation(), small, Upstream())

    got = await live.ask(stream=True)

    assert small.bodies[0]["stream"] is False
    assert '"content":"All of it at once."' in got.text
    assert got.text.endswith("data: [DONE]\n\n")


async def test_a_long_stream_begins_when_its_first_48_tokens_are_sure(start: START) -> None:
    small = Upstream(flow(60, 0.9))
    live = await started(start, escalation(), small, Upstream())

    got = await live.say("Tell me a story.", stream=True, max_tokens=2000)

    assert got.text.count('"content"') == 60
    assert "logprob" not in got.text.replace('"logprobs":null', "")
    [attempt] = (await end_of(live, got))["attempts"]
    assert attempt["confidence"]["value"] == "0.9000"


async def test_a_doubtful_beginning_goes_to_the_larger_model_unseen(start: START) -> None:
    small = Upstream(flow(400, 0.2, pause_s=0.002))
    large = Upstream(flow(3, 0.9, silent=True))
    live = await started(start, escalation(), small, large)

    got = await live.say("Tell me a story.", stream=True, max_tokens=2000)

    assert got.headers["x-signalbox-cause"] == "uncertain_escalated"
    assert got.text.count('"content"') == 3
    first, second = (await end_of(live, got))["attempts"]
    assert (first["verdict"], first["usage_source"]) == ("uncertain", "estimated")
    assert 48 <= first["output_tokens"] < 200
    assert second["status"] == 200


async def test_a_slow_beginning_is_judged_after_seven_tenths_of_a_second(start: START) -> None:
    small = Upstream(flow(12, 0.9, pause_s=0.15))
    live = await started(start, escalation(), small, Upstream())

    got = await live.say("Tell me a story.", stream=True, max_tokens=2000)

    [attempt] = (await end_of(live, got))["attempts"]
    assert 700 <= attempt["first_byte_ms"] < 1300


async def test_words_without_a_report_escalate_at_once(start: START) -> None:
    small = Upstream(flow(40, 0.9, pause_s=0.05, silent=True))
    live = await started(start, escalation(), small, Upstream(flow(2, 0.9, silent=True)))

    got = await live.say("Tell me a story.", stream=True, max_tokens=2000)

    first, _ = (await end_of(live, got))["attempts"]
    assert first["total_ms"] < 700


# a second small model


async def with_second(start: START, first: Act, second: Act, signal: str) -> Live:
    policy = escalation(signal)
    beside = Upstream(second)
    return await started(start, policy, Upstream(first), Upstream(), helper=beside)


@pytest.mark.parametrize(
    ("first", "second", "backend"),
    [
        ("The answer is (B).", "B", "small"),
        ("The answer is (B).", "I choose option C", "large"),
        ("So it is 1,200.50", "#### 1200.5", "small"),
        ("So it is 1,200", "Total: 1300", "large"),
    ],
)
async def test_two_small_models_that_say_the_same_are_believed(
    start: START, first: str, second: str, backend: str
) -> None:
    live = await with_second(start, said(first), said(second), "agreement")

    got = await live.ask()

    assert got.headers["x-signalbox-backend"] == backend
    details = await end_of(live, got)
    kinds = [(one["kind"], one["backend"], one.get("verdict")) for one in details["attempts"]]
    assert kinds[0] == ("agreement", "helper", "not_served")
    assert kinds[1][:2] == ("first", "small")
    assert details["attempts"][0]["cost_usd"] == "0.000013"
    assert [one["n"] for one in details["attempts"]] == list(range(1, len(kinds) + 1))


async def test_both_are_asked_at_the_same_time(start: START) -> None:
    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        await said("B")(writer)

    live = await with_second(start, slowly, slowly, "agreement")

    got = await live.ask()

    assert got.headers["x-signalbox-backend"] == "small"
    assert (await end_of(live, got))["total_ms"] < 900


async def test_a_second_model_that_fails_leaves_the_first_in_doubt(start: START) -> None:
    live = await with_second(start, said("B"), answer(b"{}", status=500), "agreement")

    got = await live.ask()

    assert got.headers["x-signalbox-cause"] == "uncertain_escalated"


async def test_without_a_second_model_nothing_agrees(start: START) -> None:
    live = await started(start, escalation("agreement"), Upstream(said("B")), Upstream())

    assert (await live.ask()).headers["x-signalbox-cause"] == "uncertain_escalated"


@pytest.mark.parametrize(("yes", "backend"), [(0.9, "small"), (0.2, "large")])
async def test_a_verifier_reads_a_long_answer(start: START, yes: float, backend: str) -> None:
    verdict = said("yes", yes, {"yes": yes, "no": 1 - yes})
    live = await with_second(start, said("A long answer."), verdict, "verifier")

    got = await live.ask()

    assert got.headers["x-signalbox-backend"] == backend


async def test_a_client_that_leaves_stops_both_models(start: START) -> None:
    live = await with_second(start, silence, silence, "agreement")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await live.ask()

    assert all(not live.gateway.replica.breaker(n).is_open(1e9) for n in ("small", "helper"))
