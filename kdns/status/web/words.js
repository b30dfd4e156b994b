// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const WORDS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"]];

function digits(value) {
  if (value === 0) return "0";
  if (value >= 100) return whole.format(value);
  return value >= 10 ? String(Math.round(value * 10) / 10) : String(Number(value.toPrecision(2)));
}

function span(seconds) {
  if (!(seconds > 0)) return "0 s";
  const [unit, word] = WORDS.find(([unit]) => seconds >= unit * 0.9995) ?? WORDS.at(-1);
  return `${digits(seconds / unit)} ${word}`;
}

// Long times in two units: 3 d 4 h.
function lasting(seconds) {
  const place = WORDS.findIndex(([unit]) => seconds >= unit);
  if (place < 0 || place > 2) return `${Math.max(0, Math.floor(seconds))} s`;
  const [unit, word] = WORDS[place], [less, smaller] = WORDS[place + 1];
  const rest = Math.floor(seconds % unit / less);
  return `${Math.floor(seconds / unit)} ${word}${rest ? ` ${rest} ${smaller}` : ""}`;
}

function count(value) {
  if (value < 1e5) return whole.format(value);
  return value < 1e6 ? `${digits(value / 1e3)} k` : `${digits(value / 1e6)} M`;
}

const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;
const share = part => part > 0 && part < 0.001 ? "under 0.1 %" : `${digits(Math.floor(part * 1000) / 10)} %`;
const octets = value => value < 1e9 ? `${digits(value / 2 ** 20)} MiB` : `${digits(value / 2 ** 30)} GiB`;
const clock = unix => new Date(unix * 1000).toLocaleTimeString("en-GB");
