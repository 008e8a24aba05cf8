"""The main job, by the people who do it, in a browser without JavaScript: forms and links alone."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.installation import Site
from tests.web.conftest import SignIn

pytestmark = [pytest.mark.web, pytest.mark.xdist_group("live")]

CARD = "My card number is 4111 1111 1111 1111, why was the payment refused? ({})"


class Caller(threading.Thread):
    """An application that waits for its answer while a person decides."""

    def __init__(self, site: Site, text: str) -> None:
        super().__init__(daemon=True)
        self.site, self.text, self.answer = site, text, None

    def run(self) -> None:
        self.answer = httpx.post(
            f"{self.site.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {self.site.api_key}"},
            json={"model": "support-triage", "messages": [{"role": "user", "content": self.text}]},
            timeout=60,
        )

    def result(self) -> httpx.Response:
        self.join(60)
        assert self.answer is not None
        return self.answer


def claim_next_case(page: Any, site: Site) -> None:
    """Press "Next case" until there is one: the application has just called."""
    ends = time.monotonic() + 15
    while time.monotonic() < ends:
        page.goto(f"{site.url}/review/")
        page.get_by_role("button", name="Next case").click()
        if page.get_by_role("button", name="Show the text").count():
            return
        time.sleep(0.3)
    raise TimeoutError("no case came")


def test_an_answer_written_anew_reaches_the_waiting_client_after_a_second_look(
    site: Site, signed_in: SignIn
) -> None:
    page = signed_in("rui", java_script_enabled=False)
    second = signed_in("noor", java_script_enabled=False)
    caller = Caller(site, CARD.format("edit"))
    caller.start()

    claim_next_case(page, site)
    page.get_by_role("button", name="Show the text").click()
    expect(page.locator("main")).to_contain_text("4111 1111 1111 1111")
    page.locator("summary", has_text=re.compile("Edit and approve|Write the answer")).click()
    form = page.locator("form:has(input[name=kind][value=edit])")
    form.locator("textarea[name=answer]").fill("Please never send a card number. We removed it.")
    form.locator("select[name=reason_code]").select_option("personal_data")
    form.locator("[name=reason]").fill("Card number in the request.")
    page.wait_for_timeout(1000)  # as long as reading is expected to take here
    form.get_by_role("button", name="Release the edited answer").click()
    expect(page.locator("body")).to_contain_text("after a second look")

    claim_next_case(second, site)
    expect(second.locator("main")).to_contain_text("This is a second look")
    expect(second.locator("main")).not_to_contain_text("Card number in the request.")
    second.get_by_role("button", name="Show the text").click()
    second.wait_for_timeout(1000)
    second.locator("summary", has_text="Approve").first.click()
    second.get_by_role("button", name="Release the draft").click()

    answer = caller.result()
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"].startswith("Please never send")
    assert answer.headers["x-signalbox-outcome"] == "served"


def test_a_reviewer_refuses_and_the_client_is_told_not_to_try_again(
    site: Site, signed_in: SignIn
) -> None:
    page = signed_in("noor", java_script_enabled=False)
    caller = Caller(site, CARD.format("refuse"))
    caller.start()

    claim_next_case(page, site)
    page.locator("summary", has_text="Refuse").click()
    form = page.locator("form:has(input[name=kind][value=refuse])")
    form.locator("select[name=reason_code]").select_option("off_policy")
    form.locator("[name=reason]").fill("No card numbers here.")
    form.get_by_role("button", name="Refuse the request").click()

    answer = caller.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "human_review_denied")
    assert answer.headers["x-should-retry"] == "false"


def test_an_author_changes_a_threshold_an_approver_approves_and_the_router_follows(
    site: Site, signed_in: SignIn
) -> None:
    author = signed_in("arjun", java_script_enabled=False)
    author.goto(f"{site.url}/routes/support-triage/")
    author.get_by_role("button", name=re.compile("draft", re.I)).first.click()
    draft = author.url.split("?")[0]
    number = int(draft.rstrip("/").rsplit("/", 1)[1])
    author.get_by_role("link", name="Thresholds").click()
    threshold = author.locator("main input[type=text], main input[type=number]").filter(
        visible=True
    )
    values = [threshold.nth(i).input_value() for i in range(threshold.count())]
    threshold.nth(values.index("0.04")).fill("0.03")
    author.get_by_role("button", name=re.compile("save", re.I)).first.click()
    author.goto(draft)
    author.locator("[name=summary]").first.fill("Send a little less to the small model.")
    author.get_by_role("button", name="Submit").click()
    author.goto(draft)
    assert author.get_by_role("button", name=re.compile("verdict|^approve", re.I)).count() == 0

    approver = signed_in("petra", java_script_enabled=False)
    approver.goto(draft)
    verdict = approver.locator("form[action$='/judge/'], form:has([name=verdict])").first
    verdict.locator("[name=comment]").fill("The threshold is safer.")
    if verdict.locator("input[name=verdict][value=approve]").count():
        verdict.locator("input[name=verdict][value=approve]").check()
    else:
        verdict.locator("select[name=verdict]").select_option("approve")
    verdict.get_by_role("button").first.click()
    approver.goto(draft)
    activate = approver.locator("form[action*='activate']")
    activate.locator("[name=reason]").fill("Agreed with support.")
    activate.get_by_role("button").click()
    began = time.monotonic()

    wanted = f"support-triage@{number}"
    while time.monotonic() - began < 5:
        answer = httpx.post(
            f"{site.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {site.api_key}"},
            json={
                "model": "support-triage",
                "messages": [{"role": "user", "content": "Opening hours?"}],
            },
            timeout=30,
        )
        if answer.headers["x-signalbox-policy"] == wanted:
            return
        time.sleep(0.2)
    raise AssertionError("the router did not follow the activation within five seconds")
