// Reads an answer to screen readers, a sentence at a time, when it is complete. The
// visible answer is no live region: it would be read again with each change.

import { $ } from "./dom.js";

const sentences = "Segmenter" in Intl ? new Intl.Segmenter(undefined, { granularity: "sentence" }) : null;
const kept = 40; // what was read is of no further use

function split(text) {
  return sentences ? [...sentences.segment(text)].map((s) => s.segment) : text.split(/(?<=[.!?。！？]\s)/);
}

export function say(text) {
  const spoken = text.replace(/\s+/g, " ").trim();
  if (!spoken) return;
  const p = document.createElement("p");
  p.textContent = spoken;
  $("announcer").append(p);
  while ($("announcer").childElementCount > kept) $("announcer").firstElementChild.remove();
}

// Announcer follows one answer.
export class Announcer {
  said = 0; // sentences of the open block

  // heard is called with a block that was rendered.
  heard(block, closed) {
    if (block.querySelector(".code")) {
      if (closed) say(code(block));
      if (closed) this.said = 0;
      return;
    }
    const all = split(block.innerText.trim());
    const ready = closed ? all.length : Math.max(0, all.length - 1);
    say(all.slice(this.said, ready).join(""));
    this.said = closed ? 0 : Math.max(this.said, ready);
  }
}

// code reads what is around code, and of the code how long it is.
function code(block) {
  const copy = block.cloneNode(true);
  for (const c of copy.querySelectorAll(".code")) {
    const lines = c.querySelector("pre").textContent.trimEnd().split("\n").length;
    c.replaceWith(` Code${c.querySelector(".lang").textContent ? " in " + c.querySelector(".lang").textContent : ""}, ${lines} ${lines === 1 ? "line" : "lines"}. `);
  }
  return copy.textContent;
}
