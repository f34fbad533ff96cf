// Shows Markdown while it is written. The server renders it block by block: blocks
// that are closed are appended once and never touched again, and only the open one
// is rendered again.

import * as api from "./api.js";
import { fragment, morph } from "./morph.js";

const pause = 80; // ms between two renderings at least

export class Blocks {
  constructor(host, heard) {
    Object.assign(this, { host, heard, source: "", closed: 0, over: false, shown: "", open: null });
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
    while (this.shown !== this.source + this.over) {
      const { source, over } = this;
      const begun = performance.now();
      const rest = source.slice(this.closed);
      try {
        this.#apply(await api.render(rest, over), rest);
      } catch {
        this.#plain(rest);
      }
      this.shown = source + over;
      // Rendering may take a few percent of the time, not more.
      const took = performance.now() - begun;
      if (!this.over) await new Promise((go) => setTimeout(go, Math.max(pause, took * 8)));
    }
  }

  #apply(rendered, rest) {
    for (const block of rendered.closed) {
      this.#show(block.html);
      this.heard?.(this.open, true);
      this.closed += block.length;
      this.open = null;
    }
    if (rendered.open) {
      this.#show(rendered.open);
      this.heard?.(this.open, false);
    } else if (this.open && this.over) {
      this.open.remove();
      this.open = null;
    }
  }

  #show(html) {
    if (!this.open) {
      this.open = document.createElement("div");
      this.open.className = "block";
      this.host.append(this.open);
    }
    this.open.classList.remove("plain");
    morph(this.open, fragment(html));
  }

  // plain shows text as it is, where the server does not answer.
  #plain(rest) {
    if (!rest) return;
    if (!this.open) {
      this.open = document.createElement("div");
      this.host.append(this.open);
    }
    this.open.className = "block plain";
    this.open.textContent = rest;
  }
}
