// The page begins here: it starts each part, and knows the keys that work anywhere.

import * as composer from "./composer.js";
import { create } from "./conversation.js";
import { open } from "./actions.js";
import { $ } from "./dom.js";
import * as files from "./files.js";
import * as live from "./live.js";
import * as models from "./models.js";
import * as request from "./request.js";
import * as settings from "./settings.js";
import * as sidebar from "./sidebar.js";
import { on, state } from "./state.js";
import * as tokens from "./tokens.js";
import * as turns from "./turns.js";

function keys(e) {
  if (e.isComposing || e.defaultPrevented || document.querySelector("dialog[open]")) return;
  const ctrl = e.ctrlKey || e.metaKey;
  if (e.key === "Escape") {
    if (!$("tokens-pop").hidden) tokens.close();
    else if (!composer.stop() && !sidebar.hide()) settings.close();
  } else if (ctrl && !e.shiftKey && e.key.toLowerCase() === "k") {
    document.body.classList.contains("side") || getComputedStyle($("side-open")).display === "none" || $("side-open").click();
    $("search").focus();
  } else if (ctrl && e.shiftKey && e.key.toLowerCase() === "o") sidebar.fresh();
  else if (ctrl && e.key === ",") settings.close() || settings.open();
  else return;
  e.preventDefault();
}

// route shows the chat or the live view, and the conversation of the address.
async function route() {
  const watching = location.hash === "#live";
  $("chat").hidden = $("tab-live").hidden = watching;
  $("live").hidden = $("tab-chat").hidden = !watching;
  live.show(watching);
  if (watching) {
    $("title").textContent = document.title = "Live view";
    return;
  }
  const id = location.hash.match(/^#c=(\w+)$/)?.[1];
  if (id && id !== state.conversation?.id && !(await sidebar.open(id))) history.replaceState(null, "", "#chat");
  turns.refresh();
}

async function start() {
  turns.start();
  tokens.start();
  files.start();
  request.start();
  turns.onSettings(settings.open);
  settings.start(models.refresh);
  composer.start(settings.open);
  open(create({}));
  on("list", () => {
    const c = state.conversation;
    if (c?.nodes.length && location.hash !== "#live") history.replaceState(null, "", "#c=" + c.id);
    else if (location.hash.startsWith("#c=") && c && !c.nodes.length) history.replaceState(null, "", "#chat");
  });
  $("help-open").addEventListener("click", () => $("help").showModal());
  addEventListener("keydown", keys);
  addEventListener("hashchange", route);
  const wanted = location.hash;
  await Promise.all([sidebar.start(), models.start()]);
  if (wanted.startsWith("#c=")) history.replaceState(null, "", wanted);
  await route();
  document.documentElement.dataset.ready = "";
}

start();
