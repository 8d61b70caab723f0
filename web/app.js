// Puts the page together: the feed brings the state, the parts draw it, and a clock lets the ages
// grow between two events.

import { setAttribute, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { ago, countsLine, duration, verdict } from "./format.js";
import { MasterCard } from "./master.js";
import { NodeGrid } from "./nodes.js";

const filterFrom = 9; // nodes; fewer are found without a filter

const at = (id) => document.getElementById(id);
const masterCard = new MasterCard(at("master"));
const grid = new NodeGrid(at("nodes"), at("nodes-note"));

let state = null;
let told = 0; // performance.now() when `state` came
let link = "connecting"; // to the webserver
let linkTrouble = ""; // why it is down
let joinTouched = false;

const secondsSince = (instant) => (performance.now() - instant) / 1000;

// How old the picture is: as old as it was when it came, and the time since.
function dataAge() {
  if (state?.updated_seconds_ago == null) return null;
  return state.updated_seconds_ago + secondsSince(told);
}

function judge() {
  if (!state) {
    const text = linkTrouble || "Connecting to the webserver";
    return { tone: "wait", text, spoken: text };
  }
  if (link === "reconnecting") {
    const text = `${linkTrouble}; this picture is ${duration(secondsSince(told))} old`;
    return { tone: "bad", spoken: linkTrouble, text };
  }
  if (!state.connected) {
    const age = dataAge();
    if (age == null)
      return { tone: "wait", spoken: "Waiting for the master", text: "Waiting for the master" };
    const spoken = "The webserver has lost the master";
    return { tone: "bad", spoken, text: spoken };
  }
  return verdict(state.nodes, (node) => grid.seen(node));
}

function countsText() {
  const line = state ? countsLine(state.nodes) : "";
  return line && !state.connected ? `When last heard: ${line}` : line;
}

function drawVerdict() {
  const { tone, text, spoken } = judge();
  setAttribute(at("verdict"), "data-tone", tone);
  setText(at("headline"), text);
  setText(at("spoken"), spoken);
  setText(at("counts"), countsText());
  document.title = tone === "good" ? "rpicluster" : `${spoken} – rpicluster`;
}

function drawTrouble() {
  const cut = state != null && !state.connected;
  const age = dataAge();
  at("trouble").hidden = !cut;
  const stale = cut || (state != null && link === "reconnecting");
  for (const id of ["master", "nodes"]) at(id).classList.toggle("stale", stale);
  if (!cut) return;
  const where = state.address ? ` at ${state.address}` : "";
  setText(at("trouble-title"), age == null
    ? `The webserver has not reached the master${where} yet.`
    : `The webserver cannot reach the master${where}.`);
  const reason = state.trouble ? `Reason: ${state.trouble}. ` : "";
  const old = age == null ? "It keeps trying."
    : `What you see was told ${ago(age)}; it keeps trying.`;
  setText(at("trouble-text"), reason + old);
}

function drawLink() {
  const words = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting" };
  setAttribute(at("link"), "data-state", link);
  setText(at("link-text"), words[link]);
}

// The address that the webserver uses is of no use elsewhere if it is its own machine.
function masterHost() {
  const address = state?.address ?? "";
  const local = /^(127\.|localhost|\[::1\]|::1)/.test(address);
  if (address && !local) return address;
  return state?.master?.machine.hostname || "MASTER";
}

function drawJoin() {
  setText(at("join-command"), `rpicluster-slave --master ${masterHost()} --key-file FILE`);
  const others = state.nodes.some((node) => node.role !== "webserver");
  if (!joinTouched && state.connected) at("join").open = !others;
}

function draw() {
  masterCard.show(state.master, state.address, dataAge() ?? 0);
  grid.show(state.nodes, state.connected || state.updated_seconds_ago != null);
  at("filter-box").hidden = state.nodes.length < filterFrom && at("filter").value === "";
  drawJoin();
  tick();
}

function tick() {
  drawVerdict();
  drawTrouble();
  drawLink();
  masterCard.tick();
  grid.tick();
}

at("filter").addEventListener("input", (event) => grid.filter(event.target.value));
at("join").querySelector("summary").addEventListener("click", () => {
  joinTouched = true;
});
setInterval(tick, 1_000);

new Feed("/api/v1/events", (news) => {
  state = news;
  told = performance.now();
  draw();
}, (news, why) => {
  link = news;
  linkTrouble = why;
  tick();
});
