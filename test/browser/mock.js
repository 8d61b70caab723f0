// A webserver with an imagined cluster behind it: what real programs on one machine cannot show,
// such as fifty boards, heat, and weak power supplies. It speaks as much of web/openapi.json as the
// page needs, and its clock runs as fast as the test wants.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";

const types = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript",
  ".svg": "image/svg+xml" };
// What the real webserver sends: the page has to live with it here, too.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const models = ["Raspberry Pi 4 Model B Rev 1.4", "Raspberry Pi 5 Model B Rev 1.0",
  "Raspberry Pi 3 Model B Plus Rev 1.3", "Raspberry Pi Zero 2 W Rev 1.0"];
const gigabyte = 2 ** 30;

function boardOf(place) {
  const cpus = place % 4 === 3 ? 2 : 4;
  return {
    id: `n${place + 1}`, name: `pi${place + 1}`, state: "online", draining: false,
    quarantined: false, unwell: [], role: "worker", plain: false,
    address: `192.168.1.${21 + place}:40512`, hostname: `pi${place + 1}`, arch: "arm64",
    kernel_arch: "aarch64", cpu: models[place % 4], board: models[place % 4],
    serial: `10000000a1b2c${100 + place}`, cpu_cores: cpus, ram_bytes: 4 * gigabyte,
    os: "Debian GNU/Linux 12 (bookworm)", kernel: "6.6.51+rpt-rpi-v8", version: "0.3.0", cpus,
    memory_bytes: 3.5 * gigabyte, labels: place % 3 === 0 ? { room: "attic" } : {},
    vitals: { cpu_percent: 4, ram_available_bytes: 3 * gigabyte, swap_bytes: 0,
      swap_used_bytes: 0, load_1m: 0.3, temperature_c: 45 + place % 9, undervoltage: false,
      throttled: false, undervoltage_seen: false, frequency_capped: false, cpu_mhz_max: 1800,
      cpu_mhz_limit: 1800, disk_bytes: 32 * gigabyte, disk_free_bytes: 20 * gigabyte,
      disk_read_only: false, disk_errors: 0, network: "eth0", network_mbps: 1000,
      network_received_bytes: 5e8, network_sent_bytes: 2e7, network_errors: 0,
      pressure_cpu: null, pressure_memory: null, pressure_io: null, clock_set: true },
    last_seen_seconds: 0, running_tasks: 0, waiting_tasks: 0, free_cpus: cpus,
    free_memory_bytes: 3 * gigabyte, resources: {}, isolation: "user", speed: 1, reconnects: 0,
  };
}

async function bodyOf(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text;
}

export class Mock {
  constructor({ boards, assets, role = "admin" }) {
    this.assets = assets;
    this.role = role;
    this.nodes = Array.from({ length: boards }, (_, place) => boardOf(place));
    this.jobs = [];
    this.tasks = new Map(); // job id -> tasks
    this.runs = [];
    this.events = [];
    this.viewers = new Set();
    this.began = performance.now();
    this.started = []; // requests that change something, for the tests
    this.reasons = new Map(); // job id -> why it waits
    this.late = Promise.resolve(); // what lists of tasks wait for
    this.past = []; // what the webserver remembers of the nodes
    this.bodies = []; // of those requests
    this.keys = []; // and their Idempotency-Key
  }

  clock() {
    return 1000 + (performance.now() - this.began) / 1000;
  }

  async listen() {
    this.server = createServer((request, answer) => {
      this.answer(request, answer).catch((error) => {
        answer.writeHead(500, { "Content-Type": "application/problem+json" });
        answer.end(JSON.stringify({ title: "mock", detail: String(error), code: "internal" }));
      });
    });
    await new Promise((done) => {
      this.server.listen(0, "127.0.0.1", done);
    });
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  close() {
    for (const viewer of this.viewers) viewer.end();
    this.server.closeAllConnections();
    return new Promise((done) => {
      this.server.close(done);
    });
  }

  verdict() {
    const away = this.nodes.filter((node) => node.state !== "online");
    const unwell = this.nodes.filter((node) => node.unwell.length > 0);
    if (away.length > 0) return { tone: "bad", text: `${away[0].name} is ${away[0].state}` };
    if (unwell.length > 0)
      return { tone: "warning", text: `${unwell[0].name} is unwell: ${unwell[0].unwell[0]}` };
    return { tone: "good", text: `All well: ${this.nodes.length} nodes online` };
  }

  about() {
    const { vitals, arch, kernel_arch, cpu, cpu_cores, ram_bytes, os, kernel, board, serial } =
      boardOf(0);
    return {
      connected: true, address: "192.168.1.20:12345", trouble: "", updated_seconds_ago: 0.2,
      master: { machine: { hostname: "shelf", arch, kernel_arch, cpu, cpu_cores, ram_bytes, os,
        kernel, board, serial }, vitals, version: "0.3.0", uptime_seconds: 9000, rss_bytes: 9_000_000, nodes: {} },
    };
  }

  state() {
    return { version: 1, id: "1", clock: this.clock(), verdict: this.verdict(), ...this.about(),
      nodes: this.nodes, jobs: this.jobs, tasks: this.runs.slice(-2000), skipped: 0,
      events: this.events.slice(-200) };
  }

  send(kind, value) {
    const told = kind === "verdict" ? value : { clock: this.clock(), ...value };
    const text = `event: ${kind}\ndata: ${JSON.stringify(told)}\n\n`;
    for (const viewer of this.viewers) viewer.write(text);
  }

  happen(kind, text, more = {}) {
    const event = { id: this.events.length + 1, at: new Date().toISOString(), kind, node: "",
      job: "", task: null, text, ...more };
    this.events.push(event);
    this.send("events", { events: [event] });
  }

  tellNode(node) {
    this.send("nodes", { changed: [node], gone: [] });
    this.send("verdict", this.verdict());
  }

  submit({ command, name = "", array = "", state = "running" }, count = 1) {
    const id = String(this.jobs.length + 1);
    const job = { id, name, state, tasks: { queued: count, running: 0, done: 0, failed: 0,
      cancelled: 0 }, submitted_at: new Date().toISOString(), finished_at: null, reason: null,
    submitter: "anna", priority: 0, command: ["/bin/sh", "-c", command], array, nodes: 0 };
    this.jobs.unshift(job);
    this.tasks.set(id, Array.from({ length: count }, (_, index) => ({ index: array ? index + 1 : 0,
      state: "queued", node: "", attempt: 0, exit_code: null, signal: null, reason: null,
      started_at: null, duration_seconds: null, max_rss_bytes: null, cpu_seconds: null,
      output_bytes: 0, files: false })));
    this.send("jobs", { changed: [job], gone: [] });
    this.happen("job_submitted", `job ${id} was submitted by anna`, { job: id });
    return job;
  }

  // Sets how a task is, and tells the stream; `started` and `ended` are on the mock's clock.
  run(job, place, node, state, started = this.clock(), ended = null, tell = true) {
    const task = this.tasks.get(job.id)[place];
    if (state === "running") ++task.attempt;
    const shown = state === "lost" ? "queued" : state;
    --job.tasks[task.state];
    ++job.tasks[shown];
    Object.assign(task, { state: shown, node: node.name,
      exit_code: state === "done" ? 0 : state === "failed" ? 1 : null,
      duration_seconds: ended == null ? null : ended - started, files: state === "done" });
    const key = (run) => run.job === job.id && run.task === task.index &&
      run.attempt === task.attempt;
    let run = this.runs.findLast(key);
    if (!run) {
      run = { job: job.id, task: task.index, attempt: task.attempt, node: node.name, started };
      this.runs.push(run);
    }
    Object.assign(run, { state, ended });
    if (tell) this.send("tasks", { tasks: [run], skipped: 0 });
  }

  tellJob(job) {
    this.send("jobs", { changed: [job], gone: [] });
  }

  async answer(request, answer) {
    const url = new URL(request.url, "http://mock");
    const parts = url.pathname.split("/").slice(1);
    if (parts[0] !== "api") return this.sendFile(url.pathname, answer);
    const give = (value, status = 200) => {
      answer.writeHead(status, { "Content-Type": "application/json" });
      answer.end(JSON.stringify({ version: 1, ...value }));
    };
    const refuse = (status, detail) => {
      answer.writeHead(status, { "Content-Type": "application/problem+json" });
      answer.end(JSON.stringify({ title: "No", status, detail, code: "bad_request" }));
    };
    if (request.method !== "GET") {
      this.bodies.push(await bodyOf(request));
      this.started.push(`${request.method} ${url.pathname}`);
      this.keys.push(request.headers["idempotency-key"]);
    }
    if (parts[2] === "events") return this.watch(answer);
    if (parts[2] === "history") return give({ clock: this.clock(), nodes: this.past });
    if (parts[2] === "nodes" && parts[4] === "drain") return give(this.drain(parts[3]));
    if (parts[2] === "whoami")
      return give({ role: this.role, name: "anna", session: true, csrf: "c" });
    if (parts[2] === "join-key")
      return give({ join_key: "ABCDE-FGHIJ-KLMNO-PQRST", address: "192.168.1.20:12345" });
    const job = this.jobs.find((one) => one.id === parts[3]);
    if (parts[2] !== "jobs" || !job) return refuse(404, "there is nothing here");
    return this.answerJob(job, parts.slice(4), give, refuse, answer);
  }

  drain(id) {
    const node = this.nodes.find((one) => one.id === id);
    node.draining = true;
    this.tellNode(node);
    return { node };
  }

  answerJob(job, [what, index, more, events], give, refuse, answer) {
    const tasks = this.tasks.get(job.id);
    const changes = { hold: { state: "held" }, release: { state: "queued" },
      priority: JSON.parse(this.bodies.at(-1) || "{}") };
    if (what in changes) {
      Object.assign(job, changes[what]);
      this.tellJob(job);
    }
    if (what === undefined) return give({ job, spec: this.spec(job) });
    if (what === "explain") return give(this.explanation(job));
    if (what !== "tasks") return give({ job, spec: this.spec(job) }); // it was changed
    if (index === undefined) {
      const list = structuredClone(tasks); // as it is now, whenever it arrives
      return this.late.then(() => give({ tasks: list, next: null }));
    }
    const task = tasks.find((one) => one.index === Number(index));
    if (!task) return refuse(404, "there is no such task");
    if (more === undefined) return give({ task });
    if (more === "files")
      return give({ files: [{ path: "out/picture.png", kind: "file", size: 48211, mode: 420,
        link: "", href: "/api/v1/nothing" }], more: false });
    if (more === "log" && events) return this.follow(task, answer);
    return refuse(404, "there is nothing here");
  }

  spec(job) {
    return { name: job.name, command: job.command, shell: true, array: job.array, items: false,
      numbered: false, limit: 0, on_each: [], cpus: 1, memory_bytes: 0, resources: {}, where: "",
      priority: 0, time_limit_seconds: 600, retries: 2, max_fails: null, after: [],
      out: ["out/*.png"], env: {},
      cwd: "", on_disconnect: "keep", lost_after_seconds: 0, notify: "" };
  }

  explanation(job) {
    const reason = this.reasons.get(job.id) ?? "";
    return { job: job.id, state: job.state, reason, nearest: "pi2",
      nodes: this.nodes.slice(0, 4).map((node) => ({ node: node.name, fits: false,
        could: true, reason: "all CPUs are taken" })) };
  }

  follow(task, answer) {
    answer.writeHead(200, { "Content-Type": "text/event-stream" });
    const send = (kind, value) => answer.write(
      `event: ${kind}\ndata: ${JSON.stringify(value)}\n\n`);
    send("attempt", { attempt: task.attempt });
    send("out", { text: "frame 41: 212 samples\nframe 42: 208 samples\n" });
    send("err", { text: "warning: texture bark.png is missing\n" });
    send("out", { text: "frame 43: 214 samples\n" });
    if (task.state !== "running") send("end", { attempt: task.attempt });
  }

  watch(answer) {
    answer.writeHead(200, { "Content-Type": "text/event-stream" });
    this.viewers.add(answer);
    answer.on("close", () => this.viewers.delete(answer));
    answer.write(`event: state\nid: 1\ndata: ${JSON.stringify(this.state())}\n\n`);
  }

  async sendFile(name, answer) {
    const file = this.assets.get(name === "/" ? "/index.html" : name);
    if (!file) {
      answer.writeHead(404);
      return answer.end();
    }
    answer.writeHead(200, { "Content-Type": types[path.extname(file)],
      "Content-Security-Policy": policy });
    return answer.end(await readFile(file));
  }
}
