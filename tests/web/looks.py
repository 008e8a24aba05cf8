"""What a look at a page in the browser tells: axe's verdict, its width, where the focus goes."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
EVERYTHING = {"type": "tag", "values": TAGS}
# What a theme can change; everything else is the same document.
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
# What a width can change: other parts are shown, closer together, some with a scroll bar.
NARROW = {
    "type": "rule",
    "values": [*COLOURS["values"], "target-size", "scrollable-region-focusable", "svg-img-alt"],
}

_AXE = """async (only) => {
  const found = await axe.run(document, { runOnly: only, resultTypes: ["violations"] });
  return {
    looked: found.passes.length,
    violations: found.violations.flatMap((one) =>
      one.nodes.map((node) => `${one.id}: ${node.target} ${node.failureSummary.slice(0, 200)}`)),
  };
}"""

# The focus as a person sees it: what has it, whether it is drawn, and whether it is on the screen.
_FOCUS = """() => {
  const at = document.activeElement;
  if (!at || at === document.body || at === document.documentElement) return null;
  const box = at.getBoundingClientRect();
  const drawn = (one) => {
    const style = one && getComputedStyle(one);
    return style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  };
  const ring = [at, at.parentElement, at.parentElement?.parentElement].some(drawn);
  const width = document.documentElement.clientWidth, height = window.innerHeight;
  const clamp = (value, most) => Math.min(Math.max(value, 1), most - 2);
  const spots = [[0.5, 0.5], [0.05, 0.2], [0.95, 0.8]].map(([x, y]) =>
    [clamp(box.left + box.width * x, width), clamp(box.top + box.height * y, height)]);
  const seen = spots.some(([x, y]) => {
    const top = document.elementFromPoint(x, y);
    return top && (top === at || at.contains(top) || top.contains(at) || top.control === at);
  });
  const label = at.labels?.[0]?.textContent || "";
  const name = at.getAttribute("aria-label") || label || at.textContent || at.value || "";
  window.__stops ??= [];
  // A date is several stops in one element, so only what came before the last is a second round.
  const stop = window.__stops.indexOf(at), again = stop >= 0 && stop < window.__stops.length - 1;
  if (stop < 0) window.__stops.push(at);
  return {
    again, ring,
    tag: at.tagName.toLowerCase(),
    type: at.type || "",
    name: name.replace(/\\s+/g, " ").trim(),
    on_screen: box.width > 0 && box.bottom > 0 && box.top < height && box.right > 0
      && box.left < width && seen,
  };
}"""

# What a person with a mouse can use and Tab has not reached; one radio button of a group is enough.
_MISSED = """() => {
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")];
  const group = (one) => one.type === "radio" && all.filter((other) =>
    other.type === "radio" && other.name === one.name && other.form === one.form);
  const reached = (one) => window.__stops.includes(one);
  return all
    .filter((one) => !one.disabled && one.type !== "hidden" && one.getClientRects().length > 0
      && one.checkVisibility({ visibilityProperty: true }))
    .filter((one) => !(group(one) || [one]).some(reached))
    .map((one) => `not reached: ${one.outerHTML.slice(0, 160)}`);
}"""


def violations(page: Page, only: dict[str, Any] = EVERYTHING) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(_AXE, only)
    if only is EVERYTHING:
        assert found["looked"] > 15, "axe has looked at hardly anything"
    return list(found["violations"])


def unfold(page: Page) -> None:
    """Open everything that unfolds: what is inside is part of the page too."""
    page.evaluate(
        """async () => {
          document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
          await new Promise((next) => requestAnimationFrame(() => setTimeout(next, 0)));
        }"""
    )


def overflow(page: Page) -> int:
    root = "document.documentElement"
    return int(page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))


def focus(page: Page) -> dict[str, Any] | None:
    """What has the focus, or None when it is the page itself."""
    return page.evaluate(_FOCUS)


def walk_with_tab(page: Page, *, most: int = 400) -> tuple[int, list[str]]:
    """Tab once around the page: how many stops there are, and what was wrong on the way.

    Live parts are paused meanwhile, because what they replace would count as never reached. The
    walk may begin in the middle, where a page has put the focus, and then goes past the end.
    """
    stops, ends, wrong = 0, 0, []
    page.evaluate("window.__stops = []; document.documentElement.dataset.live = 'paused'")
    for _ in range(most):
        page.keyboard.press("Tab")
        now = focus(page)
        if now is None:
            ends += 1
            if ends == 2:
                break
            continue
        if now["again"]:
            break
        stops += 1
        if not now["ring"]:
            wrong.append(f"no focus ring: {now['tag']} {now['name'][:60]}")
        if not now["on_screen"]:
            wrong.append(f"not on the screen: {now['tag']} {now['name'][:60]}")
    wrong += page.evaluate(_MISSED)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    return stops, wrong
