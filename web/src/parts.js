// Small parts that every page is made of. Texts go in as text: names and models come from the
// nodes, and a node may be hostile.

import { html } from "htm/preact";
import { useState, useEffect } from "preact/hooks";
import { number, percent, stateWords, taskCounts, taskStates, tasksOf } from "./format.js";

// One shape for each meaning, so that nothing is told by colour alone.
const shapes = {
  good: "M3 8.5l3.2 3.2L13 4.8",
  done: "M3 8.5l3.2 3.2L13 4.8",
  online: "M3 8.5l3.2 3.2L13 4.8",
  warning: "M8 2.5v6.2M8 12.2v1.3",
  suspect: "M8 2.5v6.2M8 12.2v1.3",
  bad: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  failed: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  lost: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  running: "M5 3.2l7.4 4.8L5 12.8z",
  waiting: "M3.5 8h.1M8 8h.1M12.5 8h.1",
  queued: "M3.5 8h.1M8 8h.1M12.5 8h.1",
  held: "M5.5 3.5v9M10.5 3.5v9",
  cancelled: "M3.5 8h9",
  removed: "M3.5 8h9",
  power: "M9 1.5L4 9h3.6L7 14.5 12 7H8.4z",
};

export function Shape({ of }) {
  return html`<svg class="shape" viewBox="0 0 16 16" aria-hidden="true">
    <path d=${shapes[of] ?? shapes.waiting} /></svg>`;
}

export function Badge({ state, tone, children }) {
  return html`<span class="badge" data-tone=${tone ?? state}>
    <${Shape} of=${state ?? tone} />${children ?? stateWords[state] ?? state}</span>`;
}

// A labelled bar from 0 to 100; `value` null: not measured.
export function Meter({ label, value, text, kind }) {
  const width = value == null ? 0 : Math.min(100, Math.max(0, value));
  return html`<div class="meter" data-kind=${kind} data-high=${width >= 90}>
    <span>${label}</span><span class="figure">${text ?? percent(value)}</span>
    <div class="track" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax="100"
      aria-valuenow=${Math.round(width)} aria-valuetext=${text ?? percent(value)}>
      <div class="fill" style=${{ width: `${width}%` }}></div>
    </div>
  </div>`;
}

// How the tasks of a job are, as one bar and in words.
export function TaskStrip({ job, words = true }) {
  const all = tasksOf(job);
  const told = taskCounts(job) || "no tasks";
  return html`<div class="strip-box">
    <div class="strip" role="img" aria-label=${`${number(all)} tasks: ${told}`}>
      ${taskStates.map((state) => job.tasks[state] > 0 && html`<i data-state=${state}
        style=${{ flexGrow: job.tasks[state] / all }}></i>`)}
    </div>
    ${words && html`<p class="quiet small">${told}</p>`}
  </div>`;
}

export function Facts({ rows }) {
  return html`<dl class="facts">${rows.filter(([, text]) => text != null && text !== "").map(
    ([term, text]) => html`<div key=${term}><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>`;
}

// Asks once more before it does what cannot be undone.
export function ConfirmButton({ label, question, onConfirm, kind = "" }) {
  const [asking, ask] = useState(false);
  useEffect(() => {
    if (!asking) return undefined;
    const timer = setTimeout(() => ask(false), 6000);
    return () => clearTimeout(timer);
  }, [asking]);
  const confirm = () => {
    ask(false);
    onConfirm();
  };
  if (!asking) return html`<button class=${kind} onClick=${() => ask(true)}>${label}</button>`;
  return html`<button class="danger" autofocus onClick=${confirm}>${question}</button>`;
}

export function CopyButton({ text, label = "Copy" }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  // Browsers give the clipboard to pages of this machine and of HTTPS only.
  if (!navigator.clipboard) return null;
  return html`<button onClick=${copy}>
    <span role="status">${copied ? "Copied" : label}</span></button>`;
}

// What went wrong with something that was asked for: `error` is an ApiError or null.
export function Trouble({ error }) {
  if (!error) return null;
  return html`<p class="trouble" role="alert"><${Shape} of="bad" />${error.message}</p>`;
}

export function Quiet({ children }) {
  return html`<p class="quiet empty">${children}</p>`;
}
