// Another password for oneself.

import { post } from "./api.js";
import { openDialog } from "./dialog.js";
import { h } from "./dom.js";

function field(id, words, autocomplete) {
  const input = h("input", { id, type: "password", autocomplete, required: true, maxlength: "1024" });
  return { input, nodes: [h("label", { for: id }, words), input] };
}

// `leave(notice)` shows the login: all sessions of the user have ended.
export function askPassword(name, leave) {
  const now = field("password-now", "Current password", "current-password");
  const wanted = field("password-new", "New password (10 bytes or more)", "new-password");
  const again = field("password-again", "The new password again", "new-password");

  openDialog({
    title: "Another password",
    // Password managers want to know whose it is.
    content: [h("input", { type: "text", autocomplete: "username", value: name, readonly: true, hidden: true }),
      ...now.nodes, ...wanted.nodes, ...again.nodes],
    confirm: "Change it",
    run: async () => {
      if (wanted.input.value !== again.input.value) throw new Error("the new passwords are not the same");
      await post("/api/password", { password: now.input.value, new_password: wanted.input.value });
      leave("Your password was changed. Please log in with the new one.");
    },
  });
  now.input.focus();
}
