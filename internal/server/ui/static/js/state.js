// What the modules of the page share: the conversation that is open, the models, and
// the answers that are being written.

import { toast } from "./dom.js";
import * as store from "./store.js";

export const state = {
  conversation: null,
  models: [],
  model: "", // that new answers are asked of
  runs: new Map(), // conversation id -> { controller, conversation, node }
};

// Listeners of changes: "list" of conversations, "turns" of the one that is open,
// "node" with a node that has changed, "model", "running".
const bus = new EventTarget();
export const on = (name, listener) => bus.addEventListener(name, (e) => listener(e.detail));
export const changed = (name, detail) => bus.dispatchEvent(new CustomEvent(name, { detail }));

export const running = () => state.conversation && state.runs.get(state.conversation.id);
export const described = () => state.models.find((m) => m.id === state.model);

let saving = Promise.resolve();

// saved waits for what is being saved.
export const saved = () => saving.catch(() => {});

// kept saves a conversation that has something in it.
export async function kept(c, touched = true) {
  if (!c.nodes.length) return;
  if (touched) c.updated = Date.now();
  try {
    await (saving = store.save(c));
  } catch (e) {
    return toast("The conversation could not be saved: " + e.message);
  }
  changed("list");
  store.channel?.postMessage("list");
}
