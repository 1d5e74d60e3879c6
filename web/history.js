// What happened, newest first, one line a record.

import { get } from "./api.js";
import { h, setHidden, setText } from "./dom.js";
import { commandBoxes, plain, shown } from "./text.js";
import { clock, day, took } from "./time.js";

const KEPT = 200;
const DRAW = 100; // ms: a flood of records is drawn in portions

// The look of each kind of record: good, bad, ask, or plain.
const LOOKS = {
  asked: "ask", decided: "good", denied: "bad", expired: "bad", killed: "bad", paused: "ask",
  resumed: "good", drift: "bad",
  refused: "bad", late: "bad", recovery: "bad",
};

function because(record) {
  const parts = [];
  if (record.rule) parts.push("rule ", h("b", {}, shown(record.rule)));
  if (record.reason) parts.push(parts.length ? ": " : "", shown(record.reason));
  return parts.length ? [" (", ...parts, ")"] : [];
}

function by(record) {
  if (!record.approver) return [];
  return [" by ", h("b", {}, shown(record.approver)),
    record.via ? ` (${plain(record.via, 40)})` : ""];
}

const DECISIONS = {
  approved: "approved", allow: "approved", granted: "allowed", counted: "approved by one of several,",
};

function underGrant(record) {
  return record.verdict === "granted"
    ? [" under grant ", h("code", {}, plain(record.grant ?? "", 40))] : [];
}

function ending(record) {
  const how = record.signal ? `ended by signal ${record.signal}`
    : `ended with ${record.exit_code ?? "an unknown code"}`;
  return [`${record.timeout_violation ? "timed out and was " : ""}${how}`,
    record.duration_ms === undefined ? "" : ` after ${took(record.duration_ms)}`,
    record.leftovers ? `; ${record.leftovers} left-over processes were ended` : ""];
}

// The kill switch; a record that names neither jail nor container is about everything.
function thrown(word, record) {
  const what = record.request || record.jail || record.container ? "" : " everything";
  return [[word, what, ...by(record)], record.reason ? [" (", shown(record.reason), ")"] : []];
}

// {event: record → [words before the command, words after it]}
const SENTENCES = {
  received: () => [["received"], []],
  judged: (record) => [[{ allow: "allowed", deny: "denied", ask: "to be asked", granted: "allowed" }[
    record.verdict] ?? "judged", ...underGrant(record)], because(record)],
  asked: (record) => [["asked"], because(record)],
  decided: (record) => [[DECISIONS[record.verdict] ?? "denied", ...underGrant(record), ...by(record)],
    record.reason ? ["because: ", shown(record.reason)] : []],
  started: (record) => [["started"], record.executor ? [` (${plain(record.executor, 40)})`] : []],
  ended: (record) => [ending(record), record.reason ? [" (", shown(record.reason), ")"] : []],
  denied: (record) => [["denied"], because(record)],
  expired: () => [["nobody answered in time"], []],
  cancelled: (record) => [["cancelled"], record.reason ? [" (", shown(record.reason), ")"] : []],
  killed: (record) => thrown("killed", record),
  paused: (record) => thrown("paused", record),
  resumed: (record) => thrown("resumed", record),
  drift: (record) => [["changed after it was approved: refused"],
    record.reason ? [" (", shown(record.reason), ")"] : []],
  refused: (record) => [["refused"], because(record)],
  late: (record) => [["decided too late, or twice", ...by(record)], []],
  login: (record) => [["login", ...by(record)], []],
  config: (record) => [["configuration", ...by(record)], []],
  grant: (record) => [["grant ", h("code", {}, plain(record.grant ?? "", 40)), " ",
    plain(record.verdict ?? "", 40), ...by(record)],
  record.reason ? ["(", shown(record.reason), ")"] : []],
  container: () => [["a container"], []],
  start: () => [["the warden started"], []],
  stop: () => [["the warden stopped"], []],
  recovery: () => [["recovery"], []],
};

function line(record) {
  const sentence = SENTENCES[record.event] ?? (() => [[plain(record.event ?? "record", 40)], []]);
  const [before, after] = sentence(record);
  const look = record.event === "decided" && !(record.verdict in DECISIONS) ? "bad"
    : record.event === "judged" && record.verdict === "deny" ? "bad"
      : LOOKS[record.event] ?? "plain";
  const hasCommand = Array.isArray(record.argv) && record.argv.length > 0;
  return h("li", { class: `record look-${look}`, "data-event": record.event, "data-seq": record.seq },
    h("time", { datetime: record.ts, title: day(record.ts) }, clock(record.ts)),
    h("span", { class: "record-jail" }, record.jail ? shown(record.jail) : ""),
    h("div", { class: "record-words" },
      h("span", { class: "record-what" }, ...before, record.message && !hasCommand ? ":" : ""),
      hasCommand ? commandBoxes(record.argv, record.argv_more ?? 0, "cut") : null,
      after.length ? h("span", {}, ...after, record.message ? ":" : "") : null,
      record.message ? h("span", {}, shown(record.message)) : null,
      record.late === true ? h("b", {}, " (was to be recorded and did not take place)") : null));
}

export class History {
  #seqs = new Set(); // of what is shown
  #waiting = []; // records to be drawn
  #timer = 0;
  #loading = false;
  last = 0; // the newest record's seq

  constructor() {
    this.list = h("ol", { class: "records", "aria-labelledby": "history-title", tabindex: "0" });
    this.trouble = h("p", { class: "trouble", hidden: true });
    this.empty = h("p", { class: "empty" }, "Nothing has happened yet.");
    this.element = h("section", { class: "history", id: "history", "aria-labelledby": "history-title" },
      h("div", { class: "section-head" }, h("h2", { id: "history-title" }, "History")),
      this.trouble, this.empty, this.list);
  }

  // Fetches the last records. They replace what is shown: the journal may be another one.
  async load() {
    this.#loading = true;
    try {
      const { records } = await get(`/api/history?limit=${KEPT}`);
      this.#seqs = new Set(records.map((record) => record.seq));
      this.last = records.reduce((most, record) => Math.max(most, record.seq), 0);
      this.list.replaceChildren(...records.map(line));
      setHidden(this.trouble, true);
    } catch (error) {
      setText(this.trouble, `The history cannot be shown: ${error.message}.`);
      setHidden(this.trouble, false);
    }
    setHidden(this.empty, this.list.childElementCount > 0);
    this.#loading = false;
    if (this.#waiting.length > 0) this.#draw();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  add(record) {
    this.#waiting.push(record);
    if (this.#waiting.length > KEPT) this.#waiting.shift();
    if (!this.#timer) this.#timer = setTimeout(() => this.#draw(), DRAW);
  }

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.#loading) return; // it will be done then
    for (const record of this.#waiting) this.#insert(record);
    this.#waiting = [];
  }

  #insert(record) {
    if (this.#seqs.has(record.seq)) return;
    this.#seqs.add(record.seq);
    if (record.seq > this.last) {
      this.last = record.seq;
      this.list.prepend(line(record));
    } else { // came late: to its place
      const place = [...this.list.children].find((item) => Number(item.dataset.seq) < record.seq);
      this.list.insertBefore(line(record), place ?? null);
    }
    while (this.list.childElementCount > KEPT) {
      this.#seqs.delete(Number(this.list.lastElementChild.dataset.seq));
      this.list.lastElementChild.remove();
    }
    setHidden(this.empty, true);
  }
}
