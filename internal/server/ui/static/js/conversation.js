// A conversation is a tree: editing a message or asking for another answer makes a
// sibling, and what is shown is the path from the root to the head.
//
// node: { id, parent, role: user | assistant | tool, content, files, reasoning, calls,
//         call, state: done | writing | stopped | broken, finish, error, stats, tokens, model }

import { newID } from "./dom.js";

export function create(settings) {
  const now = Date.now();
  return { id: newID(), title: "", named: false, created: now, updated: now, settings: structuredClone(settings), nodes: [], head: null };
}

export const node = (c, id) => c.nodes.find((n) => n.id === id);
export const children = (c, id) => c.nodes.filter((n) => n.parent === id);

// path lists the nodes from the root to a node.
export function path(c, id = c.head) {
  const list = [];
  for (let n = node(c, id); n; n = node(c, n.parent)) list.unshift(n);
  return list;
}

// add appends a node below parent and shows it.
export function add(c, parent, fields) {
  const n = { id: newID(), parent, created: Date.now(), content: "", state: "done", ...fields };
  c.nodes.push(n);
  show(c, n.id);
  return n;
}

// show makes a node part of what is shown, with what was last shown below it.
export function show(c, id) {
  for (let n = node(c, id); n; n = node(c, n.parent)) {
    const parent = node(c, n.parent);
    if (parent) parent.next = n.id;
    else c.next = n.id;
  }
  c.head = id;
  for (let n = node(c, id); n; n = below(c, n)) c.head = n.id;
}

function below(c, n) {
  const list = children(c, n.id);
  return list.find((m) => m.id === n.next) || list.at(-1);
}

// drop removes a node and all below it.
export function drop(c, id) {
  const gone = new Set([id]);
  const parent = node(c, id).parent;
  for (const n of c.nodes) if (gone.has(n.parent)) gone.add(n.id);
  c.nodes = c.nodes.filter((n) => !gone.has(n.id));
  const siblings = children(c, parent);
  if (siblings.length) show(c, siblings.at(-1).id);
  else c.head = parent;
}

// branched is a new conversation with the path up to a node.
export function branched(c, id) {
  const copy = create(c.settings);
  let parent = null;
  for (const n of path(c, id)) {
    const { next, ...rest } = structuredClone(n);
    parent = add(copy, parent, { ...rest, id: newID(), parent }).id;
  }
  copy.title = c.title && c.title + " (branch)";
  copy.named = Boolean(copy.title);
  return copy;
}

export function title(c) {
  if (c.title) return c.title;
  const first = path(c)[0] || c.nodes[0];
  return (first?.content || first?.files?.[0]?.name || "New chat").trim().replace(/\s+/g, " ").slice(0, 80) || "New chat";
}

// messages is the path as the API takes it.
export function messages(c, id) {
  const list = [];
  if (c.settings.system?.trim()) list.push({ role: "system", content: c.settings.system });
  for (const n of path(c, id)) {
    if (n.role === "user") list.push({ role: "user", content: userContent(n) });
    else if (n.role === "tool") list.push({ role: "tool", tool_call_id: n.call.id, content: n.content });
    else if (n.calls?.length) list.push({ role: "assistant", content: n.content || null, tool_calls: n.calls.map(wireCall) });
    else if (n.content) list.push({ role: "assistant", content: n.content });
  }
  return list;
}

const wireCall = (call) => ({ id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } });

// userContent puts files before what was written, each in a fence that is longer
// than any within it.
export function userContent(n) {
  const parts = (n.files || []).map((f) => {
    const longest = Math.max(2, ...(f.text.match(/`{3,}/g) || []).map((s) => s.length));
    const fence = "`".repeat(longest + 1);
    return `${f.name}\n${fence}\n${f.text.replace(/\n$/, "")}\n${fence}`;
  });
  return [...parts, n.content].filter(Boolean).join("\n\n");
}
