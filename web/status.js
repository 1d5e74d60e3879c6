// How the warden is, and the switch that stops everything in a jail.

import { get, post } from "./api.js";
import { openDialog } from "./dialog.js";
import { h, setHidden } from "./dom.js";
import { plain, shown } from "./text.js";
import { day, duration } from "./time.js";

function row(name, ...values) {
  return h("div", { class: "fact" }, h("dt", {}, name), h("dd", {}, ...values));
}

// {verb: [word of the button, what it does]}
const STOPS = {
  kill: ["Kill", "Every command that runs there is ended at once, with all of the container it came "
    + "from; what waits is cancelled, and new commands are refused until it is resumed."],
  pause: ["Pause", "Every command that runs there is frozen where it stands, with all of the container it "
    + "came from, and new commands are refused until it is resumed. What waits can still be decided. Timeouts run on."],
};

const TIMES = [["it is resumed", 0], ["10 minutes from now", 600000], ["an hour from now", 3600000],
  ["a day from now", 86400000]];

// By whom, why, until when.
function why({ by, via, reason, until }) {
  return [`by ${plain(by ?? "", 100)} (${plain(via ?? "", 40)})`,
    ...(reason ? [": ", shown(reason)] : []), until ? `, until ${day(until)}` : ""];
}

// What is not as it should be is said as well.
function told(verb, done) {
  const words = [{
    kill: `${done.killed} commands ended, ${done.cancelled} questions cancelled`,
    pause: `${done.frozen} commands frozen`,
    resume: "resumed",
  }[verb]];
  for (const { container, why: reason } of done.failed ?? []) {
    words.push(`container ${plain(container ?? "", 12)}: ${plain(reason ?? "", 300)}`);
  }
  if (done.alive) words.push(`${done.alive} are still there and end as soon as the kernel lets them`);
  if (done.saved === false) words.push("the warden could not write it down: its next start will not know it");
  return words.join("; ");
}

export class Status {
  #connected = false;
  #last = "";

  // `page`: {role, announce(words)}
  constructor(page) {
    this.page = page;
    this.facts = h("dl", { class: "facts" });
    this.warnings = h("ul", { class: "warnings", role: "status" });
    this.jails = h("ul", { class: "jails" });
    this.all = h("div", { class: "jail-all" });
    this.element = h("section", { id: "status", "aria-labelledby": "status-title" },
      h("div", { class: "section-head" }, h("h2", { id: "status-title" }, "Status")),
      this.warnings, this.facts, h("h3", {}, "Jails"), this.jails, this.all);
  }

  setConnected(connected) {
    this.#connected = connected;
    for (const button of this.element.querySelectorAll("button")) {
      button.setAttribute("aria-disabled", String(!connected));
    }
  }

  async refresh() {
    this.update(await get("/api/status"));
  }

  update(status) {
    this.#facts(status);
    const { jails } = status;
    const key = JSON.stringify(jails);
    if (key !== this.#last) { // buttons stay as they are while nothing changes
      this.#last = key;
      const focused = document.activeElement?.dataset?.jail;
      this.jails.replaceChildren(...jails.map((jail) => this.#jail(jail)));
      const again = focused && [...this.jails.querySelectorAll("button")]
        .find((button) => button.dataset.jail === focused);
      if (again) again.focus();
      this.all.replaceChildren(...(this.page.role === "viewer" || jails.length < 2 ? [] : [
        this.#button("Pause all…", "small", "", () => this.#stop("pause", null)),
        this.#button("Kill all jails…", "danger small", "", () => this.#stop("kill", null)),
        this.#button("Resume all", "small", "", () => this.#resume(null))]));
    }
  }

  #facts({ version, mode, dry_run: dryRun, uptime_ms: uptime, policy, journal, requests }) {
    const warnings = [];
    if (mode !== "root") warnings.push("The warden runs without root: this is no security boundary.");
    if (dryRun) warnings.push("Dry run: commands are judged and recorded, nothing is stopped.");
    if (policy?.error) {
      warnings.push(["The policy file as it is now is not in force: ", shown(policy.error, { breaks: true })]);
    }
    if (journal?.health && journal.health !== "ok") {
      warnings.push(["The journal cannot be written: ", shown(journal.health)]);
    }
    const texts = warnings.map((words) => h("li", {}, ...[words].flat()));
    if (this.warnings.textContent !== texts.map((item) => item.textContent).join("")) {
      this.warnings.replaceChildren(...texts);
    }
    setHidden(this.warnings, texts.length === 0);
    this.facts.replaceChildren(
      row("warden", `${plain(version ?? "", 40)}, up ${duration(uptime ?? 0)}`),
      row("requests", `${requests?.running ?? 0} running, ${requests?.pending ?? 0} waiting`),
      row("so far", `${requests?.allowed ?? 0} allowed, ${requests?.denied ?? 0} denied`),
      row("policy", shown(policy?.path), ` · ${policy?.rules ?? 0} rules · `,
        h("code", { class: "digest", title: policy?.digest }, `${(policy?.digest ?? "").slice(0, 12)}…`),
        policy?.loaded_at ? ` · since ${day(policy.loaded_at)}` : ""),
      row("journal", h("span", { class: journal?.health === "ok" ? "good" : "bad" },
        journal?.health === "ok" ? "healthy" : "in trouble"), ` · record ${journal?.seq ?? 0} · `,
      h("code", { class: "digest", title: journal?.hash }, `${(journal?.hash ?? "").slice(0, 12)}…`)));
  }

  #button(words, kind, jail, action) {
    return h("button", {
      type: "button", class: kind, "data-jail": jail ? `${jail}/${words}` : null,
      "aria-disabled": String(!this.#connected),
      onclick: (event) => {
        if (event.currentTarget.getAttribute("aria-disabled") !== "true") action();
      },
    }, words);
  }

  #jail(jail) {
    const { stopped } = jail;
    const state = stopped ? h("span", { class: "chip chip-bad" }, plain(stopped.state, 20))
      : jail.paused ? h("span", { class: "chip chip-bad" }, "stopped")
        : jail.serving === false ? h("span", { class: "chip chip-bad" }, "its door is away") : null;
    const buttons = this.page.role === "viewer" ? []
      : [jail.paused ? this.#button("Resume", "small", jail.name, () => this.#resume(jail.name))
        : this.#button("Pause…", "small", jail.name, () => this.#stop("pause", jail.name)),
      this.#button("Kill…", "danger small", jail.name, () => this.#stop("kill", jail.name))];
    return h("li", { class: "jail", "data-jail-name": jail.name },
      h("span", { class: "jail-name" }, h("b", {}, shown(jail.name)), state),
      h("span", { class: "jail-counts" }, `${jail.running} running, ${jail.pending} waiting`),
      h("span", { class: "jail-buttons" }, ...buttons),
      stopped ? h("span", { class: "jail-stop" }, ...why(stopped)) : null);
  }

  // `verb`: "kill" or "pause"; `jail`: null for all.
  #stop(verb, jail) {
    const [word, words] = STOPS[verb];
    const reason = h("input", { type: "text", name: "reason", maxlength: "100", autocomplete: "off" });
    const time = h("select", { name: "for" },
      ...TIMES.map(([text, ms]) => h("option", { value: String(ms) }, text)));
    openDialog({
      title: jail ? `${word} everything in ${plain(jail, 63)}?` : `${word} everything in all jails?`,
      content: [h("p", {}, words),
        h("label", { class: "stop-field" }, "Why (the agent is told)", reason),
        h("label", { class: "stop-field" }, "Until", time)],
      confirm: word,
      danger: true,
      possible: () => (this.#connected ? null : "Not connected: what you see may be old."),
      run: async () => {
        const body = jail ? { jail } : { all: true };
        if (reason.value.trim()) body.reason = reason.value.trim();
        if (time.value !== "0") body.for_ms = Number(time.value);
        const done = await post(`/api/${verb}`, body);
        this.page.announce(told(verb, done));
        await this.refresh();
      },
    });
  }

  #resume(jail) {
    openDialog({
      title: jail ? `Resume ${plain(jail, 63)}?` : "Resume all jails?",
      content: [h("p", {}, "Its commands will be judged and run again.")],
      confirm: "Resume",
      possible: () => (this.#connected ? null : "Not connected: what you see may be old."),
      run: async () => {
        const done = await post("/api/resume", jail ? { jail } : { all: true });
        this.page.announce(`${jail ? plain(jail, 63) : "all jails"}: ${told("resume", done)}`);
        await this.refresh();
      },
    });
  }
}
