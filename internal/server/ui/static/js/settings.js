// The panel with the settings of the conversation, and those of the page.

import * as api from "./api.js";
import { $, el } from "./dom.js";
import { fields, problem } from "./options.js";
import { changed, kept, on, state } from "./state.js";

let opener = null;

function input(f) {
  if (f.kind === "select") return el("select", { id: f.name }, ...f.values.map(([value, text]) => el("option", { value }, text)));
  if (f.kind === "number") return el("input", { id: f.name, type: "number", min: f.min, max: f.max, step: f.step ?? "any", placeholder: f.placeholder ?? "the model's", inputmode: "decimal" });
  if (f.kind === "check") return el("input", { id: f.name, type: "checkbox" });
  return el("textarea", { id: f.name, rows: f.rows, placeholder: f.placeholder, class: f.kind === "json" ? "code" : undefined, dir: f.kind === "json" ? "ltr" : "auto", spellcheck: f.kind === "json" ? "false" : undefined });
}

function build() {
  const parts = [];
  for (const f of fields) {
    if (f.title) parts.push(el("h3", {}, f.title));
    const control = input(f);
    control.addEventListener(f.kind === "text" || f.kind === "json" ? "input" : "change", () => changedField(f, control));
    parts.push(f.kind === "check"
      ? el("label", { class: "check whole" }, control, f.label)
      : el("label", { class: f.whole ? "whole" : undefined }, f.label, control, f.kind === "json" ? el("span", { class: "wrong", id: f.name + "-wrong", role: "status" }) : null));
    if (f.kind === "json") control.setAttribute("aria-describedby", f.name + "-wrong");
  }
  parts.push(el("p", { class: "whole" }, el("button", { type: "button", onclick: reset }, "Back to the model's own")),
    el("h3", {}, "This page"),
    el("label", { class: "whole" }, "Colours", el("select", { id: "theme" }, ...[["", "as the system has them"], ["light", "light"], ["dark", "dark"]].map(([v, t]) => el("option", { value: v }, t)))),
    el("label", { class: "whole" }, "API key", el("input", { id: "key", type: "password", autocomplete: "off", placeholder: "none" })),
    el("label", { class: "check whole" }, el("input", { id: "keep-key", type: "checkbox" }), "Keep the key in this browser"));
  $("options").replaceChildren(...parts);
  $("options").addEventListener("submit", (e) => e.preventDefault());
}

function changedField(f, control) {
  const s = state.conversation.settings;
  const value = f.kind === "check" ? control.checked : f.kind === "number" ? control.valueAsNumber : control.value;
  if (f.kind === "check" ? value : f.kind === "number" ? Number.isFinite(value) : value !== "") s[f.name] = value;
  else delete s[f.name];
  if (f.kind === "json") wrong(f);
  kept(state.conversation, false);
}

function wrong(f) {
  const text = problem(f, state.conversation.settings[f.name]);
  $(f.name + "-wrong").textContent = text;
  $(f.name).setAttribute("aria-invalid", String(Boolean(text)));
}

function reset() {
  state.conversation.settings = {};
  fill();
  kept(state.conversation, false);
}

// fill shows the settings of the conversation that is open.
function fill() {
  for (const f of fields) {
    const v = state.conversation.settings[f.name];
    if (f.kind === "check") $(f.name).checked = v === true;
    else $(f.name).value = v ?? "";
    if (f.kind === "json") wrong(f);
  }
}

// showDefaults shows in empty fields what they stand for.
async function showDefaults() {
  if (!state.model) return;
  let own = {};
  try { own = await api.defaults(state.model); } catch { return; }
  for (const f of fields) {
    const v = own[f.name];
    if (f.kind === "number" && !f.placeholder && Number.isFinite(v)) $(f.name).placeholder = String(Math.round(v * 1000) / 1000);
  }
}

export function open(focus) {
  opener = document.activeElement;
  $("settings").hidden = false;
  $("settings-open").setAttribute("aria-expanded", "true");
  (focus ? $(focus) : $("settings-close")).focus();
}

export function close() {
  if ($("settings").hidden) return false;
  $("settings").hidden = true;
  $("settings-open").setAttribute("aria-expanded", "false");
  (opener?.isConnected ? opener : $("text")).focus();
  return true;
}

function themed(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

export function start(models) {
  build();
  on("opened", fill);
  on("model", showDefaults);
  $("settings-open").addEventListener("click", () => close() || open());
  $("settings-close").addEventListener("click", close);
  const theme = (() => { try { return localStorage.getItem("penstock.theme") || ""; } catch { return ""; } })();
  themed(theme);
  $("theme").value = theme;
  $("theme").addEventListener("change", () => {
    themed($("theme").value);
    changed("theme");
    try { localStorage.setItem("penstock.theme", $("theme").value); } catch { /* storage is off */ }
  });
  $("key").value = api.apiKey();
  $("keep-key").checked = api.keyIsKept();
  const keyed = () => {
    api.setKey($("key").value.trim(), $("keep-key").checked);
    models();
  };
  $("key").addEventListener("change", keyed);
  $("keep-key").addEventListener("change", keyed);
}
