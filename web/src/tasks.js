// The tasks of one job: loaded in pages, kept up to date by the event stream, drawn as a grid.

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { request } from "./api.js";
import { colours } from "./colours.js";
import { number, plural, stateWords, taskStates, tasksOf } from "./format.js";
import { attempts } from "./store.js";
import { Trouble } from "./parts.js";

const shownAtMost = 10_000;
const loadAgain = 2000; // milliseconds between two loads, at least

async function load(id, signal) {
  const list = [];
  let cursor = "";
  while (list.length < shownAtMost) {
    const page = await request(`jobs/${id}/tasks?limit=1000${cursor}`, { signal });
    list.push(...page.tasks);
    if (page.next == null) break;
    cursor = `&cursor=${page.next}`;
  }
  return list;
}

// What the event stream tells is newer than what was loaded before. `seen` has what was taken over
// already: it must not come again after a task was, say, queued anew.
function follow(tasks, id, seen) {
  let changed = false;
  for (const run of attempts.all.values()) {
    if (run.job !== id || run.state === "lost") continue;
    const task = tasks.byIndex.get(run.task);
    const key = `${run.task}.${run.attempt}.${run.state}`;
    if (!task || run.attempt < task.attempt || seen.has(key)) continue;
    seen.set(key, performance.now());
    Object.assign(task, { state: run.state, node: run.node, attempt: run.attempt });
    changed = true;
  }
  return changed;
}

// { list, byIndex, error }, a new object with each change.
export function useTasks(id, job) {
  const [tasks, setTasks] = useState({ list: [], byIndex: new Map(), error: null });
  const current = useRef(tasks);
  const wanted = useRef(true);
  const told = JSON.stringify([id, job?.state, job?.tasks]);
  useEffect(() => {
    wanted.current = true;
  }, [told]);
  useEffect(() => {
    const control = new AbortController();
    const seen = new Map(); // attempt and state -> when they were taken over
    let busy = false;
    let due = 0;
    let version = -1;
    // What is followed is what was loaded last, even before it is drawn.
    const show = (value) => {
      current.current = value;
      setTasks(value);
    };
    const reload = async () => {
      busy = true;
      wanted.current = false;
      const began = performance.now();
      try {
        const list = await load(id, control.signal);
        // What was told meanwhile may be missing in the answer.
        for (const [key, time] of seen) if (time >= began) seen.delete(key);
        version = -1;
        show({ list, byIndex: new Map(list.map((task) => [task.index, task])), error: null });
      } catch (error) {
        if (!control.signal.aborted) show({ ...current.current, error });
      }
      const took = performance.now() - began;
      due = performance.now() + Math.max(loadAgain, 5 * took);
      busy = false;
    };
    const timer = setInterval(() => {
      if (wanted.current && !busy && performance.now() >= due) reload();
      if (version === attempts.version) return;
      version = attempts.version;
      if (follow(current.current, id, seen)) show({ ...current.current });
    }, 200);
    return () => {
      control.abort();
      clearInterval(timer);
    };
  }, [id]);
  return tasks;
}

const cellFor = (count) => (count <= 300 ? 22 : count <= 2500 ? 14 : 9);

// Each state has a form of its own: full, a triangle, a cross, a dash, a dot.
function drawCell(pen, state, x, y, size) {
  const palette = colours.value;
  const inner = size - Math.max(1, Math.round(size / 7));
  const middle = inner / 2;
  const fills = { done: palette.good, running: palette.running, failed: palette.bad };
  pen.fillStyle = fills[state] ?? palette.track;
  pen.fillRect(x, y, inner, inner);
  pen.fillStyle = state in fills ? palette.card : palette.soft;
  pen.strokeStyle = pen.fillStyle;
  pen.lineWidth = Math.max(1, size / 11);
  pen.beginPath();
  if (state === "running") {
    pen.moveTo(x + inner * 0.34, y + inner * 0.24);
    pen.lineTo(x + inner * 0.76, y + middle);
    pen.lineTo(x + inner * 0.34, y + inner * 0.76);
    pen.fill();
  } else if (state === "failed") {
    for (const turn of [0.3, 0.7]) {
      pen.moveTo(x + inner * turn, y + inner * 0.3);
      pen.lineTo(x + inner * (1 - turn), y + inner * 0.7);
    }
    pen.stroke();
  } else if (state === "cancelled") {
    pen.moveTo(x + inner * 0.25, y + middle);
    pen.lineTo(x + inner * 0.75, y + middle);
    pen.stroke();
  } else if (state === "queued") {
    pen.arc(x + middle, y + middle, Math.max(0.8, inner / 10), 0, 7);
    pen.fill();
  }
}

function draw(canvas, list, chosen) {
  const width = canvas.clientWidth;
  const size = cellFor(list.length);
  const columns = Math.max(1, Math.floor(width / size));
  const height = Math.ceil(list.length / columns) * size;
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  list.forEach((task, place) => {
    const x = (place % columns) * size;
    const y = Math.floor(place / columns) * size;
    drawCell(pen, task.state, x, y, size);
    if (task.index !== chosen) return;
    pen.strokeStyle = colours.value.text;
    pen.lineWidth = 2;
    pen.strokeRect(x, y, size - 2, size - 2);
  });
  return { size, columns };
}

const choose = (job, index) => location.replace(`#/jobs/${job.id}/${index}`);

export function TaskGrid({ job, tasks: { list, error }, chosen }) {
  const canvas = useRef(null);
  const layout = useRef({ size: 1, columns: 1 });
  const [only, setOnly] = useState("");
  const shown = only ? list.filter((task) => task.state === only) : list;
  const palette = colours.value;
  useEffect(() => {
    const again = () => {
      layout.current = draw(canvas.current, shown, chosen);
    };
    again();
    const watcher = new ResizeObserver(again);
    watcher.observe(canvas.current.parentElement);
    return () => watcher.disconnect();
  }, [list, tasksKey(shown), chosen, only, palette]);
  const place = shown.findIndex((task) => task.index === chosen);
  const pick = (event) => {
    const { size, columns } = layout.current;
    const box = canvas.current.getBoundingClientRect();
    const column = Math.min(columns - 1, Math.floor((event.clientX - box.left) / size));
    const task = shown[Math.floor((event.clientY - box.top) / size) * columns + column];
    if (task) choose(job, task.index);
  };
  const move = (event) => {
    const { columns } = layout.current;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
      Home: -shown.length, End: shown.length };
    if (!(event.key in steps) || shown.length === 0) return;
    event.preventDefault();
    const to = Math.min(shown.length - 1, Math.max(0, place + steps[event.key]));
    choose(job, shown[place < 0 ? 0 : to].index);
  };
  const now = shown[place];
  return html`<section class="card" aria-labelledby="tasks-title">
    <header class="head"><h2 id="tasks-title">Tasks</h2>
      <div class="choice" role="group" aria-label="Which tasks">
        ${["", ...taskStates].filter((state) => !state || job.tasks[state] > 0).map((state) => html`
          <button key=${state} aria-pressed=${only === state} onClick=${() => setOnly(state)}>
            ${state ? stateWords[state] : "all"}</button>`)}</div></header>
    <${Trouble} error=${error} />
    <canvas class="grid" ref=${canvas} tabindex="0" role="slider" aria-label="Task"
      aria-valuemin="0" aria-valuemax=${Math.max(0, shown.length - 1)}
      aria-valuenow=${Math.max(0, place)} onClick=${pick} onKeyDown=${move}
      aria-valuetext=${now ? `task ${now.index}, ${stateWords[now.state]}` +
        `${now.node ? ` on ${now.node}` : ""}` : `none chosen of ${number(shown.length)}`}></canvas>
    ${tasksOf(job) > shownAtMost && html`<p class="quiet small">
      The first ${plural(shownAtMost, "task")} are shown.</p>`}
    <ul class="legend" aria-hidden="true">${taskStates.filter((state) => job.tasks[state] > 0)
      .map((state) => html`<li key=${state}><i data-state=${state}></i>${stateWords[state]}</li>`)}
    </ul></section>`;
}

// Changes when a state does: tasks are changed in place.
const tasksKey = (list) => list.reduce((sum, task) =>
  (sum * 31 + taskStates.indexOf(task.state) + 7) % 4294967291, list.length);
