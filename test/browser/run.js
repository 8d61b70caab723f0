// Runs the tests of the page in a real browser: test/browser/run [--bin DIR] [-k TEXT] [--mock]
//
// Without --mock also against the real programs of DIR (build/bin). The page itself comes from
// DIR/../generated/web, where the build bundled it; screenshots go to DIR/../browser. Ends with one
// line, `N passed, N failed`. Exit code 0 if all passed.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = path.dirname(fileURLToPath(import.meta.url));
const options = {
  bin: { type: "string", default: path.join(here, "../../build/bin") },
  only: { type: "string", short: "k", default: "" },
  mock: { type: "boolean", default: false },
};
const { values } = parseArgs({ options });
const bin = path.resolve(values.bin);
const build = path.dirname(bin);
const shots = path.join(build, "browser");
const timeLimit = 240_000; // of one test, in milliseconds
const atOnce = 2; // tests

if (!existsSync(path.join(build, "generated/web/app.js"))) {
  console.error(`no page in ${build}: build it first, or name the programs' folder with --bin`);
  process.exit(1);
}
if (!existsSync(path.join(here, "node_modules/playwright-core")))
  execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    { cwd: here, stdio: "inherit" });
mkdirSync(shots, { recursive: true });

const { Bench, startBrowser } = await import("./bench.js");
const suites = [await import("./unit_tests.js"), await import("./mock_tests.js")];
if (!values.mock) suites.push(await import("./real_tests.js"));
const todo = suites.flatMap(({ tests }) => Object.entries(tests))
  .filter(([name]) => name.includes(values.only));
const counts = { passed: 0, failed: 0 };

function within(limit, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${limit / 1000} s`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function runTest(name, test, bench) {
  const began = performance.now();
  const problems = [];
  try {
    await within(timeLimit, Promise.resolve(test(bench)));
  } catch (error) {
    problems.push(error.stack);
    await bench.keepEvidence(name);
  }
  problems.push(...await bench.close());
  const good = problems.length === 0;
  ++counts[good ? "passed" : "failed"];
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const lines = [...bench.notes, ...problems].join("\n").replace(/^(?=.)/gm, "  | ");
  console.log(`${good ? "ok  " : "FAIL"} ${name} ${seconds} s${lines && `\n${lines}`}`);
}

// Several at a time: most of them wait most of the time.
const browser = await startBrowser();
const benches = new Set();
async function work(tests) {
  for (let next = tests.shift(); next; next = tests.shift()) {
    const bench = new Bench({ browser, bin, web: path.join(build, "generated/web"), shots });
    benches.add(bench);
    await runTest(...next, bench);
    benches.delete(bench);
  }
}

// Whoever ends the run early is not left with clusters and browsers.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.once(signal, async () => {
    together.length = measuring.length = 0;
    await Promise.all([...benches].map((bench) => bench.close()));
    await browser.close();
    process.exit(1);
  });

// The longest first: one that starts last would make everybody wait.
todo.sort(([, a], [, b]) => (b.seconds ?? 0) - (a.seconds ?? 0));
// What measures time has the machine for itself, afterwards.
const measuring = todo.filter(([, test]) => test.alone);
const together = todo.filter(([, test]) => !test.alone);
try {
  await Promise.all(Array.from({ length: atOnce }, () => work(together)));
  await work(measuring);
} finally {
  await browser.close();
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);
