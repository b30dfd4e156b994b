// Services: a page of them at a time, searched by the server, opened to their endpoints.

const PAGE = 100, TYPING = 150, AGAIN = 500;

class Services {
  constructor() {
    this.search = "";
    this.trail = [];
    this.more = "";
    this.shown = new Set();
    this.opened = new Set();
    this.control = null;
    this.timer = 0;
    at("search").addEventListener("input", () => this.later(TYPING, () => this.begin()));
    at("find").addEventListener("submit", event => {
      event.preventDefault();
      this.begin();
    });
    at("next").addEventListener("click", () => this.turn(() => this.trail.push(this.more)));
    at("back").addEventListener("click", () => this.turn(() => this.trail.pop()));
    at("rows").addEventListener("click", event => this.toggle(event.target.closest(".row")));
  }

  later(wait, what) {
    clearTimeout(this.timer);
    this.isDue = true;
    this.timer = setTimeout(() => {
      this.isDue = false;
      what();
    }, wait);
  }

  begin() {
    this.search = at("search").value.trim();
    this.trail = [];
    this.load(true);
  }

  async turn(change) {
    change();
    await this.load(false);
    at("services-scroll").scrollTop = 0;
    say(at("found").textContent);
    const lost = document.activeElement === document.body || document.activeElement.disabled;
    if (lost) at("services-scroll").focus();
  }

  // Loads again soon after something changed that this page shows, or may show.
  heed(changes) {
    const isOurs = changes.some(({service, what}) => this.shown.has(service) || what.startsWith("service"));
    if (isOurs && !this.isDue) this.later(Math.max(0, (this.loaded ?? 0) + AGAIN - Date.now()), () => this.load(false));
  }

  async load(isSaid) {
    this.control?.abort();
    this.control = new AbortController();
    this.loaded = Date.now();
    try {
      const words = {search: this.search, after: this.trail.at(-1) ?? "", limit: PAGE};
      this.show(await load(path("services", words), this.control.signal), isSaid);
    } catch (error) {
      if (error.name !== "AbortError") put(at("found"), `Services are not to be had now: ${plain(error.message)}`);
    }
  }

  show({services, total, more}, isSaid) {
    this.more = more ?? "";
    this.shown = new Set(services.map(keyOf));
    this.opened = new Set([...this.opened].filter(key => this.shown.has(key)));
    const rows = services.flatMap(service => this.opened.has(keyOf(service)) ? [{service}, {inside: service}] : [{service}]);
    fill(at("rows"), rows, row => row.inside ? `in ${keyOf(row.inside)}` : keyOf(row.service),
      row => row.inside ? inside(row.inside) : this.row(row.service));
    this.services = services;
    const from = this.trail.length * PAGE;
    at("none").hidden = services.length > 0;
    put(at("found"), total ? `${count(from + 1)}–${count(from + services.length)} of ${many(total, "service")}` : "0 services");
    at("back").disabled = !this.trail.length;
    at("next").disabled = !this.more;
    if (isSaid) say(this.search ? `${many(total, "service")} found` : many(total, "service"));
  }

  row(service) {
    const key = keyOf(service), isOpen = this.opened.has(key);
    const name = el("button", {type: "button", class: "open", "aria-expanded": String(isOpen)},
      el("span", {}, named(service.name), el("span", {class: "space"}, " in ", named(service.namespace))));
    const where = service.target ? ["→ ", named(service.target)] : [named(service.addresses.join(" ") || "none")];
    const cells = [[name], pieces(service.kind), where, listed(service.ports), [readiness(service)]];
    const made = el("tr", {class: "row", role: "row"}, ...cells.map(cell => el("td", {role: "cell"}, ...cell)));
    const held = document.activeElement?.closest?.(".row");
    if (held?.dataset.key === key) queueMicrotask(() => name.focus({preventScroll: true}));
    return made;
  }

  toggle(row) {
    if (!row) return;
    const key = row.dataset.key, service = this.services.find(one => keyOf(one) === key);
    const isOpen = !this.opened.delete(key);
    if (isOpen) {
      this.opened.add(key);
      const made = inside(service);
      made.dataset.key = `in ${key}`;
      made.shape = JSON.stringify({inside: service});
      row.after(made);
    } else row.nextElementSibling.remove();
    row.querySelector(".open").setAttribute("aria-expanded", String(isOpen));
  }
}

const keyOf = service => `${service.namespace}/${service.name}`;

const listed = words => words.flatMap((word, place) => [place ? ", " : "", named(word)]);

function readiness({kind, ready, unready}) {
  if (kind === "ExternalName") return el("span", {class: "state", "data-tone": "wait"}, "elsewhere");
  if (!ready) return el("span", {class: "state", "data-tone": "bad"}, unready ? `✕ none of ${count(unready)} ready` : "✕ none");
  if (unready) return el("span", {class: "state", "data-tone": "warn"}, `! ${count(ready)} of ${count(ready + unready)} ready`);
  return el("span", {class: "state", "data-tone": "good"}, `✓ ${count(ready)} ready`);
}

function inside({endpoints, ready, unready, target}) {
  const rest = ready + unready - endpoints.length;
  const list = endpoints.map(({address, is_ready, name}) => el("li", {},
    el("span", {class: "state", "data-tone": is_ready ? "good" : "bad"}, is_ready ? "✓ ready " : "✕ not ready "),
    named(address), " ", el("span", {class: "quiet"}, named(name ?? ""))));
  if (rest > 0) list.push(el("li", {class: "quiet"}, `and ${count(rest)} more`));
  const words = target ? "It is a name for another name: it has no endpoints." : "It has no endpoints: its name has no address to give.";
  return el("tr", {class: "inside", role: "row"}, el("td", {colspan: "5", role: "cell"},
    list.length ? el("ul", {class: "ends", "aria-label": "Endpoints"}, ...list) : el("span", {class: "quiet"}, words)));
}
