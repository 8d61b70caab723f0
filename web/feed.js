// The event stream, kept open for ever. EventSource comes back by itself after a broken connection,
// but not after an answer such as 503, nor does it notice a link that died silently; both are
// handled here.

const silenceLimit = 40_000; // the webserver says something every 15 s at least
const firstRetry = 1_000;
const lastRetry = 15_000;

const noAnswer = "The webserver does not answer";
const refusals = new Map([
  [401, "The webserver wants a token; load the page again"],
  [429, "Too many wrong tokens; wait a little"],
  [503, "The webserver has no place for another viewer, or cannot check your token"],
]);

export class Feed {
  // onState(state) with each event; onLink("live" | "reconnecting", why) when that changes.
  constructor(url, onState, onLink) {
    this.url = url;
    this.onState = onState;
    this.onLink = onLink;
    this.source = null;
    this.retry = firstRetry;
    this.timer = 0;
    this.heard = performance.now();
    setInterval(() => this.watch(), 5_000);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.watch();
    });
    window.addEventListener("online", () => this.open());
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.source?.close();
    this.heard = performance.now();
    const source = new EventSource(this.url);
    this.source = source;
    source.addEventListener("state", (event) => {
      this.alive();
      this.onState(JSON.parse(event.data));
    });
    source.addEventListener("alive", () => this.alive());
    source.addEventListener("error", () => {
      this.onLink("reconnecting", noAnswer);
      if (source.readyState !== EventSource.CLOSED) return;
      this.openLater();
      this.explain();
    });
  }

  alive() {
    this.heard = performance.now();
    this.retry = firstRetry;
    this.onLink("live", "");
  }

  // EventSource does not tell why it was refused; asking for the header alone does.
  async explain() {
    try {
      const answer = await fetch(this.url, { method: "HEAD", cache: "no-store" });
      if (refusals.has(answer.status)) this.onLink("reconnecting", refusals.get(answer.status));
    } catch {
      this.onLink("reconnecting", noAnswer);
    }
  }

  openLater() {
    if (this.timer) return;
    this.timer = setTimeout(() => this.open(), this.retry * (0.5 + Math.random() / 2));
    this.retry = Math.min(lastRetry, this.retry * 2);
  }

  watch() {
    if (this.timer || performance.now() - this.heard < silenceLimit) return;
    this.onLink("reconnecting", noAnswer);
    this.open();
  }
}
