"""Budgets and limits of keys and routes, while many ask at once and after a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from audit.ids import uuid7
from routing.gateway import budgets as gateway_budgets
from routing.gateway.budgets import Budgets
from routing.gateway.replica import in_thread
from routing.models import Decision, Spend
from routing.models.budgets import LIMITS
from routing.services.budgets import Seen, Used, add_used, read_used
from tests.faults.upstream import Act, Upstream, answer, completion
from tests.routing.gateway.conftest import START, Live, sealed, snapshot_document

KEY = ("key", "abcdefgh")
REFUSING: dict[str, Any] = {
    "rules": [],
    "default": {"then": {"route": {"tier": "slm", "targets": ["small"]}, "on_no_target": "refuse"}},
    "fallbacks": {},
}
# 9 tokens in and 2 out at 1 and 2 dollars a million.
ONE = Decimal("0.000013")


def budget(scope: str = "key", target: str = "abcdefgh", **limits: Any) -> dict[str, Any]:
    clients = ["abcdefgh"] if scope == "key" else []
    return {"scope": scope, "target": target, "clients": clients, **dict.fromkeys(LIMITS), **limits}


async def limited(
    start: START, *budgets: dict[str, Any], policy: dict[str, Any] | None = None, **ups: Upstream
) -> Live:
    chosen = REFUSING if policy is None else policy
    ups = ups or {"small": Upstream(), "large": Upstream()}
    live = await start(chosen, **ups)
    document = snapshot_document({name: up.port for name, up in ups.items()}, **chosen)
    for backend in document["backends"]:
        if backend["name"] == "free":
            backend |= {"tier": "slm", "price_in": "0", "price_out": "0"}
    document["budgets"] = list(budgets)
    assert await live.gateway.replica.adopt(sealed(document), keep=False)
    return live


def used_of(live: Live, target: tuple[str, str] = KEY) -> gateway_budgets.Amounts:
    return live.gateway.replica.budgets._used(target, datetime.now(UTC).date().isoformat())


def slowly(seconds: float) -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await answer(completion())(writer)

    return act


async def test_without_a_budget_nothing_is_counted(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.ask()

    assert "x-ratelimit-limit-tokens" not in got.headers
    assert live.gateway.replica.budgets._counts == {}


async def test_what_was_used_takes_the_place_of_what_was_reserved(start: START) -> None:
    live = await limited(start, budget(usd_day="1"))

    await live.ask()

    used = used_of(live)
    assert (used.requests, used.tokens, used.usd) == (1, 11, ONE)
    assert live.gateway.replica.budgets._counts[KEY].reserved.usd == 0


async def test_a_used_up_budget_is_429_and_not_to_be_retried(start: START) -> None:
    live = await limited(start, budget(usd_day=str(ONE)))
    assert (await live.ask()).status_code == 200

    got = await live.ask()

    assert (got.status_code, got.json()["error"]["code"]) == (429, "budget_exceeded")
    assert got.headers["x-should-retry"] == "false"
    assert got.headers["x-signalbox-cause"] == "budget"
    made = await live.made(got)
    assert {one["reason"] for one in made["decision"]["trace"]["candidates"]} == {"over_budget"}
    [end] = await live.ends(got)
    assert end["kind"] == "decision.refused"


@pytest.mark.parametrize(
    "limits", [{"requests_day": 1}, {"requests_month": 1}, {"tokens_day": 11}, {"tokens_month": 11}]
)
async def test_requests_and_tokens_count_by_day_and_month(
    start: START, limits: dict[str, int]
) -> None:
    live = await limited(start, budget(**limits))

    codes = [(await live.ask()).status_code for _ in range(2)]

    assert codes == [200, 429]


async def test_a_routes_budget_holds_for_every_key(start: START) -> None:
    live = await limited(start, budget("route", "support", requests_day=1))

    assert [(await live.ask()).status_code for _ in range(2)] == [200, 429]


async def test_where_the_policy_has_a_safe_default_it_answers(start: START) -> None:
    live = await limited(start, budget(requests_day=1), policy={})
    await live.ask()

    got = await live.ask()

    assert (got.status_code, got.headers["x-signalbox-outcome"]) == (200, "safe_default")


async def test_a_backend_without_a_price_still_serves_when_the_money_is_used_up(
    start: START,
) -> None:
    policy = {
        "rules": [],
        "default": {"then": {"route": {"tier": "slm", "targets": ["small", "free"]}}},
        "fallbacks": {},
    }
    live = await limited(
        start, budget(usd_day="0.00001"), policy=policy, small=Upstream(), free=Upstream()
    )

    first, second = await live.ask(), await live.ask()

    assert first.headers["x-signalbox-backend"] == "small"
    assert second.headers["x-signalbox-backend"] == "free"
    assert second.headers["x-signalbox-cause"] == "budget"


async def test_200_at_once_overspend_by_at_most_one_reservation(start: START) -> None:
    limit = ONE * 200
    small = Upstream(slowly(0.2))
    live = await limited(start, budget(usd_day=str(limit)), small=small, large=Upstream())
    whole = {"model": "support", "messages": [{"role": "user", "content": "Where is my parcel?"}]}

    answers: list[httpx.Response] = await asyncio.gather(
        *(live.client.post("/v1/chat/completions", json=whole) for _ in range(200))
    )

    codes = Counter(one.status_code for one in answers)
    assert set(codes) == {200, 429}
    made = await live.made(next(one for one in answers if one.status_code == 200))
    prompt = made["decision"]["trace"]["signals"]["prompt_tokens"]
    reservation = (Decimal(prompt * 125 // 100) + 2 * Decimal(100)) / 1_000_000
    assert used_of(live).usd == codes[200] * ONE <= limit + reservation
    # As many as the worst case of each leaves room for, and one more.
    assert codes[200] == int(limit / reservation) + 1


async def test_200_in_the_background_at_once_overspend_by_at_most_one_reservation(
    start: START,
) -> None:
    limit = ONE * 100
    small = Upstream(slowly(0.2))
    live = await limited(start, budget(usd_day=str(limit)), small=small, large=Upstream())
    whole = {"model": "support", "input": "Where is my parcel?", "background": True}

    answers: list[httpx.Response] = await asyncio.gather(
        *(live.client.post("/v1/responses", json=whole) for _ in range(200))
    )
    await asyncio.gather(*live.gateway.background.values())

    made = await live.made(answers[0])
    prompt = made["decision"]["trace"]["signals"]["prompt_tokens"]
    reservation = (Decimal(prompt * 125 // 100) + 2 * Decimal(100)) / 1_000_000
    # As many as the worst case of each leaves room for, and one more; the others end as failed.
    assert used_of(live).usd == (int(limit / reservation) + 1) * ONE


async def test_a_failed_hop_is_paid_for_too(start: START) -> None:
    policy = {"fallbacks": {"failure": {"small": ["large"]}}}
    broken = answer(b'{"choices":[]}')
    live = await limited(
        start, budget(usd_day="1"), policy=policy, small=Upstream(broken), large=Upstream()
    )

    got = await live.ask()

    [end] = await live.ends(got)
    assert used_of(live).usd == Decimal(end["details"]["cost_usd"]) > ONE


async def test_a_fallback_does_not_go_where_the_budget_ends(start: START) -> None:
    """The request's own reservation does not stop it, what others used meanwhile does."""
    policy = {"fallbacks": {"failure": {"small": ["large"]}}}

    async def others_spend(writer: asyncio.StreamWriter) -> None:
        live.gateway.replica.budgets._of(KEY).settled[datetime.now(UTC).date().isoformat()] = (
            gateway_budgets.Amounts(usd=Decimal(5))
        )
        await answer(b"{}", status=500)(writer)

    small, large = Upstream(others_spend), Upstream()
    live = await limited(start, budget(usd_day="1"), policy=policy, small=small, large=large)

    got = await live.ask()

    assert got.status_code == 502
    assert large.bodies == []


async def test_the_policy_sees_how_much_of_the_routes_budget_is_left(start: START) -> None:
    live = await limited(start, budget("route", "support", requests_day=4))
    await live.ask()

    made = await live.made(await live.ask())

    assert made["decision"]["trace"]["signals"]["budget_left_pct"] == "75.00"


async def test_tokens_a_minute_are_told_and_held_to(start: START) -> None:
    live = await limited(start, budget(tokens_per_minute=220))

    first = await live.say("Where is my parcel?", max_tokens=200)
    second = await live.say("Where is my parcel?", max_tokens=210)

    assert first.headers["x-ratelimit-limit-tokens"] == "220"
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 20
    # Of the first one's tokens those that were not used came back.
    assert second.status_code == 429
    third = await live.say("Where is my parcel?", max_tokens=150)
    assert third.status_code == 200
    error = second.json()["error"]
    assert (error["code"], error["decision_id"]) == ("rate_limit_exceeded", None)
    assert 1 <= int(second.headers["retry-after"]) <= 60


async def test_a_routes_requests_a_minute_are_held_to(start: START) -> None:
    live = await limited(start, budget("route", "support", requests_per_minute=2))

    codes = [(await live.ask()).status_code for _ in range(3)]

    assert codes == [200, 200, 429]


# what is not forgotten


def decided(client: str, outcome: str = "served") -> Decision:
    now = datetime.now(UTC)
    return Decision.objects.create(
        id=uuid7(),
        at=now,
        deadline_at=now,
        route="support",
        client="app",
        client_id=client,
        request_id="r",
        policy="support@1",
        policy_digest="sha256:0",
        rule="r",
        cause="rule_match",
        action="route",
        outcome=outcome,
        data_class="internal",
    )


@pytest.mark.django_db(transaction=True)
async def test_a_restart_does_not_forget(start: START) -> None:
    today = datetime.now(UTC).date()
    live = await limited(start, budget(usd_day="1"))
    used = Used(client_id="abcdefgh", route="support", day=today, tokens=5, usd=Decimal("0.75"))
    await in_thread(lambda: add_used([used, used]))

    await live.gateway.replica.read_budgets()
    got = await live.ask()

    assert used_of(live).usd == Decimal("1.50")
    assert got.status_code == 429
    await in_thread(Spend.objects.all().delete)


@pytest.mark.django_db(transaction=True)
async def test_what_the_ledger_has_counted_is_not_counted_twice(start: START) -> None:
    live = await limited(start, budget(usd_day="1"))
    got = await live.ask()
    decision = got.headers["x-signalbox-decision-id"]
    await live.gateway.replica.read_budgets()
    before = used_of(live).usd
    today = datetime.now(UTC).date()
    used = Used(client_id="abcdefgh", route="support", day=today, tokens=11, usd=ONE)

    def followed() -> None:
        add_used([used])
        row = decided("abcdefgh")
        Decision.objects.filter(pk=row.pk).update(id=decision)

    await in_thread(followed)
    await live.gateway.replica.read_budgets()

    assert before == used_of(live).usd == ONE
    await in_thread(Spend.objects.all().delete)
    await in_thread(Decision.objects.filter(id=decision).delete)


@pytest.mark.django_db
def test_only_decisions_that_have_ended_are_in_the_sums() -> None:
    open_one, ended = decided("k", "open"), decided("k")

    seen = read_used(
        clients=["k"], routes=[], pending=[open_one.id, ended.id], now=datetime.now(UTC)
    )

    assert seen.counted == {ended.id}


@pytest.mark.django_db
def test_the_last_month_is_over() -> None:
    today = datetime.now(UTC).date()
    last = today.replace(day=1) - timedelta(days=1)
    for day in (last, today):
        add_used([Used(client_id="k", route="r", day=day, tokens=1, usd=Decimal(1))])

    seen = read_used(clients=["k"], routes=["r"], pending=[], now=datetime.now(UTC))

    assert [row[2] for row in seen.rows] == [today]


def test_keys_of_one_line_share_their_budget() -> None:
    today = datetime.now(UTC).date()
    document = snapshot_document({"small": 1})
    document["budgets"] = [{**budget(target="first", usd_day="5"), "clients": ["first", "second"]}]
    from routing.gateway.snapshot import compile_snapshot

    snapshot, budgets = compile_snapshot(document), Budgets()
    rows = tuple((name, "support", today, 1, 1, Decimal(3)) for name in ("first", "second"))

    budgets.take_over(snapshot, Seen(rows=rows, counted=frozenset()))

    assert budgets.over(snapshot, [("key", "first")]) == "cost"
