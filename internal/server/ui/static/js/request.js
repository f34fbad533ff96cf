// The request behind an answer, to be taken elsewhere.

import { answered } from "./answer.js";
import { $, copy, el } from "./dom.js";
import { languages, snippet } from "./snippets.js";
import { state } from "./state.js";

let body = null;

export function showRequest(node) {
  body = answered(state.conversation, node);
  const tabs = Object.entries(languages).map(([id, name]) => el("button", {
    type: "button", role: "tab", id: "tab-" + id, "aria-controls": "request-panel", onclick: () => select(id),
  }, name));
  $("request").querySelector(".tabs").replaceChildren(...tabs);
  $("request").showModal();
  select("curl");
}

function select(language) {
  for (const tab of $("request").querySelectorAll('[role="tab"]')) {
    const on = tab.id === "tab-" + language;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    if (on) tab.focus();
  }
  $("request-panel").setAttribute("aria-labelledby", "tab-" + language);
  $("request-panel").querySelector("code").textContent = snippet(language, body);
}

export function start() {
  $("request").querySelector(".tabs").addEventListener("keydown", (e) => {
    const names = Object.keys(languages), at = names.indexOf(document.activeElement.id.slice(4));
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (step && at >= 0) select(names[(at + step + names.length) % names.length]);
  });
  $("request").querySelector(".copy").addEventListener("click", () => copy($("request-panel").textContent));
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close")?.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
  }
}
