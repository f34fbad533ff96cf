// Export and import of conversations as JSON. What comes in may be from anywhere:
// each field is read as what it has to be, or left out.

import { newID } from "./dom.js";
import { known } from "./options.js";

export function exported(conversations) {
  return JSON.stringify({ penstock: "conversations", version: 1, exported: new Date().toISOString(), conversations }, null, 1);
}

export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// imported reads conversations, or throws what is wrong with them. They get new
// ids, so that nothing that is here already is overwritten.
export function imported(text) {
  let file;
  try { file = JSON.parse(text); } catch (e) { throw new Error("The file is not JSON: " + e.message); }
  if (file?.penstock !== "conversations" || !Array.isArray(file.conversations)) throw new Error("The file has no conversations of this page.");
  if (file.version !== 1) throw new Error("The file is of a newer version of this page.");
  return file.conversations.map(conversation);
}

const string = (v) => (typeof v === "string" ? v : "");
const number = (v, or) => (Number.isFinite(v) ? v : or);
const object = (v) => (v && typeof v === "object" && !Array.isArray(v) ? v : {});
const list = (v) => (Array.isArray(v) ? v : []);
const one = (v, of, or) => (of.includes(v) ? v : or);

function conversation(c, i) {
  c = object(c);
  if (!Array.isArray(c.nodes)) throw new Error(`Conversation ${i + 1} has no messages.`);
  const ids = new Map();
  const nodes = [];
  for (const raw of c.nodes) {
    const n = object(raw);
    // A parent comes before its children, so there are no circles.
    if (typeof n.id !== "string" || ids.has(n.id) || n.parent !== null && !ids.has(n.parent)) throw new Error(`Conversation ${i + 1}: a message is out of place.`);
    if (!["user", "assistant", "tool"].includes(n.role)) throw new Error(`Conversation ${i + 1}: a message has the role ${JSON.stringify(n.role)}.`);
    ids.set(n.id, newID());
    nodes.push(message(n, ids));
  }
  const now = Date.now();
  return {
    id: newID(), title: string(c.title).slice(0, 200), named: c.named === true, created: number(c.created, now), updated: number(c.updated, now),
    settings: known(object(c.settings)), nodes, head: ids.get(c.head) || nodes.at(-1)?.id || null,
  };
}

function message(n, ids) {
  const m = { id: ids.get(n.id), parent: n.parent === null ? null : ids.get(n.parent), role: n.role, content: string(n.content), created: number(n.created, 0) };
  m.state = one(n.state, ["done", "stopped", "broken"], "done");
  if (n.reasoning) m.reasoning = string(n.reasoning);
  if (n.model) m.model = string(n.model);
  if (n.finish) m.finish = one(n.finish, ["stop", "length", "tool_calls", "context"], undefined);
  if (n.error) m.error = string(n.error);
  if (n.role === "tool") m.call = call(n.call);
  if (n.calls) m.calls = list(n.calls).map(call);
  if (n.files) m.files = list(n.files).map((f) => ({ name: string(object(f).name), text: string(object(f).text) }));
  if (n.stats) m.stats = Object.fromEntries(Object.entries(object(n.stats)).filter(([, v]) => Number.isFinite(v)));
  if (n.tokens) m.tokens = list(n.tokens).map(token);
  return m;
}

const call = (v) => ({ id: string(object(v).id), name: string(object(v).name), arguments: string(object(v).arguments) });
const bytes = (v) => (Array.isArray(v) && v.every((b) => Number.isInteger(b) && b >= 0 && b < 256) ? v : undefined);
const token = (v) => ({ ...alternative(v), top: list(object(v).top).map(alternative) });
const alternative = (v) => ({ s: string(object(v).s), l: number(object(v).l, -100), b: bytes(object(v).b) });
