// Buttons with data-copy put that text on the clipboard and say so.
(() => {
  "use strict";
  const say = (button, words) => {
    const before = button.getAttribute("aria-label");
    button.setAttribute("aria-label", words);
    button.toggleAttribute("data-copied", true);
    let status = document.getElementById("copy-status");
    if (!status) {
      status = document.createElement("p");
      status.id = "copy-status";
      status.className = "visually-hidden";
      status.setAttribute("role", "status");
      document.body.append(status);
    }
    status.textContent = words;
    setTimeout(() => {
      button.removeAttribute("data-copied");
      if (before) button.setAttribute("aria-label", before);
    }, 2000);
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      say(button, "Copied");
    } catch {
      // Without https there is no clipboard: select the text so that Ctrl+C works.
      const shown = button.previousElementSibling;
      if (shown) getSelection().selectAllChildren(shown);
      say(button, "Not copied by itself; the text is selected");
    }
  });
})();
