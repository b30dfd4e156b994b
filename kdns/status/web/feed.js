// The server's side: every request, the token it may want, and the stream of pulses that is opened
// again, ever later, when it ends. Streams are read by fetch, as an EventSource can carry no token.

const TOKEN = "kdns-token";
const FIRST_WAIT = 500, LAST_WAIT = 15000, SILENCE = 20000, LARGEST = 16e6, BEFORE = 100;

class Refused extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

const path = (name, words) => `${name}?${new URLSearchParams(Object.entries(words).filter(([, word]) => word !== ""))}`;

async function open(where, signal) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = {"X-Kdns": "page", ...(token && {Authorization: `Bearer ${token}`})};
  const reply = await fetch(where, {headers, signal, cache: "no-store", redirect: "error"});
  if (!reply.ok) throw new Refused(reply.status, await reason(reply));
  return reply;
}

const load = async (where, signal) => (await open(where, signal)).json();

// What a refusal says for itself: JSON with `error`, or a line of text.
async function reason(reply) {
  const text = (await reply.text()).slice(0, 2000).trim();
  try {
    const said = JSON.parse(text);
    return String(said.error ?? said.message ?? text);
  } catch {
    return text && !text.startsWith("<") ? text : `the server said ${reply.status} ${reply.statusText}`;
  }
}

function cause(error) {
  if (error.status === 503) return "the server is starting, or has as many viewers as it takes";
  return error.status ? error.message : "the server does not answer";
}

// Yields the messages of a stream of server-sent events.
async function* messages(reply, alive) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const {value, done} = await reader.read();
    if (done) return;
    alive();
    const parts = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = parts.pop();
    if (rest.length > LARGEST) throw new Error("a message is too long");
    for (const part of parts) {
      const lines = part.split("\n").filter(line => line.startsWith("data:"));
      if (lines.length) yield JSON.parse(lines.map(line => line.slice(5)).join("\n"));
    }
  }
}

// Follows the server for ever. `heard(status, changes, missed, isNew)`; `tell(state, why, seconds)`.
class Feed {
  constructor(heard, tell) {
    this.heard = heard;
    this.tell = tell;
    this.number = -1;
    this.started = 0;
    this.wake = () => {};
  }

  async run() {
    for (let wait = FIRST_WAIT; ;) {
      try {
        await this.follow(() => { wait = FIRST_WAIT; });
        this.tell("lost", "the server ended the stream", wait / 1000);
      } catch (error) {
        if (error.status === 401) {
          this.tell("locked", error.message, 0);
          await new Promise(wake => { this.wake = wake; });
          continue;
        }
        this.tell("lost", cause(error), wait / 1000);
      }
      await new Promise(wake => {
        this.wake = wake;
        setTimeout(wake, wait * (0.75 + Math.random() / 2));
      });
      wait = Math.min(LAST_WAIT, wait * 1.8);
    }
  }

  async follow(well) {
    const control = new AbortController();
    let timer;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => control.abort(), SILENCE);
    };
    alive();
    try {
      const status = await load("status", control.signal);
      const isNew = status.started !== this.started || status.newest < this.number;
      if (isNew) this.number = Math.max(0, status.newest - BEFORE);
      this.started = status.started;
      this.heard(status, [], 0, isNew);
      const reply = await open(path("events", {after: this.number}), control.signal);
      this.tell("live");
      for await (const {status, changes, missed} of messages(reply, alive)) {
        well();
        if (!status) continue;
        this.number = changes.at(-1)?.number ?? this.number;
        this.heard(status, changes, missed ?? 0, false);
      }
    } finally {
      clearTimeout(timer);
      control.abort();
    }
  }
}
