// What happened to services and endpoints, newest first: bounded, and held still while paused.

const LINES = 200;
const SIGNS = {
  "added": ["+", "good"], "ready": ["✓", "good"], "not ready": ["✕", "bad"], "removed": ["−", "warn"],
  "service added": ["+", "good"], "service removed": ["−", "warn"], "changed": ["~", "wait"],
};

class Changes {
  constructor() {
    this.held = [];
    this.skipped = 0;
    this.isPaused = false;
    at("pause").addEventListener("click", () => this.pause());
  }

  pause() {
    this.isPaused = !this.isPaused;
    at("pause").setAttribute("aria-pressed", String(this.isPaused));
    if (!this.isPaused) this.flush(true);
    this.tell();
  }

  add(changes, missed) {
    if (missed) this.hold({note: `${many(missed, "change")} more, not listed`});
    changes.forEach(change => this.hold(change));
    if (!this.isPaused) this.flush(changes.length < 20);
    if (changes.length) say(this.isPaused ? "" : summary(changes));
    this.tell();
  }

  note(text) {
    this.hold({note: text});
    if (!this.isPaused) this.flush(false);
  }

  hold(change) {
    this.held.push(change);
    if (this.held.length > LINES) this.skipped += this.held.splice(0, this.held.length - LINES).length;
  }

  flush(isFresh) {
    const list = at("happened"), home = at("changes-scroll");
    const before = home.scrollTop && home.scrollHeight;
    list.prepend(...this.held.map(change => line(change, isFresh)).reverse());
    while (list.childElementCount > LINES) list.lastElementChild.remove();
    if (before) home.scrollTop += home.scrollHeight - before;
    at("calm").hidden = list.childElementCount > 0;
    this.held = [];
    this.skipped = 0;
  }

  tell() {
    const waiting = this.held.length + this.skipped;
    put(at("pause"), this.isPaused ? `Resume${waiting ? ` (${count(waiting)} new)` : ""}` : "Pause");
  }
}

function line(change, isFresh) {
  if (change.note) return el("li", {class: "mark-line"}, change.note);
  const [sign, tone] = own(SIGNS, change.what) ?? ["·", "wait"];
  const who = [change.address, change.name].filter(Boolean).flatMap(word => [named(word), " "]);
  return el("li", {class: isFresh ? "fresh" : ""},
    el("time", {datetime: new Date(change.at * 1000).toISOString()}, clock(change.at)),
    named(change.service, "span"),
    el("span", {class: "state", "data-tone": tone}, `${sign} ${plain(change.what)}`),
    el("span", {class: "more"}, ...who), el("span", {class: "took"}, took(change)));
}

function took({delay_s, ours_s}) {
  const ours = ours_s > 0 ? `${span(ours_s)} here` : "";
  if (typeof delay_s !== "number") return ours;
  return `after ${span(delay_s)}${ours ? `, ${ours}` : ""}`;
}

function summary(changes) {
  const last = changes.at(-1), one = `${plain(last.service)} ${last.address ? `endpoint ${plain(last.address)} ` : ""}${plain(last.what)}`;
  return changes.length > 1 ? `${count(changes.length)} changes, the last: ${one}` : one;
}
