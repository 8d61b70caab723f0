// The task stream: for each board what ran on it in the last minutes, as it happens.

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { colours, jobColour, jobSlot, stripes } from "./colours.js";
import { jobTitle, plural, span } from "./format.js";
import { attempts, clock, jobs, nodes, skipped } from "./store.js";
import { open } from "./router.js";

const windows = [60, 300, 900]; // seconds
const axis = 22; // pixels below the lanes, for the times
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Where everything is, in CSS pixels.
function layOut(names, lanes, width) {
  const narrow = width < 560;
  const rowsOf = (name) => Math.max(1, lanes.get(name)?.rows.length ?? 1);
  const all = names.reduce((sum, name) => sum + rowsOf(name), 0);
  const title = narrow ? 15 : 0;
  const gap = names.length > 20 ? 3 : 8;
  const row = Math.max(1, Math.min(12, Math.floor(420 / Math.max(1, all))));
  let top = 4;
  const places = new Map();
  for (const name of names) {
    const height = Math.max(rowsOf(name) * row, narrow ? 4 : 11);
    places.set(name, { top: top + title, height, row: height / rowsOf(name), title: top });
    top += title + height + gap;
  }
  return { places, left: narrow ? 0 : 104, height: top + axis, narrow };
}

class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.patterns = null;
  }

  resize(width, height) {
    const ratio = devicePixelRatio || 1;
    if (this.width === width && this.height === height && this.ratio === ratio) return;
    Object.assign(this, { width, height, ratio, patterns: null });
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.height = `${height}px`;
  }

  pattern(name) {
    if (this.palette !== colours.value) this.patterns = null;
    this.palette = colours.value;
    this.patterns ??= new Map();
    if (!this.patterns.has(name))
      this.patterns.set(name, stripes(this.pen, this.palette[name], 1));
    return this.patterns.get(name);
  }

  draw(names, seconds, now) {
    const width = this.canvas.clientWidth;
    if (width === 0) return;
    const layout = layOut(names, attempts.lanes, width);
    this.resize(width, layout.height);
    Object.assign(this, { layout, seconds, now });
    this.scale = (width - layout.left) / seconds;
    this.pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.pen.clearRect(0, 0, width, layout.height);
    this.drawTimes();
    for (const [name, place] of layout.places) this.drawLane(name, place);
    this.drawRuns();
    this.drawNames();
  }

  x(time) {
    return this.layout.left + (time - (this.now - this.seconds)) * this.scale;
  }

  drawTimes() {
    const { pen, layout, seconds } = this;
    const step = seconds <= 60 ? 15 : seconds <= 300 ? 60 : 180;
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    for (let back = step; back < seconds; back += step) {
      const x = Math.round(this.width - back * this.scale) + 0.5;
      pen.fillStyle = colours.value.line;
      pen.fillRect(x, 0, 1, layout.height - axis);
      pen.fillStyle = colours.value.soft;
      if (x > layout.left + 24)
        pen.fillText(back < 60 ? `−${back} s` : `−${back / 60} min`, x, layout.height - 6);
    }
    pen.textAlign = "right";
    pen.fillStyle = colours.value.soft;
    pen.fillText("now", this.width - 1, layout.height - 6);
  }

  drawLane(name, { top, height }) {
    const { pen, layout } = this;
    pen.fillStyle = colours.value.track;
    pen.globalAlpha = 0.5;
    pen.fillRect(layout.left, top, this.width - layout.left, height);
    pen.globalAlpha = 1;
    for (const gap of attempts.lanes.get(name)?.away ?? []) {
      const from = Math.max(layout.left, this.x(gap.from));
      const to = this.x(gap.to ?? this.now);
      if (to < layout.left) continue;
      pen.fillStyle = this.pattern("bad");
      pen.globalAlpha = 0.55;
      pen.fillRect(from, top, to - from, height);
      pen.globalAlpha = 1;
      pen.fillStyle = colours.value.bad;
      pen.fillRect(from, top - 1, 1.5, height + 2);
    }
  }

  drawRuns() {
    const { pen, layout } = this;
    const first = this.now - this.seconds;
    for (const run of attempts.all.values()) {
      const place = layout.places.get(run.node);
      if (!place || (run.ended ?? this.now) < first) continue;
      const x = Math.max(layout.left, this.x(run.started));
      const width = Math.max(1, this.x(run.ended ?? this.now) - x - (run.ended == null ? 0 : 0.5));
      const y = place.top + run.row * place.row;
      const height = place.row > 3 ? place.row - 1 : place.row;
      this.drawRun(run, x, y, width, height);
    }
    pen.globalAlpha = 1;
  }

  drawRun(run, x, y, width, height) {
    const { pen } = this;
    const colour = jobColour(run.job);
    const whole = run.state === "done" || run.state === "running";
    pen.globalAlpha = whole ? 1 : 0.35;
    pen.fillStyle = colour;
    pen.fillRect(x, y, width, height);
    pen.globalAlpha = 1;
    if (run.state === "running") {
      pen.fillStyle = colours.value.text;
      pen.fillRect(x + width - 1.5, y, 1.5, height);
    }
    if (whole || run.state === "cancelled") return;
    pen.fillStyle = this.pattern("bad");
    pen.fillRect(x, y, width, height);
    this.drawCross(x + width, y + height / 2, Math.min(3.5, Math.max(2, height / 2)));
  }

  drawCross(x, y, size) {
    const { pen } = this;
    pen.strokeStyle = colours.value.bad;
    pen.lineWidth = 1.8;
    pen.beginPath();
    for (const turn of [-1, 1]) {
      pen.moveTo(x - size, y - size * turn);
      pen.lineTo(x + size, y + size * turn);
    }
    pen.stroke();
  }

  drawNames() {
    const { pen, layout } = this;
    pen.textAlign = "left";
    pen.textBaseline = layout.narrow ? "top" : "middle";
    pen.font = `${layout.places.size > 20 ? 10 : 12}px system-ui, sans-serif`;
    for (const [name, place] of layout.places) {
      const away = attempts.lanes.get(name)?.away.at(-1);
      const gone = away != null && away.to == null;
      pen.fillStyle = gone ? colours.value.bad : colours.value.text;
      const text = gone ? `✕ ${name}` : name;
      if (layout.narrow) pen.fillText(text, 0, place.title + 1, this.width);
      else pen.fillText(text, 0, place.top + place.height / 2, layout.left - 10);
    }
  }

  // The run under a point; the last one that was drawn there.
  at(x, y) {
    let found = null;
    for (const run of attempts.all.values()) {
      const place = this.layout?.places.get(run.node);
      if (!place) continue;
      const top = place.top + run.row * place.row;
      if (y < top || y > top + place.row) continue;
      if (x >= this.x(run.started) - 2 && x <= this.x(run.ended ?? this.now) + 2) found = run;
    }
    return found;
  }
}

// Draws as often as something has moved by a pixel, and not at all while nobody looks.
function useFrames(draw, secondsRef) {
  useEffect(() => {
    let frame = 0;
    let drawn = 0;
    let version = -1;
    const loop = (at) => {
      frame = requestAnimationFrame(loop);
      const pause = calm.matches ? 1000 : Math.max(33, secondsRef.current);
      if (at - drawn < pause && version === attempts.version) return;
      if (version !== attempts.version && at - drawn < 33) return;
      drawn = at;
      version = attempts.version;
      draw();
    };
    frame = requestAnimationFrame(loop);
    return () => cancelAnimationFrame(frame);
  }, []);
}

const endings = {
  running: "runs", done: "done", failed: "failed", cancelled: "cancelled",
  lost: "lost or given up, runs elsewhere",
};

function Tip({ tip }) {
  if (!tip) return null;
  const { run, x, y } = tip;
  const job = jobs.value.find((one) => one.id === run.job);
  return html`<div class="tip" style=${{ left: `${x}px`, top: `${y}px` }}>
    <a href=${`#/jobs/${run.job}/${run.task}`}>${job ? jobTitle(job) : `Job ${run.job}`}</a>
    <span>task ${run.task}${run.attempt > 1 ? `, attempt ${run.attempt}` : ""} on ${run.node}</span>
    <span>${endings[run.state]}, ${span((run.ended ?? clock()) - run.started)}</span></div>`;
}

// The same for those who do not see the picture.
function Table({ names }) {
  const counts = new Map(names.map((name) => [name, { running: 0, done: 0, failed: 0, lost: 0 }]));
  for (const run of attempts.all.values()) {
    const mine = counts.get(run.node);
    if (mine && run.state in mine) ++mine[run.state];
  }
  const rows = [...counts].map(([name, mine]) => html`<tr><th scope="row">${name}</th>
    ${Object.values(mine).map((count) => html`<td>${count}</td>`)}</tr>`);
  return html`<div class="visually-hidden"><table><caption>Attempts of the last minutes</caption>
    <thead><tr><th scope="col">Board</th><th scope="col">running</th><th scope="col">done</th>
      <th scope="col">failed</th><th scope="col">lost</th></tr></thead>
    <tbody>${rows}</tbody></table></div>`;
}

function Legend({ names }) {
  const here = new Set(names);
  const shown = new Set(attempts.of((run) => here.has(run.node)).map((run) => run.job));
  const entries = jobs.value.filter((job) => shown.has(job.id)).slice(0, 8);
  return html`<ul class="legend">${entries.map((job) => html`<li key=${job.id}>
    <a href=${`#/jobs/${job.id}`}><i data-job=${jobSlot(job.id)}></i>${jobTitle(job)}</a></li>`)}
    <li class="quiet"><i class="running-edge"></i>running</li>
    <li class="quiet"><i class="striped"></i>failed, or board away</li>
    ${skipped.value > 0 && html`<li class="quiet">${plural(skipped.value, "run")} came faster than
      is shown</li>`}</ul>`;
}

// `only`: the name of one board, or nothing for all.
export function TaskStream({ only }) {
  const canvas = useRef(null);
  const picture = useRef(null);
  const [seconds, setSeconds] = useState(300);
  const [tip, setTip] = useState(null);
  const secondsRef = useRef(seconds);
  secondsRef.current = seconds;
  const names = only ? [only]
    : nodes.value.filter((node) => node.role === "worker").map((node) => node.name);
  const namesRef = useRef(names);
  namesRef.current = names;
  useFrames(() => {
    picture.current ??= new Picture(canvas.current);
    picture.current.draw(namesRef.current, secondsRef.current, clock());
  }, secondsRef);

  const point = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const run = picture.current?.at(x, y) ?? null;
    setTip(run && { run, x: Math.min(x + 12, box.width - 190), y: y + 14 });
    return run;
  };
  const click = (event) => {
    const run = point(event);
    if (run && event.pointerType === "mouse") open(`#/jobs/${run.job}/${run.task}`);
  };
  const running = new Set(attempts.of((run) => run.ended == null).map((run) => run.node));
  const busy = names.filter((name) => running.has(name)).length;
  return html`<section class="card stream" aria-labelledby="stream-title">
    <header class="head"><h2 id="stream-title">Task stream</h2>
      <div class="choice" role="group" aria-label="How far back">${windows.map((one) => html`
        <button key=${one} aria-pressed=${one === seconds} onClick=${() => setSeconds(one)}>
          ${one / 60} min</button>`)}</div></header>
    <div class="stream-box" onPointerLeave=${() => setTip(null)}>
      <canvas ref=${canvas} role="img" onPointerMove=${point} onClick=${click}
        aria-label=${`What runs where: ${plural(busy, "board")} of ${names.length} busy`}></canvas>
      <${Tip} tip=${tip} />
    </div>
    <${Legend} names=${names} /><${Table} names=${names} />
  </section>`;
}
