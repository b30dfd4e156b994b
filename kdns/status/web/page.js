// The page: what is heard is shown, once per frame; what the reader does is passed on.

const traffic = new Traffic(), services = new Services(), changes = new Changes(), explain = new Explain();
let latest = null;

function render() {
  const status = latest;
  latest = null;
  put(at("version"), plain(status.version));
  traffic.show(status);
  if (state !== "lost") showHealth(status.clusters);
  showTops(status, name => explain.fill(name));
  showUpstreams(status.upstreams);
  showSources(status.clusters);
  showBlocks(status.blocks);
}

function heard(status, news, missed, isNew) {
  if (!latest) requestAnimationFrame(render);
  latest = status;
  traffic.add(status);
  if (isNew && feed.hasBegun) changes.note("The server was started anew");
  if (isNew) services.load(false);
  feed.hasBegun = true;
  if (news.length || missed) changes.add(news, missed);
  services.heed(news);
}

let state = "";

function tell(now, why = "", seconds = 0) {
  const [tone, words] = {
    live: ["good", "Live"],
    locked: ["warn", "Locked"],
    lost: ["bad", `Lost, next try in ${span(Math.round(seconds * 10) / 10)}`],
  }[now];
  at("link").dataset.tone = tone;
  put(at("link"), words);
  at("link").title = plain(why);
  at("again").hidden = now === "live";
  put(at("again"), now === "locked" ? "Enter the token" : "Try now");
  document.body.classList.toggle("lost", now !== "live");
  if (now === "lost") {
    at("health").dataset.tone = "bad";
    put(at("health"), `Not connected: ${plain(why)}. What is shown may be out of date.`);
  }
  if (now === "locked") lock();
  if (now !== state) say({live: "Connected: the page is live", locked: "A token is needed", lost: "Connection lost, trying again"}[now]);
  state = now;
}

function lock() {
  at("health").dataset.tone = "warn";
  put(at("health"), "The server shows this to who knows its token.");
  if (sessionStorage.getItem(TOKEN)) put(at("door-why"), "That token was not accepted.");
  sessionStorage.removeItem(TOKEN);
  if (!at("door").open) at("door").showModal();
}

at("key").addEventListener("submit", event => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, at("token").value.trim());
  at("token").value = "";
  at("door").close();
  feed.wake();
});
at("leave").addEventListener("click", () => at("door").close());
at("again").addEventListener("click", () => state === "locked" ? at("door").showModal() : feed.wake());
addEventListener("online", () => feed.wake());

const feed = new Feed(heard, tell);
feed.run();
