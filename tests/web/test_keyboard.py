"""The main jobs from sign-in to proof with the keyboard alone, as people who have no mouse do them.

`Keyboard` looks at every stop of the focus. Pages are reached by links and buttons; no address is
opened but the sign-in.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web import looks
from tests.web.jobs import approve, open_route, open_version, step
from tests.web.keyboard import BUTTON, FIELD, LINK, Keyboard, SitDown
from tests.web.stock import FREE

pytestmark = [pytest.mark.web, pytest.mark.xdist_group("live")]

Names = dict[str, Any]
RULE = "Long conversations go to the larger model"


def write_rule(keys: Keyboard) -> None:
    keys.content()
    keys.follow("Add a rule")
    keys.content()
    keys.type_into("Name", RULE)
    keys.type_into("Id", "long-conversations")
    keys.select("Signal", "user turns")
    step(keys, "Add condition", lands_on="How user turns compares, condition 1", key="Space")
    keys.page.keyboard.type("is at least")
    keys.type_into(re.compile("^Value of "), "9")
    keys.choose("Route to a backend", "Route to a backend")
    keys.select("Target 1", "stand-in-large")
    keys.submit("Save rule")
    expect(keys.page.locator("#rule-long-conversations")).to_contain_text("at least 9 user turns")


def move_rule_to_the_top(keys: Keyboard) -> None:
    """Each move keeps the place on the page: the next Tab is in the rule that was moved."""
    rule = "#rule-long-conversations"
    for _ in range(12):
        before = keys.page.locator(".rules-edit > li").evaluate_all("all => all.map(a => a.id)")
        if before[0] == rule[1:]:
            return
        keys.submit(f"Move {RULE} up")
        assert keys.page.url.endswith(rule)
        keys.press("Tab")
        keys.look()
        assert keys.page.evaluate(f"document.activeElement.closest('{rule}') !== null")
    raise AssertionError("the rule did not come to the top")


def try_it_out(keys: Keyboard) -> None:
    keys.content()
    keys.type_into("Prompt", "How do I send a parcel back?")
    keys.submit("Simulate")
    expect(keys.page.locator("#result")).to_contain_text("Rule")
    keys.content()
    keys.follow(re.compile("@"))


def backtest(keys: Keyboard) -> None:
    keys.content()
    keys.follow("Start one")
    keys.content()
    keys.choose(re.compile("^last "), re.compile("^last 24 hours"))
    keys.submit("Start the backtest")
    done = keys.page.get_by_role("heading", name="What would change")
    if keys.script:
        done.wait_for(timeout=60_000)
    else:
        look_again_until(keys, done)
    if keys.page.get_by_role("button", name="Take note").count():
        keys.content()
        keys.type_into(re.compile("^Why this is right"), "A person still sees every dispute.")
        keys.submit("Take note")
    keys.content()
    keys.follow(re.compile("@"))


def look_again_until(keys: Keyboard, done: Any) -> None:
    """Where no script runs, the link for it is pressed."""
    for _ in range(40):
        if done.count():
            return
        keys.content()
        keys.follow("Look again")
        keys.page.wait_for_timeout(500)
    raise AssertionError("the backtest did not end")


def change_a_policy(sit_down: SitDown, slug: str, *, script: bool) -> int:
    """Author, two approvers, operator; returns the number of the version that is active then."""
    author = sit_down("arjun", script=script)
    open_route(author, slug)
    author.content()
    author.submit("Start a draft")
    draft = author.page.url
    write_rule(author)
    move_rule_to_the_top(author)
    try_it_out(author)
    backtest(author)
    assert author.page.url == draft
    author.content()
    author.type_into(
        "What this version changes, in one sentence", "Long conversations get the larger model."
    )
    author.submit("Submit")
    expect(author.page.locator("main")).to_contain_text("0 of 2")
    number = int(draft.rstrip("/").rsplit("/", 1)[1])

    approve(sit_down("petra", script=script), slug, number)
    approve(sit_down("pavel", script=script), slug, number)

    operator = sit_down("olivia", script=script)
    open_version(operator, slug, number)
    operator.content()
    operator.type_into("Reason, kept in the audit trail", "Agreed with customer care.")
    operator.submit(f"Activate version {number}")
    see_the_acknowledgement(operator, script=script)
    roll_back(operator, slug)
    return number


def see_the_acknowledgement(keys: Keyboard, *, script: bool) -> None:
    """The card follows by itself, and the focus that stands in it stays where it is."""
    card = keys.page.locator("#replicas-card")
    if not script:
        expect(card).to_be_visible()
        return
    keys.content()
    keys.tab_to(BUTTON, "Pause updates")
    expect(card).to_contain_text("acknowledged", timeout=15_000)
    with keys.page.expect_response(re.compile("/replicas/")):
        pass
    stop = looks.focus(keys.page)
    assert stop is not None
    assert stop["name"] == "Pause updates"


def roll_back(keys: Keyboard, slug: str) -> None:
    open_route(keys, slug)
    keys.content()
    keys.unfold("Roll back")
    keys.type_into("Reason, kept in the audit trail", "The larger model was slower than agreed.")
    keys.submit("Roll back")
    expect(keys.page.locator("#toasts")).to_contain_text("version 1 is active again")


@pytest.mark.parametrize(
    ("slug", "script"), [(FREE[0], True), (FREE[1], False)], ids=["script", "no script"]
)
def test_a_policy_is_changed_approved_activated_and_rolled_back(
    sit_down: SitDown, stock: Names, slug: str, script: bool
) -> None:
    assert change_a_policy(sit_down, slug, script=script) > 1


def test_a_signoff_is_asked_for_and_approved_by_two(sit_down: SitDown, stock: Names) -> None:
    operator = sit_down("olivia")
    operator.menu("Backends")
    operator.content()
    operator.follow("outside")
    operator.content()
    operator.follow("Ask for a sign-off")
    operator.content()
    operator.select("Data class", "public")
    operator.type_into("Purpose", "Opening hours in other languages")
    operator.type_into("Risk assessment", "RISK-11")
    operator.set_date("Valid to", "12312026")
    operator.submit("Ask two approvers")
    expect(operator.page.locator("main")).to_contain_text("0 of 2")
    expect(operator.page.locator("main")).to_contain_text("2027-01-01")

    for name, seen in (("petra", "1 of 2"), ("pavel", "2 of 2")):
        approver = sit_down(name)
        approver.menu("Sign-offs")
        approver.content()
        approver.follow("outside, public")
        approver.content()
        approver.type_into("Reason, kept in the audit trail", "Nothing personal is in it.")
        approver.submit("Approve")
        expect(approver.page.locator("main")).to_contain_text(seen)


def test_an_auditor_reads_the_data_flow_and_the_dossier(sit_down: SitDown, stock: Names) -> None:
    keys = sit_down("ada")
    keys.menu("Data flow")
    keys.content()
    keys.type_into("What it is issued for", "The yearly review.")
    keys.submit("Issue this state as a version")
    expect(keys.page.locator("#toasts")).to_be_visible()

    open_version(keys, FREE[0], 1)
    keys.content()
    keys.follow("Dossier")
    expect(keys.page.locator("#d-approvals")).to_be_visible()
    keys.content()
    keys.tab_to(LINK, "PDF")


def test_an_author_scores_a_prompt_on_the_page_of_a_classifier(
    sit_down: SitDown, stock: Names
) -> None:
    keys = sit_down("arjun")
    keys.menu("Classifiers")
    keys.content()
    keys.follow("returns@1")
    keys.content()
    keys.type_into("Prompt", "What is the square root of 1764, and why?")
    keys.submit(re.compile("Score|Try"))
    expect(keys.page.locator("#try")).to_be_visible()


def test_an_exported_document_comes_back_with_the_same_digest(
    sit_down: SitDown, stock: Names
) -> None:
    keys = sit_down("arjun")
    open_version(keys, FREE[2], 1)
    digest = keys.page.get_by_role("button", name=re.compile("digest")).first.get_attribute(
        "data-copy"
    )
    keys.content()
    keys.tab_to(LINK, "Export YAML")
    with keys.page.expect_download() as download:
        keys.press("Enter")
    text = download.value.path().read_text()
    assert digest and digest in text.splitlines()[0]

    open_route(keys, FREE[2])
    keys.content()
    keys.follow("Import a document")
    keys.content()
    keys.tab_to(FIELD, "YAML or JSON")
    keys.page.keyboard.insert_text(text)
    keys.submit("Import")
    expect(keys.page.locator("#toasts")).to_contain_text(digest[7:15])


def test_a_refresh_leaves_the_focus_and_what_is_being_written(
    sit_down: SitDown, stock: Names
) -> None:
    """The page of a waiting backtest asks again every second, and replaces everything in it."""
    keys = sit_down("arjun")
    open_version(keys, "returns-desk", stock["draft"])
    keys.content()
    keys.follow("All, or another")
    keys.content()
    keys.follow(re.compile(" to "))
    keys.content()
    keys.tab_to(BUTTON, "Cancel the backtest")
    for _ in range(2):
        with keys.page.expect_response(re.compile("/backtests/")):
            pass
    expect(keys.page.locator(".htmx-swapping, .htmx-settling")).to_have_count(0)

    stop = looks.focus(keys.page)

    assert stop is not None
    assert stop["name"] == "Cancel the backtest"


def test_a_dialog_gives_the_focus_back(sit_down: SitDown) -> None:
    keys = sit_down("rui")
    keys.menu("Review")
    keys.content()
    keys.tab_to(BUTTON, re.compile("Next case"))
    keys.press("?")
    expect(keys.page.get_by_role("dialog")).to_be_visible()
    inside = "document.activeElement.closest('dialog') !== null"
    assert keys.page.evaluate(inside)
    keys.press("Escape")
    expect(keys.page.get_by_role("dialog")).to_be_hidden()

    stop = looks.focus(keys.page)

    assert stop is not None
    assert "Next case" in stop["name"]
