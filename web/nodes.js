// One card for each node.

import { Meter, element, setAttribute, setText } from "./dom.js";
import {
  bytes, compareNodes, isUnwell, memoryPercent, percent, plural, seenText, temperature, tone,
} from "./format.js";

// A browser draws some hundred cards well, not twenty thousand.
const shownAtMost = 500;

const knownStates = new Set(["online", "suspect", "lost", "removed"]);

class NodeCard {
  constructor() {
    this.root = element("article", "card node");
    const head = element("header", "node-head");
    this.name = element("h3");
    this.badge = element("span", "badge");
    this.badge.append(element("span", "shape"), element("span"));
    head.append(this.name, this.badge);
    this.tags = element("p", "tags");
    this.model = element("p", "model");
    this.where = element("p", "quiet where");
    this.cpu = new Meter("CPU");
    this.memory = new Meter("Memory");
    const meters = element("div", "meters");
    meters.append(this.cpu.root, this.memory.root);
    this.warnings = element("ul", "warnings");
    const foot = element("footer", "node-foot");
    this.heat = element("span");
    this.seen = element("span");
    foot.append(this.heat, this.seen);
    this.root.append(head, this.tags, this.model, this.where, meters, this.warnings, foot);
  }

  show(node) {
    const { vitals } = node;
    const state = knownStates.has(node.state) ? node.state : "unknown";
    setAttribute(this.root, "data-tone", tone(node));
    setAttribute(this.root, "data-state", state);
    setText(this.name, node.name || "(no name)");
    setAttribute(this.root, "aria-label", node.name);
    setText(this.badge.lastChild, node.state);
    setText(this.model, node.cpu || "CPU model not known");
    const cores = node.cpu_cores > 0 ? plural(node.cpu_cores, "core", "cores") : "";
    setText(this.where, [node.address, node.arch, cores].filter(Boolean).join(" · "));
    this.cpu.set(vitals.cpu_percent, percent(vitals.cpu_percent));
    const used = memoryPercent(node.ram_bytes, vitals);
    const total = bytes(node.ram_bytes);
    this.memory.set(used, used == null ? total : `${percent(used)} of ${total}`);
    setText(this.heat, temperature(vitals.temperature_c) ?? "no temperature");
    this.heat.classList.toggle("hot", vitals.temperature_c >= 80);
    this.showTags(node);
    this.showWarnings(node);
  }

  showTags(node) {
    const tags = [["", node.role]];
    if (node.plain) tags.push(["", "plain"]);
    if (node.draining) tags.push(["notice-tag", "draining"]);
    if (node.quarantined) tags.push(["alert-tag", "quarantined"]);
    if (isUnwell(node)) tags.push(["alert-tag", "unwell"]);
    if (node.running_tasks > 0) tags.push(["", plural(node.running_tasks, "task", "tasks")]);
    for (const [key, value] of Object.entries(node.labels))
      tags.push(["label-tag", `${key}=${value}`]);
    replaceIfChanged(this.tags, tags, ([kind, text]) => element("span", `tag ${kind}`, text));
  }

  showWarnings(node) {
    const warnings = [...node.unwell];
    const { undervoltage, throttled } = node.vitals;
    const told = warnings.join(" ").toLowerCase();
    if (undervoltage && !told.includes("voltage"))
      warnings.push("Under-voltage: its power supply or cable is too weak");
    if (throttled && !told.includes("throttl"))
      warnings.push("Throttled: it runs slower than it could");
    replaceIfChanged(this.warnings, warnings, (text) => element("li", "", text));
    this.warnings.hidden = warnings.length === 0;
  }
}

function replaceIfChanged(parent, items, make) {
  const key = JSON.stringify(items);
  if (parent.dataset.key === key) return;
  parent.dataset.key = key;
  parent.replaceChildren(...items.map(make));
}

export class NodeGrid {
  constructor(root, note) {
    this.root = root;
    this.note = note;
    this.cards = new Map(); // id -> card
    this.nodes = [];
    this.told = 0; // performance.now() when `nodes` came
    this.words = "";
    this.known = false; // the master has told something
  }

  show(nodes, known) {
    this.known = known;
    this.nodes = [...nodes].sort(compareNodes);
    this.told = performance.now();
    this.draw();
  }

  filter(words) {
    this.words = words.trim().toLowerCase();
    this.draw();
  }

  // Seconds since the node was heard, as of now.
  seen(node) {
    if (node.last_seen_seconds == null) return null;
    return node.last_seen_seconds + (performance.now() - this.told) / 1000;
  }

  matches(node) {
    const text = [node.name, node.role, node.state, node.cpu, node.arch, node.address,
      ...node.unwell].join(" ").toLowerCase();
    return this.words.split(/\s+/).every((word) => text.includes(word));
  }

  draw() {
    const matching = this.nodes.filter((node) => this.matches(node));
    const shown = matching.slice(0, shownAtMost);
    const wanted = new Set(shown.map((node) => node.id));
    for (const [id, card] of this.cards) {
      if (wanted.has(id)) continue;
      card.root.remove();
      this.cards.delete(id);
    }
    let next = this.root.firstChild;
    for (const node of shown) {
      let card = this.cards.get(node.id);
      if (!card) {
        card = new NodeCard();
        this.cards.set(node.id, card);
      }
      card.node = node;
      card.show(node);
      if (card.root === next) next = next.nextSibling;
      else this.root.insertBefore(card.root, next);
    }
    this.showNote(matching.length, shown.length);
    this.tick();
  }

  showNote(matching, shown) {
    let text = "";
    if (shown < matching)
      text = `The first ${shown} of ${matching} are shown; filter to see others.`;
    else if (matching === 0 && this.nodes.length > 0) text = "No node matches the filter.";
    else if (this.nodes.length === 0)
      text = this.known ? "No slave has joined yet." : "No slave is known yet.";
    setText(this.note, text);
    this.note.hidden = text === "";
  }

  tick() {
    for (const card of this.cards.values()) setText(card.seen, seenText(this.seen(card.node)));
  }
}
