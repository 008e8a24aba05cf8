"""Takes the pictures of docs/screens from a running installation.

``python -m tests.web.pictures docs/screens`` starts one of its own with the real small model, waits
for the sample traffic, and photographs every screen in light and dark.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

from tests.conftest import CHROMIUM_ARGUMENTS
from tests.installation import Site, start_site, stop_site
from tests.web.conftest import sign_in

WIDTH, TALLEST = 1280, 2600
HELD = "My card number is 4111 1111 1111 1111, please check why the payment failed."

# name -> (who, address)
SCREENS = {
    "overview": ("olivia", "/"),
    "decisions": ("olivia", "/decisions/"),
    "decision": ("ada", "/decisions/{decision}/"),
    "review-queue": ("rui", "/review/"),
    "review-case": ("rui", "/review/{case}/"),
    "routes": ("olivia", "/routes/"),
    "route": ("olivia", "/routes/support-triage/"),
    "policy-version": ("petra", "/routes/support-triage/versions/1/"),
    "policy-draft": ("arjun", "/routes/support-triage/versions/2/"),
    "rule-form": ("arjun", "/routes/support-triage/versions/2/rules/narrow-work/"),
    "simulate": ("arjun", "/routes/support-triage/versions/2/simulate/"),
    "dossier": ("petra", "/routes/support-triage/versions/1/dossier/"),
    "classifiers": ("arjun", "/classifiers/"),
    "sign-offs": ("petra", "/sign-offs/"),
    "data-flow": ("ada", "/data-flow/"),
    "backends": ("olivia", "/backends/"),
    "backend": ("olivia", "/backends/smollm2-135m/"),
    "audit-trail": ("ada", "/audit/"),
    "audit-health": ("ada", "/audit/health/"),
    "reports": ("ada", "/reports/"),
    "keys": ("olivia", "/settings/keys/"),
    "tokens": ("olivia", "/settings/tokens/"),
    "people": ("sam", "/settings/people/"),
    "system": ("olivia", "/settings/system/"),
    "preferences": ("rui", "/settings/preferences/"),
}


def ask(site: Site, text: str) -> httpx.Response:
    return httpx.post(
        f"{site.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {site.api_key}"},
        json={"model": "support-triage", "messages": [{"role": "user", "content": text}]},
        timeout=90,
    )


def wait_for_samples(site: Site, timeout_s: float) -> None:
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        if json.loads((site.var / "demo.json").read_text()).get("sample_traffic_sent"):
            return
        time.sleep(1)


def open_case(page: Page, site: Site) -> str:
    """Hold a request and claim its case; returns the address of the case."""
    threading.Thread(target=ask, args=(site, HELD), daemon=True).start()
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        page.goto(f"{site.url}/review/")
        button = page.get_by_role("button", name="Next case").first
        if button.count() and button.is_enabled():
            button.click()
            page.wait_for_load_state("networkidle")
            found = page.locator("a[href^='/review/'], form[action^='/review/']")
            for index in range(found.count()):
                where = found.nth(index).get_attribute("href") or found.nth(index).get_attribute(
                    "action"
                )
                part = (where or "").split("/review/")[-1][:36]
                if part.count("-") == 4:
                    return part
        time.sleep(0.5)
    return ""


def show_a_group(page: Page) -> None:
    """A group inside the rule, as it looks before anything is saved."""
    page.get_by_role("button", name="Add group").click()
    page.get_by_label("Signal for group").select_option("topic")
    page.get_by_role("button", name="Add condition to group").click()
    page.get_by_label("medical").check()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")


def take(page: Page, path: Path) -> None:
    """The page down to where a reader still looks, which keeps the files small."""
    height = min(page.evaluate("document.documentElement.scrollHeight"), TALLEST)
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": height}
    page.screenshot(path=path, full_page=True, clip=clip)


def photograph(site: Site, out: Path) -> None:
    decision = ask(site, "How do I change my delivery address?").headers["x-signalbox-decision-id"]
    time.sleep(2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=CHROMIUM_ARGUMENTS
        )
        for scheme in ("light", "dark"):
            pages: dict[str, Page] = {}
            for name, (who, where) in SCREENS.items():
                if who not in pages:
                    context = browser.new_context(
                        viewport={"width": WIDTH, "height": 900}, color_scheme=scheme
                    )
                    pages[who] = context.new_page()
                    sign_in(pages[who], site, who)
                page = pages[who]
                if name == "policy-draft":
                    page.goto(f"{site.url}/routes/support-triage/")
                    if page.get_by_role("button", name="draft").count():
                        page.get_by_role("button", name="draft").first.click()
                case = open_case(page, site) if name == "review-case" else ""
                page.goto(site.url + where.format(decision=decision, case=case))
                page.wait_for_load_state("networkidle")
                if name == "rule-form":
                    show_a_group(page)
                take(page, out / f"{name}-{scheme}.png")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--no-slm", action="store_true")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="signalbox-pictures-") as folder:
        Path(folder).chmod(0o755)
        site = start_site(Path(folder) / "var", *(["--no-slm"] if chosen.no_slm else []))
        try:
            wait_for_samples(site, 300)
            photograph(site, chosen.out)
        finally:
            stop_site(site)


if __name__ == "__main__":
    main()
