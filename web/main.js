// The dashboard: who is there, the parts of the page, and whether what it shows is true now.

import { get, post, setCsrf, whenLoggedOut } from "./api.js";
import { closeDialogs, recheckDialogs } from "./dialog.js";
import { h, setHidden, setText } from "./dom.js";
import { Grants } from "./grants.js";
import { History } from "./history.js";
import { Live } from "./live.js";
import { showLogin } from "./login.js";
import { askPassword } from "./password.js";
import { Queue } from "./queue.js";
import { Status } from "./status.js";
import { plain } from "./text.js";

const place = document.getElementById("page");

class Dashboard {
  #pending = 0;
  #connected = false;

  constructor(session) {
    this.session = session;
    this.role = session.role;
    this.name = session.name;
    this.live = new Live();
    this.queue = new Queue(this);
    this.grants = new Grants(this);
    this.history = new History();
    this.status = new Status(this);
    this.parts = [this.queue, this.grants, this.status];

    this.pill = h("span", { class: "pill", id: "connection", role: "status" }, "connecting");
    this.banner = h("div", { class: "banner", role: "alert", hidden: true });
    this.voice = h("div", { class: "hidden-words", id: "announcer", role: "log", "aria-live": "polite" });
    this.element = h("div", { class: "app" },
      h("a", { class: "skip", href: "#queue-title" }, "Skip to the queue"),
      h("header", { class: "top" },
        h("h1", { class: "brand" }, h("img", { src: "/icon.svg", alt: "", width: "24", height: "24" }),
          h("span", { class: "brand-name" }, "Clawrden")),
        this.pill,
        h("span", { class: "who" }, plain(session.name, 40), " · ", plain(session.role, 40),
          Array.isArray(session.jails) ? ` · only ${plain(session.jails.join(", "))}` : ""),
        h("button", { type: "button", id: "password", onclick: () => askPassword(session.name, leave) },
          "Password"),
        h("button", { type: "button", id: "logout", onclick: () => this.#logout() }, "Log out"),
        this.banner),
      h("main", { class: "grid" }, this.queue.element,
        h("div", { class: "side" }, this.status.element, this.grants.element), this.history.element),
      this.voice);
  }

  async start() {
    place.replaceChildren(this.element);
    this.counted(0);
    this.queue.start();
    this.grants.start();
    this.live.addEventListener("open", () => this.#fresh());
    this.live.addEventListener("lost", ({ detail }) => this.lost(detail));
    this.live.addEventListener("status", ({ detail }) => this.#status(detail));
    this.live.addEventListener("record", ({ detail }) => this.#record(detail));
    await this.history.load();
    if (!this.stopped) this.live.start(this.history.last);
  }

  stop() {
    this.stopped = true;
    this.live.stop();
    for (const part of [this.queue, this.grants, this.history]) part.stop();
    closeDialogs();
  }

  // The stream is there: what was shown before may be old, so everything is fetched.
  async #fresh() {
    const wasThere = this.seenOnce;
    this.seenOnce = true;
    const [fetched] = await Promise.all([this.queue.refresh(), this.grants.refresh(), this.live.ask(),
      wasThere ? this.history.load() : null]);
    if (fetched && this.live.open) this.#setConnected(true);
  }

  #status(status) {
    this.status.update(status);
    // A question that no event told of, or one too many: the queue is not what it was.
    if (this.#connected) this.queue.refresh();
  }

  #record(record) {
    this.history.add(record);
    this.queue.record(record);
    if (record.grant || record.event === "grant" || record.event === "decided") this.grants.refresh();
    if (["config", "killed", "paused", "resumed", "start"].includes(record.event)) this.live.ask();
  }

  lost(why) {
    setText(this.banner, `Not connected: what you see may be old, and nothing can be decided. (${plain(why, 200)})`);
    this.#setConnected(false);
  }

  // The queue could not be fetched: what stands there may be old.
  failed(error) {
    if (error.status !== 401) this.live.reconnect(error.message);
  }

  #setConnected(connected) {
    if (this.stopped) return;
    this.#connected = connected;
    setText(this.pill, connected ? "live" : "not connected");
    this.pill.classList.toggle("pill-bad", !connected);
    this.pill.classList.toggle("pill-good", connected);
    setHidden(this.banner, connected);
    for (const part of this.parts) part.setConnected(connected);
    recheckDialogs();
    this.#title();
  }

  counted(pending) {
    this.#pending = pending;
    this.#title();
  }

  #title() {
    const count = this.#pending > 0 ? `(${this.#pending}) ` : "";
    document.title = `${this.seenOnce && !this.#connected ? "⚠ " : ""}${count}Clawrden`;
  }

  announce(words) {
    this.voice.append(h("p", {}, words));
    while (this.voice.childElementCount > 5) this.voice.firstElementChild.remove();
  }

  async #logout() {
    try {
      await post("/api/logout");
      leave("You are logged out.");
    } catch (error) {
      setText(this.banner, `Not logged out: ${error.message}.`);
      setHidden(this.banner, false);
    }
  }
}

let dashboard = null;

function leave(notice) {
  if (dashboard) dashboard.stop();
  dashboard = null;
  setCsrf(null);
  showLogin(place, notice, enter);
}

function enter(session) {
  setCsrf(session.csrf);
  dashboard = new Dashboard(session);
  dashboard.start();
}

async function begin() {
  whenLoggedOut(() => {
    if (dashboard) leave("Your session has ended. Please log in again.");
    else if (!place.querySelector("form.login")) leave("");
  });
  try {
    enter(await get("/api/session"));
  } catch (error) {
    if (error.status === 401) return; // the form is there
    place.replaceChildren(h("main", { class: "login-page" }, h("div", { class: "login" },
      h("h1", {}, "Clawrden"), h("p", { class: "trouble", role: "alert" },
        `Not connected: ${error.message}.`),
      h("button", { type: "button", class: "primary", onclick: begin }, "Try again"))));
  }
}

begin();
