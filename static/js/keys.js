// Single-key shortcuts, read from data-key on links, buttons and fields. Never inside a field, never
// with a modifier, and not at all when the person has switched them off (WCAG 2.1.4).
(() => {
  "use strict";
  const isOn = () => document.documentElement.dataset.shortcuts !== "off";
  const offered = () =>
    [...document.querySelectorAll("[data-key]")].filter(
      (element) => !element.disabled && element.getClientRects().length > 0,
    );
  const nameOf = (element) => {
    if (element.dataset.keyName) return element.dataset.keyName;
    const copy = element.cloneNode(true);
    copy.querySelectorAll("kbd, svg").forEach((part) => part.remove());
    return (
      copy.textContent.trim() || element.getAttribute("aria-label") || element.labels?.[0]?.textContent.trim() || ""
    );
  };
  const announce = (root) => {
    if (!isOn()) return;
    const own = root.matches?.("[data-key]") ? [root] : [];
    [...own, ...root.querySelectorAll("[data-key]")].forEach((element) =>
      element.setAttribute("aria-keyshortcuts", element.dataset.key),
    );
  };

  // j and k walk along whatever the page marks as rows: data-row on the link of each row.
  const walk = (step) => {
    const rows = [...document.querySelectorAll("[data-row]")];
    if (!rows.length) return false;
    const focused = rows.indexOf(document.activeElement);
    // After a row was opened the page is new and nothing has the focus: go on from the open row.
    const at = focused < 0 ? rows.findIndex((row) => row.closest("[aria-current]")) : focused;
    rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1)].focus();
    return true;
  };

  const showKeys = () => {
    const dialog = document.getElementById("keys");
    if (!dialog || dialog.open) return;
    const rows = offered().map((element) => [element.dataset.key, nameOf(element)]);
    if (document.querySelector("[data-row]")) rows.unshift(["j", "Next row"], ["k", "Previous row"]);
    rows.push(["?", "Show this list"]);
    document.getElementById("keys-list").replaceChildren(
      ...rows.map(([key, name]) => {
        const row = document.createElement("tr");
        const hint = document.createElement("kbd");
        hint.textContent = key;
        row.insertCell().append(hint);
        row.insertCell().textContent = name;
        return row;
      }),
    );
    dialog.showModal();
  };

  const press = (event) => {
    if (!isOn() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog[open]")) return;
    if (event.key === "?") {
      showKeys();
    } else if (event.key === "j" || event.key === "k") {
      if (!walk(event.key === "j" ? 1 : -1)) return;
    } else {
      const element = offered().find((candidate) => candidate.dataset.key === event.key);
      if (!element) return;
      if (element.matches("input, textarea, select")) element.focus();
      else element.click();
    }
    event.preventDefault();
  };

  document.addEventListener("keydown", press);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-show-keys]")) showKeys();
    const opener = event.target.closest("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  });
  document.addEventListener("DOMContentLoaded", () => announce(document.body));
  document.addEventListener("htmx:load", (event) => announce(event.detail.elt));
})();
