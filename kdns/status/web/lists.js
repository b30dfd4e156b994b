// The rest of a status: top lists, upstreams, where objects come from, the Corefile as understood.

function showTops({totals, pods}, explain) {
  const asks = key => [why(key, explain)];
  rank("names", totals.names, {nothing: "Nobody has asked yet.", more: asks});
  rank("missing", totals.missing, {nothing: "Every name that was asked exists.", more: asks});
  const name = key => own(pods, key) ? [named(pods[key]), " ", el("span", {class: "quiet"}, named(key))] : [named(key)];
  rank("clients", totals.clients.map(([key, sum]) => [key, sum]), {nothing: "Nobody has asked yet.", name});
}

function rank(id, rows, how) {
  const first = rows.filter(([, sum]) => sum >= 0.5).slice(0, 10), most = Math.max(1, ...first.map(([, sum]) => sum));
  bars(at(id), first.map(([key, sum]) => [key, sum / most, count(sum)]), how);
}

function why(key, explain) {
  const made = el("button", {type: "button", class: "small", "aria-label": `Why? Explain ${plain(key)}`}, "Why?");
  made.addEventListener("click", () => explain(key));
  return made;
}

function showUpstreams(upstreams) {
  at("no-upstreams").hidden = upstreams.length > 0;
  at("upstreams").closest("table").hidden = !upstreams.length;
  fill(at("upstreams"), upstreams, ({address, zone}) => `${address} ${zone}`, up => el("tr", {},
    el("td", {}, named(up.address)), el("td", {}, named(up.zone)),
    el("td", {}, el("span", {class: "state", "data-tone": up.is_healthy ? "good" : "bad"}, up.is_healthy ? "✓ healthy" : "✕ down")),
    el("td", {class: "number"}, up.latency_ms ? span(up.latency_ms / 1000) : "–"),
    el("td", {class: "number"}, count(up.queries ?? 0)), el("td", {class: "number"}, count(up.failures ?? 0))));
}

const SILENT = 300;

// How fresh what is answered is, in a sentence. The age is that of the quietest watch: a minute is
// nothing, as a server sends a sign of life so often.
function freshness({has_synced, age_s, failure, is_restored}) {
  const since = `${age_s < 2 ? "just now" : `${lasting(age_s)} ago`}`;
  const because = failure ? `: ${plain(failure)}` : "";
  if (is_restored) return ["warn", `serves what it knew before it was started, last heard of ${since}${because}`];
  if (!has_synced) return ["warn", `is read for the first time${because}`];
  if (failure) return ["bad", `was last heard of ${since}${because}`];
  if (age_s > SILENT) return ["warn", `has been silent for ${lasting(age_s)}`];
  return ["good", "is followed live"];
}

const quietest = ({age_s}) => age_s < 2 ? "" : `, its quietest watch was heard of ${lasting(age_s)} ago`;

function showHealth(clusters) {
  const worst = ["bad", "warn", "good"].flatMap(tone => clusters.filter(one => freshness(one)[0] === tone))[0];
  const [tone, words] = worst ? freshness(worst) : ["good", ""];
  at("health").dataset.tone = tone;
  const holds = clusters.reduce((sum, {services, endpoints}) => [sum[0] + services, sum[1] + endpoints], [0, 0]);
  const held = tone === "good" ? `: ${many(holds[0], "service")}, ${many(holds[1], "endpoint")}` : "";
  put(at("health"), worst ? `The cluster ${words}${held}.` : "No cluster is served.");
}

function showSources(clusters) {
  if (!clusters.length) return;
  at("sources").querySelector(":scope > p")?.remove();
  fill(at("sources"), clusters, one => one.source, one => {
    const [tone, words] = freshness(one);
    return el("dl", {class: "facts"},
      el("dt", {}, "Source"), el("dd", {}, named(one.source)),
      el("dt", {}, "State"), el("dd", {}, el("span", {class: "state", "data-tone": tone}, tone === "good" ? "✓ " : "! "), words, tone === "good" && quietest(one)),
      el("dt", {}, "Zones"), el("dd", {}, ...listed(one.zones)),
      el("dt", {}, "Holds"), el("dd", {}, `${many(one.services, "service")}, ${many(one.endpoints, "endpoint")}${one.unready ? `, ${count(one.unready)} not ready` : ", all ready"}`));
  });
}

function showBlocks(blocks) {
  fill(at("blocks"), blocks, ({keys}) => keys.join(" "), ({keys, plugins}) => el("div", {class: "panel block"},
    el("h3", {}, named(keys.join(" "))),
    el("ol", {"aria-label": "Plugins in the order they are asked"}, ...plugins.map(words => {
      const [first, ...rest] = words.split(/(?<=^\S+)\s/);
      return el("li", {}, el("code", {}, el("span", {class: "first"}, ...pieces(first)), " ", ...lines(rest.join(" "))));
    }))));
}

// A plugin's words may stand on several lines: those are kept.
const lines = text => text.split("\n").flatMap((one, place) => [place ? "\n" : "", ...pieces(one.replaceAll("\t", "  "))]);
