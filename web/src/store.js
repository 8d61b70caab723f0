// What the page knows. The event stream fills it, the pages read it; signals draw again what has
// changed, and nothing else.

import { batch, computed, signal } from "@preact/signals";
import { Attempts } from "./attempts.js";
import { byName, memoryPercent } from "./format.js";

const eventsKept = 200;
const samplesKept = 720; // of a node's vitals: an hour of heartbeats
const beatsKept = 150;

export const verdict = signal({ tone: "waiting", text: "Connecting to the webserver" });
export const link = signal({ state: "connecting", why: "" }); // to the webserver
export const cluster = signal(null); // the master, and the webserver's link to it
export const nodes = signal([]); // by name
export const jobs = signal([]); // newest first
export const events = signal([]); // oldest first
export const skipped = signal(0);
export const second = signal(0); // grows once a second: what reads it counts ages
export const who = signal(null); // answer of whoami, null: not asked yet
export const attempts = new Attempts();
export const histories = new Map(); // node id -> { beats: [time], samples: [{ time, ... }] }

export const boards = computed(() => nodes.value.filter((node) => node.role !== "webserver"));
export const workers = computed(() => nodes.value.filter((node) => node.role === "worker"));
export const mayDo = (role) => {
  const order = [null, "viewer", "submit", "admin"];
  return order.indexOf(who.value?.role ?? null) >= order.indexOf(role);
};

// The webserver's clock, as far as it is known: an event is never received before it was sent, so
// the one that was quickest on its way tells best. But no two clocks run equally fast: what was told
// long ago counts less.
const drift = 0.001; // no clock is as wrong as that
let offset = null;
let heard = 0;
const here = () => performance.now() / 1000;
export const clock = () => here() + (offset ?? 0);

function hear(time, anew) {
  const now = here();
  const told = time - now;
  offset = anew || offset == null ? told : Math.max(told, offset - drift * (now - heard));
  heard = now;
}

function historyOf(id) {
  if (!histories.has(id)) histories.set(id, { beats: [], samples: [] });
  return histories.get(id);
}

function remember(node) {
  const now = clock();
  node.heard = node.last_seen_seconds == null ? null : now - node.last_seen_seconds;
  attempts.present(node.name, node.state === "online", node.heard ?? now, now);
  const history = historyOf(node.id);
  if (node.heard == null) return;
  const { beats, samples } = history;
  // Told again of the same heartbeat, it may know more.
  const again = beats.length > 0 && node.heard - beats.at(-1) < 0.4;
  if (again) samples.pop();
  else beats.push(node.heard);
  samples.push({
    time: beats.at(-1),
    cpu: node.vitals.cpu_percent,
    memory: memoryPercent(node.ram_bytes, node.vitals),
    temperature: node.vitals.temperature_c,
    tasks: node.running_tasks,
  });
  if (beats.length > beatsKept) beats.shift();
  if (samples.length > samplesKept) samples.shift();
}

// What was told first stays, and what is told of the same heartbeat again is left out.
const inOrder = (list, time) => list.sort((a, b) => time(a) - time(b))
  .filter((one, place) => place === 0 || time(one) - time(list[place - 1]) > 0.4);

// What the webserver has seen before this page was opened, or while it had no link.
export function recall(told) {
  for (const old of told) {
    const node = nodes.value.find((one) => one.id === old.id);
    if (!node) continue;
    const history = historyOf(old.id);
    const samples = old.heard.map((time, place) => ({
      time, cpu: old.cpu_percent[place], memory: old.memory_percent[place],
      temperature: old.temperature_c[place], tasks: old.running_tasks[place],
    }));
    history.samples = inOrder([...history.samples, ...samples], (sample) => sample.time)
      .slice(-samplesKept);
    history.beats = inOrder([...history.beats, ...old.heard], (time) => time).slice(-beatsKept);
    attempts.recall(node.name, old.away);
  }
  ++second.value;
}

export const silence = (node) => (node.heard == null ? null : Math.max(0, clock() - node.heard));

function merge(list, { changed, gone }) {
  const known = new Map(list.map((one) => [one.id, one]));
  for (const id of gone) known.delete(id);
  for (const one of changed) known.set(one.id, one);
  return [...known.values()];
}

const newestFirst = (a, b) => Number(b.id) - Number(a.id);

// The newest jobs, and behind them what is known of older ones.
export function withOlder(newest, known) {
  const last = Number(newest.at(-1)?.id ?? 0);
  return [...newest, ...known.filter(({ id }) => Number(id) < last)];
}

const take = {
  state(state) {
    const restarted = offset == null || Math.abs(state.clock - clock()) > 5;
    hear(state.clock, restarted);
    if (restarted) histories.clear();
    attempts.begin(!restarted);
    state.nodes.forEach(remember);
    state.tasks.forEach((run) => attempts.put(run));
    verdict.value = state.verdict;
    cluster.value = state;
    nodes.value = state.nodes.sort(byName);
    jobs.value = state.jobs.sort(newestFirst);
    events.value = state.events;
    skipped.value = state.skipped;
  },
  nodes(event) {
    event.changed.forEach(remember);
    const names = new Map(nodes.value.map((node) => [node.id, node.name]));
    for (const id of event.gone) {
      histories.delete(id);
      attempts.lanes.delete(names.get(id));
    }
    nodes.value = merge(nodes.value, event).sort(byName);
  },
  jobs(event) {
    jobs.value = merge(jobs.value, event).sort(newestFirst);
  },
  tasks(event) {
    event.tasks.forEach((run) => attempts.put(run));
    skipped.value = event.skipped;
  },
  events(event) {
    // A state tells at once what the stream is about to tell: it is not shown twice.
    const last = events.value.at(-1)?.id ?? 0;
    const news = event.events.filter(({ id }) => id > last);
    events.value = [...events.value, ...news].slice(-eventsKept);
  },
  master(event) {
    cluster.value = event;
  },
  verdict(event) {
    verdict.value = event;
  },
  alive() {},
};

export function onEvent(kind, value) {
  batch(() => {
    if (value.clock != null && kind !== "state") hear(value.clock, false);
    take[kind](value);
  });
}

setInterval(() => {
  attempts.forget(clock());
  ++second.value;
}, 1000);
