// What the task stream shows: which attempt ran where, from when to when, and when a board was
// away. Times are seconds on the webserver's clock; no wall clock decides anything. Pure.

const keptSeconds = 16 * 60;
const keptAtMost = 40_000; // the oldest go first
const rowsAtMost = 24; // of a node; what is more is drawn over another

// The first row that is free at that time.
function rowFor(rows, time) {
  const free = rows.findIndex((last) => last.ended != null && last.ended <= time + 0.02);
  if (free >= 0) return free;
  if (rows.length < rowsAtMost) return rows.length;
  const end = (last) => last.ended ?? Infinity;
  return rows.reduce((best, last, row) => (end(last) < end(rows[best]) ? row : best), 0);
}

export class Attempts {
  constructor() {
    this.version = 0; // grows with each change
    this.all = new Map(); // "job.task.attempt" -> run, oldest first
    this.lanes = new Map(); // name of a node -> { rows: [the last run of each], away: [gap] }
  }

  // Everything is told anew; only this page remembers when nodes were away.
  begin(keepGaps) {
    this.all.clear();
    if (keepGaps) for (const lane of this.lanes.values()) lane.rows = [];
    else this.lanes.clear();
    ++this.version;
  }

  lane(node) {
    let lane = this.lanes.get(node);
    if (!lane) {
      lane = { rows: [], away: [] };
      this.lanes.set(node, lane);
    }
    return lane;
  }

  // A run begins in the first row of its node that is free at that time; a later one of the same
  // name says how it went on.
  put(run) {
    const key = `${run.job}.${run.task}.${run.attempt}`;
    const known = this.all.get(key);
    ++this.version;
    if (known) {
      Object.assign(known, { state: run.state, ended: run.ended });
      return;
    }
    const { rows } = this.lane(run.node);
    const placed = { ...run, row: rowFor(rows, run.started) };
    rows[placed.row] = placed;
    this.all.set(key, placed);
    if (this.all.size > keptAtMost) this.all.delete(this.all.keys().next().value);
  }

  // Whether a node is there; the time from when it was last `heard` until it is back is a gap.
  present(node, here, heard, now) {
    const { away } = this.lane(node);
    const last = away.at(-1);
    const open = last != null && last.to == null;
    if (here === !open) return;
    if (open) last.to = now;
    else away.push({ from: heard, to: null });
    ++this.version;
  }

  // Gaps of earlier times, oldest first: those that nobody here has seen.
  recall(node, gaps) {
    const lane = this.lane(node);
    const first = lane.away[0]?.from ?? Infinity;
    const ended = gaps.filter(({ from, to }) => to != null && from < first - 0.5);
    if (ended.length === 0) return;
    lane.away.unshift(...ended);
    ++this.version;
  }

  of(test) {
    return [...this.all.values()].filter(test);
  }

  forget(now) {
    const oldest = now - keptSeconds;
    const old = (last) => last.ended != null && last.ended < oldest;
    for (const [key, run] of this.all) if (old(run)) this.all.delete(key);
    for (const lane of this.lanes.values()) {
      lane.away = lane.away.filter((gap) => gap.to == null || gap.to > oldest);
      // A burst of tasks makes rows that nobody needs later.
      while (lane.rows.length > 1 && old(lane.rows.at(-1))) lane.rows.pop();
    }
  }
}
