// What refreshes itself must not take anything from the person who is at work in it: the focus stays
// on the same link or button, and while a field or an unfolded act inside is in use, it waits.
(() => {
  "use strict";
  const FOCUSABLE = "a[href], button, input, select, textarea, summary";
  const signature = (element) =>
    [
      element.localName,
      element.getAttribute("href"),
      element.getAttribute("name"),
      element.getAttribute("value"),
      element.getAttribute("aria-label") || element.textContent.replace(/\d+/g, "").trim(),
    ].join("\n");
  const alike = (element) => {
    const wanted = signature(element);
    return [...document.querySelectorAll(FOCUSABLE)].filter((other) => signature(other) === wanted);
  };
  let lost = null;

  document.addEventListener("htmx:beforeRequest", (event) => {
    const region = event.detail.elt;
    if (!region.hasAttribute("data-live") || event.detail.requestConfig.triggeringEvent?.isTrusted) return;
    const isUsed =
      region.querySelector("details.confirm[open]") ||
      (region.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"));
    if (isUsed) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const at = document.activeElement;
    lost = null;
    if (!event.detail.target.contains(at) || !at.matches(FOCUSABLE)) return;
    const place = alike(at).indexOf(at);
    lost = () => {
      const found = alike(at);
      // What had the focus may be gone for good: then the page has it, and Tab begins at its content.
      return found[Math.min(place, found.length - 1)] || document.getElementById("main");
    };
  });
  document.addEventListener("htmx:load", () => {
    if (!lost || (document.activeElement && document.activeElement !== document.body)) return;
    const next = lost();
    lost = null;
    next?.focus({ preventScroll: true });
  });
})();
