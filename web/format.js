// Numbers and states as words. Pure functions: nothing here touches the page.

export const unknown = "–";

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

export function ago(seconds) {
  return seconds < 1 ? "just now" : `${duration(seconds)} ago`;
}

export function seenText(seconds) {
  return seconds == null ? "not seen since the master started" : `seen ${ago(seconds)}`;
}

// Powers of 1024, as the cluster counts.
export function bytes(count) {
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
  return celsius == null ? null : `${celsius.toFixed(1)} °C`;
}

export function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

// Of a machine's memory, in percent; null if it did not say.
export function memoryPercent(ramBytes, vitals) {
  const available = vitals?.ram_available_bytes;
  if (!(ramBytes > 0) || available == null) return null;
  return Math.min(100, Math.max(0, 100 * (1 - available / ramBytes)));
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

// good | warn | bad: how a node is to be seen at a glance.
export function tone(node) {
  if (node.state === "lost") return "bad";
  if (node.state !== "online" || isUnwell(node)) return "warn";
  return "good";
}

export function isUnwell(node) {
  return node.unwell.length > 0 || node.quarantined || node.vitals?.undervoltage === true;
}

const toneOrder = { bad: 0, warn: 1, good: 2 };

// Those that need a look come first, then by name with pi2 before pi10.
export function compareNodes(a, b) {
  return toneOrder[tone(a)] - toneOrder[tone(b)] || collator.compare(a.name, b.name) ||
    (a.id < b.id ? -1 : 1);
}

export function clip(text, length) {
  const characters = [...text];
  return characters.length <= length ? text : characters.slice(0, length - 1).join("") + "…";
}

function listNames(nodes) {
  const names = nodes.map((node) => clip(node.name, 24));
  if (names.length === 1) return names[0];
  if (names.length === 2) return `${names[0]} and ${names[1]}`;
  return plural(nodes.length, "node", "nodes");
}

function reasonOf(node) {
  if (node.unwell.length > 0) return clip(node.unwell[0], 60);
  return node.quarantined ? "quarantined" : "under-voltage";
}

// What matters most about these nodes: `text` for the eye, which may count seconds, and `spoken`
// for screen readers, which changes only when something happened. `seen` tells the seconds since a
// node was heard.
export function verdict(nodes, seen) {
  const others = nodes.filter((node) => node.state !== "removed");
  const lost = nodes.filter((node) => node.state === "lost");
  const silent = nodes.filter((node) => node.state === "suspect");
  const online = nodes.filter((node) => node.state === "online");
  const unwell = online.filter(isUnwell);
  const say = (toneName, spoken, text = spoken) => ({ tone: toneName, spoken, text });
  if (others.length === 0) return say("wait", "No nodes yet");
  if (silent.length > 0) {
    const spoken = `${listNames(silent)} ${silent.length === 1 ? "is" : "are"} silent`;
    const since = duration(seen(silent[0]));
    if (silent.length > 1 || since === unknown) return say("warn", spoken);
    return say("warn", spoken, `${listNames(silent)} has been silent for ${since}`);
  }
  if (lost.length > 0) {
    const spoken = `${listNames(lost)} ${lost.length === 1 ? "is" : "are"} lost`;
    const counted = lost.length === 1 && seen(lost[0]) != null;
    return say("bad", spoken, counted ? `${spoken}, last seen ${ago(seen(lost[0]))}` : spoken);
  }
  if (unwell.length === 1)
    return say("warn", `${listNames(unwell)} is unwell: ${reasonOf(unwell[0])}`);
  if (unwell.length > 1) return say("warn", `${listNames(unwell)} are unwell`);
  if (online.length < others.length)
    return say("warn", `${online.length} of ${plural(others.length, "node", "nodes")} online`);
  if (online.length === 1) return say("good", "1 node online and well");
  return say("good", `${online.length} nodes online, all well`);
}

// "2 of 3 online, 1 suspect, 1 unwell": nothing that is zero, and nothing at all if all are well.
export function countsLine(nodes) {
  const count = (test) => nodes.filter(test).length;
  if (nodes.every((node) => tone(node) === "good" && !node.draining)) return "";
  const parts = [`${count((node) => node.state === "online")} of ${nodes.length} online`];
  const add = (number, word) => {
    if (number > 0) parts.push(`${number} ${word}`);
  };
  add(count((node) => node.state === "suspect"), "suspect");
  add(count((node) => node.state === "lost"), "lost");
  add(count((node) => node.state === "online" && isUnwell(node)), "unwell");
  add(count((node) => node.draining), "draining");
  return parts.join(", ");
}
