// A decision that unfolds puts the cursor into its first field, the wrong one first: what comes next
// is typing or Tab, and Enter in a field still sends nothing. While one is unfolded, no single key
// leaves the page: a letter that misses its field must not throw away what was written.
(() => {
  "use strict";
  const CHOICE = "details[name=verdict]";
  const enter = (choice) => choice.querySelector("[aria-invalid=true], textarea, select")?.focus();

  document.addEventListener(
    "toggle",
    (event) => {
      if (event.target.open && event.target.matches(CHOICE)) enter(event.target);
    },
    true,
  );
  // What the server unfolded has told so before this script was there.
  document.addEventListener("DOMContentLoaded", () => {
    const unfolded = document.querySelector(`${CHOICE}[open]`);
    if (unfolded) enter(unfolded);
  });

  document.addEventListener(
    "keydown",
    (event) => {
      if (event.target.closest("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (!/^[a-z]$/.test(event.key) || !document.querySelector(`${CHOICE}[open]`)) return;
      if (document.querySelector(`:is(button, a)[data-key="${event.key}"]`)) event.preventDefault();
    },
    true,
  );
})();
