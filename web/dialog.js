// Dialogs that ask before something happens. What a dialog is about may change or end while it is
// open: `possible` is asked again then, and says in words why it is too late.

import { freshId, h, setHidden, setText } from "./dom.js";

export const SETTLE = 300; // ms that something must have been in view before it can be answered

const openDialogs = new Set();

// Call when anything changed that a dialog may depend on.
export function recheckDialogs() {
  for (const recheck of openDialogs) recheck();
}

export function anyDialogOpen() {
  return openDialogs.size > 0;
}

export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}

// {title, content: [nodes], confirm: "words", danger, possible() → why not, or null,
// run() → promise; what it throws is shown and the dialog stays}
export function openDialog({ title, content, confirm, danger = false, possible, run }) {
  const titleId = freshId("dialog");
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const yes = h("button", { type: "submit", class: danger ? "danger" : "primary" }, confirm);
  const no = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  let busy = false;
  let settled = false;
  let failed = "";

  const form = h("form", { class: "dialog-form", novalidate: true },
    h("h2", { id: titleId }, title),
    h("div", { class: "dialog-content" }, ...content),
    trouble,
    h("div", { class: "dialog-buttons" }, no, yes));
  const dialog = h("dialog", { "aria-labelledby": titleId }, form);

  const recheck = () => {
    const why = possible?.() ?? null;
    setText(trouble, why ?? failed);
    setHidden(trouble, !trouble.textContent);
    yes.setAttribute("aria-disabled", String(Boolean(why) || busy || !settled));
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (yes.getAttribute("aria-disabled") === "true") return;
    busy = true;
    failed = "";
    recheck();
    try {
      await run();
      dialog.close();
    } catch (error) {
      failed = `Not done: ${error.message}.`;
    }
    busy = false;
    recheck();
  });
  dialog.addEventListener("close", () => {
    openDialogs.delete(recheck);
    dialog.remove();
  });

  document.body.append(dialog);
  openDialogs.add(recheck);
  recheck();
  dialog.showModal();
  setTimeout(() => {
    settled = true;
    recheck();
  }, SETTLE);
  return dialog;
}
