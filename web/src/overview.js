// The first screen: how the cluster is, its boards, what runs where, its jobs, what happened.

import { signal } from "@preact/signals";
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { EventFeed } from "./events.js";
import { bytes, clip, duration, isUnwell, memoryPercent, plural, temperature, tone }
  from "./format.js";
import { JobRow } from "./job.js";
import { Badge, Meter, Quiet, Shape } from "./parts.js";
import { TaskStream } from "./stream.js";
import { boards, clock, cluster, histories, jobs, link, second, silence, verdict, workers }
  from "./store.js";

const filterFrom = 9; // boards; fewer are found without a filter
const narrow = signal(false); // a phone: its boards stand in two columns
const phone = matchMedia("(max-width: 760px)");
narrow.value = phone.matches;
phone.addEventListener("change", () => {
  narrow.value = phone.matches;
});
const beatSeconds = 120; // that a heartbeat strip shows

function Verdict() {
  const { tone: shown, text } = verdict.value;
  const lost = link.value.state === "reconnecting";
  const words = lost ? link.value.why : text;
  return html`<section class="verdict" data-tone=${lost ? "bad" : shown} aria-label="Verdict">
    <span class="dot"><${Shape} of=${lost ? "bad" : shown} /></span>
    <div><h1><span role="status">${words}</span></h1>
      <p class="quiet"><${Counts} /></p></div></section>`;
}

function Counts() {
  const state = cluster.value;
  if (!state) return null;
  if (!state.connected)
    return `No link to the master at ${state.address || "an unknown address"}: ${state.trouble}. ` +
      "What you see is the last that it told.";
  const online = boards.value.filter((node) => node.state === "online");
  const cpus = workers.value.reduce((sum, node) => sum + node.cpus, 0);
  const free = workers.value.reduce((sum, node) => sum + node.free_cpus, 0);
  const running = jobs.value.filter((job) => job.state === "running").length;
  const queued = jobs.value.filter((job) => job.state === "queued").length;
  const parts = [`${online.length} of ${plural(boards.value.length, "board")} online`];
  if (cpus > 0) parts.push(`${Math.round(cpus - free)} of ${cpus} CPUs busy`);
  if (running > 0) parts.push(`${plural(running, "job")} running`);
  if (queued > 0) parts.push(`${queued} waiting`);
  return parts.join(" · ");
}

// A tick for each heartbeat that this page has seen; a silent node leaves a gap.
export function Heartbeats({ node }) {
  second.value;
  const history = histories.get(node.id);
  if (!history) return null;
  const now = clock();
  const x = (time) => (240 * (1 - (now - time) / beatSeconds)).toFixed(1);
  const beats = history.beats.filter((time) => now - time < beatSeconds);
  const quiet = silence(node);
  const gap = quiet > 12 ? `M${Math.max(0, x(node.heard))} 10H240` : "";
  const said = quiet == null ? "not heard yet"
    : `last heartbeat ${duration(quiet)} ago, ${beats.length} seen in the last two minutes`;
  return html`<svg class="beats" viewBox="0 0 240 20" preserveAspectRatio="none" role="img"
      aria-label=${said}>
    <path class="base" d="M0 19H240" />
    <path d=${beats.map((time) => `M${x(time)} 4V19`).join("")} />
    ${gap && html`<path class="gap" d=${gap} />`}</svg>`;
}

export function Power({ vitals }) {
  if (vitals.undervoltage == null && vitals.throttled == null) return null;
  if (vitals.undervoltage)
    return html`<span class="bad-text"><${Shape} of="power" />Under-voltage</span>`;
  if (vitals.throttled)
    return html`<span class="warn-text"><${Shape} of="power" />Throttled</span>`;
  return html`<span class="power-good"><${Shape} of="power" />Power good</span>`;
}

function Meters({ node }) {
  const used = memoryPercent(node.ram_bytes, node.vitals);
  const memory = used == null ? bytes(node.ram_bytes)
    : `${bytes(node.ram_bytes * used / 100)} of ${bytes(node.ram_bytes)}`;
  return html`<${Meter} label="CPU" kind="cpu" value=${node.vitals.cpu_percent} />
    <${Meter} label="Memory" kind="memory" value=${used} text=${memory} />`;
}

export function stateOf(node) {
  if (node.state !== "online") return html`<${Badge} state=${node.state} tone=${tone(node)} />`;
  if (node.quarantined) return html`<${Badge} tone="warning">quarantined</${Badge}>`;
  if (isUnwell(node)) return html`<${Badge} tone="warning">unwell</${Badge}>`;
  if (node.draining) return html`<${Badge} tone="waiting">draining</${Badge}>`;
  return html`<${Badge} state="online" tone="good" />`;
}

function Silence({ node }) {
  second.value;
  return silence(node) == null ? "not seen since the master started"
    : `silent for ${duration(silence(node))}`;
}

// What the power badge says is not said again.
const reasonsOf = ({ unwell, vitals }) => unwell.filter((reason) =>
  !(vitals.undervoltage && /voltage/i.test(reason)) &&
  !(vitals.throttled && /throttl/i.test(reason)));

function Card({ node }) {
  const heat = temperature(node.vitals.temperature_c);
  const tasks = node.role === "worker"
    ? `${node.running_tasks} of ${plural(node.cpus, "task")}` : node.role;
  return html`<a class="card board" href=${`#/boards/${encodeURIComponent(node.name)}`}
      data-tone=${tone(node)} data-state=${node.state}>
    <header><h3>${node.name || "(no name)"}</h3>${stateOf(node)}</header>
    <p class="quiet model">${node.cpu || "model not known"}</p>
    <${Meters} node=${node} />
    <${Heartbeats} node=${node} />
    ${reasonsOf(node).map((reason) => html`<p class="unwell"><${Shape} of="warning" />
      ${clip(reason, 90)}</p>`)}
    <footer class="quiet">
      ${node.state === "online" ? html`${heat && html`<span>${heat}</span>`}
        <${Power} vitals=${node.vitals} /><span>${tasks}</span>`
        : html`<span><${Silence} node=${node} /></span>`}
    </footer></a>`;
}

// As many columns as leave the fewest holes in the last row.
function columnsFor(count) {
  if (count <= 3) return 3;
  const holes = (columns) => (columns - (count % columns)) % columns;
  return holes(3) < holes(4) ? 3 : 4;
}

function Boards() {
  const [words, setWords] = useState("");
  const all = boards.value;
  const matches = (node) => {
    const text = [node.name, node.role, node.state, node.cpu, node.arch, node.address,
      ...node.unwell].join(" ").toLowerCase();
    return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  };
  const shown = all.filter(matches);
  return html`<section aria-labelledby="boards-title">
    <header class="head"><h2 id="boards-title">Boards</h2>
      ${all.length >= filterFrom && html`<input type="search" aria-label="Filter boards"
        placeholder="Filter" value=${words} onInput=${(event) => setWords(event.target.value)} />`}
    </header>
    ${all.length === 0 && html`<${Quiet}>No board has joined yet. ${""}
      <a href="#/join">Add the first one</a></${Quiet}>`}
    ${all.length > 0 && shown.length === 0 && html`<${Quiet}>No board matches.</${Quiet}>`}
    <div class="boards" data-dense=${all.length > (narrow.value ? 2 : 12)}
      style=${{ "--columns": columnsFor(shown.length) }}>
      ${shown.map((node) => html`<${Card} key=${node.id} node=${node} />`)}</div>
  </section>`;
}

function Jobs() {
  return html`<section class="card" aria-labelledby="jobs-title">
    <header class="head"><h2 id="jobs-title">Jobs</h2>
      ${jobs.value.length > 8 && html`<a href="#/jobs">All jobs</a>`}</header>
    ${jobs.value.length === 0 && html`<${Quiet}>Nothing was asked of this cluster yet. ${""}
      <a href="#/run">Run a job</a></${Quiet}>`}
    <ul class="jobs">${jobs.value.slice(0, 8).map((job) => html`
      <${JobRow} key=${job.id} job=${job} />`)}</ul></section>`;
}

export function Overview() {
  return html`<${Verdict} /><${Boards} />
    ${workers.value.length > 0 && html`<${TaskStream} />`}
    <div class="columns"><${Jobs} /><${EventFeed} /></div>`;
}
