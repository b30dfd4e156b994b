// The explain box: the reason in one line, then what it rests on, what to type next, and every step.

const PATIENCE = 60000;

// As kdns explain colours its first line.
const TONES = {
  "resolves": "good", "nothing-wrong": "good",
  "search-wastes": "warn", "publishes-not-ready": "warn", "endpoints-late": "warn",
};

class Explain {
  constructor() {
    this.control = null;
    at("ask").addEventListener("submit", event => {
      event.preventDefault();
      this.ask();
    });
  }

  fill(name) {
    at("ask-name").value = name;
    at("ask").scrollIntoView({block: "center"});
    at("ask-name").focus({preventScroll: true});
    this.ask();
  }

  async ask() {
    const words = {name: at("ask-name").value.trim(), type: at("ask-type").value, from: at("ask-from").value.trim()};
    if (!words.name) return;
    this.control?.abort();
    const control = this.control = new AbortController(), timer = setTimeout(() => control.abort("late"), PATIENCE);
    this.show(el("p", {class: "busy"}, "Asking for ", named(words.name), " …"));
    say("Asking");
    try {
      this.show(...explained(await load(path("explain", words), control.signal)));
      at("answer").focus({preventScroll: true});
      say(at("answer").querySelector(".verdict").textContent);
    } catch (error) {
      if (control === this.control) this.fail(error, control.signal.reason === "late");
    } finally {
      clearTimeout(timer);
    }
  }

  fail(error, isLate) {
    const why = isLate ? `there was no answer within ${span(PATIENCE / 1000)}` : error.status === 404
      ? "this server offers no explanations" : error.status ? error.message : "the server does not answer";
    const words = `It could not be explained: ${plain(why)}.`.replace(/[.]{2,}$/, ".");
    this.show(el("p", {class: "trouble"}, words));
    say(words);
  }

  show(...nodes) {
    at("answer").hidden = false;
    at("answer").replaceChildren(...nodes);
  }
}

function explained(said) {
  const [first, ...others] = said.reasons;
  const tone = own(TONES, first.id) ?? "bad";
  const head = el("p", {class: "verdict"}, el("span", {class: "sign", "data-tone": tone, "aria-hidden": "true"}, tone === "good" ? "✓" : "!"),
    el("span", {}, ...pieces(first.says), "."));
  const whom = el("p", {class: "quiet"}, named(said.name), said.type && ` ${plain(said.type)}`, ...(said.asker ? [", asked by ", ...pieces(said.asker)] : []));
  const next = said.reasons.flatMap(reason => reason.next);
  return [
    el("div", {}, head, whom),
    el("div", {class: "two"}, part("What it is concluded from", facts(first)), part("What to type next", commands(next))),
    part("Also", others.length && el("ul", {class: "also"}, ...others.map(reason =>
      el("li", {}, el("p", {}, ...pieces(reason.says), "."), ...[facts(reason)].filter(Boolean))))),
    part("Connections", said.connections.length && el("ul", {class: "evidence"}, ...said.connections.map(tried =>
      el("li", {}, named(`${tried.address} port ${tried.port}/${tried.protocol}`), ": ", ...pieces(tried.outcome))))),
    part("Step by step", ways(said)),
    part("What could not be known", said.unknown.length && el("ul", {class: "evidence"}, ...said.unknown.map(item))),
  ].filter(Boolean);
}

const item = line => el("li", {}, ...pieces(line));

const part = (title, inside) => inside && el("div", {}, el("h3", {}, title), inside);

const facts = reason => reason.evidence.length && el("ul", {class: "evidence"}, ...reason.evidence.map(item));

const commands = all => all.length && el("ul", {class: "commands"}, ...[...new Set(all)].map(command =>
  el("li", {}, el("code", {dir: "ltr"}, ...pieces(command)), copier(command))));

// What a terminal would take for keys is not copied.
function copier(command) {
  if (hasUnseen(command)) return el("span", {class: "quiet"}, "has unseen characters");
  const made = el("button", {type: "button", class: "small", "aria-label": `Copy: ${plain(command)}`}, "Copy");
  made.addEventListener("click", async () => {
    const isDone = await copied(command, made);
    made.textContent = isDone ? "Copied" : "Press Ctrl+C";
    say(isDone ? "Copied" : "Selected, press Control C to copy");
    setTimeout(() => { made.textContent = "Copy"; }, 2000);
  });
  return made;
}

// The clipboard is for secure pages only; elsewhere the text is selected.
async function copied(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(button.previousElementSibling);
    return document.execCommand("copy");
  }
}
