// The colours of the style sheet for those parts that are drawn on a canvas.

import { signal } from "@preact/signals";

// Job 1 has the first, job 9 again: neighbours differ.
const jobColours = 8;

const names = ["text", "soft", "line", "card", "page", "track", "accent", "good", "warn", "bad",
  "running", "memory", ...Array.from({ length: jobColours }, (_, index) => `job-${index}`)];

function read() {
  const probe = document.createElement("span");
  document.body.append(probe);
  const colours = {};
  for (const name of names) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colours;
}

export const colours = signal(null);
export const jobColour = (job) => colours.value[`job-${jobSlot(job)}`];
export const jobSlot = (job) => (Number.parseInt(job, 10) || 0) % jobColours;

const themes = ["auto", "light", "dark"];
const stored = () => {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null; // the browser keeps nothing for this page
  }
};
export const theme = signal(themes.includes(stored()) ? stored() : "auto");

function apply() {
  document.documentElement.dataset.theme = theme.value;
  colours.value = read();
}

export function nextTheme() {
  theme.value = themes[(themes.indexOf(theme.value) + 1) % themes.length];
  try {
    localStorage.setItem("theme", theme.value);
  } catch {
    // It is forgotten with the page.
  }
  apply();
}

export function startColours() {
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
}

// A pattern of slanted lines: what is striped has failed, or is away, whatever its colour.
export function stripes(context, colour, ratio) {
  const side = Math.round(6 * ratio);
  const tile = new OffscreenCanvas(side, side);
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 1.4 * ratio;
  for (const shift of [-side, 0, side]) {
    pen.moveTo(shift, side);
    pen.lineTo(shift + side, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}
