// The models of the server, and which of them answers.

import * as api from "./api.js";
import { $, el } from "./dom.js";
import { changed, state } from "./state.js";

let timer = 0;

const size = (n) => (n >= 1e9 ? (n / 1e9).toFixed(1) + " B" : Math.round(n / 1e6) + " M");

// refresh asks for the models, and again later: their state changes.
export async function refresh() {
  clearTimeout(timer);
  let wait = 30_000;
  try {
    state.models = await api.models();
    if (!state.models.length) {
      say("busy", "The model is being loaded");
      $("model").replaceChildren(el("option", {}, "loading…"));
      wait = 1000;
    } else show();
  } catch (e) {
    const key = e.status === 401;
    say("bad", key ? "The server wants an API key" : "The server cannot be reached");
    if (!state.models.length) $("model").replaceChildren(el("option", {}, key ? "needs an API key" : "not reachable"));
    wait = 3000;
  }
  timer = setTimeout(refresh, wait);
}

function say(kind, text) {
  $("model-state").className = "dot " + kind;
  $("model-state").setAttribute("aria-label", text);
  $("model-state").title = text;
}

function show() {
  let wanted = state.model;
  try { wanted ||= localStorage.getItem("penstock.model"); } catch { /* storage is off */ }
  const chosen = state.models.find((m) => m.id === wanted) || state.models.find((m) => m.status?.value === "loaded") || state.models[0];
  const now = JSON.stringify(state.models.map((m) => [m.id, m.status?.value]));
  if (now !== show.last) {
    show.last = now;
    $("model").replaceChildren(...state.models.map((m) => {
      const s = m.status?.value || "loaded";
      return el("option", { value: m.id }, s === "loaded" ? m.id : `${m.id} (${s})`);
    }));
  }
  $("model").value = chosen.id;
  pick(chosen);
}

function pick(m) {
  const value = m.status?.value || "loaded";
  const facts = [m.meta?.n_params ? size(m.meta.n_params) + " parameters" : "", m.max_model_len ? `${m.max_model_len} tokens of context` : ""].filter(Boolean);
  say(value === "loaded" ? "ready" : "busy", `${m.id} is ${value}` + (facts.length ? ": " + facts.join(", ") : ""));
  $("model").title = facts.join(", ");
  if (state.model === m.id) return;
  state.model = m.id;
  changed("model");
}

export function start() {
  $("model").addEventListener("change", () => {
    const m = state.models.find((x) => x.id === $("model").value);
    if (!m) return;
    try { localStorage.setItem("penstock.model", m.id); } catch { /* storage is off */ }
    pick(m);
  });
  return refresh();
}
