// Elements without markup: text is only ever text, so nothing that a prisoner wrote can become
// markup, an attribute that runs, or an address.

// h("button", {class: "quiet", onclick: f, "aria-label": "…"}, "text", node, …)
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Changes an element only when there is a change: what stays as it is keeps focus and selection.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

let serial = 0;

// An id that is used once, to tie a label or a description to its element.
export function freshId(what) {
  serial += 1;
  return `${what}-${serial}`;
}
