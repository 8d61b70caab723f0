// The event stream, kept open for ever. EventSource comes back by itself after a broken connection,
// but not after an answer such as 503, nor does it notice a link that died silently; both are
// handled here.

import { checkWho, request } from "./api.js";
import { link, onEvent, recall } from "./store.js";

const silenceLimit = 40_000; // the webserver says something every 15 s at least
const firstRetry = 500;
const lastRetry = 15_000;
const kinds = ["state", "nodes", "jobs", "tasks", "events", "master", "verdict", "alive"];

let source = null;
let retry = firstRetry;
let timer = 0;
let heard = 0;

function alive() {
  heard = performance.now();
  retry = firstRetry;
  if (link.value.state !== "live") link.value = { state: "live", why: "" };
}

function broken(why) {
  link.value = { state: "reconnecting", why };
}

// EventSource does not tell why it was refused; whoever asks who he is learns it.
async function explain() {
  try {
    const { role } = await checkWho();
    broken(role ? "The webserver has no place for another viewer" : "A token is needed");
  } catch (error) {
    broken(error.message);
  }
}

function openLater() {
  if (timer) return;
  timer = setTimeout(openFeed, retry * (0.5 + Math.random() / 2));
  retry = Math.min(lastRetry, retry * 2);
}

export function openFeed() {
  clearTimeout(timer);
  timer = 0;
  source?.close();
  heard = performance.now();
  const mine = new EventSource("/api/v1/events");
  source = mine;
  for (const kind of kinds)
    mine.addEventListener(kind, (event) => {
      alive();
      onEvent(kind, JSON.parse(event.data));
      // The page lives without it: charts then begin with what comes.
      if (kind === "state") request("history").then(({ nodes }) => recall(nodes), () => {});
    });
  mine.addEventListener("error", () => {
    broken("The webserver does not answer");
    if (mine.readyState !== EventSource.CLOSED) return;
    openLater();
    explain();
  });
}

function watch() {
  if (timer || performance.now() - heard < silenceLimit) return;
  broken("The webserver does not answer");
  openFeed();
}

export function startFeed() {
  setInterval(watch, 5_000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) watch();
  });
  window.addEventListener("online", openFeed);
  openFeed();
}
