"""Every screen in a real browser: axe in both themes, no overflow at 320 px, a quiet console."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.installation import Site
from tests.web.conftest import SignIn

pytestmark = [pytest.mark.web, pytest.mark.xdist_group("live")]

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# (who opens it, address); a name in braces is filled in from the running product
SCREENS = [
    ("olivia", "/"),
    ("olivia", "/decisions/"),
    ("olivia", "/decisions/{decision}/"),
    ("olivia", "/backends/"),
    ("olivia", "/backends/smollm2-135m/"),
    ("olivia", "/routes/"),
    ("olivia", "/routes/support-triage/"),
    ("olivia", "/routes/support-triage/versions/1/"),
    ("olivia", "/routes/support-triage/versions/1/replicas/"),
    ("ada", "/routes/support-triage/versions/1/meaning/"),
    ("ada", '/routes/support-triage/versions/1/witness/?signals={{"turns": 3}}'),
    ("olivia", "/routes/support-triage/versions/1/dossier/"),
    ("arjun", "/classifiers/"),
    ("petra", "/sign-offs/"),
    ("rui", "/review/"),
    ("ada", "/audit/"),
    ("ada", "/audit/health/"),
    ("ada", "/reports/"),
    ("ada", "/data-flow/"),
    ("sam", "/settings/people/"),
    ("olivia", "/settings/keys/"),
    ("olivia", "/settings/system/"),
    ("rui", "/settings/preferences/"),
]


@pytest.fixture(scope="session")
def decision(site: Site) -> str:
    """One real decision, so that lists and details have something to show."""
    answer = httpx.post(
        f"{site.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {site.api_key}"},
        json={
            "model": "support-triage",
            "messages": [{"role": "user", "content": "Opening hours?"}],
        },
        timeout=30,
    )
    return answer.headers["x-signalbox-decision-id"]


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}}).response
    return [
        f"{item['id']}: {node['target']} {node['failureSummary'][:160]}"
        for item in found["violations"]
        for node in item["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("who", "where"), SCREENS)
def test_a_screen_is_accessible_quiet_and_fits(
    site: Site, signed_in: SignIn, decision: str, who: str, where: str, scheme: Any
) -> None:
    page = signed_in(who, color_scheme=scheme)
    complaints: list[str] = []
    page.on(
        "console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda problem: complaints.append(str(problem)))

    answer = page.goto(site.url + where.format(decision=decision))
    page.wait_for_load_state("networkidle")

    assert answer is not None
    assert answer.status == 200
    assert violations(page) == []
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert complaints == []


@pytest.mark.parametrize("who", ["olivia", "arjun", "petra", "rui", "ada", "sam"])
def test_the_navigation_offers_only_what_opens(site: Site, signed_in: SignIn, who: str) -> None:
    page = signed_in(who)
    links = page.locator("nav a[href^='/']").evaluate_all(
        "all => all.map(a => a.getAttribute('href'))"
    )

    answers = {link: page.request.get(site.url + link).status for link in sorted(set(links))}

    assert answers
    assert set(answers.values()) == {200}


@pytest.mark.parametrize(("who", "where"), SCREENS)
def test_a_screen_works_without_javascript(
    site: Site, signed_in: SignIn, decision: str, who: str, where: str
) -> None:
    page = signed_in(who, java_script_enabled=False)

    answer = page.goto(site.url + where.format(decision=decision))

    assert answer is not None
    assert answer.status == 200
    assert page.locator("main h1").count() == 1
