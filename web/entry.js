// One question of the queue. Its buttons answer this question and no other: they work only after the
// command has been in view for a moment, in the place where it is now, while the connection stands.

import { post } from "./api.js";
import { openDialog, recheckDialogs, SETTLE } from "./dialog.js";
import { freshId, h, setHidden, setText } from "./dom.js";
import { commandBoxes, plain, shown } from "./text.js";
import { day, duration } from "./time.js";

const HURRY = 60000; // ms before the end when the countdown stands out

// What an approval binds and a person read: when it differs, it is another question.
function identity(data) {
  const { argv, argv_more: more, jail, container, uid, gid, cwd, exe, exe_digest: exeDigest, script,
    script_digest: scriptDigest, rule, reason, notes, grant } = data;
  return JSON.stringify([argv, more, jail, container, uid, gid, cwd, exe, exeDigest, script,
    scriptDigest, rule, reason, notes, grant]);
}

function fact(name, ...values) {
  return h("div", { class: "fact" }, h("dt", {}, name), h("dd", {}, ...values));
}

function digest(hex) {
  return hex ? h("code", { class: "digest", title: `BLAKE2b-256 ${hex}` }, `${hex.slice(0, 16)}…`)
    : null;
}

export class Entry {
  #busy = false;
  #seen = false; // the command has been in view for a moment
  #still = false; // the buttons have been where they are for a moment
  #seeing = 0;
  #settling = 0;
  #place = "";

  // `desk`: {role, name, connected(), decided(entry, verb, answer), refresh()}
  constructor(data, desk) {
    this.desk = desk;
    this.ended = false;
    this.#build(data);
    this.update(data);
  }

  #build(data) {
    this.id = data.id;
    this.identity = identity(data);
    const name = freshId("question");
    this.countdown = h("span", { class: "countdown" });
    this.waiters = h("span", { class: "chip", hidden: true });
    this.votes = h("span", { class: "chip chip-votes", hidden: true });
    const boxes = commandBoxes(data.argv, data.argv_more ?? 0);
    this.beginning = boxes.querySelector(".arg") ?? boxes; // what must have been in view
    this.command = h("div", { class: "command" }, boxes,
      data.argv_more ? h("p", { class: "display" }, "in short: ", shown(data.display)) : null);
    this.outcome = h("p", { class: "outcome", role: "status", hidden: true });
    this.trouble = h("p", { class: "trouble", role: "alert", hidden: true });
    this.why = h("p", { class: "why", id: freshId("why"), hidden: true });
    this.actions = this.desk.role === "viewer" ? null : this.#buttons(data);
    this.element = h("article", {
      class: "entry", tabindex: "0", "data-id": data.id, "aria-labelledby": name,
    },
    h("header", { class: "entry-head" },
      h("h3", { id: name }, h("code", { class: "id" }, data.id),
        h("span", { class: "hidden-words" }, `: ${plain(data.display ?? data.command)}`)),
      h("span", { class: "where" }, "jail ", h("b", {}, shown(data.jail)),
        ` · uid ${data.uid}`, data.container ? [" · container ", shown(data.container)] : null),
      this.votes, this.waiters, this.countdown),
    this.command,
    h("p", { class: "rule" }, h("span", { class: "rule-name" }, shown(data.rule || "no rule")),
      data.reason ? [h("span", { class: "rule-colon" }, ": "), shown(data.reason)] : null),
    this.#notes(data),
    h("dl", { class: "facts" },
      fact("in", shown(data.cwd)),
      fact("runs", shown(data.exe), " ", digest(data.exe_digest)),
      data.script ? fact("script", shown(data.script), " ", digest(data.script_digest)) : null,
      fact("asked", h("time", { datetime: data.asked_at }, day(data.asked_at)),
        `, pid ${data.pid}, gid ${data.gid}`)),
    this.outcome, this.trouble, this.actions, this.why);
  }

  #notes(data) {
    const notes = Array.isArray(data.notes) ? data.notes : [];
    if (notes.length === 0) return null;
    return h("ul", { class: "notes", "aria-label": "what an approval does not bind" },
      ...notes.map((note) => h("li", {}, shown(note))));
  }

  #buttons(data) {
    const button = (label, kind, action, key) => h("button", {
      type: "button", class: kind, "aria-disabled": "true", "aria-describedby": this.why.id,
      "aria-keyshortcuts": key, "data-action": kind, onclick: action,
    }, label);
    const grant = data.grant ?? {};
    this.approve = button("Approve", "approve", () => this.approveOnce(), "a");
    this.remember = button("Approve and remember…", "remember", () => this.openRemember(), "r");
    this.deny = button("Deny…", "deny", () => this.openDeny(), "d");
    this.grantable = Boolean(grant.exact || grant.widened);
    return h("div", { class: "actions" }, this.approve, this.remember, this.deny,
      this.grantable || !grant.why_not ? null
        : h("span", { class: "why-no-grant" }, "cannot be remembered: ", shown(grant.why_not)));
  }

  #among(words, names) {
    return Array.isArray(names) && names.length > 0
      ? [` · ${words}: ${names.map((name) => plain(name, 40)).join(", ")}`] : [];
  }

  // What changes while a question waits. False: this is not what was shown under this id.
  update(data) {
    if (identity(data) !== this.identity) return false;
    this.data = data;
    this.expires = performance.now() + Number(data.expires_in_ms ?? 0);
    const waiters = Number(data.waiters ?? 1);
    setText(this.waiters, waiters === 0 ? "nobody waits" : `×${waiters} waiting`);
    setHidden(this.waiters, waiters === 1);
    const needed = Number(data.needed ?? 1);
    const by = Array.isArray(data.approved_by) ? data.approved_by : [];
    setText(this.votes, `${by.length} of ${needed} approvals`
      + (by.length ? ` (${by.map((name) => plain(name, 40)).join(", ")})` : ""));
    setHidden(this.votes, needed <= 1);
    this.tick();
    this.refresh();
    return true;
  }

  tick() {
    if (this.ended) return;
    const left = this.expires - performance.now();
    setText(this.countdown, left > 0 ? `expires in ${duration(left)}` : "expires now");
    this.countdown.classList.toggle("hurry", left < HURRY);
  }

  // Whoever has approved may still deny, as long as others must approve too.
  #mayNot(denying) {
    if (this.data.may_decide !== false) return false;
    const mine = (name) => name.split(" (uid ")[0] === this.desk.name;
    return !(denying && this.data.approved_by?.some(mine));
  }

  // Why this person cannot answer so, in words, or null.
  whyNot(denying = false) {
    if (this.ended) return "This question does not wait any more.";
    if (!this.desk.connected()) return "Not connected: what you see may be old.";
    if (this.#mayNot(denying)) return this.data.why_not || "You may not decide this.";
    return null;
  }

  ready(denying = false) {
    return this.whyNot(denying) === null && this.#seen && this.#still && !this.#busy;
  }

  refresh() {
    if (!this.actions) return;
    const forbidden = !this.ended && this.data.may_decide === false;
    for (const button of [this.approve, this.remember, this.deny]) {
      const denying = button === this.deny;
      button.disabled = this.#mayNot(denying) || this.ended
        || (button === this.remember && !this.grantable);
      button.setAttribute("aria-disabled", String(button.disabled || !this.ready(denying)));
    }
    this.why.replaceChildren(...(forbidden ? [shown(this.data.why_not || "you may not decide this"),
      ...this.#among("who may", this.data.approvers), ...this.#among("through", this.data.channels)]
      : []));
    setHidden(this.why, !forbidden);
    recheckDialogs();
  }

  // The command's beginning has come into view, or left it.
  see(inView) {
    clearTimeout(this.#seeing);
    if (!inView || this.#seen) return;
    this.#seeing = setTimeout(() => {
      this.#seen = true;
      this.refresh();
    }, SETTLE);
  }

  // Called after anything that may have moved entries: buttons that moved are not where the pointer
  // was aimed at.
  checkPlace() {
    const box = (this.actions ?? this.element).getBoundingClientRect();
    const place = `${Math.round(box.left + window.scrollX)},${Math.round(box.top + window.scrollY)}`;
    if (place === this.#place) return;
    this.#place = place;
    this.#still = false;
    this.refresh();
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      this.#still = true;
      this.refresh();
    }, SETTLE);
  }

  end(words, kind) {
    if (this.ended) return;
    this.ended = true;
    this.endedAt = performance.now();
    if (this.element.contains(document.activeElement)) this.element.focus({ preventScroll: true });
    this.element.classList.add("entry-ended", `entry-${kind}`);
    this.outcome.replaceChildren(words);
    setHidden(this.outcome, false);
    setText(this.countdown, "");
    setHidden(this.trouble, true);
    if (this.actions) setHidden(this.actions, true);
    setHidden(this.why, true);
    this.refresh();
  }

  async #decide(verb, body) {
    this.#busy = true;
    setHidden(this.trouble, true);
    this.refresh();
    try {
      const answer = await post(`/api/queue/${encodeURIComponent(this.id)}/${verb}`, body);
      this.desk.decided(this, verb, answer);
      return answer;
    } catch (error) {
      this.desk.refresh();
      throw error;
    } finally {
      this.#busy = false;
      this.refresh();
    }
  }

  async approveOnce() {
    if (!this.ready()) return;
    this.element.focus({ preventScroll: true });
    try {
      await this.#decide("approve", {});
    } catch (error) {
      setText(this.trouble, `Not approved: ${error.message}.`);
      setHidden(this.trouble, false);
    }
  }

  openDeny() {
    if (!this.ready(true)) return;
    const reason = h("input", {
      id: freshId("reason"), type: "text", maxlength: "500", autocomplete: "off", autofocus: true,
    });
    openDialog({
      title: `Deny ${this.id}?`,
      content: [commandBoxes(this.data.argv, this.data.argv_more ?? 0, "cut"),
        h("label", { for: reason.id }, "Reason, told to the agent (may be empty)"), reason],
      confirm: "Deny",
      danger: true,
      possible: () => this.whyNot(true),
      run: () => this.#decide("deny", reason.value.trim() ? { reason: reason.value.trim() } : {}),
    });
  }

  openRemember() {
    if (!this.ready() || !this.grantable) return;
    const grant = this.data.grant;
    const form = { what: freshId("what"), time: freshId("time") };
    const radio = (group, value, checked, disabled, ...words) => h("label", { class: "choice" },
      h("input", { type: "radio", name: group, value, checked, disabled }), h("span", {}, ...words));
    const what = h("fieldset", {}, h("legend", {}, "What will run without being asked again"),
      grant.exact ? radio(form.what, "exact", true, false, h("b", {}, "Exact: "),
        shown(grant.exact, { fold: "never" })) : null,
      grant.widened ? radio(form.what, "widened", !grant.exact, false, h("b", {}, "Wider: "),
        shown(grant.widened, { fold: "never" })) : null);
    const time = h("fieldset", {}, h("legend", {}, "For how long"),
      radio(form.time, "900000", true, false, "15 minutes"),
      radio(form.time, "3600000", false, false, "1 hour"),
      radio(form.time, "session", false, !grant.session, "until the agent's session ends",
        grant.session ? "" : " (its session is not known)"));
    const chosen = (group, name) => group.querySelector(`input[name="${name}"]:checked`)?.value;
    openDialog({
      title: `Approve ${this.id} and remember?`,
      content: [commandBoxes(this.data.argv, this.data.argv_more ?? 0, "cut"), what, time,
        h("p", { class: "hint" }, "You can revoke it at any time, under Grants.")],
      confirm: "Approve and remember",
      possible: () => this.whyNot(),
      run: () => {
        const until = chosen(time, form.time);
        const body = until === "session" ? { session: true } : { for_ms: Number(until) };
        if (chosen(what, form.what) === "widened") body.widened = true;
        return this.#decide("approve", body);
      },
    });
  }
}
