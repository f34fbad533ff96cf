// The box in which messages are written.

import * as actions from "./actions.js";
import { say } from "./announce.js";
import { $, el } from "./dom.js";
import { files, forget, put } from "./files.js";
import { on, running, state } from "./state.js";
import { editLast, follow } from "./turns.js";

let openSettings = () => {};

// A person who composes a character, as in Japanese, confirms it with Enter. That
// Enter does not send. Safari reports it after the composition has ended, with the
// key code 229.
const composing = (e) => e.isComposing || e.keyCode === 229;

async function submit() {
  const text = $("text").value.trim();
  const sent = files();
  if (!text && !sent.length || running()) return;
  const c = state.conversation;
  hideNotice();
  $("text").value = "";
  forget();
  follow();
  const error = await actions.send(text, sent);
  if (!error) return;
  // The message comes back, in front of what was written meanwhile.
  if (state.conversation === c) {
    $("text").value = [text, $("text").value].filter(Boolean).join("\n");
    for (const f of sent) put(f);
    $("text").focus();
  }
}

function hideNotice() {
  $("notice").hidden = true;
}

// failed says why nothing came, and what can be done about it.
function failed({ conversation: c, error }) {
  if (state.conversation !== c) return;
  const offers = [];
  const button = (text, run) => offers.push(el("button", { type: "button", onclick: () => { hideNotice(); run(); } }, text));
  let text = error instanceof TypeError ? "The server cannot be reached." : error.message;
  if (error.status === 401) {
    text = "The server wants an API key.";
    button("Enter the key", () => openSettings("key"));
  } else if (error.tooLong) {
    text = `The conversation is too long for the model: ${error.prompt ?? "too many"} tokens of ${error.context ?? "its context"}.`;
    if (c.nodes.length) {
      button("Send it in a new chat", () => {
        const kept = $("text").value, sent = files();
        $("new").click();
        $("text").value = kept;
        forget();
        for (const f of sent) put(f);
        submit();
      });
    }
  }
  button("Retry", () => {
    if ($("text").value.trim() || files().length) return submit();
    const last = c.nodes.findLast((n) => n.id === c.head);
    if (last?.role === "user" || last?.role === "tool") actions.retried(last);
    else if (last) actions.again(last);
  });
  $("notice").replaceChildren(el("span", {}, text), ...offers, el("button", { class: "icon", type: "button", "aria-label": "Dismiss", onclick: hideNotice }, "✕"));
  $("notice").hidden = false;
}

function showRunning() {
  const busy = Boolean(running());
  $("send").textContent = busy ? "Stop" : "Send";
  $("send").classList.toggle("stop", busy);
  $("send").title = busy ? "Stop (Esc)" : "Send (Enter)";
  $("status").textContent = busy ? "Esc stops the answer" : "";
}

export function stop() {
  if (!running()) return false;
  actions.stop();
  say("Stopped");
  return true;
}

export function start(settings) {
  openSettings = settings;
  on("running", showRunning);
  on("failed", failed);
  on("opened", hideNotice);
  $("ask").addEventListener("submit", (e) => {
    e.preventDefault();
    if (!stop()) submit();
  });
  $("text").addEventListener("keydown", (e) => {
    if (composing(e)) return;
    if (e.key === "Enter" && !e.shiftKey) {
      e.preventDefault();
      submit();
    } else if (e.key === "ArrowUp" && !$("text").value && !running()) {
      e.preventDefault();
      editLast();
    }
  });
  showRunning();
}
