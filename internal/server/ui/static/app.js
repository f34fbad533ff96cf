"use strict";

const $ = (id) => document.getElementById(id);
const log = $("log"), text = $("text"), send = $("send"), stats = $("stats");
let messages = []; // of the conversation, without the system prompt
let running = null; // AbortController of the answer that is being written

const headers = () => {
  const h = { "Content-Type": "application/json" };
  if ($("key").value) h.Authorization = "Bearer " + $("key").value;
  return h;
};

async function showModel() {
  try {
    const r = await fetch("/v1/models", { headers: headers() });
    const body = await r.json();
    if (r.status === 401) { $("model").textContent = "needs an API key (Settings)"; return; }
    const model = body.data && body.data[0];
    $("model").textContent = model ? model.id : "loading the model…";
    if (!model) setTimeout(showModel, 1000);
    else showDefaults();
  } catch {
    $("model").textContent = "server not reachable";
    setTimeout(showModel, 3000);
  }
}

// showDefaults shows what a field that is left empty stands for.
async function showDefaults() {
  const r = await fetch("/props", { headers: headers() });
  if (!r.ok) return;
  const { params } = (await r.json()).default_generation_settings;
  for (const id of ["temperature", "top_p"]) $(id).placeholder = params[id];
}

// fill shows text; parts between ``` fences become code. Only text nodes are
// made, so nothing that a model writes is ever markup.
function fill(turn, content) {
  const nodes = content.split(/^```[^\n]*\n?/m).map((part, i) => {
    const node = document.createElement(i % 2 ? "pre" : "p");
    node.textContent = i % 2 ? part.replace(/\n$/, "") : part.replace(/^\n+|\n+$/g, i ? "" : "$&");
    return node;
  });
  turn.replaceChildren(...nodes);
}

function addTurn(kind, content) {
  $("hint")?.remove();
  const turn = document.createElement("div");
  turn.className = "turn " + kind;
  fill(turn, content);
  log.append(turn);
  log.scrollTop = log.scrollHeight;
  return turn;
}

function request() {
  const body = { messages: [...messages], stream: true, stream_options: { include_usage: true } };
  const system = $("system").value.trim();
  if (system) body.messages.unshift({ role: "system", content: system });
  for (const id of ["temperature", "top_p", "max_tokens", "seed"]) {
    const v = $(id).valueAsNumber;
    if (!Number.isNaN(v)) body[id] = v;
  }
  return JSON.stringify(body);
}

// events reads server-sent events and yields their data.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      if (part.startsWith("data: ")) yield part.slice(6);
    }
  }
}

function showStats(start, first, count, usage) {
  const now = performance.now();
  const n = usage ? usage.completion_tokens : count;
  let line = `${n} tokens`;
  if (first && n > 1 && now > first) line += ` · ${((n - 1) / (now - first) * 1000).toFixed(1)} tokens/s`;
  if (first) line += ` · first after ${((first - start) / 1000).toFixed(2)} s`;
  if (usage) line += ` · prompt ${usage.prompt_tokens}` + (usage.prompt_tokens_details.cached_tokens ? ` (${usage.prompt_tokens_details.cached_tokens} cached)` : "");
  stats.textContent = line;
}

// answer streams one answer into a new turn and returns its text.
async function answer(signal) {
  const start = performance.now();
  const turn = addTurn("assistant busy", "");
  let content = "", first = 0, count = 0, usage = null;
  const follow = () => { if (log.scrollHeight - log.scrollTop - log.clientHeight < 80) log.scrollTop = log.scrollHeight; };
  try {
    const response = await fetch("/v1/chat/completions", { method: "POST", headers: headers(), body: request(), signal });
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const data of events(response)) {
      if (data === "[DONE]") break;
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message);
      usage = event.usage || usage;
      const delta = event.choices[0]?.delta.content;
      if (!delta) continue;
      first ||= performance.now();
      count++;
      content += delta;
      fill(turn, content);
      follow();
      showStats(start, first, count, null);
    }
    showStats(start, first, count, usage);
  } catch (e) {
    if (e.name !== "AbortError") addTurn("error", e.message);
  } finally {
    turn.classList.remove("busy");
    if (!content) turn.remove();
  }
  return content;
}

async function ask() {
  const content = text.value.trim();
  if (!content) return;
  text.value = "";
  grow();
  messages.push({ role: "user", content });
  addTurn("user", content);
  const mine = running = new AbortController();
  send.textContent = "Stop";
  const reply = await answer(mine.signal);
  if (running !== mine) return; // a new chat was begun meanwhile
  if (reply) messages.push({ role: "assistant", content: reply });
  else messages.pop();
  running = null;
  send.textContent = "Send";
  text.focus();
}

function grow() {
  text.style.height = "auto";
  text.style.height = text.scrollHeight + 2 + "px";
}

$("ask").addEventListener("submit", (e) => {
  e.preventDefault();
  if (running) running.abort();
  else ask();
});
text.addEventListener("input", grow);
text.addEventListener("keydown", (e) => {
  if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
    e.preventDefault();
    if (!running) ask();
  }
});
$("new").addEventListener("click", () => {
  running?.abort();
  running = null;
  messages = [];
  log.replaceChildren();
  stats.textContent = "";
  send.textContent = "Send";
  text.focus();
});
$("toggle").addEventListener("click", () => {
  const open = $("settings").hidden;
  $("settings").hidden = !open;
  $("toggle").setAttribute("aria-expanded", String(open));
});
$("settings").addEventListener("submit", (e) => e.preventDefault());
$("key").addEventListener("change", showModel);
showModel();
