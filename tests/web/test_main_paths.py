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


def wait_for_case(page: Any, site: Site) -> None:
    """Reload the queue until the case is there: the application has just called."""
    ends = time.monotonic() + 15
    while time.monotonic() < ends:
        page.goto(f"{site.url}/review/")
        if page.get_by_role("button", name=re.compile("next case", re.I)).count():
            button = page.get_by_role("button", name=re.compile("next case", re.I)).first
            if button.is_enabled():
                button.click()
                if re.search(r"/review/[0-9a-f-]{36}", page.url):
                    return
        time.sleep(0.3)
    raise TimeoutError("no case came")


def test_a_reviewer_edits_an_answer_and_the_waiting_client_gets_it(
    site: Site, signed_in: SignIn
) -> None:
    page = signed_in("rui", java_script_enabled=False)
    caller = Caller(site, CARD.format("edit"))
    caller.start()

    wait_for_case(page, site)
    page.get_by_role("button", name=re.compile("show the text", re.I)).click()
    expect(page.locator("main")).to_contain_text("4111 1111 1111 1111")
    page.locator("textarea[name=answer]").fill(
        "Please never send a card number. We have removed it."
    )
    page.locator("select[name=reason_code]").first.select_option("personal_data")
    page.locator("[name=reason]").first.fill("Card number in the request.")
    page.get_by_role("button", name=re.compile("edit", re.I)).last.click()

    answer = caller.result()
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"].startswith("Please never send")
    assert answer.headers["x-signalbox-outcome"] == "served"


def test_an_author_changes_a_threshold_an_approver_approves_and_the_router_follows(
    site: Site, signed_in: SignIn
) -> None:
    author = signed_in("arjun", java_script_enabled=False)
    author.goto(f"{site.url}/routes/support-triage/")
    author.get_by_role("button", name=re.compile("draft", re.I)).first.click()
    draft = author.url
    author.goto(draft)
    number = int(draft.rstrip("/").rsplit("/", 1)[1])
    author.locator("input[name*=gain], input[id*=gain]").first.fill("0.03")
    author.get_by_role("button", name=re.compile("save", re.I)).first.click()
    author.goto(draft)
    author.locator("[name=summary]").first.fill("Send a little less to the small model.")
    author.get_by_role("button", name=re.compile("submit", re.I)).first.click()
    author.goto(draft)
    assert author.get_by_role("button", name=re.compile("^approve", re.I)).count() == 0

    approver = signed_in("petra", java_script_enabled=False)
    approver.goto(draft)
    approver.locator("[name=comment]").first.fill("The threshold is safer.")
    approver.get_by_role("button", name=re.compile("^approve", re.I)).first.click()
    approver.goto(draft)
    approver.locator("[name=reason]").first.fill("Agreed with support.")
    approver.get_by_role("button", name=re.compile("^activate", re.I)).first.click()
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
