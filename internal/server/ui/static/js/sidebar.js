// The list of conversations.

import * as actions from "./actions.js";
import * as conversation from "./conversation.js";
import { $, asked, confirmed, el, toast } from "./dom.js";
import { changed, kept, on, state } from "./state.js";
import * as store from "./store.js";
import { download, exported, imported } from "./transfer.js";

let shownList = "";

function day(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  return time >= midnight ? "Today" : time >= midnight - 86_400_000 ? "Yesterday" : "Earlier";
}

function found(c, words) {
  if (!words.length) return true;
  const text = (conversation.title(c) + "\n" + c.nodes.map((n) => n.content).join("\n")).toLowerCase();
  return words.every((w) => text.includes(w));
}

async function refresh() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = await store.all();
  const list = all.filter((c) => found(c, words));
  const now = JSON.stringify([state.conversation?.id, list.map((c) => [c.id, conversation.title(c), day(c.updated)])]);
  $("list-empty").hidden = list.length > 0;
  $("list-empty").textContent = all.length ? "Nothing found." : "Conversations stay in this browser.";
  if (now === shownList) return;
  shownList = now;
  const held = document.activeElement?.closest?.("#list li")?.dataset.id, act = document.activeElement?.dataset?.act;
  let group = "";
  $("list").replaceChildren(...list.flatMap((c) => {
    const head = day(c.updated) === group ? [] : [el("li", { class: "group" }, (group = day(c.updated)))];
    return [...head, item(c)];
  }));
  if (held) $("list").querySelector(`[data-id="${held}"] [data-act="${act}"]`)?.focus();
}

function item(c) {
  const title = conversation.title(c);
  return el("li", { "data-id": c.id, "aria-current": String(c.id === state.conversation?.id) },
    el("button", { class: "open", type: "button", dir: "auto", "data-act": "open", title, onclick: () => open(c.id) }, title),
    el("button", { class: "more quiet", type: "button", "data-act": "rename", "aria-label": `Rename ${title}`, title: "Rename", onclick: () => rename(c.id) }, "✎"),
    el("button", { class: "more quiet", type: "button", "data-act": "delete", "aria-label": `Delete ${title}`, title: "Delete", onclick: () => remove(c.id) }, "✕"));
}

export async function open(id) {
  const c = await store.load(id);
  if (c) actions.open(c);
  hide();
  if (location.hash === "#live") location.hash = "#chat";
  return Boolean(c);
}

// fresh begins a conversation with the settings of the one that is open.
export function fresh() {
  actions.open(conversation.create(state.conversation?.settings || {}));
  hide();
  if (location.hash === "#live") location.hash = "#chat";
  $("text").focus();
}

// current is a conversation as it is in the page, if it is there.
const current = async (id) => state.runs.get(id)?.conversation || (state.conversation?.id === id ? state.conversation : await store.load(id));

async function rename(id) {
  const c = await current(id);
  const title = await asked("Rename", conversation.title(c));
  if (title === null) return;
  c.title = title;
  c.named = Boolean(title);
  await kept(c, false);
  changed("turns");
}

async function remove(id) {
  const c = await current(id);
  if (!(await confirmed("Delete this conversation?", conversation.title(c)))) return;
  const run = state.runs.get(id);
  run?.controller.abort();
  c.nodes = []; // nothing that is still on its way saves it again
  await store.remove(id);
  store.channel?.postMessage("list");
  if (state.conversation?.id === id) fresh();
  else changed("list");
}

async function exportAll() {
  const all = await store.all();
  if (!all.length) return toast("There is nothing to export");
  download(`penstock-${new Date().toISOString().slice(0, 10)}.json`, exported(all));
}

async function importFile() {
  const file = $("import-file").files[0];
  $("import-file").value = "";
  if (!file) return;
  try {
    const list = imported(await file.text());
    for (const c of list) await store.save(c);
    toast(`${list.length} ${list.length === 1 ? "conversation" : "conversations"} imported`);
    if (list.length) actions.open(list[0]);
  } catch (e) {
    toast(e.message);
  }
  changed("list");
}

function show() {
  document.body.classList.add("side");
  $("shade").hidden = false;
  $("side-open").setAttribute("aria-expanded", "true");
  $("side-close").focus();
}

export function hide() {
  if (!document.body.classList.contains("side")) return false;
  document.body.classList.remove("side");
  $("shade").hidden = true;
  $("side-open").setAttribute("aria-expanded", "false");
  if ($("side").contains(document.activeElement)) $("side-open").focus();
  return true;
}

export function start() {
  on("list", refresh);
  if (store.channel) store.channel.onmessage = () => changed("list");
  $("search").addEventListener("input", refresh);
  $("new").addEventListener("click", fresh);
  $("side-open").addEventListener("click", show);
  $("side-close").addEventListener("click", hide);
  $("shade").addEventListener("click", hide);
  $("export-all").addEventListener("click", exportAll);
  $("import").addEventListener("click", () => $("import-file").click());
  $("import-file").addEventListener("change", importFile);
  return refresh();
}
