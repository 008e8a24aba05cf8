// Pauses every element that refreshes itself (data-live), with one visible button (WCAG 2.2.2).
(() => {
  "use strict";
  const page = document.documentElement;
  const isPaused = () => page.dataset.live === "paused";
  const show = () =>
    document.querySelectorAll("[data-live-toggle]").forEach((button) => {
      button.setAttribute("aria-pressed", String(isPaused()));
    });

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-live-toggle]")) return;
    page.dataset.live = isPaused() ? "on" : "paused";
    show();
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    const element = event.detail.elt;
    // Only what comes by itself is held back; a press on a button inside still works.
    if (isPaused() && element.hasAttribute("data-live") && !event.detail.requestConfig.triggeringEvent?.isTrusted) {
      event.preventDefault();
    }
  });
  document.addEventListener("DOMContentLoaded", show);
  document.addEventListener("htmx:load", show);
})();
