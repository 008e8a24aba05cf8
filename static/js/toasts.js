// Shows messages that arrive without a page: a refusal in an HX-Trigger header, or a lost server.
(() => {
  "use strict";
  const add = (tone, text) => {
    const place = document.getElementById("toasts");
    if (!place) return;
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.dataset.tone = tone;
    const words = document.createElement("p");
    words.textContent = text;
    const away = document.createElement("button");
    away.type = "button";
    away.className = "button";
    away.dataset.kind = "quiet";
    away.dataset.size = "small";
    away.dataset.dismiss = "";
    away.textContent = "Put away";
    toast.append(words, away);
    place.append(toast);
  };

  document.addEventListener("click", (event) => {
    event.target.closest("[data-dismiss]")?.closest(".toast")?.remove();
  });
  document.addEventListener("toast", (event) => add(event.detail.tone, event.detail.text));
  document.addEventListener("htmx:sendError", () =>
    add("bad", "The server did not answer. Nothing was changed; try again."),
  );
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status >= 500) add("bad", "Something broke on the server. Nothing more is known; try again.");
  });
})();
