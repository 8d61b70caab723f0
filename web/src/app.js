// Puts the page together: the frame around every page, and which page is shown.

import { effect } from "@preact/signals";
import { html, render } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import { checkWho, logout } from "./api.js";
import { BoardPage } from "./board.js";
import { nextTheme, startColours, theme } from "./colours.js";
import { DemoPage } from "./demo.js";
import { startFeed, openFeed } from "./feed.js";
import { JobPage, JobsPage } from "./job.js";
import { JoinPage } from "./join.js";
import { LoginPage } from "./login.js";
import { Overview } from "./overview.js";
import { route } from "./router.js";
import { link, verdict, who } from "./store.js";
import { SubmitPage } from "./submit.js";

const pages = {
  "": { page: Overview, title: "Overview" },
  boards: { page: BoardPage, title: "Board" },
  jobs: { page: ({ rest }) => (rest[0] ? html`<${JobPage} rest=${rest} key=${rest[0]} />`
    : html`<${JobsPage} />`), title: "Jobs" },
  run: { page: SubmitPage, title: "Run a job" },
  demo: { page: DemoPage, title: "Speed-up" },
  join: { page: JoinPage, title: "Add a board" },
  login: { page: LoginPage, title: "Log in" },
};

const tabs = [
  ["", "Overview", "M2.5 8.5L8 3.5l5.5 5M4 7.5V13h8V7.5"],
  ["jobs", "Jobs", "M3 4h10M3 8h10M3 12h6"],
  ["run", "Run", "M5 3.2l7.4 4.8L5 12.8z"],
  ["demo", "Speed-up", "M3 13V9.5M6.5 13V7.5M10 13V5.5M13.5 13V3"],
  ["join", "Add a board", "M8 3v10M3 8h10"],
];

function Nav({ at }) {
  return html`<nav aria-label="Pages">${tabs.map(([name, label, path]) => html`
    <a key=${name} href=${`#/${name}`} aria-current=${at === name ? "page" : null}>
      <svg viewBox="0 0 16 16" aria-hidden="true"><path d=${path} /></svg>${label}</a>`)}</nav>`;
}

const linkWords = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting" };

function Session() {
  const { session, name, role } = who.value ?? {};
  if (session) return html`<button class="plain" onClick=${logout}
    title=${`Logged in as ${name} (${role})`}>Log out</button>`;
  return html`<a class="button plain" href="#/login">Log in</a>`;
}

function Top({ at }) {
  const { state } = link.value;
  const icons = { auto: "◐", light: "○", dark: "●" };
  return html`<header class="top">
    <a class="brand" href="#/"><img src="icon.svg" alt="" width="28" height="28" />rpicluster</a>
    <${Nav} at=${at} />
    <span class="link" data-state=${state} role="status">${linkWords[state]}</span>
    <button class="plain icon" onClick=${nextTheme}
      aria-label=${`Colours: ${theme.value}`} title=${`Colours: ${theme.value}`}>
      ${icons[theme.value]}</button>
    <${Session} />
  </header>`;
}

function Nothing() {
  return html`<h1>There is no such page</h1><p><a href="#/">To the overview</a></p>`;
}

// Whoever follows a link is read the new page from its beginning.
function Frame() {
  const [name = "", ...rest] = route.value;
  const main = useRef(null);
  const first = useRef(true);
  const needsLogin = who.value != null && who.value.role == null;
  const { page: Page, title } = needsLogin ? pages.login : pages[name] ?? { page: Nothing };
  useEffect(() => {
    if (!first.current) {
      main.current.focus();
      scrollTo(0, 0);
    }
    first.current = false;
  }, [name, rest[0]]);
  useEffect(() => effect(() => {
    const { tone, text } = verdict.value;
    const news = tone === "good" ? "" : `${text} – `;
    document.title = `${news}${title && title !== "Overview" ? `${title} – ` : ""}rpicluster`;
  }), [title]);
  return html`<button class="skip" onClick=${() => main.current.focus()}>Skip to the page</button>
    <${Top} at=${name} />
    <main ref=${main} id="main" tabindex="-1"><${Page} rest=${rest} /></main>`;
}

startColours();
render(html`<${Frame} />`, document.getElementById("app"));
checkWho().catch(() => {});
startFeed();
// A new session sees what the one before did not.
let known = null;
effect(() => {
  const role = who.value?.role ?? null;
  if (role && role !== known && link.peek().state !== "live") openFeed();
  known = role;
});
