// The page of one board: what it is, how it has been, what runs on it.

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { post, request } from "./api.js";
import { Chart } from "./chart.js";
import { bytes, duration, number, plural, temperature } from "./format.js";
import { Heartbeats, Power, stateOf } from "./overview.js";
import { ConfirmButton, Facts, Quiet, Shape, Trouble } from "./parts.js";
import { TaskStream } from "./stream.js";
import { clock, cluster, histories, mayDo, nodes, second, silence } from "./store.js";

const shownSeconds = [60, 600]; // at least, at most
const past = (time) => {
  if (time === 0) return "now";
  return time % 60 === 0 ? `−${-time / 60} min` : `−${-time} s`;
};

function History({ node, title, name, colour, text, range }) {
  const samples = histories.get(node.id)?.samples ?? [];
  const now = clock();
  const times = [...samples.map((sample) => sample.time - now), 0];
  const last = samples.at(-1)?.[name];
  if (last == null) return null;
  const oldest = Math.min(shownSeconds[1], Math.max(shownSeconds[0], -times[0]));
  const step = oldest > 300 ? 120 : oldest > 120 ? 60 : 15;
  // The line ends where the board was last heard.
  const data = [times, [...samples.map((sample) => sample[name]), null]];
  return html`<section class="card"><header class="head"><h2>${title}</h2>
      <strong>${text(last)}</strong></header>
    <${Chart} label=${`${title} of the last minutes, now ${text(last)}`}
      series=${[{ colour }]} data=${data}
      x=${{ range: [-oldest, 0], values: past,
        splits: [4, 3, 2, 1, 0].map((count) => -count * step) }}
      y=${{ range, values: (value) => number(value) }} /></section>`;
}

function Charts({ node }) {
  second.value;
  const percents = (value) => `${Math.round(value)} %`;
  return html`<div class="charts">
    <${History} node=${node} title="CPU" name="cpu" colour="accent" text=${percents}
      range=${[0, 100]} />
    <${History} node=${node} title="Memory" name="memory" colour="memory" text=${percents}
      range=${[0, 100]} />
    <${History} node=${node} title="Temperature" name="temperature" colour="warn"
      text=${temperature} range=${[20, 90]} />
    ${node.role === "worker" && html`<${History} node=${node} title="Tasks" name="tasks"
      colour="running" text=${(count) => plural(count, "task")}
      range=${[0, Math.max(1, node.cpus)]} />`}</div>`;
}

// What becomes of the tasks that still run there: a deadline, and the words for it.
const deadlines = [["", "let its tasks finish"], ["1m", "move its tasks in 1 min"],
  ["10m", "move its tasks in 10 min"], ["1h", "move its tasks in 1 h"]];

function Drain({ onDrain }) {
  const [deadline, setDeadline] = useState("");
  return html`<select aria-label="When it is drained" value=${deadline}
      onChange=${(event) => setDeadline(event.target.value)}>${deadlines.map(([value, words]) =>
      html`<option key=${value} value=${value}>${words}</option>`)}</select>
    <${ConfirmButton} label="Drain" question="Give it no new work?"
      onConfirm=${() => onDrain(deadline ? { deadline } : {})} />`;
}

function Actions({ node }) {
  const [error, setError] = useState(null);
  const act = (verb, body) => post(`nodes/${encodeURIComponent(node.id)}/${verb}`, body)
    .then(() => setError(null), setError);
  if (!mayDo("admin") || node.role !== "worker") return null;
  const held = node.draining || node.quarantined;
  return html`<div class="actions">${held
    ? html`<button class="primary" onClick=${() => act("undrain")}>Give it work again</button>`
    : html`<${Drain} onDrain=${(body) => act("drain", body)} />`}</div>
    <${Trouble} error=${error} />`;
}

function Labels({ node }) {
  const [error, setError] = useState(null);
  const change = (labels) => request(`nodes/${encodeURIComponent(node.id)}/labels`,
    { method: "PATCH", json: labels }).then(() => setError(null), setError);
  const add = (event) => {
    event.preventDefault();
    const [key, ...value] = new FormData(event.target).get("label").split("=");
    change({ [key.trim()]: value.join("=").trim() }).then(() => event.target.reset());
  };
  const all = Object.entries(node.labels);
  if (all.length === 0 && !mayDo("admin")) return null;
  return html`<section class="card"><h2>Labels</h2><ul class="labels">
      ${all.map(([key, value]) => html`<li key=${key}>${key}=${value}
        ${mayDo("admin") && html`<button class="plain icon" aria-label=${`Remove ${key}`}
          onClick=${() => change({ [key]: null })}>×</button>`}</li>`)}</ul>
    ${mayDo("admin") && html`<form class="inline" onSubmit=${add}>
      <input name="label" required pattern=".+=.*" placeholder="room=attic"
        aria-label="New label" />
      <button>Add</button></form>`}
    <p class="quiet small">Jobs ask for them: <code>room==attic</code> as the place to run.</p>
    <${Trouble} error=${error} /></section>`;
}

function Silence({ node }) {
  second.value;
  const quiet = silence(node);
  if (quiet == null) return "not since the master started";
  return quiet < 2 ? "just now" : `${duration(quiet)} ago`;
}

function factsOf(node) {
  const resources = Object.entries(node.resources).map(([name, count]) => `${name}=${count}`);
  return [
    ["Role", node.role],
    ["Address", node.address],
    ["Host name", node.hostname],
    ["System", node.os],
    ["Kernel", `${node.kernel} (${node.kernel_arch})`],
    ["Programs", [node.version, node.arch].filter(Boolean).join(", ")],
    ["Cores", node.cpu_cores],
    ["Offered to jobs", node.cpus > 0
      ? `${plural(node.cpus, "CPU")}, ${bytes(node.memory_bytes)}` : null],
    ["Resources", resources.join(", ")],
    ["Isolation of tasks", node.isolation],
    ["Speed", node.speed == null ? null : `${number(node.speed)} times the mean`],
    ["Power", html`<${Power} vitals=${node.vitals} />`],
    ["Load", node.vitals.load_1m == null ? null : number(node.vitals.load_1m)],
    ["Disk", node.vitals.disk_bytes && `${bytes(node.vitals.disk_free_bytes)} free of ${
      bytes(node.vitals.disk_bytes)}`],
    ["Network", [node.vitals.network, node.vitals.network_mbps &&
      `${node.vitals.network_mbps} Mbit/s`].filter(Boolean).join(", ")],
    ["Came back", node.reconnects > 0 ? plural(node.reconnects, "time") : null],
    ["Last heard", html`<${Silence} node=${node} />`],
  ];
}

export function BoardPage({ rest: [name] }) {
  const node = nodes.value.find((one) => one.name === name || one.id === name);
  if (!node)
    return html`<h1>${name}</h1><${Quiet}>${cluster.value ? "There is no board of that name."
      : "Asking …"}</${Quiet}>`;
  return html`<p class="back"><a href="#/">Overview</a></p>
    <header class="page-head"><h1>${node.name}</h1>${stateOf(node)}
      <${Actions} node=${node} /></header>
    <p class="quiet">${node.cpu}</p>
    ${node.unwell.map((reason) => html`<p class="unwell"><${Shape} of="warning" />${reason}</p>`)}
    <div class="pulse"><span class="quiet small">Heartbeats of the last two minutes</span>
      <${Heartbeats} node=${node} /></div>
    <${Charts} node=${node} />
    ${node.role === "worker" && html`<${TaskStream} only=${node.name} />`}
    <div class="columns"><section class="card"><h2>What it is</h2>
      <${Facts} rows=${factsOf(node)} /></section><${Labels} node=${node} /></div>`;
}
