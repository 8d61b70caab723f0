// Numbers and states as words. Pure functions: nothing here touches the page.

const unknown = "–";

// 17 s, 3 min, 2 h 5 min, 4 d 3 h: never more than two units.
export function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return unknown;
  const s = Math.max(0, Math.floor(seconds));
  const pair = (big, bigName, small, smallName) =>
    small ? `${big} ${bigName} ${small} ${smallName}` : `${big} ${bigName}`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return pair(Math.floor(s / 3600), "h", Math.floor(s / 60) % 60, "min");
  return pair(Math.floor(s / 86400), "d", Math.floor(s / 3600) % 24, "h");
}

// The same for what took a short time: 12 ms, 3.4 s, 17 s.
export function span(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return unknown;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600)
    return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return duration(seconds);
}

// Powers of 1024, as the cluster counts.
export function bytes(count) {
  if (count === 0) return "0 B";
  if (!(count > 0)) return unknown;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = count;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    ++unit;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function percent(value) {
  return value == null ? unknown : `${Math.round(value)} %`;
}

export function temperature(celsius) {
  return celsius == null ? null : `${Math.round(celsius)} °C`;
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
export const number = (value) => grouped.format(value);

// Of a machine's memory, in percent; null if it did not say.
export function memoryPercent(ramBytes, vitals) {
  const available = vitals?.ram_available_bytes;
  if (!(ramBytes > 0) || available == null) return null;
  return Math.min(100, Math.max(0, 100 * (1 - available / ramBytes)));
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
export const byName = (a, b) => collator.compare(a.name, b.name) || (a.id < b.id ? -1 : 1);

// good | warning | bad: how a node is to be seen at a glance.
export function tone(node) {
  if (node.state === "lost") return "bad";
  if (node.state !== "online" || isUnwell(node)) return "warning";
  return "good";
}

export function isUnwell(node) {
  return node.unwell.length > 0 || node.quarantined || node.vitals?.undervoltage === true;
}

export function clip(text, length) {
  const characters = [...text];
  return characters.length <= length ? text : characters.slice(0, length - 1).join("") + "…";
}

// In the order in which they are told and drawn.
export const taskStates = ["done", "running", "failed", "cancelled", "queued"];
export const stateWords = {
  done: "done", running: "running", failed: "failed", cancelled: "cancelled", queued: "waiting",
  held: "held", online: "online", suspect: "silent", lost: "lost", removed: "removed",
};

export const tasksOf = (job) =>
  taskStates.reduce((sum, state) => sum + (job.tasks[state] ?? 0), 0);
export const isOver = (job) => ["done", "failed", "cancelled"].includes(job.state);

// "42 done, 6 running": nothing that is zero.
export function taskCounts(job) {
  return taskStates.filter((state) => job.tasks[state] > 0)
    .map((state) => `${number(job.tasks[state])} ${stateWords[state]}`).join(", ");
}

// A command as it could be typed. What `sh -c` runs is shown without these two words.
export function commandLine(words) {
  if (words.length === 3 && words[0] === "/bin/sh" && words[1] === "-c") return words[2];
  const quote = (word) =>
    /^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
  return words.map(quote).join(" ");
}

export const jobTitle = (job) => job.name || clip(commandLine(job.command), 60);

// Texts that people type: 1-100, or one item for each line.
export const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
