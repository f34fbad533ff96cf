// The live view: what the engine does at this moment, as the server's events tell it.

import * as api from "./api.js";
import { $, el } from "./dom.js";
import { drawBlocks } from "./livemap.js";
import * as parts from "./liveparts.js";
import { on as onChange, state } from "./state.js";

let watching = null; // AbortController of the stream
let wanted = false;
let before = null; // the event before this one
const history = []; // { time, generated, prompt } per second
const span = 60; // seconds of history

function page() {
  if ($("live").firstChild) return;
  const card = (id, title, size, ...more) => el("section", { class: "card " + size, "aria-labelledby": id + "-title" },
    el("h2", { id: id + "-title" }, title, el("small", { id: id + "-note" })), el("div", { id }), ...more);
  $("live").append(el("div", { class: "page" },
    el("p", { id: "live-state", class: "muted small", role: "status" }, "Connecting…"),
    el("dl", { id: "tiles", class: "tiles" }),
    card("step", "The step", "full"),
    card("sequences", "Sequences", "full"),
    card("blocks", "KV blocks", "full"),
    card("rate", "Tokens per second", "half"),
    card("latency", "Time between tokens", "half"),
    card("falls", "Where the time of recent requests went", "full")));
}

function rates(e) {
  if (!before || before.model !== e.model || e.totals.steps < before.totals.steps) return { generated: 0, prompt: 0 };
  const last = history.findLast((h) => e.time - h.time >= 950) || { time: before.time, totals: before.totals };
  const seconds = (e.time - last.time) / 1000;
  if (seconds <= 0) return { generated: 0, prompt: 0 };
  return { generated: (e.totals.generated - last.totals.generated) / seconds, prompt: (e.totals.prompt_rows - last.totals.prompt_rows) / seconds };
}

function take(e) {
  const rate = e.sequences?.length ? rates(e) : { generated: 0, prompt: 0 };
  if (e.totals) history.push({ time: e.time, totals: e.totals, ...rate });
  while (history.length && e.time - history[0].time > span * 1000) history.shift();
  $("live-state").textContent = { loaded: `${e.model} is loaded`, loading: "The model is being loaded", unloading: "The model is being unloaded", unloaded: `${e.model} is not loaded: a message to it loads it`, restarting: "The engine is starting over", draining: "The server is shutting down" }[e.state];
  if (!e.sequences) return;
  draw(e, rate);
  before = e;
}

function draw(e, rate) {
  parts.tiles($("tiles"), e, rate);
  parts.step(e);
  parts.sequences(e);
  drawBlocks(e);
  parts.sparkline(history, e.time, span);
  parts.latency(e);
  parts.falls(e);
}

// Colours that are not the style sheet's follow the theme, too.
const recolour = () => { if (before && watching) draw(before, history.at(-1)); };
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
onChange("theme", recolour);

async function watch(signal) {
  while (!signal.aborted) {
    try {
      for await (const data of api.events(await api.ask("/ui/live?model=" + encodeURIComponent(state.model), undefined, signal))) take(JSON.parse(data));
    } catch (e) {
      if (signal.aborted) return;
      $("live-state").textContent = e.status === 401 ? "The server wants an API key: see the settings" : e.status ? e.message : "The server cannot be reached";
    }
    await new Promise((go) => setTimeout(go, 1500));
  }
}

// show begins to watch, or ends it: a page that nobody looks at asks for nothing.
export function show(on) {
  wanted = on;
  const active = wanted && !document.hidden;
  if (active && !watching) {
    page();
    watching = new AbortController();
    watch(watching.signal);
  } else if (!active && watching) {
    watching.abort();
    watching = null;
    before = null;
    history.length = 0;
  }
}

onChange("model", () => {
  if (!watching) return;
  show(false);
  wanted = true;
  show(true);
});
document.addEventListener("visibilitychange", () => show(wanted));

export const watches = () => watching !== null;
