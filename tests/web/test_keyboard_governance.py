"""More jobs by keyboard alone: a nested condition, rejecting, scheduling, a verdict, a refresh."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.installation import Site
from tests.web.jobs import judge, open_route, open_version, step
from tests.web.keyboard import LINK, Keyboard, SitDown
from tests.web.stock import CLAIMS, FREE
from tests.web.test_main_paths import CARD, Caller

pytestmark = [pytest.mark.web, pytest.mark.xdist_group("live")]

Names = dict[str, Any]
NESTED = "A group of conditions"


def start_draft(keys: Keyboard, slug: str) -> int:
    open_route(keys, slug)
    keys.content()
    keys.submit("Start a draft")
    return int(keys.page.url.split("?")[0].rstrip("/").rsplit("/", 1)[1])


def send_in(keys: Keyboard, words: str) -> None:
    keys.content()
    keys.type_into("What this version changes, in one sentence", words)
    keys.submit("Submit")
    expect(keys.page.locator("main")).to_contain_text(re.compile("0 of [12]"))


@pytest.mark.parametrize(
    ("who", "script"), [("arjun", True), ("wanda", False)], ids=["script", "no script"]
)
def test_a_condition_in_a_group_in_a_group_is_edited(
    sit_down: SitDown, stock: Names, who: str, script: bool
) -> None:
    keys = sit_down(who, script=script)
    start_draft(keys, FREE[3])
    keys.content()
    keys.follow(f"Edit {NESTED}")
    keys.content()
    keys.type_into("Note", "Typed before the steps.")
    step(keys, "Add group to group 2", lands_on="Group 2.3 holds when")
    keys.select("Signal for group 2.3", "user turns")
    step(
        keys,
        "Add condition to group 2.3",
        lands_on="How user turns compares, condition 2.3.1",
    )
    keys.page.keyboard.type("is at least")
    keys.type_into("Value of user turns, condition 2.3.1", "7")
    keys.press("Shift+Tab")
    keys.tab_to("button", "Move condition 2.3.1 up", back=True)
    keys.tab_to("button", "Remove group 2.3 and what is in it", back=True)
    keys.tab_to("button", "Move group 2.3 up", back=True)
    keys.press("Shift+Tab")
    step(keys, "Move group 2.3 up", lands_on="Move group 2.2 up")
    keys.submit("Save rule")

    rule = keys.page.locator("#rule-nested")
    expect(rule).to_contain_text("conversation has at least 7 user turns")
    expect(rule).to_contain_text("Typed before the steps.")


def test_a_version_is_rejected(sit_down: SitDown, stock: Names) -> None:
    author = sit_down("wanda")
    number = start_draft(author, CLAIMS)
    author.content()
    author.follow("Thresholds")
    author.content()
    author.tab_to("field", re.compile("prompt tokens"))
    author.press("ControlOrMeta+a")
    author.page.keyboard.type("333")
    author.submit(re.compile("^Save"))
    send_in(author, "Half of the long questions.")

    approver = sit_down("petra")
    judge(approver, CLAIMS, number, verdict="Reject", comment="Nobody asked for it.")
    expect(approver.page.locator("main")).to_contain_text("Rejected")


def test_an_approved_version_is_scheduled(sit_down: SitDown, stock: Names) -> None:
    keys = sit_down("olivia")
    open_version(keys, "returns-desk", stock["approved"])
    keys.content()
    in_a_month = datetime.now(UTC) + timedelta(days=30)
    keys.set_date("Activate at (UTC)", in_a_month.strftime("%m%d%Y"))
    keys.press("Tab")
    keys.page.keyboard.type("0800AM")
    keys.type_into("Reason, kept in the audit trail", "After the holidays.")
    keys.submit(re.compile("^Schedule"))
    expect(keys.page.locator("main")).to_contain_text("scheduled the activation")


def test_a_reviewer_gives_a_verdict(site: Site, sit_down: SitDown) -> None:
    keys = sit_down("noor")
    caller = Caller(site, CARD.format("keyboard"))
    keys.menu("Review")
    caller.start()
    for _ in range(30):
        keys.content()
        keys.submit(re.compile("Next case"))
        if keys.page.get_by_role("button", name="Show the text").count():
            break
        keys.page.wait_for_timeout(300)
    keys.content()
    keys.unfold(re.compile("^Safe default"))
    keys.select("Reason code", "Personal")
    keys.type_into("Reason, kept in the audit trail", "No card numbers here.")
    keys.submit("Give the safe default")

    assert caller.result().headers["x-signalbox-outcome"] == "safe_default"


def test_a_refresh_waits_while_somebody_types_in_it(sit_down: SitDown) -> None:
    """No page of ours has a field in a part that refreshes itself, so the test puts one there."""
    keys = sit_down("rui")
    page = keys.page
    keys.menu("Review")
    page.locator("#cases").evaluate(
        "cases => cases.insertAdjacentHTML('afterbegin', '<input id=typing aria-label=Typing>')"
    )
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    keys.type_into("Typing", "half a")
    page.wait_for_timeout(9_000)
    page.keyboard.type(" sentence")

    assert asked == []
    assert page.locator("#typing").input_value() == "half a sentence"

    with page.expect_request("**/review/**", timeout=10_000):
        keys.tab_to(LINK, re.compile("."))
    page.locator("#typing").wait_for(state="detached", timeout=10_000)
