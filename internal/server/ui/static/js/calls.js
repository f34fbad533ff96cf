// Calls of tools: what the model asks for, and a place for what it gets.

import { results } from "./actions.js";
import { el } from "./dom.js";

// callViews shows the calls of a node; open: they wait for results.
export function callViews(node, open) {
  const areas = [];
  const views = node.calls.map((call) => {
    const view = el("section", { class: "call", "aria-label": `Call of ${call.name}` },
      el("header", {}, "Calls", el("code", {}, call.name)), el("pre", { tabindex: "0", dir: "ltr" }, el("code", {}, pretty(call.arguments))));
    if (open) {
      const area = el("textarea", { rows: 2, dir: "auto" });
      areas.push(area);
      view.append(el("div", { class: "reply" }, el("label", {}, "Result", area)));
    }
    return view;
  });
  if (open) {
    const send = () => results(node, areas.map((a) => a.value));
    views.push(el("p", {}, el("button", { class: "primary", type: "button", onclick: send }, areas.length > 1 ? "Send the results" : "Send the result")));
    for (const a of areas) {
      a.addEventListener("keydown", (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) send(); });
    }
  }
  return views;
}

function pretty(json) {
  try { return JSON.stringify(JSON.parse(json), null, 2); } catch { return json; }
}
