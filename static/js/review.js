// A decision that unfolds puts the cursor into its first field, the wrong one first: what comes next
// is typing or Tab, and a press of Enter in a field still sends nothing.
(() => {
  "use strict";
  document.addEventListener(
    "toggle",
    (event) => {
      const choice = event.target;
      if (!choice.open || !choice.matches("details[name=verdict]")) return;
      const first = choice.querySelector("[aria-invalid=true], textarea, select");
      first?.focus();
    },
    true,
  );
})();
