// The event stream, kept open for ever. EventSource comes back by itself after a broken connection,
// but not after an answer such as 503, nor does it notice a link that died silently; both are
// handled here.

const silenceLimit = 40_000; // the webserver says something every 15 s at least
const firstRetry = 1_000;
const lastRetry = 15_000;

export class Feed {
  // onState(state) with each event, onLink("live" | "reconnecting") when that changes.
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
      this.onLink("reconnecting");
      if (source.readyState === EventSource.CLOSED) this.openLater();
    });
  }

  alive() {
    this.heard = performance.now();
    this.retry = firstRetry;
    this.onLink("live");
  }

  openLater() {
    if (this.timer) return;
    this.timer = setTimeout(() => this.open(), this.retry * (0.5 + Math.random() / 2));
    this.retry = Math.min(lastRetry, this.retry * 2);
  }

  watch() {
    if (this.timer || performance.now() - this.heard < silenceLimit) return;
    this.onLink("reconnecting");
    this.open();
  }
}
