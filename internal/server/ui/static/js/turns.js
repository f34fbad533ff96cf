// The messages of the conversation that is open. A view lives as long as its message
// is shown: it is changed, never made again.

import * as actions from "./actions.js";
import { Announcer, say } from "./announce.js";
import { Blocks } from "./blocks.js";
import { callViews } from "./calls.js";
import * as conversation from "./conversation.js";
import { $, copy, el } from "./dom.js";
import { showRequest } from "./request.js";
import { on, running, state } from "./state.js";
import { tokensView } from "./tokens.js";

const views = new Map(); // node id -> view
let following = true;

class View {
  constructor(node) {
    this.node = node;
    this.said = el("div", { class: "said", dir: "auto" });
    this.above = el("div");
    this.ended = el("div");
    this.actions = el("div", { class: "actions" });
    this.root = el("article", { class: "turn " + node.role, "data-node": node.id, "aria-label": { user: "You", assistant: "Answer", tool: "Result of a tool" }[node.role] },
      el("h2", { class: node.role === "user" ? "who hidden" : "who" }, this.name()), this.above, this.said, this.ended, this.actions);
    if (node.role === "assistant") {
      this.blocks = new Blocks(this.said, node.state === "writing" ? this.reader() : undefined);
    } else this.words();
  }

  reader() {
    const announcer = new Announcer();
    return (block, closed) => announcer.heard(block, closed);
  }

  name() {
    const { role, call, model } = this.node;
    return role === "user" ? "You" : role === "tool" ? `Result of ${call.name}` : model || state.model || "Answer";
  }

  words() {
    if (this.node.files) this.above.replaceChildren(el("div", { class: "chips" }, ...this.node.files.map((f) => el("span", { class: "chip sent" }, el("span", {}, f.name)))));
    this.said.textContent = this.node.content;
    this.said.hidden = !this.node.content;
  }

  update() {
    const n = this.node;
    const writing = n.state === "writing";
    this.root.setAttribute("aria-busy", String(writing));
    if (n.role === "assistant") {
      if (writing && !this.blocks.heard) this.blocks.heard = this.reader();
      if (writing && this.blocks.over) this.resume();
      this.thoughts();
      this.progress();
      if (this.asTokens()) {
        if (!this.blocks.ended) this.blocks.end();
        tokensView(this, n);
      } else this.blocks.update(n.content, !writing);
      this.callsChanged();
    }
    this.endChanged();
    this.actionsChanged();
  }

  // resume goes on with an answer whose blocks were all closed: the last of them may
  // grow.
  resume() {
    const heard = this.blocks.heard;
    this.blocks.end();
    this.blocks = new Blocks(this.said, undefined);
    this.blocks.update(this.node.content, false).then(() => { this.blocks.heard = heard; });
  }

  asTokens() {
    return this.node.seen === "tokens" && this.node.tokens?.length && this.node.state !== "writing";
  }

  thoughts() {
    const text = this.node.reasoning;
    if (!text) return;
    if (!this.thought) {
      this.thought = el("details", { class: "thought" }, el("summary", {}, "Thinking"), el("div", { dir: "auto" }, ""));
      this.thoughtText = document.createTextNode("");
      this.thought.lastChild.append(this.thoughtText);
      this.above.append(this.thought);
    }
    const label = this.node.content || this.node.state !== "writing" ? "Thought" : "Thinking…";
    if (this.thought.firstChild.textContent !== label) this.thought.firstChild.textContent = label;
    this.thoughtText.appendData(text.slice(this.thoughtText.length));
  }

  progress() {
    const { state: s, progress: p, content, reasoning, calls } = this.node;
    const waiting = s === "writing" && !content && !reasoning && !calls;
    if (!waiting) {
      this.waiting?.remove();
      this.waiting = null;
      return;
    }
    if (!this.waiting) {
      this.waiting = el("p", { class: "prompting" }, el("span", {}, "Waiting for the model…"));
      this.above.append(this.waiting);
    }
    if (!p) return;
    this.waiting.firstChild.textContent = `Reading ${p.total} tokens`;
    if (!this.waiting.children[1]) this.waiting.append(el("progress", { "aria-label": "Prompt", max: 1 }));
    this.waiting.children[1].value = p.processed / Math.max(1, p.total);
  }

  callsChanged() {
    const n = this.node;
    if (!n.calls?.length) return;
    const open = n.state !== "writing" && !conversation.children(state.conversation, n.id).length;
    const now = JSON.stringify([n.calls, open]);
    if (now === this.callsShown) return;
    this.callsShown = now;
    this.callBox ||= this.said.insertAdjacentElement("afterend", el("div"));
    this.callBox.replaceChildren(...callViews(n, open));
    if (open) say("The model calls " + n.calls.map((c) => c.name).join(", "));
  }

  endChanged() {
    const n = this.node;
    const last = state.conversation.head === n.id;
    const now = JSON.stringify([n.state, n.finish, n.error, last]);
    if (now === this.endShown) return;
    this.endShown = now;
    const end = ending(n);
    this.ended.replaceChildren();
    this.ended.className = "";
    if (!end) return;
    this.ended.className = "ended" + (n.state === "broken" ? " error" : "");
    this.ended.append(el("span", {}, end.text), ...(last ? end.offers : []));
    if (n.state !== "stopped") say(end.text);
  }

  actionsChanged() {
    const n = this.node, c = state.conversation;
    const siblings = conversation.children(c, n.parent);
    const now = JSON.stringify([n.state === "writing", siblings.length, siblings.indexOf(n), n.seen, n.stats, Boolean(n.tokens), Boolean(running())]);
    if (now === this.actionsShown) return;
    this.actionsShown = now;
    const held = this.actions.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    this.actions.replaceChildren(...(n.state === "writing" ? [] : this.buttons(siblings)));
    if (held) this.actions.querySelector(`[data-act="${held}"]`)?.focus();
  }

  buttons(siblings) {
    const n = this.node, list = [], i = siblings.indexOf(n), busy = Boolean(running());
    const button = (act, text, label, click, off) => el("button", { class: "quiet", type: "button", "data-act": act, "aria-label": /\w/.test(text) ? undefined : label, title: label, disabled: off, onclick: click }, text);
    if (siblings.length > 1) {
      list.push(el("span", { class: "branches" },
        button("back", "‹", "Previous version", () => go(siblings[i - 1]), i === 0), `${i + 1}/${siblings.length}`,
        button("next", "›", "Next version", () => go(siblings[i + 1]), i === siblings.length - 1)));
    }
    list.push(button("copy", "Copy", "Copy the message", () => copy(n.content)), button("edit", "Edit", "Edit the message", () => this.edit(), busy));
    if (n.role === "assistant") {
      list.push(button("again", "Again", "Answer again", () => actions.again(n), busy));
      if (n.tokens?.length) list.push(button("tokens", n.seen === "tokens" ? "Text" : "Tokens", n.seen === "tokens" ? "Show the text" : "Show the probabilities", () => this.toggle()));
      list.push(button("request", "Request", "Show the request", () => showRequest(n)));
    }
    list.push(button("branch", "Branch", "New chat up to here", () => actions.branch(n)));
    if (n.stats) list.push(el("span", { class: "stats" }, stats(n.stats)));
    return list;
  }

  toggle() {
    const n = this.node;
    n.seen = n.seen === "tokens" ? undefined : "tokens";
    this.blocks.end();
    this.said.classList.remove("tokens");
    this.blocks = new Blocks(this.said);
    this.update();
  }

  edit() {
    const n = this.node;
    const area = el("textarea", { class: "editor", dir: "auto", "aria-label": "Edit the message" });
    area.value = n.content;
    const close = () => {
      form.remove();
      this.said.hidden = n.role === "user" && !n.content;
      this.actions.hidden = false;
      this.actions.querySelector('[data-act="edit"]')?.focus();
    };
    const done = () => {
      close();
      if (area.value.trim() && area.value !== n.content) actions.edited(n, area.value.trim());
    };
    const form = el("form", { onsubmit: (e) => { e.preventDefault(); done(); } }, area,
      el("div", { class: "row" }, el("button", { class: "primary", type: "submit" }, n.role === "user" ? "Send" : "Save"), el("button", { type: "button", onclick: close }, "Cancel")));
    area.addEventListener("keydown", (e) => {
      if (e.key === "Escape") { e.stopPropagation(); close(); }
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) done();
    });
    this.said.hidden = this.actions.hidden = true;
    this.said.after(form);
    area.focus();
  }
}

function go(node) {
  conversation.show(state.conversation, node.id);
  refresh();
}

// ending says why an answer is not whole, and what can be done.
function ending(n) {
  if (n.role !== "assistant") return null;
  const offer = (text, run) => el("button", { type: "button", onclick: run }, text);
  const onward = n.content && !state.conversation.settings.schema ? [offer("Continue", () => actions.onward(n))] : [];
  const again = offer("Answer again", () => actions.again(n));
  if (n.state === "stopped") return { text: "Stopped.", offers: [...onward, again] };
  if (n.state === "broken") return { text: n.error || "The answer broke off.", offers: [...onward, again] };
  if (n.finish === "length") {
    const limit = state.conversation.settings.max_tokens;
    return { text: `Cut at the limit of ${limit ?? "its"} tokens.`, offers: [...onward, offer("Change the limit", () => openSettings("max_tokens"))] };
  }
  if (n.finish === "context") {
    return { text: "The context of the model is full: it can take no more tokens in this conversation.", offers: [offer("Go on in a new chat with the last exchange", () => actions.fresh(n))] };
  }
  return null;
}

let openSettings = () => {};
export const onSettings = (open) => { openSettings = open; };

export function stats(s) {
  const parts = [];
  if (s.completion !== undefined) parts.push(`${s.completion} tokens`);
  if (s.rate) parts.push(`${s.rate.toFixed(1)} tokens/s`);
  if (s.ttft !== undefined) parts.push(`first after ${s.ttft < 1000 ? Math.round(s.ttft) + " ms" : (s.ttft / 1000).toFixed(2) + " s"}`);
  if (s.prompt !== undefined) parts.push(`prompt ${s.prompt}` + (s.cached ? `, ${s.cached} cached` : ""));
  return parts.join(" · ");
}

// refresh shows the path of the conversation that is open.
export function refresh() {
  const shown = conversation.path(state.conversation);
  const ids = new Set(shown.map((n) => n.id));
  for (const [id, view] of views) {
    if (ids.has(id)) continue;
    view.root.remove();
    views.delete(id);
  }
  let at = $("turns").firstChild;
  for (const n of shown) {
    if (!views.has(n.id)) views.set(n.id, new View(n));
    const view = views.get(n.id);
    if (view.root === at) at = at.nextSibling;
    else $("turns").insertBefore(view.root, at);
    view.update();
  }
  $("hello").hidden = shown.length > 0;
  const title = conversation.title(state.conversation);
  $("title").textContent = title;
  document.title = shown.length ? `${title} · Penstock` : "Penstock";
}

export const settled = () => Promise.all([...views.values()].map((v) => v.blocks?.settled));

export function editLast() {
  const user = conversation.path(state.conversation).findLast((n) => n.role === "user");
  if (user) views.get(user.id)?.edit();
}

export function follow() {
  following = true;
  $("log").scrollTop = $("log").scrollHeight;
}

export function start() {
  on("turns", refresh);
  on("opened", () => {
    views.clear();
    $("turns").replaceChildren();
    follow();
  });
  on("node", (n) => views.get(n.id)?.node === n && views.get(n.id).update());
  on("running", () => { for (const v of views.values()) v.actionsChanged(); });
  const log = $("log");
  log.addEventListener("scroll", () => { following = log.scrollHeight - log.scrollTop - log.clientHeight < 60; });
  new ResizeObserver(() => { if (following) log.scrollTop = log.scrollHeight; }).observe($("turns"));
  log.addEventListener("click", (e) => {
    const button = e.target.closest("button.copy");
    if (button) copy(button.closest(".code").querySelector("pre").textContent);
  });
}
