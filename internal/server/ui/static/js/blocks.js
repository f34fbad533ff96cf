// Shows Markdown while it is written. The server renders it block by block: blocks
// that are closed are appended once and never touched again, and only the open one
// is rendered again.

import * as api from "./api.js";
import { fragment, morph } from "./morph.js";

const pause = 80; // ms between two renderings at least

export class Blocks {
  constructor(host, heard) {
    Object.assign(this, { host, heard, source: "", closed: 0, over: false, shown: "", open: [] });
    this.settled = Promise.resolve();
  }

  // update says what the text is by now; over: it will not grow.
  update(source, over) {
    this.source = source;
    this.over ||= over;
    this.running ||= this.settled = this.#run().finally(() => { this.running = null; });
    return this.settled;
  }

  async #run() {
    while (!this.ended && this.shown !== this.source + this.over) {
      const { source, over } = this;
      const begun = performance.now();
      const rest = source.slice(this.closed);
      try {
        const rendered = await api.render(rest, over);
        if (!this.ended) this.#apply(rendered);
      } catch {
        if (!this.ended) this.#plain(rest);
      }
      this.shown = source + over;
      // Rendering may take a few percent of the time, not more.
      const took = performance.now() - begun;
      if (!this.over) await new Promise((go) => setTimeout(go, Math.max(pause, took * 8)));
    }
  }

  // end leaves the host to somebody else.
  end() {
    this.ended = true;
    this.host.replaceChildren();
  }

  #apply(rendered) {
    for (const block of rendered.closed) {
      this.#show(0, block.html);
      this.heard?.(this.open[0], true);
      this.closed += block.length;
      this.open.shift();
    }
    rendered.open.forEach((html, i) => {
      this.#show(i, html);
      if (i === 0) this.heard?.(this.open[i], false); // one after the other
    });
    for (const none of this.open.splice(rendered.open.length)) none.remove();
  }

  // show shows the open block of a number. An element stays the same block's when that
  // is closed.
  #show(i, html) {
    if (!this.open[i]) {
      this.open[i] = document.createElement("div");
      this.open[i].className = "block";
      this.host.append(this.open[i]);
    }
    this.open[i].classList.remove("plain");
    morph(this.open[i], fragment(html));
  }

  // plain shows text as it is, where the server does not answer.
  #plain(rest) {
    for (const one of this.open) one.remove();
    this.open = [];
    if (!rest) return;
    const block = document.createElement("div");
    block.className = "block plain";
    block.textContent = rest;
    this.open.push(block);
    this.host.append(block);
  }
}
