// Text files that go along with a message: dropped, pasted or chosen.

import { $, el, toast } from "./dom.js";

const most = 512 << 10; // bytes of a file: a model's context holds less
let list = [];

export const files = () => list;

export function put(file) {
  list = [...list, file];
  show();
}

export function forget() {
  list = [];
  show();
}

function show() {
  $("files").replaceChildren(...list.map((f) => el("span", { class: "chip", role: "listitem" }, el("span", { dir: "auto" }, f.name),
    el("span", { class: "muted" }, size(f.text.length)),
    el("button", { class: "quiet", type: "button", "aria-label": `Remove ${f.name}`, onclick: () => { list = list.filter((x) => x !== f); show(); $("text").focus(); } }, "✕"))));
}

const size = (n) => (n < 1024 ? `${n} B` : `${(n / 1024).toFixed(n < 10240 ? 1 : 0)} KB`);

async function take(all) {
  for (const file of all) {
    if (file.size > most) {
      toast(`${file.name} is larger than ${size(most)}`);
      continue;
    }
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      if (text.includes("\0")) throw new Error();
      put({ name: file.name.slice(0, 200), text });
    } catch {
      toast(`${file.name} is no text file`);
    }
  }
  $("text").focus();
}

export function start() {
  $("attach").addEventListener("click", () => $("attach-file").click());
  $("attach-file").addEventListener("change", () => {
    take([...$("attach-file").files]);
    $("attach-file").value = "";
  });
  const has = (e) => [...(e.dataTransfer?.types || [])].includes("Files");
  addEventListener("dragover", (e) => {
    if (!has(e)) return;
    e.preventDefault();
    $("drop").hidden = $("chat").hidden;
  });
  addEventListener("dragleave", (e) => { if (!e.relatedTarget) $("drop").hidden = true; });
  addEventListener("drop", (e) => {
    $("drop").hidden = true;
    if (!has(e)) return;
    e.preventDefault();
    if (!$("chat").hidden) take([...e.dataTransfer.files]);
  });
  $("text").addEventListener("paste", (e) => {
    const pasted = [...(e.clipboardData?.files || [])];
    if (!pasted.length) return;
    e.preventDefault();
    take(pasted);
  });
}
