// The lesson: the same work on 1, 2, 4 ... boards, how long it took, and what came of the boards.

import { signal } from "@preact/signals";
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { post, request } from "./api.js";
import { Chart } from "./chart.js";
import { number, plural, span } from "./format.js";
import { NeedsRole } from "./login.js";
import { Quiet, Trouble } from "./parts.js";
import { TaskStream } from "./stream.js";
import { attempts, clock, jobs, mayDo, workers } from "./store.js";

const sizes = [["short", "Short", 1_000_000], ["middle", "Middle", 5_000_000],
  ["long", "Long", 25_000_000]]; // terms of the series
const rounds = [16, 32, 64, 128]; // tasks

// Sums a series on every board that has a POSIX shell and awk, which is all of them.
const work = (steps) => "awk 'BEGIN { for (i = 0; i < " + steps +
  "; ++i) sum += (i % 2 ? -4 : 4) / (2 * i + 1); printf \"%.6f\\n\", sum }'";

// The lesson goes on while somebody looks at another page.
const results = signal([]);
const state = signal(""); // what it does now; empty: nothing
const trouble = signal(null);
let stopped = false;

// 1, 2, 4 ... and all of them.
function stepsOf(count) {
  const steps = [];
  for (let step = 1; step < count; step *= 2) steps.push(step);
  return count > 0 ? [...steps, count] : steps;
}

const quoted = (name) => `"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
const sleep = (milliseconds) => new Promise((done) => {
  setTimeout(done, milliseconds);
});

// From the first start to the last end of its tasks, on the webserver's clock.
async function runOnce(names, tasks, steps) {
  const { job } = await post("jobs", {
    command: work(steps), array: `1-${tasks}`,
    name: `speed-up, ${plural(names.length, "board")}`,
    where: names.map((name) => `name==${quoted(name)}`).join(" || "),
  });
  const began = clock();
  for (;;) {
    const now = jobs.value.find((one) => one.id === job.id) ??
      (await request(`jobs/${job.id}`)).job;
    if (stopped) {
      await post(`jobs/${job.id}/cancel`).catch(() => {});
      return null;
    }
    if (now.state === "failed" || now.state === "cancelled")
      throw new Error(`Job ${job.id} ${now.state}${now.reason ? `: ${now.reason}` : ""}`);
    if (now.state === "done") break;
    await sleep(100);
  }
  const runs = attempts.of((run) => run.job === job.id && run.ended != null);
  const first = Math.min(began, ...runs.map((run) => run.started));
  const last = runs.length > 0 ? Math.max(...runs.map((run) => run.ended)) : clock();
  return { boards: names.length, job: job.id, seconds: last - first };
}

function withSpeedUp(results) {
  const one = results[0];
  return results.map((result) => {
    const speedUp = one.seconds * one.boards / result.seconds;
    return { ...result, speedUp, efficiency: 100 * speedUp / result.boards };
  });
}

function download(rows) {
  const text = ["boards,seconds,speed_up,efficiency_percent,job",
    ...rows.map((row) => [row.boards, row.seconds.toFixed(3), row.speedUp.toFixed(3),
      row.efficiency.toFixed(1), row.job].join(","))].join("\n");
  const address = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = "speed-up.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function Results({ rows }) {
  const most = rows.at(-1).boards;
  const data = [rows.map((row) => row.boards), rows.map((row) => row.boards),
    rows.map((row) => row.speedUp)];
  const best = rows.at(-1);
  return html`<section class="card" aria-labelledby="result-title">
    <header class="head"><h2 id="result-title">Speed-up</h2>
      <button onClick=${() => download(rows)}>Save as CSV</button></header>
    <p class="lead">${plural(best.boards, "board")} took ${span(best.seconds)}, ${
      plural(rows[0].boards, "board")} ${span(rows[0].seconds)}: <b>${
      number(Math.round(best.speedUp * 10) / 10)} times</b> as fast.</p>
    ${rows.length > 1 && html`<${Chart} height=${240} data=${data}
      label=${rows.map((row) => `${plural(row.boards, "board")}: ${row.speedUp.toFixed(1)} times`)
        .join(", ")}
      series=${[{ colour: "soft", dash: [4, 4] }, { colour: "accent", points: true }]}
      x=${{ range: [1, most], splits: rows.map((row) => row.boards) }}
      y=${{ range: [0, Math.max(most, best.speedUp) * 1.05], values: (value) => `${value} ×` }} />
      <ul class="legend"><li><i class="line"></i>measured</li>
        <li><i class="line dashed"></i>if boards cost nothing to join up</li></ul>`}
    <table><thead><tr><th scope="col">Boards</th><th scope="col">Time</th>
      <th scope="col">Speed-up</th><th scope="col">Efficiency</th>
      <th scope="col">Job</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.job}><th scope="row">${row.boards}</th>
        <td>${span(row.seconds)}</td><td>${row.speedUp.toFixed(2)} ×</td>
        <td>${Math.round(row.efficiency)} %</td>
        <td><a href=${`#/jobs/${row.job}`}>${row.job}</a></td></tr>`)}</tbody></table></section>`;
}

async function runAll(names, tasks, amount) {
  stopped = false;
  trouble.value = null;
  results.value = [];
  try {
    for (const count of stepsOf(names.length)) {
      state.value = `Running on ${plural(count, "board")} …`;
      const result = await runOnce(names.slice(0, count), tasks, amount);
      if (!result) break;
      results.value = [...results.value, result];
    }
  } catch (error) {
    trouble.value = error;
  }
  state.value = "";
}

function stop() {
  stopped = true;
}

function Choices({ names }) {
  const [size, setSize] = useState("middle");
  const [tasks, setTasks] = useState(32);
  const start = () => runAll(names, tasks, sizes.find(([name]) => name === size)[2]);
  return html`<section class="card demo" aria-label="The work">
    <label>Tasks<select value=${tasks} onChange=${(event) => setTasks(Number(event.target.value))}>
      ${rounds.map((count) => html`<option key=${count} value=${count}>${count}</option>`)}
    </select></label>
    <label>Each of them<select value=${size} onChange=${(event) => setSize(event.target.value)}>
      ${sizes.map(([name, label]) => html`<option key=${name} value=${name}>${label}</option>`)}
    </select></label>
    ${state.value ? html`<button onClick=${stop}>Stop</button>`
      : html`<button class="primary" disabled=${!mayDo("submit") || names.length === 0}
        onClick=${start}>Start</button>`}
    <span class="quiet" role="status">${state.value}</span></section>`;
}

export function DemoPage() {
  const names = workers.value.filter((node) => node.state === "online" && !node.draining)
    .map((node) => node.name);
  return html`<h1>Speed-up</h1>
    <p class="lead narrow">The same work on ${stepsOf(names.length).join(", ") || "1, 2, 4 …"}
      ${" "}boards, one run after the other. Pull a cable meanwhile: its tasks move to the others,
      and all of them still get done.</p>
    ${!mayDo("submit") && html`<${NeedsRole} role="submit" what="Running it" />`}
    <${Choices} names=${names} />
    <${Trouble} error=${trouble.value} />
    ${workers.value.length > 0 ? html`<${TaskStream} />`
      : html`<${Quiet}>No board that runs tasks has joined yet.</${Quiet}>`}
    ${results.value.length > 0 && html`<${Results} rows=${withSpeedUp(results.value)} />`}`;
}
