// What one can do to a conversation. Each ends with the page showing the result.

import { prefix, write } from "./answer.js";
import * as conversation from "./conversation.js";
import { changed, kept, state } from "./state.js";
import * as store from "./store.js";

// start writes into a node, and says what went wrong if nothing came.
async function start(c, node, failed) {
  const written = write(c, node); // from here on it counts as running
  changed("turns");
  kept(c);
  try {
    await written;
  } catch (e) {
    failed();
    changed("turns");
    if (c.nodes.length) await kept(c);
    else await store.remove(c.id).then(() => changed("list"));
    changed("failed", { conversation: c, error: e });
    return e;
  }
  return null;
}

// send adds a message and has it answered. If that fails the message is taken back,
// and returned with the error.
export async function send(content, files) {
  const c = state.conversation;
  const user = conversation.add(c, c.head, { role: "user", content, ...(files.length ? { files } : {}) });
  const node = conversation.add(c, user.id, { role: "assistant" });
  return start(c, node, () => conversation.drop(c, user.id));
}

// again makes another answer beside one.
export function again(node) {
  const c = state.conversation;
  const other = conversation.add(c, node.parent, { role: "assistant" });
  return start(c, other, () => {
    conversation.drop(c, other.id);
    conversation.show(c, node.id);
  });
}

// onward continues an answer that was cut.
export const onward = (node) => start(state.conversation, node, () => {});

// instead continues an answer from another token than the one it took.
export function instead(node, at, other) {
  const content = prefix(node, at, other);
  if (content === null) return null;
  const c = state.conversation;
  const twin = conversation.add(c, node.parent, {
    role: "assistant", content, tokens: [...node.tokens.slice(0, at), { ...other, top: node.tokens[at].top }], seen: "tokens",
    ...(node.reasoning ? { reasoning: node.reasoning } : {}),
  });
  return start(c, twin, () => {
    conversation.drop(c, twin.id);
    conversation.show(c, node.id);
  });
}

// edited makes a changed copy of a message, beside it. A user's is answered.
export async function edited(node, content) {
  const c = state.conversation;
  if (node.role !== "user") {
    conversation.add(c, node.parent, { role: node.role, content, ...(node.call ? { call: node.call } : {}), model: node.model });
    changed("turns");
    return kept(c);
  }
  const copy = conversation.add(c, node.parent, { role: "user", content, ...(node.files ? { files: node.files } : {}) });
  const reply = conversation.add(c, copy.id, { role: "assistant" });
  return start(c, reply, () => {
    conversation.drop(c, copy.id);
    conversation.show(c, node.id);
  });
}

// results answers the calls of tools that a node has made.
export function results(node, texts) {
  const c = state.conversation;
  let parent = node.id;
  const first = conversation.children(c, node.id).length;
  node.calls.forEach((call, i) => {
    parent = conversation.add(c, parent, { role: "tool", call, content: texts[i] }).id;
  });
  const reply = conversation.add(c, parent, { role: "assistant" });
  return start(c, reply, () => conversation.drop(c, conversation.children(c, node.id)[first].id));
}

// retried has a message answered whose answer is missing.
export function retried(node) {
  const c = state.conversation;
  const reply = conversation.add(c, node.id, { role: "assistant" });
  return start(c, reply, () => conversation.drop(c, reply.id));
}

// branch copies the conversation up to a node.
export async function branch(node) {
  const copy = conversation.branched(state.conversation, node.id);
  await kept(copy);
  open(copy);
}

// fresh goes on in a new conversation with the last exchange, where the context is
// full.
export async function fresh(node) {
  const c = state.conversation;
  const next = conversation.create(c.settings);
  let parent = null;
  for (const n of conversation.path(c, node.id).slice(-2)) {
    parent = conversation.add(next, parent, { role: n.role, content: n.content, ...(n.files ? { files: n.files } : {}), model: n.model }).id;
  }
  await kept(next);
  open(next);
}

export const stop = () => state.conversation && state.runs.get(state.conversation.id)?.controller.abort();

// open shows a conversation. One that is being written is that very object.
export function open(c) {
  state.conversation = state.runs.get(c.id)?.conversation || c;
  for (const n of state.conversation.nodes) {
    if (n.state !== "writing" || state.runs.get(c.id)?.node === n) continue;
    Object.assign(n, { state: "broken", error: "The page was closed before the answer ended." });
  }
  changed("opened");
  changed("turns");
  changed("running");
  changed("list");
}
