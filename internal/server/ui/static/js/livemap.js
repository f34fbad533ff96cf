// The KV cache as a map: a cell for each block, in the colour of the sequence that
// holds it. A block that several hold, because their prompts begin alike, has
// stripes of their colours.

import { $, el } from "./dom.js";
import { colour } from "./livecolours.js";

const gap = 1;
let drawn = null;

// cells are the blocks one by one. The free ones at the end, which never held
// anything, are left to the note.
function cells(e) {
  const list = [];
  for (const [n, use, ...holders] of e.blocks) for (let i = 0; i < n; i++) list.push({ use, holders });
  let end = list.length;
  while (end > 0 && list[end - 1].use === 0) end--;
  return list.slice(0, Math.min(list.length, Math.max(Math.ceil((end + 1) / 256) * 256, 512)));
}

export function drawBlocks(e) {
  const host = $("blocks");
  const counts = { held: 0, shared: 0, cached: 0, free: 0 };
  for (const [n, use] of e.blocks) {
    if (use === 0) counts.free += n;
    else if (use === 1) counts.cached += n;
    else counts.held += n;
    if (use > 2) counts.shared += n;
  }
  const share = Math.round((counts.held / Math.max(1, e.limits.blocks)) * 100);
  $("blocks-note").textContent = `${counts.held} held, ${counts.shared} of them shared, ${counts.cached} cached, ${counts.free} free of ${e.limits.blocks} · ${e.limits.block_tokens} tokens each`;
  if (!host.firstChild) {
    host.append(el("canvas", { id: "kv", role: "img" }), el("ul", { class: "legend" }, item("free"), item("cached"), item("held", "held by one sequence"), item("shared", "shared: stripes of several")));
  }
  $("kv").setAttribute("aria-label", `${share} percent of the cache is held: ` + $("blocks-note").textContent);
  drawn = e;
  paint(cells(e));
}

function item(kind, text = kind) {
  const i = el("i");
  i.dataset.kind = kind;
  return el("li", {}, i, text);
}

function paint(list) {
  const canvas = $("kv"), width = canvas.clientWidth, ratio = devicePixelRatio || 1;
  if (!width) return;
  const style = getComputedStyle(document.documentElement), ink = (name) => resolved(style, name);
  const size = list.length > 4096 ? 6 : list.length > 1024 ? 9 : 12;
  const columns = Math.max(8, Math.floor((width + gap) / (size + gap)));
  const rows = Math.ceil(list.length / columns);
  const height = rows * (size + gap);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = height + "px";
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  const free = ink("--free"), cached = ink("--cached");
  list.forEach((cell, i) => {
    const x = (i % columns) * (size + gap), y = Math.floor(i / columns) * (size + gap);
    g.fillStyle = cell.use === 0 ? free : cell.use === 1 ? cached : colour(cell.holders[0] ?? 0);
    g.fillRect(x, y, size, size);
    if (cell.holders.length > 1) {
      const shown = cell.holders.slice(0, size / 3); // thinner stripes have no colour
      const part = size / shown.length;
      shown.forEach((n, k) => {
        g.fillStyle = colour(n);
        g.fillRect(x, y + k * part, size, Math.max(1, part));
      });
    }
  });
  const shades = { free, cached, held: colour(drawn.sequences[0]?.number ?? 0) };
  for (const i of $("blocks").querySelectorAll("i")) {
    i.style.background = i.dataset.kind === "shared" ? `linear-gradient(${colour(0)} 33%, ${colour(1)} 33% 66%, ${colour(2)} 66%)` : shades[i.dataset.kind];
  }
}

// resolved is a colour of the style sheet as the canvas takes it.
function resolved(style, name) {
  const probe = resolved.probe ||= document.body.appendChild(el("span", { hidden: true }));
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

addEventListener("resize", () => { if (drawn && !$("live").hidden) paint(cells(drawn)); });
