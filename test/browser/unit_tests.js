// What the page decides without a browser.

import { Attempts } from "../../web/src/attempts.js";
import { bytes, commandLine, duration, span, taskCounts } from "../../web/src/format.js";
import { qrCode } from "../../web/src/qr.js";
import { clock, events, onEvent, withOlder } from "../../web/src/store.js";

function same(found, wanted) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${a} instead of ${b}`);
}

const run = (task, started, ended, more = {}) => ({ job: "1", task, attempt: 1, node: "pi1",
  state: ended == null ? "running" : "done", started, ended, ...more });

const state = (more = {}) => ({ clock: 100, verdict: {}, nodes: [], jobs: [], tasks: [],
  events: [], skipped: 0, ...more });

export const tests = {
  "runs that overlap have rows of their own, and rows are used again"() {
    const attempts = new Attempts();
    for (const one of [run(1, 0, 5), run(2, 1, null), run(3, 5, 6), run(4, 5.5, 7)])
      attempts.put(one);
    same(attempts.of(() => true).map((one) => one.row), [0, 1, 0, 2]);
    attempts.put(run(2, 1, 8, { state: "failed" }));
    const [changed] = attempts.of((one) => one.task === 2);
    same([changed.state, changed.ended, changed.row, attempts.all.size], ["failed", 8, 1, 4]);
  },

  "a flood of runs has no more than 24 rows"() {
    const attempts = new Attempts();
    for (let task = 0; task < 500; ++task) attempts.put(run(task, 0, null));
    same(attempts.lanes.get("pi1").rows.length, 24);
    same(Math.max(...attempts.of(() => true).map((one) => one.row)), 23);
  },

  "a board that is away leaves a gap from when it was last heard"() {
    const attempts = new Attempts();
    attempts.present("pi1", true, 1, 1);
    attempts.present("pi1", false, 4, 20);
    attempts.present("pi1", false, 4, 25);
    attempts.present("pi1", true, 30, 30);
    same(attempts.lanes.get("pi1").away, [{ from: 4, to: 30 }]);
    attempts.begin(true);
    same(attempts.lanes.get("pi1").away.length, 1);
  },

  "what is old or too much is forgotten, what runs is not"() {
    const attempts = new Attempts();
    attempts.put(run(1, 0, 5));
    attempts.put(run(2, 0, null));
    attempts.put(run(3, 1999, 2000));
    attempts.forget(2001);
    same(attempts.of(() => true).map((one) => one.task), [2, 3]);
    for (let task = 0; task < 40_010; ++task) attempts.put(run(task, 2000, 2001, { job: "2" }));
    same(attempts.all.size, 40_000);
  },

  "what a state and an event behind it both tell is shown once"() {
    const tell = (...ids) => ({ clock: 100, events: ids.map((id) => ({ id })) });
    onEvent("state", state({ events: tell(3, 4).events }));
    onEvent("events", tell(4, 5));
    onEvent("events", tell(6));
    same(events.value.map(({ id }) => id), [3, 4, 5, 6]);
    // A master that was restored counts anew.
    onEvent("state", state());
    onEvent("events", tell(1));
    same(events.value.map(({ id }) => id), [1]);
  },

  "older jobs follow the newest without a gap"() {
    const jobs = (...ids) => ids.map((id) => ({ id: String(id) }));
    const shown = withOlder(jobs(12, 11, 10), jobs(10, 9, 8));
    same(shown, jobs(12, 11, 10, 9, 8));
    // Two new ones have pushed two out of the newest; one that is gone there is gone.
    same(withOlder(jobs(14, 13, 12), shown), jobs(14, 13, 12, 11, 10, 9, 8));
    same(withOlder(jobs(14, 12, 10), shown), jobs(14, 12, 10, 9, 8));
    same(withOlder([], shown), []);
  },

  "the webserver's clock is followed where the own one runs faster"() {
    const own = performance.now;
    let now = 0;
    try {
      performance.now = () => now * 1000;
      onEvent("state", state({ clock: 500 }));
      // It loses 0.1 ms in each second; every third event is late by 300 ms.
      for (now = 15; now <= 86_400; now += 15)
        onEvent("alive", { clock: 500 + now * 0.9999 - (now % 45 === 0 ? 0.3 : 0) });
      now -= 15;
      const error = clock() - (500 + now * 0.9999);
      same(Math.abs(error) < 0.05, true);
    } finally {
      performance.now = own;
    }
  },

  "numbers are told in words"() {
    same([0, 59.9, 61, 7300, 90_000, null].map(duration),
      ["0 s", "59 s", "1 min", "2 h 1 min", "1 d 1 h", "–"]);
    same([0.0123, 3.44, 17.4, 62].map(span), ["12 ms", "3.4 s", "17 s", "1 min 2 s"]);
    same([0, 1023, 1024, 5.5 * 2 ** 30, null].map(bytes),
      ["0 B", "1023 B", "1.0 KiB", "5.5 GiB", "–"]);
    same(taskCounts({ tasks: { queued: 4, running: 0, done: 1200, failed: 1, cancelled: 0 } }),
      "1,200 done, 1 failed, 4 waiting");
  },

  "a command is shown as it could be typed"() {
    same(commandLine(["/bin/sh", "-c", "echo hi | wc"]), "echo hi | wc");
    same(commandLine(["echo", "it's", "a b", "x=1"]), "echo 'it'\\''s' 'a b' x=1");
  },

  "a text that is too long for the QR code gives none"() {
    same(qrCode("x".repeat(213)).length, 57);
    same(qrCode("x".repeat(214)), null);
  },
};
