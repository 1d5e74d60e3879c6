// Who is there?

import { post } from "./api.js";
import { h, setHidden, setText } from "./dom.js";

// Fills `place` with the login form; `notice` says why it is shown, `done(session)` goes on.
export function showLogin(place, notice, done) {
  const user = h("input", {
    id: "user", name: "username", type: "text", autocomplete: "username", required: true,
    autocapitalize: "none", spellcheck: "false", maxlength: "64",
  });
  const password = h("input", {
    id: "password", name: "password", type: "password", autocomplete: "current-password",
    required: true, maxlength: "1024",
  });
  const trouble = h("p", { class: "trouble", role: "alert", hidden: !notice }, notice ?? "");
  const button = h("button", { type: "submit", class: "primary" }, "Log in");
  const form = h("form", { class: "login", novalidate: true },
    h("img", { src: "/icon.svg", alt: "", width: "48", height: "48" }),
    h("h1", {}, "Clawrden"),
    h("label", { for: "user" }, "User"), user,
    h("label", { for: "password" }, "Password"), password,
    trouble, button);
  const say = (words) => {
    setText(trouble, words);
    setHidden(trouble, !words);
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    if (!user.value || !password.value) {
      say("Please give a user and a password.");
      (user.value ? password : user).focus();
      return;
    }
    button.disabled = true;
    say("");
    try {
      done(await post("/api/login", { user: user.value, password: password.value }));
      return;
    } catch (error) {
      if (error.status === 401) say("The user or the password is wrong.");
      else {
        const later = error.retryAfter > 0 ? ` Try again in ${error.retryAfter} s.` : "";
        say(`Not logged in: ${error.message}.${later}`);
      }
    }
    button.disabled = false;
    password.value = "";
    password.focus();
  });

  place.replaceChildren(h("main", { class: "login-page" }, form));
  document.title = "Log in · Clawrden";
  user.focus();
}
