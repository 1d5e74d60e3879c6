// What happens, as it happens: server-sent events with a place to go on from, and a question to the
// warden now and then, because a connection can die without a word.

import { ApiError, get } from "./api.js";
import { coalesced } from "./coalesce.js";

// The journal's events (docs/journal.md); an EventSource must be told each name.
export const EVENTS = [
  "received", "judged", "asked", "decided", "started", "ended", "denied", "expired", "cancelled",
  "killed", "paused", "resumed", "drift", "refused", "late", "grant", "login", "config", "container", "start",
  "stop", "recovery",
];

const ASK_EVERY = 5000; // ms
const ASK_GAP = 500;
const RETRY_FIRST = 500;
const RETRY_LAST = 5000;

// Dispatches "record" (detail: the record), "open" (the stream is there, perhaps again), "status"
// (detail: the warden's answer) and "lost" (detail: why, in words).
export class Live extends EventTarget {
  #source = null;
  #seq = 0;
  #retry = RETRY_FIRST;
  #timers = new Set();
  #running = false;

  start(seq) {
    this.#seq = seq;
    this.#running = true;
    this.#connect();
    this.#askSoon(ASK_EVERY);
    window.addEventListener("offline", this.#offline);
    window.addEventListener("online", this.#online);
  }

  stop() {
    this.#running = false;
    this.#source?.close();
    this.#source = null;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    window.removeEventListener("offline", this.#offline);
    window.removeEventListener("online", this.#online);
  }

  get open() {
    return this.#source?.readyState === EventSource.OPEN;
  }

  #after(ms, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#running) action();
    }, ms);
    this.#timers.add(timer);
  }

  #tell(type, detail) {
    if (this.#running) this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #connect() {
    this.#source?.close();
    const source = new EventSource(this.#seq > 0 ? `/api/events?last_event_id=${this.#seq}`
      : "/api/events");
    this.#source = source;
    source.onopen = () => {
      this.#retry = RETRY_FIRST;
      this.#tell("open");
    };
    source.onerror = () => this.#lost("the connection to the warden is lost");
    for (const name of ["message", ...EVENTS]) {
      source.addEventListener(name, (event) => this.#record(event));
    }
  }

  #record(event) {
    const seq = Number(event.lastEventId);
    if (Number.isSafeInteger(seq) && seq > this.#seq) this.#seq = seq;
    let record;
    try {
      record = JSON.parse(event.data);
    } catch {
      return; // not a record
    }
    if (record && typeof record === "object") this.#tell("record", record);
  }

  #lost(why) {
    if (!this.#source) return;
    this.#source.close();
    this.#source = null;
    this.#tell("lost", why);
    this.#after(this.#retry, () => this.#again());
    this.#retry = Math.min(this.#retry * 2, RETRY_LAST);
  }

  // Something else has noticed that the connection is not what it should be.
  reconnect(why) {
    if (this.#running) this.#lost(why);
  }

  // A stream that is refused does not say why; an ordinary call does.
  async #again() {
    try {
      await get("/api/session");
      if (this.#running) this.#connect();
    } catch (error) {
      if (!this.#running) return;
      this.#tell("lost", error instanceof ApiError ? error.message : "something went wrong");
      this.#after(this.#retry, () => this.#again());
      this.#retry = Math.min(this.#retry * 2, RETRY_LAST);
    }
  }

  #askSoon(ms) {
    this.#after(ms, async () => {
      await this.ask();
      if (this.#running) this.#askSoon(ASK_EVERY);
    });
  }

  // Asks for the status now.
  ask = coalesced(() => this.#ask(), ASK_GAP);

  async #ask() {
    try {
      this.#tell("status", await get("/api/status"));
    } catch (error) {
      if (error.status === 401) return;
      if (this.#source) this.#lost(error.message);
      else this.#tell("lost", error.message);
    }
  }

  #offline = () => this.#lost("this computer is offline");

  #online = () => {
    if (!this.#source) {
      for (const timer of this.#timers) clearTimeout(timer);
      this.#timers.clear();
      this.#retry = RETRY_FIRST;
      this.#connect();
      this.#askSoon(ASK_EVERY);
    }
  };
}
