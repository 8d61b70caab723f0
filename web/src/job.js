// Jobs: a row of one, the list of all, and the page of one with its tasks.

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { post, request } from "./api.js";
import { clip, commandLine, duration, isOver, jobTitle, number, plural, tasksOf }
  from "./format.js";
import { Badge, ConfirmButton, Facts, Quiet, TaskStrip, Trouble } from "./parts.js";
import { jobs, mayDo, withOlder } from "./store.js";
import { TaskGrid, useTasks } from "./tasks.js";
import { TaskPanel } from "./task.js";

const askAgain = 3000; // milliseconds, for what the event stream does not tell

// What the webserver answers, asked again and again while `again`; [value, error, ask now].
function useAnswer(path, again) {
  const [answer, setAnswer] = useState({ path: null, value: null, error: null });
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!path) return undefined;
    let timer = 0;
    const control = new AbortController();
    const ask = async () => {
      try {
        const value = await request(path, { signal: control.signal });
        setAnswer({ path, value, error: null });
      } catch (error) {
        if (control.signal.aborted) return;
        setAnswer((before) => ({ path, value: before.path === path ? before.value : null, error }));
      }
      if (again) timer = setTimeout(ask, askAgain);
    };
    ask();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [path, again, round]);
  const mine = answer.path === path;
  return [mine ? answer.value : null, mine ? answer.error : null, () => setRound((n) => n + 1)];
}

// One sentence that says why a job waits; nothing while it is not known.
function Why({ job }) {
  const [explanation] = useAnswer(`jobs/${job.id}/explain`, true);
  if (!explanation?.reason) return null;
  return html`<p class="why">${explanation.reason}</p>`;
}

const waits = (job) =>
  job.state === "queued" || (job.state === "running" && job.tasks.running === 0);

export function JobRow({ job, heading = "h3" }) {
  const line = commandLine(job.command);
  return html`<li class="job"><a href=${`#/jobs/${job.id}`}>
    <header><${heading} class="title"><span class="quiet">${job.id}</span> ${jobTitle(job)}<//>
      <${Badge} state=${job.state} /></header>
    ${job.name && html`<p class="quiet mono">${clip(line, 90)}</p>`}
    <${TaskStrip} job=${job} /></a>
    ${waits(job) && html`<${Why} job=${job} />`}
    ${job.reason && html`<p class="why">${job.reason}</p>`}</li>`;
}

const pageLength = 50;

export function JobsPage() {
  const [known, setKnown] = useState([]); // all that is shown, once older jobs were asked for
  const [next, setNext] = useState(undefined);
  const [error, setError] = useState(null);
  const all = withOlder(jobs.value, known);
  // New jobs push others out of the newest 200, which would leave a gap before the older ones.
  useEffect(() => {
    if (known.length > 0) setKnown(all);
  }, [jobs.value]);
  const more = async () => {
    try {
      const cursor = next ?? all.at(-1)?.id;
      const page = await request(`jobs?limit=${pageLength}${cursor ? `&cursor=${cursor}` : ""}`);
      setKnown([...all, ...page.jobs]);
      setNext(page.next);
      setError(null);
    } catch (problem) {
      setError(problem);
    }
  };
  return html`<header class="page-head"><h1>Jobs</h1>
      ${mayDo("submit") && html`<a class="button primary" href="#/run">Run a job</a>`}</header>
    ${all.length === 0 ? html`<${Quiet}>Nothing was asked of this cluster yet.</${Quiet}>`
      : html`<ul class="jobs card">${all.map((job) => html`
          <${JobRow} key=${job.id} job=${job} heading="h2" />`)}</ul>`}
    <${Trouble} error=${error} />
    ${jobs.value.length >= 200 && next !== null && html`<button onClick=${more}>
      Show older jobs</button>`}`;
}

function Actions({ job }) {
  const [error, setError] = useState(null);
  const act = (verb, body) => async () => {
    try {
      await post(`jobs/${job.id}/${verb}`, body);
      setError(null);
    } catch (problem) {
      setError(problem);
    }
  };
  if (!mayDo("submit")) return null;
  return html`<div class="actions">
    ${job.tasks.failed > 0 && html`<button onClick=${act("retry")}>
      ${`Retry ${plural(job.tasks.failed, "failed task")}`}</button>`}
    ${job.tasks.cancelled > 0 && html`<button onClick=${act("retry", { cancelled: true })}>
      Run cancelled tasks again</button>`}
    ${job.state === "held" && html`<button class="primary" onClick=${act("release")}>
      Release</button>`}
    ${job.state !== "held" && job.tasks.queued > 0 && html`<button onClick=${act("hold")}>
      Hold</button>`}
    ${!isOver(job) && html`<${ConfirmButton} label="Cancel job" question="Really cancel it?"
      onConfirm=${act("cancel")} />`}</div>
    <${Trouble} error=${error} />`;
}

// Of jobs that wait, those of a higher priority start first.
function PriorityForm({ job }) {
  const [error, setError] = useState(null);
  const change = (event) => {
    event.preventDefault();
    const priority = Number(new FormData(event.target).get("priority"));
    request(`jobs/${job.id}/priority`, { method: "PUT", json: { priority } })
      .then(() => setError(null), setError);
  };
  if (!mayDo("submit") || isOver(job)) return job.priority || null;
  return html`<form class="inline" onSubmit=${change} key=${job.priority}>
    <input name="priority" type="number" min="-1000000" max="1000000" required
      value=${job.priority} aria-label="Priority" /><button>Set</button></form>
    <${Trouble} error=${error} />`;
}

function Explanation({ job }) {
  const [explanation] = useAnswer(`jobs/${job.id}/explain`, true);
  if (!explanation?.reason) return null;
  return html`<section class="card" aria-labelledby="why-title"><h2 id="why-title">Why it waits</h2>
    <p>${explanation.reason}</p>
    ${explanation.nodes.length > 0 && html`<details><summary>Board by board</summary>
      <table><thead><tr><th scope="col">Board</th><th scope="col">Now</th>
        <th scope="col">Reason</th></tr></thead><tbody>
        ${explanation.nodes.map((fit) => html`<tr key=${fit.node}><th scope="row">${fit.node}</th>
          <td>${fit.fits ? "fits" : fit.could ? "later" : "never"}</td>
          <td>${fit.reason}</td></tr>`)}</tbody></table></details>`}</section>`;
}

const times = (text) => (text ? new Date(text).toLocaleString() : null);

function specRows(job, spec) {
  const size = (value, text) => (value ? text : null);
  return [
    ["Command", html`<code>${commandLine(job.command)}</code>`],
    ["Array", spec.array],
    ["CPUs of a task", spec.cpus === 1 ? null : spec.cpus],
    ["Memory of a task", size(spec.memory_bytes, `${number(spec.memory_bytes / 2 ** 20)} MiB`)],
    ["Where", spec.where && html`<code>${spec.where}</code>`],
    ["Time limit", size(spec.time_limit_seconds, duration(spec.time_limit_seconds))],
    ["Retries", spec.retries || null],
    ["After", spec.after.join(", ")],
    ["Files back", spec.out.join(", ")],
    ["Priority", isOver(job) && !job.priority ? null : html`<${PriorityForm} job=${job} />`],
    ["Submitted", times(job.submitted_at)],
    ["By", job.submitter],
    ["Ended", times(job.finished_at)],
  ];
}

export function JobPage({ rest: [id, index] }) {
  const listed = jobs.value.find((job) => job.id === id);
  const [answer, error] = useAnswer(`jobs/${id}`, !listed);
  const job = listed ?? answer?.job;
  const tasks = useTasks(id, job);
  if (!job)
    return html`<h1>Job ${id}</h1>${error ? html`<${Trouble} error=${error} />`
      : html`<${Quiet}>Asking …</${Quiet}>`}`;
  const chosen = index != null ? Number(index) : tasksOf(job) === 1 ? tasks.list[0]?.index : null;
  const known = tasks.byIndex.get(chosen);
  // The panel gets a copy: tasks are changed in place, and for the same object it is not drawn anew.
  return html`<p class="back"><a href="#/jobs">Jobs</a></p>
    <header class="page-head"><h1><span class="quiet">${job.id}</span> ${jobTitle(job)}</h1>
      <${Badge} state=${job.state} /><${Actions} job=${job} /></header>
    <${TaskStrip} job=${job} />
    ${job.reason && html`<p class="why">${job.reason}</p>`}
    ${!isOver(job) && job.tasks.queued > 0 && html`<${Explanation} job=${job} />`}
    ${tasksOf(job) > 1 && html`<${TaskGrid} job=${job} tasks=${tasks} chosen=${chosen} />`}
    ${chosen != null && html`<${TaskPanel} key=${chosen} job=${job} index=${chosen}
      known=${known && { ...known }} />`}
    ${answer && html`<section class="card" aria-labelledby="spec-title">
      <h2 id="spec-title">What was asked for</h2>
      <${Facts} rows=${specRows(job, answer.spec)} /></section>`}`;
}
