// Lines over the last five minutes, as inline SVG; what they show is said in words beside them.

const WIDE = 300, HIGH = 100;

class Chart {
  // `lines`: a class each. A logarithmic chart has `floor` at its foot.
  constructor(home, {lines, area = false, floor = 0, label}) {
    this.home = home;
    this.floor = floor;
    this.label = label;
    const svg = draw("svg", {viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true"});
    this.grid = [0, 0.5, 1].map(part => draw("line", {class: "grid", x1: 0, x2: WIDE, y1: HIGH * part, y2: HIGH * part}));
    this.area = area ? draw("path", {class: "fill"}) : null;
    this.lines = lines.map(name => draw("path", {class: `stroke ${name}`}));
    svg.append(...this.grid, ...(area ? [this.area] : []), ...this.lines);
    this.ticks = [0, 1, 2].map(() => el("span", {class: "tick"}));
    this.since = el("span", {class: "when"});
    home.append(svg, ...this.ticks, this.since, el("span", {class: "when now"}, "now"));
    this.spot = el("span", {class: "spot", "aria-hidden": "true", hidden: true});
    home.append(this.spot);
    home.addEventListener("pointermove", event => this.point(event.clientX));
    home.addEventListener("pointerleave", () => { this.spot.hidden = true; });
  }

  // Says what was measured where the pointer is.
  point(x) {
    const box = this.grid[0].ownerSVGElement.getBoundingClientRect(), [first] = this.series ?? [[]];
    const time = this.end - this.reach * (1 - (x - box.left) / box.width);
    const place = first.reduce((best, [at], place) => Math.abs(at - time) < Math.abs(first[best][0] - time) ? place : best, 0);
    const isNear = first.length && Math.abs(first[place][0] - time) < 3 && x <= box.right;
    this.spot.hidden = !isNear;
    if (!isNear) return;
    const values = this.series.map(points => points[place][1]).map(value => value === null ? "–" : this.label(value));
    put(this.spot, `${clock(first[place][0])}  ${values.join(" · ")}`);
    this.spot.style.left = `${x - box.left}px`;
    this.spot.classList.toggle("late", x - box.left > box.width / 2);
  }

  show(series, {end, reach}) {
    Object.assign(this, {series, end, reach});
    put(this.since, `${lasting(reach)} ago`);
    const values = series.flat().map(([, value]) => value).filter(value => value !== null);
    const top = this.top(Math.max(this.floor * 10, ...values));
    const y = value => HIGH * (1 - this.part(value, top));
    const drawn = series.map(points => points.map(([time, value]) =>
      value === null ? null : [WIDE * (1 - (end - time) / reach), y(value)]));
    drawn.forEach((points, place) => this.lines[place].setAttribute("d", trail(points)));
    this.area?.setAttribute("d", hill(drawn[0]));
    [1, 0.5, 0].forEach((part, place) => {
      put(this.ticks[place], this.label(this.value(part, top)));
      this.ticks[place].style.top = `calc((100% - 1.2rem) * ${1 - part})`;
    });
  }

  part(value, top) {
    if (!this.floor) return value / top;
    return Math.max(0, Math.log(value / this.floor) / Math.log(top / this.floor));
  }

  value(part, top) {
    return this.floor ? this.floor * (top / this.floor) ** part : top * part;
  }

  // A round number above: 1, 2 or 5 times a power of ten; powers of a hundred on a logarithmic chart.
  top(value) {
    if (this.floor) return this.floor * 100 ** Math.max(1, Math.ceil(Math.log(value / this.floor) / Math.log(100) - 1e-9));
    const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return unit * [1, 2, 5, 10].find(times => unit * times >= value);
  }
}

const point = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;

function trail(points) {
  let isDown = false, made = "";
  for (const one of points) {
    if (one) made += `${isDown ? "L" : "M"}${point(one)}`;
    isDown = one !== null;
  }
  return made;
}

function hill(points) {
  if (points.length < 2) return "";
  return `M${points[0][0].toFixed(1)} ${HIGH}L${points.map(point).join("L")}L${points.at(-1)[0].toFixed(1)} ${HIGH}Z`;
}
