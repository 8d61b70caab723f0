// The page before an imagined cluster: every page in both colours and at both widths, what happens
// to it, and how much it bears.

import { execFile } from "node:child_process";
import { readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { check, until } from "./bench.js";
import { checkSchema, eventSchemas } from "./schema.js";

const bundleLimit = 60_000; // bytes of all files, gzipped as they are embedded
const pages = {
  overview: "#/", board: "#/boards/pi2", jobs: "#/jobs", job: "#/jobs/1/17", run: "#/run",
  demo: "#/demo", join: "#/join", login: "#/login", nothing: "#/nothing",
};

// The same figures in every run.
function chance(seed) {
  let state = seed;
  return () => (state = (state * 16807) % 2147483647) / 2147483647;
}

// Five minutes of a busy shelf: frames and a sweep, some failures, a board that was away.
function fill(mock) {
  const random = chance(7);
  const now = mock.clock();
  const frames = mock.submit({ command: "./render --frame $RPIC_TASK forest.pov", name: "forest",
    array: "1-400" }, 400);
  const film = mock.submit({ command: "ffmpeg -i {} -crf 28 small/{/}" });
  const sweep = mock.submit({ command: "python3 sweep.py --alpha $RPIC_TASK", name: "sweep",
    array: "1-120" }, 120);
  const waiting = mock.submit({ command: "./train --epochs 30", name: "train", state: "queued" });
  mock.reasons.set(waiting.id, "no online node has the resource gpu");
  for (const node of mock.nodes)
    for (let cpu = 0; cpu < node.cpus; ++cpu)
      for (let at = now - 290 + random() * 20; at < now;) {
        const job = random() < 0.7 ? frames : sweep;
        const place = mock.tasks.get(job.id).findIndex((task) => task.state === "queued");
        const end = at + 6 + random() * 22;
        const away = node.name === "pi3" && end > now - 110 && at < now - 30;
        mock.run(job, place, node, "running", at, null, false);
        if (away) mock.run(job, place, node, "lost", at, now - 90, false);
        else if (end < now) mock.run(job, place, node, random() < 0.04 ? "failed" : "done", at, end,
          false);
        at = away ? now - 30 : end + 0.2;
      }
  mock.run(film, 0, mock.nodes[0], "running", now - 50, null, false);
  mock.happen("node_joined", "node pi6 is online: connected from 192.168.1.26", { node: "pi6" });
  mock.happen("task_failed", "task 17 of job 1 failed on pi2 with exit code 1",
    { node: "pi2", job: "1", task: 17 });
  mock.happen("node_lost", "node pi3 is lost: silent for 20 s", { node: "pi3" });
  const weak = mock.nodes[1];
  weak.unwell = ["under-voltage: its power supply or cable is too weak"];
  weak.vitals.undervoltage = true;
  mock.nodes.forEach((node, place) => {
    node.vitals.cpu_percent = 20 + (place * 37) % 75;
    node.vitals.ram_available_bytes = (1 + place % 3) * 2 ** 30;
    Object.assign(node, { running_tasks: node.cpus, free_cpus: 0 });
    mock.past.push(pastOf(node, now, random));
  });
}

// The last ten minutes of a board, as the webserver remembers them.
function pastOf(node, now, random) {
  const heard = Array.from({ length: 120 }, (_, place) => now - 5 * (120 - place))
    .filter((time) => node.name !== "pi3" || time < now - 90 || time > now - 30);
  const wave = (middle, width) => heard.map((time) =>
    Math.round(10 * (middle + width * (Math.sin(time / 40) + random() - 0.5))) / 10);
  return {
    id: node.id, heard, cpu_percent: wave(50, 30), memory_percent: wave(60, 5),
    temperature_c: wave(55, 6), running_tasks: heard.map((time) =>
      Math.floor((1 + Math.sin(time / 60)) * node.cpus / 2)),
    away: node.name === "pi3" ? [{ from: now - 90, to: now - 30 }] : [],
  };
}

async function checkPages(bench, width, scheme) {
  const mock = await bench.mock({ boards: 6 });
  fill(mock);
  const page = await bench.page(mock.url, { width, scheme });
  for (const [name, hash] of Object.entries(pages)) {
    await page.goto(`${mock.url}/${hash}`);
    await page.waitForSelector("main h1");
    if (name !== "login") await page.waitForSelector("[data-state=live]");
    if (name === "join") await page.click("text=Show the line");
    if (name === "run") await page.click("text=More");
    if (name === "job") await page.waitForSelector("text=frame 43");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check(wide <= 0, `${name} is ${wide} pixels wider than the screen`);
    await bench.shot(page, `${name}-${width}-${scheme}`);
    await bench.checkAccess(page);
  }
}

const frameTimes = (page, seconds) => page.evaluate((limit) => new Promise((done) => {
  const times = [];
  let before = performance.now();
  const end = before + limit * 1000;
  const step = (now) => {
    times.push(now - before);
    before = now;
    if (now < end) requestAnimationFrame(step);
    else done(times.sort((a, b) => a - b));
  };
  requestAnimationFrame(step);
}), seconds);

export const tests = {
  async "the bundle stays small"(bench) {
    const { web } = bench;
    const packed = (name) => name.endsWith(".gz") && name !== "openapi.json.gz"; // not of the page
    const files = readdirSync(web).filter(packed);
    const bytes = files.map((name) => statSync(path.join(web, name)).size);
    const sum = bytes.reduce((a, b) => a + b);
    const list = files.map((name, place) => `${name} ${bytes[place]}`).join(", ");
    bench.note(`${sum} bytes gzipped in all, ${bundleLimit} allowed: ${list}`);
    check(files.includes("app.js.gz") && files.length >= 4, "all files of the page were counted");
    check(sum <= bundleLimit, `${sum} bytes are more than ${bundleLimit}`);
    const code = readFileSync(path.join(web, "app.js"), "utf8");
    check(!/https?:\/\/(?!www\.w3\.org)/.test(code), "no foreign address");
  },

  async "the imagined webserver speaks as the real one"(bench) {
    const mock = await bench.mock({ boards: 6 });
    fill(mock);
    const kinds = { "jobs/1": "JobAnswer", "jobs/1/explain": "Explanation",
      "jobs/1/tasks": "Tasks", "jobs/1/tasks/17": "TaskAnswer", whoami: "WhoAmI",
      "jobs/1/tasks/17/files": "Files", "join-key": "JoinKey",
      history: "History" };
    for (const [name, kind] of Object.entries(kinds))
      checkSchema(kind, await (await fetch(`${mock.url}/api/v1/${name}`)).json());
    checkSchema("State", mock.state());
    const sent = [];
    mock.viewers.add({ write: (text) => sent.push(text), end() {} });
    mock.tellNode(mock.nodes[0]);
    mock.run(mock.jobs.at(-1), 399, mock.nodes[0], "running");
    mock.submit({ command: "true" });
    check(sent.length === 5, `${sent.length} events`);
    for (const text of sent) {
      const [, kind, json] = /^event: (\w+)\ndata: (.*)\n\n$/s.exec(text);
      checkSchema(eventSchemas[kind].$ref, JSON.parse(json));
    }
  },

  "pages on a desktop, light": (bench) => checkPages(bench, 1280, "light"),
  "pages on a desktop, dark": (bench) => checkPages(bench, 1280, "dark"),
  "pages on a phone, light": (bench) => checkPages(bench, 390, "light"),
  "pages on a phone, dark": (bench) => checkPages(bench, 390, "dark"),

  async "what changes is on the screen within a second"(bench) {
    const mock = await bench.mock({ boards: 3 });
    const page = await bench.page(mock.url);
    await page.waitForSelector("text=All well");
    const node = mock.nodes[2];
    Object.assign(node, { state: "suspect", last_seen_seconds: 16 });
    const began = performance.now();
    mock.tellNode(node);
    await page.waitForSelector("h1:has-text('pi3 is suspect')");
    await page.waitForSelector(".board[data-state=suspect] >> text=silent for 16 s");
    const milliseconds = performance.now() - began;
    bench.note(`${Math.round(milliseconds)} ms from the event to the screen`);
    check(milliseconds < 1000, `${milliseconds} ms`);
    await bench.checkAccess(page);
  },

  async "fifty boards and 10,000 tasks stay smooth"(bench) {
    const mock = await bench.mock({ boards: 50 });
    const page = await bench.page(mock.url, { reducedMotion: "no-preference" });
    const job = mock.submit({ command: "./simulate $RPIC_TASK", name: "many", array: "1-10000" },
      10_000);
    let next = 0;
    const step = () => {
      const started = mock.clock();
      for (let count = 0; count < 50 && next < 10_000; ++count, ++next)
        mock.run(job, next, mock.nodes[next % 50], "done", started - 1, started, false);
      mock.send("tasks", { tasks: mock.runs.slice(-50), skipped: 0 });
      mock.tellJob(job);
      const node = mock.nodes[Math.floor(next / 50) % 50];
      node.vitals.cpu_percent = next % 100;
      mock.tellNode(node);
    };
    for (let round = 0; round < 180; ++round) step();
    await page.waitForSelector("text=9,000 done");
    const timer = setInterval(step, 250);
    const times = await frameTimes(page, 5);
    clearInterval(timer);
    const at = (share) => times[Math.floor(times.length * share)].toFixed(1);
    bench.note(`${times.length} frames in 5 s; median ${at(0.5)} ms, 95 % below ${at(0.95)}` +
      ` ms, longest ${times.at(-1).toFixed(1)} ms`);
    await bench.shot(page, "overview-50-boards");
    check(at(0.5) < 40 && at(0.95) < 150, "frames come often enough");
    await page.goto(`${mock.url}/#/jobs/${job.id}`);
    await page.waitForSelector("[role=slider][aria-valuetext*='10,000']");
    await bench.shot(page, "job-10000-tasks");
  },

  async "what happened before the page was opened is shown at once"(bench) {
    const mock = await bench.mock({ boards: 6 });
    fill(mock);
    const page = await bench.page(mock.url);
    const pi3 = page.locator(".board", { hasText: "pi3" }).locator(".beats");
    await page.waitForSelector(".beats[aria-label*='2'][aria-label*='seen in the last two']");
    const seen = async () => Number(/(\d+) seen/.exec(await pi3.getAttribute("aria-label"))[1]);
    await until(async () => await seen() >= 10 && await seen() < 16,
      "the heartbeats of two minutes without one that is missing");
    await page.goto(`${mock.url}/#/boards/pi2`);
    await page.waitForSelector("h2:text-is('Temperature')");
    // What comes later is added to it, and not told twice.
    mock.nodes[1].vitals.temperature_c = 71;
    mock.tellNode(mock.nodes[1]);
    await page.waitForSelector(".charts >> text=71 °C");
    check(await page.locator(".charts section").count() === 4, "there are four charts");
  },

  async "what is told while a list of tasks is on its way is not lost"(bench) {
    const mock = await bench.mock({ boards: 2 });
    const job = mock.submit({ command: "false", array: "1-5" }, 5);
    for (let place = 0; place < 5; ++place) {
      mock.run(job, place, mock.nodes[0], "running");
      mock.run(job, place, mock.nodes[0], "failed", mock.clock(), mock.clock());
    }
    job.state = "failed";
    const page = await bench.page(`${mock.url}/#/jobs/1/3`);
    const attempt = (number) => until(async () =>
      (await page.textContent(".task .facts")).includes(`Attempt${number}`), `attempt ${number}`);
    await page.waitForSelector("h2:text-is('Task 3')");
    await attempt(1);
    // The first list is there.
    await page.waitForSelector("[role=slider][aria-valuetext='task 3, failed on pi1']");
    let arrive;
    mock.late = new Promise((done) => {
      arrive = done;
    });
    const asked = page.waitForRequest(/jobs\/1\/tasks\?/);
    job.state = "running"; // the page asks for the tasks, which have not changed yet
    mock.tellJob(job);
    await asked;
    mock.run(job, 2, mock.nodes[1], "running");
    mock.run(job, 2, mock.nodes[1], "failed", mock.clock(), mock.clock());
    await attempt(2);
    const answered = page.waitForResponse(/jobs\/1\/tasks\?/);
    arrive();
    await (await answered).finished();
    // The old list has come: what it does not know stays.
    await page.waitForTimeout(500);
    await attempt(2);
    check(await page.getAttribute("[role=slider]", "aria-valuetext") === "task 3, failed on pi2",
      "the grid knows it, too");
  },

  async "a board is drained, and a job gets a priority and is held"(bench) {
    const mock = await bench.mock({ boards: 2 });
    fill(mock);
    const page = await bench.page(`${mock.url}/#/boards/pi2`);
    await page.selectOption("select[aria-label='When it is drained']", "10m");
    await page.click("button:text-is('Drain')");
    await page.click("text=Give it no new work?");
    await page.waitForSelector("text=Give it work again");
    check(mock.started.at(-1) === "POST /api/v1/nodes/n2/drain", mock.started.at(-1));
    check(mock.bodies.at(-1) === '{"deadline":"10m"}', mock.bodies.at(-1));
    await page.goto(`${mock.url}/#/jobs/4`);
    await page.fill("[name=priority]", "7");
    await page.keyboard.press("Enter");
    await until(() => mock.started.at(-1) === "PUT /api/v1/jobs/4/priority", "it was sent");
    check(mock.bodies.at(-1) === '{"priority":7}', mock.bodies.at(-1));
    mock.jobs.find((job) => job.id === "4").priority = 9; // somebody else was faster
    mock.tellJob(mock.jobs.find((job) => job.id === "4"));
    await until(async () => await page.inputValue("[name=priority]") === "9", "it is shown");
    await page.click("text=Hold");
    await page.click("button:text-is('Release')");
    await page.waitForSelector("text=Hold");
    check(mock.started.slice(-2).join() === "POST /api/v1/jobs/4/hold,POST /api/v1/jobs/4/release",
      mock.started.join());
  },

  async "a submit that is refused is told, and sent again it is the same"(bench) {
    const mock = await bench.mock({ boards: 1 });
    const page = await bench.page(`${mock.url}/#/run`);
    page.expected = ["status of 404"];
    const run = async (command, count) => {
      await page.fill("[name=command]", command);
      await page.click("form >> button:text-is('Run')");
      await until(() => mock.keys.length === count, "it was sent");
      await page.waitForSelector(".trouble[role=alert] >> text=there is nothing here");
    };
    await run("true", 1);
    await run("true", 2);
    await run("false", 3);
    const [first, again, other] = mock.keys;
    check(/^[0-9a-f-]{36}$/.test(first) && again === first && other !== first, mock.keys.join());
  },

  async "a hostile name stays a text"(bench) {
    const mock = await bench.mock({ boards: 2 });
    const name = "<img src=x onerror=alert(1)>";
    Object.assign(mock.nodes[0], { name, cpu: "</script><b>bold</b>", unwell: ["<i>sick</i>"] });
    mock.submit({ command: "echo '<u>'", name: "<b>job</b>" });
    const page = await bench.page(mock.url);
    await page.waitForSelector(`h3:text-is("${name}")`);
    const made = await page.locator("main b, main img, main i i, main u").count();
    check(made === 0, "no element of it");
    await page.click(`h3:text-is("${name}")`);
    await page.waitForSelector(`h1:text-is("${name}")`);
  },

  async "a broken stream is told, and comes back"(bench) {
    const mock = await bench.mock({ boards: 2 });
    const page = await bench.page(mock.url);
    page.expected = ["ERR_INCOMPLETE_CHUNKED_ENCODING", "net::ERR"];
    await page.waitForSelector("text=All well");
    for (const viewer of mock.viewers) viewer.destroy();
    await page.waitForSelector("text=The webserver does not answer");
    mock.nodes[1].name = "renamed";
    await page.waitForSelector("h3:text-is('renamed')", { timeout: 20_000 });
    await page.waitForSelector("text=All well");
  },

  async "everything is reached by keyboard"(bench) {
    const mock = await bench.mock({ boards: 6 });
    fill(mock);
    const page = await bench.page(`${mock.url}/#/jobs/1`);
    const focused = () => page.evaluate(() => document.activeElement.textContent.trim() ||
      document.activeElement.getAttribute("aria-label"));
    await page.waitForSelector("[role=slider][aria-valuemax='399']");
    await page.keyboard.press("Tab");
    check(await focused() === "Skip to the page", "the first stop is the way past the menu");
    await page.keyboard.press("Enter");
    const grid = page.locator("[role=slider]");
    for (let stop = 0; stop < 15 && await focused() !== "Task"; ++stop)
      await page.keyboard.press("Tab");
    await page.keyboard.press("ArrowRight");
    await page.waitForSelector("h2:text-is('Task 1')");
    await page.keyboard.press("ArrowRight");
    await page.waitForSelector("h2:text-is('Task 2')");
    await page.keyboard.press("End");
    await page.waitForSelector("h2:text-is('Task 400')");
    check((await grid.getAttribute("aria-valuetext")).includes("task 400, waiting"), "it is said");
    await page.click("text=Cancel job");
    await page.keyboard.press("Enter");
    await until(() => mock.started.includes("POST /api/v1/jobs/1/cancel"), "it was cancelled");
  },

  async "a camera can read the line of a new board"(bench) {
    const mock = await bench.mock({ boards: 1 });
    const page = await bench.page(`${mock.url}/#/join`);
    await page.click("text=Show the line");
    await page.waitForSelector("pre.paste:has-text('ABCDE-FGHIJ')");
    const line = await page.textContent("pre.paste");
    check(line.includes("ABCDE-FGHIJ") && line.includes("--master 192.168.1.20:12345"), line);
    const picture = path.join(bench.shots, "qr.png");
    await page.locator(".qr").screenshot({ path: picture });
    const { stdout } = await promisify(execFile)("zbarimg", ["-q", "--raw", "--nodbus", picture]);
    check(stdout.trim() === line, `it reads ${stdout}`);
  },

  async "the colours that somebody chose stay"(bench) {
    const mock = await bench.mock({ boards: 1 });
    const page = await bench.page(mock.url, { scheme: "light" });
    const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.waitForSelector("text=All well");
    const light = await back();
    await page.click("button[aria-label='Colours: auto']");
    await page.click("button[aria-label='Colours: light']");
    const dark = await back();
    check(dark !== light, "dark differs from light");
    await page.reload();
    await page.waitForSelector("button[aria-label='Colours: dark']");
    check(await back() === dark, "it is still dark");
  },
};

for (const name of ["what changes is on the screen within a second",
  "fifty boards and 10,000 tasks stay smooth"]) tests[name].alone = true;
