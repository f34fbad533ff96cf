// Elements without markup: whatever text goes in is text.

export const $ = (id) => document.getElementById(id);

// el makes an element. Properties that begin with "on" are listeners, the others
// attributes; children are nodes or texts.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

let toastTimer = 0;

// toast says something in passing.
export function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 2500);
}

// copy puts text on the clipboard, also on pages without TLS, where browsers have
// no clipboard API.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { class: "hidden", "aria-hidden": "true", tabindex: "-1" });
    area.value = text;
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) return toast("The browser does not let this page copy");
  }
  toast("Copied");
}

// confirmed asks before something is lost.
export function confirmed(title, text, action = "Delete") {
  const dialog = $("confirm");
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  dialog.querySelector(".danger").textContent = action;
  return answered(dialog).then((value) => value === "ok");
}

// asked asks for a line of text; null: cancelled.
export async function asked(title, value) {
  $("ask-name-title").textContent = title;
  $("name").value = value;
  const done = answered($("ask-name"));
  $("name").select();
  return (await done) === "ok" ? $("name").value.trim() : null;
}

function answered(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const closed = () => {
      if (dialog.open) return; // the event is of the time before
      dialog.removeEventListener("close", closed);
      resolve(dialog.returnValue);
    };
    dialog.addEventListener("close", closed);
  });
}

export const newID = () => crypto.getRandomValues(new Uint32Array(3)).reduce((s, n) => s + n.toString(36), "");
