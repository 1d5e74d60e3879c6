// Approvals that are remembered: what each covers, in the words it was given with, and an end to it.

import { get, remove } from "./api.js";
import { coalesced } from "./coalesce.js";
import { h, setHidden, setText } from "./dom.js";
import { shown } from "./text.js";
import { day, duration } from "./time.js";

const FETCH_GAP = 500; // ms

export class Grants {
  #grants = [];
  #connected = false;

  // `page`: {role, announce(words)}
  constructor(page) {
    this.page = page;
    this.title = h("h2", { id: "grants-title" }, "Grants");
    this.list = h("ul", { class: "grants" });
    this.trouble = h("p", { class: "trouble", role: "alert", hidden: true });
    this.empty = h("p", { class: "empty" }, "Nothing is remembered: everything is asked anew.");
    this.element = h("section", { id: "grants", "aria-labelledby": "grants-title" },
      h("div", { class: "section-head" }, this.title), this.trouble, this.empty, this.list);
  }

  start() {
    this.ticking = setInterval(() => this.#tick(), 1000);
  }

  stop() {
    clearInterval(this.ticking);
  }

  setConnected(connected) {
    this.#connected = connected;
    for (const button of this.list.querySelectorAll("button")) {
      button.setAttribute("aria-disabled", String(!connected));
    }
  }

  refresh = coalesced(() => this.#fetch(), FETCH_GAP);

  async #fetch() {
    try {
      const { grants } = await get("/api/grants");
      this.#show(grants);
      if (this.trouble.textContent.startsWith("The grants")) this.#say("");
    } catch (error) {
      this.#say(`The grants cannot be shown: ${error.message}.`);
    }
  }

  #show(grants) {
    this.#grants = grants.map((grant) => ({ grant, row: this.#row(grant) }));
    const focused = document.activeElement?.dataset?.revoke;
    this.list.replaceChildren(...this.#grants.map(({ row }) => row));
    if (focused) {
      [...this.list.querySelectorAll("button")].find((button) => button.dataset.revoke === focused)
        ?.focus();
    }
    setHidden(this.empty, grants.length > 0);
    setText(this.title, grants.length ? `Grants (${grants.length})` : "Grants");
    this.#tick();
  }

  #row(grant) {
    const left = h("span", { class: "grant-left" });
    const row = h("li", { class: "grant", "data-id": grant.id },
      h("div", { class: "grant-head" }, h("code", { class: "id" }, grant.id),
        h("span", { class: "chip" }, grant.widened ? "wider" : "exact"),
        this.page.role === "viewer" ? null : h("button", {
          type: "button", class: "small", "data-revoke": grant.id, "aria-disabled": String(!this.#connected),
          "aria-label": `Revoke ${grant.id}`, onclick: () => this.#revoke(grant),
        }, "Revoke")),
      h("p", { class: "grant-covers" }, shown(grant.covers, { fold: "button" })),
      h("p", { class: "grant-by" }, "given by ", shown(grant.approver),
        ` ${day(grant.created_at)} · `, grant.used === 0 ? "not used yet"
          : `used ${grant.used === 1 ? "once" : `${grant.used} times`}`, " · ", left));
    row.left = left;
    return row;
  }

  #tick() {
    for (const { grant, row } of this.#grants) {
      const parts = [];
      if (grant.expires_at) parts.push(`${duration(Date.parse(grant.expires_at) - Date.now())} left`);
      if (grant.session) parts.push("until the session ends");
      setText(row.left, parts.join(", "));
    }
  }

  #say(words) {
    setText(this.trouble, words);
    setHidden(this.trouble, !words);
  }

  async #revoke(grant) {
    if (!this.#connected) return;
    this.#say("");
    try {
      await remove(`/api/grants/${encodeURIComponent(grant.id)}`);
      this.page.announce(`${grant.id} is revoked`);
    } catch (error) {
      this.#say(`${grant.id} was not revoked: ${error.message}.`);
    }
    await this.refresh();
  }
}
