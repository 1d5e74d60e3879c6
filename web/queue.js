// The queue: what waits for a decision, the oldest first. New questions are appended and answered
// ones stay where they are, greyed, as long as the pointer or the focus is in the list: nothing moves
// away from under a hand that is about to answer.

import { get } from "./api.js";
import { coalesced } from "./coalesce.js";
import { anyDialogOpen } from "./dialog.js";
import { h, setHidden, setText } from "./dom.js";
import { Entry } from "./entry.js";
import { plain, shown } from "./text.js";

const PAGE = 100;
const FETCH_GAP = 100; // ms between fetches of a queue that does not stop to change
const KEEP_ENDED = 4000; // ms that an answered question stays at least
const OUTCOMES_MAX = 500;

export class Queue {
  #entries = new Map(); // id → Entry, as long as it is shown
  #digests = new Map(); // rule → {element, summary, list}
  #outcomes = new Map(); // id of a question or request → record
  #wanted = PAGE;
  #round = 0; // fetches begun
  #connected = false;
  #first = true;
  #hovered = false;

  // `page`: {role, name, announce(words), counted(number), failed(error)}
  constructor(page) {
    this.page = page;
    this.list = h("div", { class: "entries" });
    this.quiet = h("div", { class: "digests" });
    this.empty = h("p", { class: "empty" }, "Nothing waits for you.");
    this.more = h("button", {
      type: "button", class: "more", hidden: true, onclick: () => {
        this.#wanted += PAGE;
        this.refresh();
      },
    });
    this.title = h("h2", { id: "queue-title", tabindex: "-1" }, "Queue");
    this.element = h("section", { class: "queue", id: "queue", "aria-labelledby": "queue-title" },
      h("div", { class: "section-head" }, this.title, h("p", { class: "keys" },
        h("kbd", {}, "j"), " ", h("kbd", {}, "k"), " move",
        page.role === "viewer" ? null : [" · ", h("kbd", {}, "a"), " approve · ", h("kbd", {}, "r"),
          " remember · ", h("kbd", {}, "d"), " deny"])),
      this.empty, this.list, this.quiet, this.more);
    this.views = new IntersectionObserver((seen) => {
      for (const one of seen) this.#entryAt(one.target)?.see(one.intersectionRatio >= 0.5);
    }, { threshold: 0.5, rootMargin: "-60px 0px 0px 0px" }); // the page's head covers what is there
    this.sizes = new ResizeObserver(() => this.#checkPlaces());
    this.element.addEventListener("pointerenter", () => { this.#hovered = true; });
    this.element.addEventListener("pointerleave", () => { this.#hovered = false; });
    this.onKey = (event) => this.#key(event);
    this.ticking = 0;
  }

  start() {
    this.sizes.observe(document.body);
    this.sizes.observe(this.list);
    document.addEventListener("keydown", this.onKey);
    this.ticking = setInterval(() => this.#tick(), 1000);
  }

  stop() {
    this.sizes.disconnect();
    this.views.disconnect();
    document.removeEventListener("keydown", this.onKey);
    clearInterval(this.ticking);
  }

  // Entry's desk.
  get role() {
    return this.page.role;
  }

  get name() {
    return this.page.name;
  }

  connected() {
    return this.#connected;
  }

  setConnected(connected) {
    if (this.#connected === connected) return;
    this.#connected = connected;
    this.element.classList.toggle("stale", !connected);
    for (const entry of this.#entries.values()) entry.refresh();
  }

  decided(entry, verb, answer) {
    if (verb === "deny") {
      entry.end("Denied by you.", "denied");
    } else if (answer.decision === "counted") {
      this.page.announce(`${entry.id}: your approval counts; more are needed`);
    } else {
      entry.end(answer.ran === 0
        ? "Approved by you. Nobody waited: the same command gets this answer when it is run again."
        : "Approved by you.", "approved");
      if (answer.grant) {
        entry.outcome.append(` Remembered as ${answer.grant.id}: `,
          shown(answer.grant.covers, { fold: "cut" }));
      }
    }
    if (entry.ended) entry.endedRound = this.#round;
    this.refresh();
    this.#count();
  }

  // A record of the journal: who answered what, and that the queue is another one now.
  record(record) {
    if (!["asked", "decided", "expired", "cancelled", "killed", "drift", "refused"]
      .includes(record.event)) return;
    for (const id of [record.approval, record.request]) {
      if (id && record.event !== "asked") this.#outcomes.set(id, record);
    }
    for (const id of this.#outcomes.keys()) {
      if (this.#outcomes.size <= OUTCOMES_MAX) break;
      this.#outcomes.delete(id);
    }
    this.refresh();
  }

  // Fetches the queue. True: what stands there is what the warden said just now.
  refresh = coalesced(() => this.#fetch(), FETCH_GAP);

  async #fetch() {
    this.#round += 1;
    const round = this.#round;
    try {
      this.#apply(await this.#pages(), round);
      return true;
    } catch (error) {
      this.page.failed(error);
      return false;
    }
  }

  async #pages() {
    const pending = [];
    let total = 0;
    let next = null;
    do {
      const limit = Math.min(this.#wanted - pending.length, 1000);
      const after = next ? `&after=${encodeURIComponent(next)}` : "";
      let answer;
      try {
        answer = await get(`/api/queue?limit=${limit}${after}`);
      } catch (error) {
        if (next && error.status === 404) break; // it has ended and is forgotten meanwhile
        throw error;
      }
      pending.push(...answer.pending);
      ({ next } = answer);
      total = answer.total ?? pending.length;
    } while (next && pending.length < this.#wanted);
    return { pending, total };
  }

  #apply({ pending, total }, round) {
    const waiting = new Set();
    const fresh = [];
    for (const data of pending) {
      waiting.add(data.id);
      const entry = this.#entries.get(data.id);
      if (entry?.ended && entry.endedRound >= round) continue; // this answer is older than the end
      if (entry && !entry.ended && entry.update(data)) continue;
      fresh.push(this.#show(data, entry));
    }
    // Of what comes after the pages that were fetched nothing is known.
    const last = total > pending.length ? pending.at(-1)?.asked_at : null;
    for (const [id, entry] of this.#entries) {
      const beyond = last && entry.data.asked_at >= last;
      if (!waiting.has(id) && !entry.ended && !beyond) this.#end(entry, round);
    }
    setHidden(this.more, total <= pending.length);
    setText(this.more, `${(total - pending.length).toLocaleString("en")} more wait: show the next ${PAGE}`);
    this.total = total;
    this.#count();
    this.#checkPlaces();
    this.#announce(fresh.filter((entry) => !entry.data.quiet));
    this.#first = false;
  }

  #show(data, before) {
    const entry = new Entry(data, this);
    this.#entries.set(data.id, entry);
    if (before) {
      this.views.unobserve(before.beginning);
      before.element.replaceWith(entry.element);
    } else if (data.quiet) {
      this.#digest(data).list.append(entry.element);
    } else {
      this.list.append(entry.element);
    }
    this.views.observe(entry.beginning);
    return entry;
  }

  #digest(data) {
    const key = String(data.rule);
    let digest = this.#digests.get(key);
    if (!digest) {
      const summary = h("summary", {});
      const list = h("div", { class: "entries" });
      const element = h("details", { class: "group", ontoggle: () => this.#checkPlaces() },
        summary, list);
      digest = { element, summary, list, rule: data.rule };
      this.#digests.set(key, digest);
      this.quiet.append(element);
    }
    return digest;
  }

  #end(entry, round) {
    const record = this.#outcomes.get(entry.id) ?? this.#outcomes.get(entry.data.request);
    entry.endedRound = round;
    if (!record) {
      entry.end("This question does not wait any more.", "gone");
    } else if (record.event === "decided") {
      const approved = ["approved", "granted", "counted", "allow"].includes(record.verdict);
      entry.end(h("span", {}, record.verdict === "granted"
        ? `Covered by the grant ${plain(record.grant ?? "", 40)} of ` : approved ? "Approved by "
          : "Denied by ",
      shown(record.approver || "somebody"), record.via ? ` (${plain(record.via, 40)})` : "", "."),
      approved ? "approved" : "denied");
    } else {
      const words = {
        expired: "Nobody answered in time.",
        cancelled: "The agent has withdrawn this.",
        killed: "Ended by the kill switch.",
        drift: "What was asked about has changed: it was refused.",
        refused: "It could not be run.",
      };
      entry.end(words[record.event] ?? "This question does not wait any more.", "gone");
    }
  }

  #waiting() {
    return [...this.#entries.values()].filter((entry) => !entry.ended);
  }

  #count() {
    const waiting = this.#waiting();
    const quiet = waiting.filter((entry) => entry.data.quiet).length;
    const hidden = Math.max(0, (this.total ?? 0) - waiting.length);
    const loud = waiting.length - quiet + (this.more.hidden ? 0 : hidden);
    setHidden(this.empty, waiting.length > 0 || this.list.childElementCount > 0);
    setText(this.title, loud > 0 ? `Queue (${loud.toLocaleString("en")})` : "Queue");
    for (const digest of this.#digests.values()) {
      const mine = waiting.filter((entry) => entry.data.quiet
        && String(entry.data.rule) === String(digest.rule)).length;
      digest.summary.replaceChildren(
        `${mine} quiet ${mine === 1 ? "question" : "questions"} of the rule `,
        h("b", {}, shown(digest.rule)));
      setHidden(digest.element, digest.list.childElementCount === 0);
    }
    this.page.counted(loud);
  }

  #announce(entries) {
    if (this.#first || entries.length === 0) return;
    const last = entries[entries.length - 1].data;
    this.page.announce(entries.length === 1
      ? `New question from ${plain(last.jail, 40)}: ${plain(last.display ?? last.command)}`
      : `${entries.length} new questions`);
  }

  #entryAt(target) {
    const element = target?.closest?.(".entry");
    const entry = element && this.#entries.get(element.dataset.id);
    return entry?.element === element ? entry : undefined;
  }

  #checkPlaces() {
    for (const entry of this.#entries.values()) if (!entry.ended) entry.checkPlace();
  }

  #tick() {
    const now = performance.now();
    const busy = this.#hovered || this.element.contains(document.activeElement) || anyDialogOpen();
    let removed = false;
    for (const [id, entry] of this.#entries) {
      entry.tick();
      if (!entry.ended || busy || now - entry.endedAt < KEEP_ENDED) continue;
      this.views.unobserve(entry.beginning);
      entry.element.remove();
      this.#entries.delete(id);
      removed = true;
    }
    if (removed) {
      this.#count();
      this.#checkPlaces();
    }
  }

  // Keys: j and k move between questions; a, r and d answer the one that has the focus.
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || anyDialogOpen()) return;
    if (event.target.closest?.("input, select, textarea")) return;
    if (event.key === "j" || event.key === "k") {
      this.#move(event.key === "j" ? 1 : -1);
      event.preventDefault();
      return;
    }
    const entry = this.#entryAt(document.activeElement);
    if (!entry || event.repeat || this.page.role === "viewer") return;
    if (event.key === "a") entry.approveOnce();
    else if (event.key === "r") entry.openRemember();
    else if (event.key === "d") entry.openDeny();
    else return;
    event.preventDefault(); // the letter must not end up in the dialog's field
  }

  #move(step) {
    const here = this.#entryAt(document.activeElement);
    const elements = [...this.element.querySelectorAll(".entry")].filter((element) =>
      element === here?.element
      || (element.checkVisibility() && !element.classList.contains("entry-ended")));
    if (elements.length === 0) return;
    const at = here ? elements.indexOf(here.element) : -1;
    const next = at < 0 ? (step > 0 ? 0 : elements.length - 1) : at + step;
    elements[Math.min(Math.max(next, 0), elements.length - 1)].focus();
  }
}
