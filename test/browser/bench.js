// What every test needs: a browser, pages that complain, screenshots, and what has to be ended.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { Cluster } from "./cluster.js";
import { Mock } from "./mock.js";

const axe = await readFile(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

export function startBrowser() {
  // Tests run as root in containers, where Chromium has no sandbox.
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: "/usr/bin/chromium", args, handleSIGINT: false,
    handleSIGTERM: false, handleSIGHUP: false });
}

// The bench of one test.
export class Bench {
  constructor({ browser, bin, web, shots }) {
    Object.assign(this, { browser, bin, web, shots });
    this.open = []; // contexts, mocks and clusters
    this.complaints = [];
    this.pages = [];
    this.notes = []; // what was measured
  }

  note(text) {
    this.notes.push(text);
  }

  // Ends what the test began; gives what was wrong with it.
  async close() {
    for (const one of this.open.splice(0).reverse()) {
      const wrong = await one.close();
      if (Array.isArray(wrong)) this.complaints.push(...wrong);
    }
    return this.complaints;
  }

  async mock(options) {
    const source = (name) => fileURLToPath(new URL(`../../web/${name}`, import.meta.url));
    const assets = new Map([["/index.html", source("index.html")],
      ["/icon.svg", source("icon.svg")], ["/app.js", path.join(this.web, "app.js")],
      ["/style.css", path.join(this.web, "style.css")]]);
    const mock = new Mock({ assets, ...options });
    this.open.push(mock);
    mock.url = await mock.listen();
    return mock;
  }

  cluster() {
    const cluster = new Cluster(this.bin);
    this.open.push(cluster);
    return cluster;
  }

  // A page of its own browser profile. Whatever it says on its console as a warning or an error is
  // a complaint: so a refused script or style fails the test.
  async page(url, { width = 1280, scheme = "light", ...more } = {}) {
    const context = await this.browser.newContext({
      viewport: { width, height: width < 500 ? 844 : 800 }, colorScheme: scheme,
      reducedMotion: "reduce", ...more,
    });
    this.open.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.expected = []; // parts of messages that the test provokes
    page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type())) return;
      if (page.expected.some((words) => message.text().includes(words))) return;
      this.complaints.push(`console: ${message.text()} ${message.location().url}`);
    });
    page.on("pageerror", (error) => this.complaints.push(`page: ${error.stack}`));
    await page.goto(url);
    this.pages.push(page);
    return page;
  }

  shot(page, name) {
    return page.screenshot({ path: path.join(this.shots, `${name}.png`), fullPage: true });
  }

  async keepEvidence(name) {
    for (const [place, page] of this.pages.entries())
      await this.shot(page, `failed-${name.replaceAll(/\W+/g, "-")}-${place}`).catch(() => {});
  }

  // Every rule of axe-core, best practices included. The script is given to the page by the
  // browser's debugger: its own policy forbids what does not come from the webserver.
  async checkAccess(page) {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    if (violations.length === 0) return;
    const told = ({ html, failureSummary }) => `${html}\n${failureSummary}`;
    const lines = violations.map(({ id, help, nodes }) =>
      [`${id}: ${help}`, ...nodes.map(told)].join("\n"));
    throw new Error(`axe-core at ${page.url()}: ${lines.join("\n")}`);
  }
}

export function check(condition, what) {
  if (!condition) throw new Error(`not so: ${what}`);
}

export async function until(test, what, seconds = 30) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const value = await test();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((done) => {
      setTimeout(done, 50);
    });
  }
}
