// Traffic: rate and latency drawn, the figures under them, and how the last minute's replies divide.

class Traffic {
  constructor() {
    this.history = new History();
    this.rate = new Chart(at("rate-plot"), {lines: [""], area: true, label: count});
    this.latency = new Chart(at("latency-plot"), {lines: ["", "second"], floor: 1e-4, label: span});
  }

  // A hidden tab draws nothing, and yet remembers.
  add(status) {
    this.isDue = this.history.add(status) || this.isDue;
  }

  show(status) {
    if (this.isDue) {
      this.isDue = false;
      this.drawRate();
      this.drawLatency(status.bounds);
      for (const field of ["rcodes", "plugins", "transports"]) this.divide(field);
    }
    this.tile(status);
  }

  drawRate() {
    const points = this.history.rates();
    if (!points.length) return;
    const rates = points.map(([, rate]) => rate), now = rates.at(-1);
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
    this.rate.show([points], this.history);
    put(at("rate-now"), brief(now));
    put(at("rate-words"), `On average ${brief(mean)}, at most ${brief(Math.max(...rates))}, in the last ${this.reach()}.`);
  }

  drawLatency(bounds) {
    const middle = this.history.quantiles(bounds, 0.5), slow = this.history.quantiles(bounds, 0.99);
    const [half, most] = [middle, slow].map(points => points.at(-1)?.[1] ?? null);
    this.latency.show([middle, slow], this.history);
    if (half === null) return put(at("latency-now"), "–");
    at("latency-now").replaceChildren(
      el("span", {class: "key"}), el("small", {}, "half under "), span(half), " ",
      el("span", {class: "key second"}), el("small", {}, "99 % under "), span(most));
    const worst = Math.max(...slow.map(([, value]) => value ?? 0));
    put(at("latency-words"), `At worst 99 % were under ${span(worst)}, in the last ${this.reach()}.`);
  }

  reach() {
    const samples = this.history.samples;
    return lasting(Math.round(this.history.end - samples[0].at));
  }

  divide(field) {
    const rows = this.history.recent(field) ?? [];
    const sum = rows.reduce((sum, [, value]) => sum + value, 0);
    const shown = rows.filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1]).slice(0, 8);
    bars(at(field), shown.map(([key, value]) => [key, value / sum, share(value / sum)]), {
      nothing: "Nothing was asked.",
      tone: key => field === "rcodes" && /SERVFAIL|REFUSED|FORMERR/.test(key) ? "bad" : "",
    });
  }

  tile(status) {
    const {queries, hits, kept, failures} = status.totals;
    const asked = this.history.recent("queries") || 0;
    const of = field => asked ? share(this.history.recent(field) / asked) : "–";
    const failed = this.history.recent("failures") || 0;
    const rows = [
      ["Answer table", of("hits"), `${share(queries ? hits / queries : 0)} since the start`],
      ["Cache", of("kept"), `${share(queries ? kept / queries : 0)} since the start`],
      ["Failures", `${count(failed)}`, `last minute; ${count(failures)} in all`],
      ["Queries", count(queries), "since the start"],
      ["Up for", lasting(status.now - status.started), `since ${new Date(status.started * 1000).toLocaleString("en-GB")}`],
      ["Memory", status.memory ? octets(status.memory) : "–", many(status.workers, "worker")],
    ];
    fill(at("tiles"), rows, ([title]) => title, ([title, value, more]) =>
      el("div", {}, el("dt", {}, title), el("dd", {}, value, el("small", {}, more))));
  }
}

const brief = rate => rate < 10 && rate > 0 ? rate.toFixed(1) : count(Math.round(rate));

// A list whose rows have a bar behind them: [name, part of the widest or of all, words, more nodes].
function bars(home, rows, {nothing, tone = () => "", more = () => [], name = key => [dotted(key)]}) {
  const shown = rows.length ? rows : [[""]];
  fill(home, shown, row => `=${row[0]}`, row => {
    if (!rows.length) return el("li", {class: "plain"}, nothing);
    const wash = el("span", {class: "wash", "data-tone": tone(row[0])});
    wash.style.width = `${Math.round(row[1] * 1000) / 10}%`;
    return el("li", {}, wash, el("span", {}, ...name(row[0])), el("span", {class: "value"}, row[2]), ...more(row[0]));
  });
}
