// The page before the real programs: what a person does with a cluster, from the first board on.

import { readFile } from "node:fs/promises";
import { check, until } from "./bench.js";

// A cluster with these workers, and a page that is logged in.
async function begin(bench, { workers = [], role = "admin", path = "", ...options } = {}) {
  const cluster = bench.cluster();
  await cluster.start();
  for (const name of workers) cluster.startWorker(name);
  const url = await cluster.startWebserver();
  const page = await bench.page(`${url}/#/login`, options);
  page.expected = ["status of 401"]; // whoami answers 200; a refused token does not
  await page.fill("[name=token]", await cluster.token(role));
  await page.click("form >> text=Log in");
  await page.waitForSelector("text=Log out");
  for (const name of workers)
    await page.waitForSelector(`.board[data-state=online] >> h3:text-is("${name}")`);
  if (path) await page.goto(`${url}/${path}`);
  return { cluster, page, url };
}

async function submit(page, url, command, fill = async () => {}) {
  await page.goto(`${url}/#/run`);
  await page.fill("[name=command]", command);
  await fill();
  await page.click("form >> button:text-is('Run')");
  await page.waitForURL(/#\/jobs\/\d+/);
  return /jobs\/(\d+)/.exec(page.url())[1];
}

const badge = (page, state) => page.waitForSelector(`.page-head .badge:has-text("${state}")`,
  { timeout: 30_000 });

export const tests = {
  async "a board joins, and everybody sees it"(bench) {
    const { cluster, page, url } = await begin(bench, { path: "#/join" });
    await page.click("text=Show the line");
    await page.waitForSelector(`pre.paste:has-text("${cluster.key}")`);
    await page.waitForSelector("text=Waiting for a board");
    cluster.startWorker("alpha");
    const began = performance.now();
    await page.waitForSelector(".joined:has-text('alpha')");
    bench.note(`seen ${Math.round(performance.now() - began)} ms after its start`);
    await bench.shot(page, "real-join");
    await page.goto(`${url}/#/boards/alpha`);
    await page.waitForSelector("h1:text-is('alpha')");
    await page.waitForSelector("h2:text-is('Memory')");
    await bench.shot(page, "real-board");
    await bench.checkAccess(page);
  },

  async "who has no good token is refused"(bench) {
    const { cluster, url } = await begin(bench, { workers: ["alpha"] });
    const page = await bench.page(`${url}/#/login`);
    page.expected = ["status of 401"];
    await page.fill("[name=token]", "not-a-token");
    await page.click("form >> text=Log in");
    await page.waitForSelector(".trouble[role=alert]");
    await bench.shot(page, "real-refused");
    await page.fill("[name=token]", await cluster.token("viewer"));
    await page.click("form >> text=Log in");
    await page.waitForSelector("text=Log out");
    await page.goto(`${url}/#/run`);
    await page.waitForSelector("text=Sending jobs needs a token of the role submit");
    check(await page.isDisabled("form >> button:text-is('Run')"), "a viewer cannot send jobs");
    // The page does not offer it, and the webserver does not do it.
    page.expected.push("status of 403");
    const status = await page.evaluate(async () => {
      const { csrf } = await (await fetch("/api/v1/whoami")).json();
      return (await fetch("/api/v1/jobs", { method: "POST", body: '{"command":"true"}',
        headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf } })).status;
    });
    check(status === 403, `the webserver refuses him, too: ${status}`);
    await page.click("text=Log out");
    await page.waitForSelector("text=Log in");
  },

  async "a job is submitted, watched, and its log followed"(bench) {
    const { page, url } = await begin(bench, { workers: ["alpha"] });
    await submit(page, url,
      "for i in 1 2 3; do echo line $i; sleep 0.4; done; echo oh >&2; sleep 2");
    await page.waitForSelector(".log:has-text('line 1')");
    check(await page.isVisible("text=following"), "it is followed while it runs");
    await badge(page, "running");
    await page.waitForSelector(".log .err:has-text('oh')");
    await badge(page, "done");
    await page.waitForSelector(".log-state:has-text('complete')");
    await bench.shot(page, "real-job");
    await bench.checkAccess(page);
    await page.goto(`${url}/#/`);
    await page.waitForSelector(".events >> text=/job 1/");
    await bench.shot(page, "real-overview");
    await bench.checkAccess(page);
  },

  async "files travel along, and come back"(bench) {
    const { page, url } = await begin(bench, { workers: ["alpha"] });
    await submit(page, url, "tr a-z A-Z < words.txt > loud.txt", async () => {
      await page.click("text=More");
      await page.setInputFiles("[name=files]", { name: "words.txt", mimeType: "text/plain",
        buffer: Buffer.from("hello") });
      await page.fill("[name=out]", "loud.txt");
    });
    await badge(page, "done");
    const [download] = await Promise.all([page.waitForEvent("download"),
      page.click(".files >> text=loud.txt")]);
    const text = await readFile(await download.path(), "utf8");
    check(text === "HELLO", `what came back is ${JSON.stringify(text)}`);
  },

  async "tasks that failed are found, and run again"(bench) {
    const { page, url } = await begin(bench, { workers: ["alpha"] });
    await submit(page, url, "test $RPIC_TASK != 3", async () => {
      await page.check("[value=array]");
      await page.fill("[name=array]", "1-5");
    });
    await badge(page, "failed");
    await page.waitForSelector("text=4 done, 1 failed");
    await page.click(".choice >> text=failed");
    await page.focus("[role=slider]");
    await page.keyboard.press("Home");
    await page.waitForSelector("h2:text-is('Task 3')");
    await page.waitForSelector("dt:text-is('Exit code')");
    await page.click("text=Retry 1 failed task");
    await until(() => page.textContent(".task .facts").then((text) => text.includes("Attempt2")),
      "there is a second attempt", 20);
  },

  async "a board is killed, and its task moves"(bench) {
    const { cluster, page, url } = await begin(bench, { workers: ["alpha", "beta"] });
    await submit(page, url, "echo on $RPIC_NODE; sleep 600");
    await page.waitForSelector(".log:has-text('on ')");
    const first = /on (\w+)/.exec(await page.textContent(".log"))[1];
    const other = first === "alpha" ? "beta" : "alpha";
    await page.goto(`${url}/#/`);
    cluster.pullThePlug(first);
    const began = performance.now();
    const since = () => ((performance.now() - began) / 1000).toFixed(1);
    await page.waitForSelector(`.board[data-state=suspect] >> h3:text-is("${first}")`,
      { timeout: 20_000 });
    const silent = since();
    await until(() => page.evaluate((name) => [...document.querySelectorAll(".stream tbody tr")]
      .some((row) => row.textContent.startsWith(`${name}1`)), other), "it runs on the other", 40);
    bench.note(`silent on the screen after ${silent} s, moved after ${since()} s`);
    await page.waitForSelector(`.board[data-state=lost] >> h3:text-is("${first}")`);
    await bench.shot(page, "real-pulled");
    await bench.checkAccess(page);
    await page.click(".jobs a");
    await page.waitForSelector(`.log:has-text('on ${other}')`);
    await page.click("text=Cancel job");
    await page.click("text=Really cancel it?");
    await badge(page, "cancelled");
  },

  async "the lesson measures a speed-up, and saves it"(bench) {
    const { page } = await begin(bench, { workers: ["alpha", "beta"], path: "#/demo" });
    await page.selectOption("label:has-text('Tasks') select", "16");
    await page.selectOption("label:has-text('Each') select", "short");
    await page.click("button:text-is('Start')");
    await page.waitForSelector("tbody tr:nth-child(2) td:has-text('×')", { timeout: 60_000 });
    await page.waitForSelector("button:text-is('Start')");
    const [download] = await Promise.all([page.waitForEvent("download"),
      page.click("text=Save as CSV")]);
    const rows = (await readFile(await download.path(), "utf8")).trim().split("\n");
    check(rows[0] === "boards,seconds,speed_up,efficiency_percent,job", rows[0]);
    check(rows.length === 3 && rows[1].startsWith("1,") && rows[2].startsWith("2,"), rows.join());
    check(Number(rows[1].split(",")[1]) > 0.05, "it took its time");
    await bench.shot(page, "real-demo");
    await bench.checkAccess(page);
  },

  async "a change of a task is on the screen within a second"(bench) {
    const { cluster, page, url } = await begin(bench, { workers: ["alpha"] });
    const job = await submit(page, url, "until [ -e go ]; do sleep 0.02; done");
    await badge(page, "running");
    const began = performance.now();
    await cluster.cli("cancel", job);
    await badge(page, "cancelled");
    const milliseconds = performance.now() - began;
    bench.note(`${Math.round(milliseconds)} ms from the command to the screen`);
    check(milliseconds < 1500, `${milliseconds} ms, the command included`);
  },
};

tests["a change of a task is on the screen within a second"].alone = true;
// A lost board is given up after 20 seconds.
tests["a board is killed, and its task moves"].seconds = 25;
