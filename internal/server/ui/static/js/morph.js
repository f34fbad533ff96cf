// Makes the children of an element those of a fragment and touches only what is
// different: text that has grown is appended to, so that a selection and whatever
// reads the page aloud keep their place.

const rendered = "trustedTypes" in self
  ? trustedTypes.createPolicy("rendered", { createHTML: (html) => html })
  : { createHTML: (html) => html };

// fragment makes nodes of HTML that the server has sanitised. This is the only place
// where the page turns a text into markup.
export function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = rendered.createHTML(html);
  return template.content;
}

export function morph(old, fresh) {
  let a = old.firstChild;
  for (let b = fresh.firstChild; b; ) {
    const next = b.nextSibling;
    if (!a) old.append(b);
    else if (a.nodeName !== b.nodeName) {
      const after = a.nextSibling;
      old.replaceChild(b, a);
      a = after;
    } else {
      if (a.nodeType === Node.TEXT_NODE) grow(a, b.data);
      else {
        attributes(a, b);
        morph(a, b);
      }
      a = a.nextSibling;
    }
    b = next;
  }
  while (a) {
    const after = a.nextSibling;
    a.remove();
    a = after;
  }
}

function grow(text, data) {
  if (text.data === data) return;
  let same = 0;
  while (same < text.data.length && text.data[same] === data[same]) same++;
  if (same === text.data.length) text.appendData(data.slice(same));
  else text.replaceData(same, text.data.length - same, data.slice(same));
}

function attributes(a, b) {
  for (const { name, value } of b.attributes) if (a.getAttribute(name) !== value) a.setAttribute(name, value);
  for (const { name } of [...a.attributes]) if (!b.hasAttribute(name)) a.removeAttribute(name);
}
