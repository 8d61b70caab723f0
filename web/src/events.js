// What happened, newest first.

import { html } from "htm/preact";
import { Quiet, Shape } from "./parts.js";
import { events } from "./store.js";

const shown = 40;

const shapeOf = (kind) => {
  if (/lost|failed|removed/.test(kind)) return "bad";
  if (/suspect|quarantine|retr|drain|clone/.test(kind)) return "warning";
  if (/cancel/.test(kind)) return "cancelled";
  if (/submit/.test(kind)) return "queued";
  return "good";
};

// The cluster's clock may be wrong, but it is the same for all of its events.
const timeOf = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit",
  second: "2-digit" });

const linkOf = ({ job, node, task }) => {
  if (job) return `#/jobs/${job}${task == null ? "" : `/${task}`}`;
  return node ? `#/boards/${encodeURIComponent(node)}` : null;
};

export function EventFeed() {
  const newest = events.value.slice(-shown).reverse();
  return html`<section class="card" aria-labelledby="events-title">
    <header class="head"><h2 id="events-title">What happened</h2></header>
    ${newest.length === 0 && html`<${Quiet}>Nothing yet.</${Quiet}>`}
    <ol class="events" tabindex="0" aria-labelledby="events-title">${newest.map((event) => {
      const shape = shapeOf(event.kind);
      return html`<li key=${event.id} data-tone=${shape}><${Shape} of=${shape} />
        ${linkOf(event) ? html`<a href=${linkOf(event)}>${event.text}</a>`
          : html`<span>${event.text}</span>`}
        <time class="quiet" datetime=${event.at}>${timeOf(event.at)}</time></li>`;
    })}</ol></section>`;
}
