// The walks of an explanation, as glibc and as musl make them: each question and what came of it.

const MOST_STEPS = 40;

function ways(said) {
  if (!said.walks.length) return null;
  const same = said.walks.every(walk => gist(walk) === gist(said.walks[0]));
  const walks = same ? [said.walks[0]] : said.walks;
  return el("div", {class: walks.length > 1 ? "two" : "only"}, ...walks.map(walk =>
    way(walk, same ? said.walks.map(({libc}) => libc).join(" and ") : walk.libc)));
}

// What makes a walk differ from another for who reads it.
const gist = ({outcome, name, addresses, steps}) =>
  JSON.stringify([outcome, name, [...addresses].sort(), [...new Set(steps.map(step => `${step.name} ${step.nameserver}`))]]);

function way(walk, libc) {
  const questions = paired(walk.steps), rest = questions.length - MOST_STEPS;
  const steps = el("ol", {class: "steps"}, ...questions.slice(0, MOST_STEPS).map(pair => el("li", {}, asked(pair))),
    ...(rest > 0 ? [el("li", {class: "quiet"}, `and ${count(rest)} more`)] : []));
  const end = walk.addresses.length ? listed(walk.addresses) : pieces([walk.outcome, walk.says].filter(Boolean).join(", "));
  return el("details", {class: "way", open: true},
    el("summary", {}, el("strong", {}, plain(libc)), ` (${many(questions.length, "step")}): `, ...end), steps);
}

// Questions for one name to one server, one after another, stand together: A and AAAA.
function paired(steps) {
  const pairs = [];
  for (const step of steps) {
    const last = pairs.at(-1)?.[0];
    if (last?.name === step.name && last.nameserver === step.nameserver) pairs.at(-1).push(step);
    else pairs.push([step]);
  }
  return pairs;
}

function asked(pair) {
  const [first] = pair, said = [...new Set(pair.map(outcome))];
  const heard = said.length === 1 ? said : pair.map(step => `${step.type} ${outcome(step)}`);
  const longest = Math.max(...pair.map(step => step.took_ms));
  const tone = first.error || !pair.some(step => step.answer.length) ? "wait" : "good";
  return el("div", {class: "step"},
    el("div", {}, el("div", {class: "head"}, dotted(first.name), el("span", {}, plain([...new Set(pair.map(step => step.type))].join(" "))),
      el("span", {class: "quiet"}, "to ", named(first.nameserver.replace(/:53$/, "")), longest > 0 ? `, ${span(longest / 1000)}` : "")),
      el("div", {}, el("strong", {class: "said", "data-tone": tone}, ...pieces(heard.join("; "))), ", ", ...pieces(pair.at(-1).then))),
    el("div", {}, el("div", {class: "visits"}, ...pieces(first.because)), inner(pair)));
}

function outcome({rcode, error, answer, aliases, ede}) {
  const way = aliases.length ? `alias of ${aliases.join(", ")}: ` : "";
  const end = answer.length ? answer.join(", ") : rcode === "NOERROR" ? "no such records" : rcode || error || "no reply";
  const why = rcode && error ? [error] : [];
  return [`${way}${end}`, ...why, ...ede.map(([code, text]) => `extended error ${code} ${text}`.trim())].join("; ");
}

// The way through the server's plugins, where it is known: those that passed it on by name only.
function inner(pair) {
  const seen = pair.map(step => step.visits).find(visits => visits.length) ?? [];
  return el("div", {class: "visits"}, ...seen.flatMap(({plugin, answered, notes}, place) => {
    const said = [answered === "passed on" ? "" : answered, ...notes].filter(Boolean).join("; ");
    return [place ? " → " : "Inside: ", named(plugin), ...(said ? [": ", ...pieces(said)] : [])];
  }));
}
