// The walks of an explanation, as glibc and as musl make them: each question and what came of it.

function ways(said) {
  if (!said.walks?.length) return null;
  const same = said.walks.length > 1 && said.walks.every(walk => trace(walk) === trace(said.walks[0]));
  const walks = same ? [said.walks[0]] : said.walks;
  return el("div", {class: walks.length > 1 ? "two" : ""}, ...walks.map(walk =>
    way(walk, same ? said.walks.map(({libc}) => libc).join(" and ") : walk.libc, said)));
}

const trace = walk => JSON.stringify([walk.outcome, walk.says, walk.asked.map(step => [step.name, step.type, step.nameserver, step.then])]);

function way(walk, libc, said) {
  const end = [walk.outcome, walk.says].filter(Boolean).join(", ");
  const steps = el("ol", {class: "steps"}, ...walk.asked.map(step => el("li", {}, asked(step, said))));
  const found = walk.addresses?.length ? [" → ", ...listed(walk.addresses)] : [];
  return el("div", {class: "way"}, el("details", {open: true},
    el("summary", {}, el("strong", {}, plain(libc)), ": ", ...pieces(end), ...found, ` (${many(walk.asked.length, "question")})`), steps));
}

function asked(step, said) {
  const [address, port] = step.nameserver ?? [];
  const server = address ? el("span", {class: "quiet"}, "to ", named(port === 53 ? address : `${address} port ${port}`)) : "";
  const seen = (said.traces ?? []).find(one => one.name === step.name && one.type === step.type);
  return el("div", {},
    el("div", {class: "head"}, named(step.name), el("span", {}, plain(step.type)), server),
    el("div", {}, el("strong", {}, ...pieces(step.answer || step.error || "no answer")), " – ", ...pieces(step.then),
      step.took_s ? el("span", {class: "quiet"}, `, after ${span(step.took_s)}`) : ""),
    el("div", {class: "visits"}, ...pieces(step.because)),
    ...(seen ? [visits(seen)] : []));
}

const visits = seen => el("ul", {class: "visits", "aria-label": "Inside the server"}, ...seen.visits.map(visit => el("li", {},
  `${"· ".repeat(visit.depth)}`, named(visit.plugin), ": ", ...pieces([visit.answered, ...(visit.notes ?? [])].join("; ")))));
