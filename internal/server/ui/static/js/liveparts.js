// The parts of the live view that are made of elements. They are changed in place,
// so that nothing jumps and a table can be read while it changes.

import { $, el } from "./dom.js";
import { colour } from "./livecolours.js";

const ms = (v) => (v >= 10_000 ? (v / 1000).toFixed(0) + " s" : v >= 1000 ? (v / 1000).toFixed(2) + " s" : v >= 10 ? Math.round(v) + " ms" : v.toFixed(1) + " ms");
const bytes = (n) => (n >= 1 << 30 ? (n / (1 << 30)).toFixed(2) + " GB" : Math.round(n / (1 << 20)) + " MB");
const rate = (v) => (v >= 100 ? v.toFixed(0) : v.toFixed(1));

// quantile reads a histogram, within a bucket in proportion.
export function quantile({ bounds, counts }, q) {
  const total = counts.reduce((a, b) => a + b, 0);
  if (!total) return null;
  let left = q * total;
  for (let i = 0; i < counts.length; i++) {
    if (left > counts[i]) { left -= counts[i]; continue; }
    const low = i ? bounds[i - 1] : 0, high = bounds[i] ?? bounds.at(-1);
    return (low + (high - low) * (counts[i] ? left / counts[i] : 0)) * 1000;
  }
  return bounds.at(-1) * 1000;
}

const two = (h) => (quantile(h, 0.5) === null ? "–" : ms(quantile(h, 0.5)));
const tail = (h) => (quantile(h, 0.5) === null ? "" : "95 %: " + ms(quantile(h, 0.95)));

// set changes a text if it is another.
function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function tiles(host, e, now) {
  const held = e.blocks.reduce((n, b) => n + (b[1] > 1 ? b[0] : 0), 0);
  const hits = e.totals.prompt_tokens ? Math.round((e.totals.prefix_hits / e.totals.prompt_tokens) * 100) : 0;
  const list = [
    ["Generated", rate(now.generated), "tokens/s", `${e.totals.generated} in all`],
    ["Prompts", rate(now.prompt), "rows/s", `${hits} % from the cache`],
    ["In the batch", String(e.sequences.length), `of ${e.limits.batch}`, `${e.sequences.filter((s) => s.phase === "prefill").length} in prefill`],
    ["Queue", String(e.queued), "waiting", e.waiting[0] ? `oldest ${ms(e.waiting[0].age)}` : `${e.totals.refused} refused`],
    ["First token", two(e.ttft), "", tail(e.ttft)],
    ["Between tokens", two(e.itl), "", tail(e.itl)],
    ["KV cache", String(Math.round((held / Math.max(1, e.limits.blocks)) * 100)), "% held", `${e.totals.preemptions} preemptions`],
    ["Memory", bytes(e.memory.process || e.memory.heap + e.memory.weights), "", `weights ${bytes(e.memory.weights)}`],
  ];
  if (host.childElementCount !== list.length) {
    host.replaceChildren(...list.map(([name]) => el("div", { class: "tile" }, el("dt", {}, name), el("dd", {}, el("span"), " ", el("small"), el("span", { class: "note" })))));
  }
  list.forEach(([, value, unit, note], i) => {
    const [a, b, c] = host.children[i].lastChild.children;
    set(a, value);
    set(b, unit);
    set(c, note);
  });
}

export function step(e) {
  const host = $("step"), s = e.step;
  if (!host.firstChild) {
    host.append(el("div", { class: "bar-h", role: "img" }), el("ul", { class: "legend" },
      el("li", {}, "plain: decode, a row each"), el("li", {}, "striped: prefill, many rows"), el("li", {}, "empty: rows that the step had room for")));
  }
  const idle = !e.sequences.length;
  set($("step-note"), s.number ? `number ${s.number} · ${s.rows} of ${e.limits.rows} rows, ${s.decode} of them decode · ${ms(s.whole)}: model ${ms(s.forward)}, sampling ${ms(s.sample)}` + (idle ? " · at rest" : "") : "none yet");
  const bar = host.firstChild;
  bar.setAttribute("aria-label", `Rows of the step: ` + e.sequences.map((q) => `request ${q.number} ${q.rows}`).join(", "));
  const rows = idle ? [] : e.sequences.filter((q) => q.rows);
  while (bar.childElementCount > rows.length) bar.lastChild.remove();
  while (bar.childElementCount < rows.length) bar.append(el("span"));
  rows.forEach((q, i) => {
    const part = bar.children[i];
    part.style.width = (q.rows / e.limits.rows) * 100 + "%";
    part.style.backgroundColor = colour(q.number);
    part.className = q.rows > 8 || q.phase === "prefill" ? "prefill" : "";
    part.title = `request ${q.number}: ${q.rows} rows`;
  });
}

const columns = ["Request", "Phase", "Prompt", "", "Generated", "Rows", "Blocks", "Age"];

export function sequences(e) {
  const host = $("sequences");
  if (!host.firstChild) {
    host.append(el("div", { class: "grid-wrap", tabindex: "0", role: "group", "aria-label": "Table of the sequences" },
      el("table", {}, el("thead", {}, el("tr", {}, ...columns.map((c, i) => (c ? el("th", { scope: "col", class: i > 3 ? "num" : undefined }, c) : el("td"))))), el("tbody"))),
      el("p", { class: "empty" }));
  }
  set($("sequences-note"), e.queued ? `${e.queued} more wait: ` + e.waiting.slice(0, 8).map((w) => `#${w.number} (${w.prompt} tokens${w.preempted ? ", preempted" : ""})`).join(", ") : "");
  set(host.lastChild, e.sequences.length ? "" : "No request is being answered.");
  host.lastChild.hidden = e.sequences.length > 0;
  host.firstChild.hidden = !e.sequences.length;
  const body = host.querySelector("tbody");
  while (body.childElementCount > e.sequences.length) body.lastChild.remove();
  while (body.childElementCount < e.sequences.length) body.append(row());
  e.sequences.forEach((q, i) => fillRow(body.children[i], q));
}

function row() {
  return el("tr", {}, el("td", {}, el("i", { class: "swatch" }), el("span")), el("td", {}, el("span", { class: "phase" })), el("td"),
    el("td", {}, el("span", { class: "meter", role: "img" }, el("i", { class: "cached" }), el("i"))), el("td", { class: "num" }), el("td", { class: "num" }), el("td", { class: "num" }), el("td", { class: "num" }));
}

function fillRow(tr, q) {
  const cells = tr.children, shade = colour(q.number), done = Math.min(q.computed, q.prompt);
  cells[0].firstChild.style.background = shade;
  set(cells[0].lastChild, `#${q.number}`);
  set(cells[1].firstChild, q.phase + (q.preemptions ? " ↺" : ""));
  set(cells[2], `${done} of ${q.prompt}` + (q.cached ? `, ${q.cached} cached` : ""));
  const meter = cells[3].firstChild, total = q.prompt + (q.phase === "decode" ? Math.max(q.decoded, 1) : 0);
  meter.setAttribute("aria-label", `${Math.round((done / q.prompt) * 100)} percent of the prompt is computed`);
  meter.children[0].style.cssText = `width:${(q.cached / total) * 100}%;background:${shade}`;
  meter.children[1].style.cssText = `inset-inline-start:${(q.cached / total) * 100}%;width:${((Math.max(q.computed, done) - q.cached) / total) * 100}%;background:${shade}`;
  set(cells[4], String(q.decoded));
  set(cells[5], String(q.rows));
  set(cells[6], String(q.blocks));
  set(cells[7], ms(q.age));
}

export function sparkline(history, now, span) {
  const host = $("rate"), svg = "http://www.w3.org/2000/svg";
  if (!host.firstChild) {
    const chart = document.createElementNS(svg, "svg");
    chart.setAttribute("class", "spark");
    chart.setAttribute("role", "img");
    chart.setAttribute("viewBox", "0 0 600 112");
    chart.setAttribute("preserveAspectRatio", "none");
    for (const kind of ["area", "line"]) {
      const p = document.createElementNS(svg, "path");
      p.setAttribute("class", kind);
      chart.append(p);
    }
    host.append(chart, el("div", { class: "axis" }, el("span", {}, `${span} s ago`), el("span", {}, "now")));
  }
  const most = Math.max(10, ...history.map((h) => h.generated));
  const top = Math.ceil(most / 10) * 10;
  set($("rate-note"), `generated, up to ${rate(most)}`);
  host.firstChild.setAttribute("aria-label", `Generated tokens per second: now ${rate(history.at(-1)?.generated || 0)}, at most ${rate(most)} in the last ${span} seconds`);
  const points = history.map((h) => `${(600 - ((now - h.time) / (span * 1000)) * 600).toFixed(1)},${(110 - (h.generated / top) * 104).toFixed(1)}`);
  const [area, line] = host.firstChild.children;
  line.setAttribute("d", points.length ? "M" + points.join("L") : "");
  area.setAttribute("d", points.length ? `M${points[0].split(",")[0]},110L${points.join("L")}L600,110Z` : "");
}

export function latency(e) {
  const host = $("latency"), h = e.itl;
  if (!host.firstChild) {
    host.append(el("div", { class: "hist", role: "img" }, ...h.counts.map(() => el("span"))), el("div", { class: "axis" }, el("span", {}, "up to " + ms(h.bounds[0] * 1000)), el("span", {}, "above " + ms(h.bounds.at(-1) * 1000))));
  }
  const most = Math.max(1, ...h.counts);
  set($("latency-note"), quantile(h, 0.5) === null ? "none yet" : `half within ${two(h)}, ${tail(h)}`);
  host.firstChild.setAttribute("aria-label", "Histogram of the time between tokens: " + $("latency-note").textContent);
  h.counts.forEach((n, i) => {
    const bar = host.firstChild.children[i];
    bar.style.height = (n / most) * 100 + "%";
    bar.title = `up to ${h.bounds[i] ? ms(h.bounds[i] * 1000) : "any"}: ${n}`;
  });
}

const losses = [["queue", "queue"], ["model", "in the model"], ["sample", "sampling"], ["between", "between its steps"], ["rest", "the rest"]];

// falls shows for each request where its time went: what is not the model's is lost.
export function falls(e) {
  const host = $("falls");
  if (!host.firstChild) {
    host.append(el("div", { class: "falls" }), el("ul", { class: "legend" }, ...losses.map(([id, name]) => el("li", {}, el("i", { class: "part-" + id }), name))), el("p", { class: "empty" }, "No request has ended yet."));
  }
  const list = e.recent.slice(-12).reverse(), grid = host.firstChild;
  const longest = Math.max(1, ...list.map((r) => r.total));
  host.lastChild.hidden = list.length > 0;
  set($("falls-note"), list.length ? `the last ${list.length}, newest first` : "");
  while (grid.childElementCount > list.length * 3) grid.lastChild.remove();
  while (grid.childElementCount < list.length * 3) {
    grid.append(el("span", { class: "what" }), el("span", { class: "bar-h", role: "img" }, ...losses.map(([id]) => el("span", { class: "part-" + id }))), el("span", { class: "num" }));
  }
  list.forEach((r, i) => {
    const [what, bar, time] = [0, 1, 2].map((k) => grid.children[i * 3 + k]);
    const time_ = { queue: r.queue, model: r.forward, sample: r.sample, between: r.between };
    time_.rest = Math.max(0, r.total - r.queue - r.forward - r.sample - r.between);
    set(what, `#${r.number} · ${r.prompt}${r.cached ? ` (${r.cached} cached)` : ""} + ${r.completion} tokens`);
    set(time, ms(r.total) + (r.reason === "abort" || r.reason === "error" ? ` (${r.reason})` : ""));
    bar.setAttribute("aria-label", losses.map(([id, name]) => `${name} ${ms(time_[id])}`).join(", "));
    bar.title = bar.getAttribute("aria-label");
    losses.forEach(([id], k) => { bar.children[k].style.width = (time_[id] / longest) * 100 + "%"; });
  });
}
