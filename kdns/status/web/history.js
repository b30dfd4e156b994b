// The last five minutes, out of sums that only grow: rates, shares and quantiles are of differences.

const KEPT = 300, LEAST = 60, STEP = 0.9, SMOOTH = 5, RECENT = 60;

class History {
  constructor() {
    this.samples = [];
  }

  // Keeps one sample a second; a server that began anew begins a new history.
  add(status) {
    const last = this.samples.at(-1), totals = status.totals;
    if (last && (status.now < last.at || totals.queries < last.totals.queries)) this.samples = [];
    if (last && this.samples.length && status.now - last.at < STEP) return false;
    const {names, missing, clients, ...sums} = totals;
    this.samples.push({at: status.now, totals: sums});
    while (this.samples[0].at < status.now - KEPT) this.samples.shift();
    return true;
  }

  get end() {
    return this.samples.at(-1)?.at ?? 0;
  }

  // How far back it is drawn: a minute, and more as time goes by.
  get reach() {
    return Math.min(KEPT, Math.max(LEAST, Math.ceil((this.end - (this.samples[0]?.at ?? 0)) / 30) * 30));
  }

  // The latest sample that is at least so much older than the one at `place`.
  before(place, seconds) {
    let from = Math.max(0, place - 1);
    while (from > 0 && this.samples[place].at - this.samples[from].at < seconds) from--;
    return this.samples[from];
  }

  rates() {
    return this.samples.slice(1).map((sample, place) => {
      const from = this.before(place + 1, 2);
      return [sample.at, (sample.totals.queries - from.totals.queries) / (sample.at - from.at)];
    });
  }

  // Quantiles over time; null where nothing was asked.
  quantiles(bounds, part) {
    return this.samples.slice(1).map((sample, place) => {
      const from = this.before(place + 1, SMOOTH);
      return [sample.at, quantile(less(sample.totals.latency, from.totals.latency), bounds, part)];
    });
  }

  // What the last minute adds to a sum, or to each of a record of sums; and how long it was.
  recent(field) {
    const last = this.samples.length - 1;
    if (last < 1) return null;
    const from = this.before(last, RECENT).totals[field], to = this.samples[last].totals[field];
    if (typeof to === "number") return to - from;
    return Object.entries(to).map(([key, sum]) => [key, Math.max(0, sum - (own(from, key) ?? 0))]);
  }
}

const less = (to, from) => to.map((sum, place) => Math.max(0, sum - (from[place] ?? 0)));

// Within a bucket evenly spread; of the first one no more is known than its bound, and all above the
// last bound are taken for it.
function quantile(buckets, bounds, part) {
  const all = buckets.reduce((sum, one) => sum + one, 0);
  if (!all) return null;
  let rest = all * part;
  for (const [place, inside] of buckets.entries()) {
    if (rest <= inside) {
      const low = bounds[Math.max(0, place - 1)];
      return low + ((bounds[place] ?? low) - low) * (inside ? rest / inside : 1);
    }
    rest -= inside;
  }
  return bounds.at(-1);
}
