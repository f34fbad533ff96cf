// An answer as its tokens, coloured by how probable each was. A token can be asked
// for what might have come in its place, and the answer continued from there.

import { instead } from "./actions.js";
import { prefix } from "./answer.js";
import { $, el } from "./dom.js";
import { running, state } from "./state.js";

const percent = (l) => (Math.exp(l) * 100).toFixed(Math.exp(l) < 0.1 ? 1 : 0) + " %";
const visible = (s) => s.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replace(/^ | $/g, "␣") || "∅";
const grade = (l) => (l > Math.log(0.7) ? "" : l > Math.log(0.35) ? " p1" : l > Math.log(0.1) ? " p2" : " p3");

// tokensView fills a view with its node's tokens. One of them is in the order of
// tabs, the arrow keys lead to the others.
export function tokensView(view, node) {
  if (view.said.classList.contains("tokens") && view.said.childElementCount === node.tokens.length) return;
  view.said.classList.add("tokens");
  view.said.setAttribute("role", "group");
  view.said.setAttribute("aria-label", "Tokens of the answer");
  const spans = node.tokens.map((t, i) => el("span", {
    class: "tok" + grade(t.l), role: "button", tabindex: i === 0 ? "0" : "-1", "aria-haspopup": "dialog", "aria-expanded": "false", title: percent(t.l),
    "aria-label": `${visible(t.s)}, ${percent(t.l)}`,
    onclick: (e) => show(e.currentTarget, node, i),
  }, t.s));
  view.said.replaceChildren(...spans);
  if (view.keys) return;
  view.keys = true;
  view.said.addEventListener("keydown", (e) => {
    const all = [...view.said.querySelectorAll(".tok")];
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[e.key];
    if (e.key === "Enter" || e.key === " ") show(all[at], view.node, at);
    else if (to === undefined || !all[to]) return;
    else {
      all[at].tabIndex = -1;
      all[to].tabIndex = 0;
      all[to].focus();
    }
    e.preventDefault();
  });
  // A mouse that rests while tokens move below it asks for nothing.
  let last = null;
  view.said.addEventListener("pointermove", (e) => {
    const moved = last && (last.x !== e.clientX || last.y !== e.clientY);
    last = { x: e.clientX, y: e.clientY };
    if (moved && e.pointerType === "mouse" && e.target.classList.contains("tok")) peek(e.target, view.node);
  });
}

let pinned = null; // the token whose alternatives stay open

function peek(span, node) {
  if (!pinned) fill(span, node, [...span.parentNode.children].indexOf(span));
}

function show(span, node, at) {
  close();
  pinned = span;
  span.setAttribute("aria-expanded", "true");
  fill(span, node, at);
  $("tokens-pop").querySelector("button:not(:disabled)")?.focus();
}

export function close() {
  const span = pinned;
  pinned = null;
  $("tokens-pop").hidden = true;
  span?.setAttribute("aria-expanded", "false");
  if ($("tokens-pop").contains(document.activeElement)) span?.focus();
}

function fill(span, node, at) {
  const token = node.tokens[at], pop = $("tokens-pop");
  const free = !running() && !state.conversation.settings.schema;
  const list = token.top.some((t) => t.s === token.s) ? token.top : [token, ...token.top];
  pop.replaceChildren(el("p", {}, free ? "Continue with another token" : "Likeliest tokens"), ...list.map((t) => {
    const taken = t.s === token.s;
    return el("button", {
      type: "button", "aria-current": taken ? "true" : undefined, disabled: taken || !free || prefix(node, at, t) === null,
      onclick: () => { close(); instead(node, at, t); },
    }, el("code", {}, visible(t.s)), el("span", { class: "share" }, percent(t.l)));
  }));
  pop.hidden = false;
  const box = span.getBoundingClientRect(), size = pop.getBoundingClientRect();
  const above = box.top - size.height - 3 > 60; // else it would cover what comes after the answer
  pop.style.left = Math.max(8, Math.min(box.left, innerWidth - size.width - 8)) + "px";
  pop.style.top = (above ? box.top - size.height - 3 : Math.min(box.bottom + 3, innerHeight - size.height - 8)) + "px";
}

export function start() {
  const pop = $("tokens-pop");
  document.addEventListener("pointerdown", (e) => { if (!pop.hidden && !pop.contains(e.target)) close(); });
  // The mouse has a moment to come from the token to its alternatives.
  let leaving = 0;
  document.addEventListener("pointerover", (e) => {
    clearTimeout(leaving);
    if (pinned || pop.hidden || pop.contains(e.target) || e.target.classList?.contains("tok")) return;
    leaving = setTimeout(() => { if (!pinned) pop.hidden = true; }, 250);
  });
  pop.addEventListener("keydown", (e) => {
    const all = [...pop.querySelectorAll("button:not(:disabled)")];
    const to = all.indexOf(document.activeElement) + ({ ArrowDown: 1, ArrowUp: -1 }[e.key] || 0);
    if (e.key === "Escape") close();
    else if (e.key.startsWith("Arrow")) all.at(to % all.length)?.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  });
  $("log").addEventListener("scroll", () => { if (!pop.hidden) close(); });
}
