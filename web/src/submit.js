// The form that starts a job.

import { html } from "htm/preact";
import { useRef, useState } from "preact/hooks";
import { request, sendFile } from "./api.js";
import { lines, plural } from "./format.js";
import { NeedsRole } from "./login.js";
import { Trouble } from "./parts.js";
import { open } from "./router.js";
import { mayDo, workers } from "./store.js";

const ways = [
  ["once", "Once"],
  ["array", "For a range of numbers"],
  ["items", "For each of a list"],
];

function jobOf(form, files) {
  const text = (name) => form.get(name)?.trim() ?? "";
  const job = { command: text("command") };
  const set = (name, value) => {
    if (value !== "" && value != null) job[name] = value;
  };
  const figure = (name) => (text(name) === "" ? null : Number(text(name)));
  set("name", text("name"));
  if (text("way") === "array") set("array", text("array"));
  if (text("way") === "items") job.items = lines(text("items"));
  for (const name of ["cpus", "priority", "retries"]) set(name, figure(name));
  for (const name of ["where", "mem", "time_limit"]) set(name, text(name));
  if (files.length > 0) job.in = files;
  if (text("out")) job.out = lines(text("out"));
  return job;
}

function Field({ label, hint, children }) {
  return html`<label>${label}${children}${hint && html`<span class="quiet small">${hint}</span>`}
  </label>`;
}

function More() {
  return html`<details><summary>More</summary><div class="fields">
    <${Field} label="Name"><input name="name" maxlength="256" /></${Field}>
    <${Field} label="Only on boards where" hint="such as arch==arm64 && ram>=2G">
      <input name="where" class="mono" spellcheck="false" /></${Field}>
    <${Field} label="CPUs of a task"><input name="cpus" type="number" min="0" step="any"
      placeholder="1" /></${Field}>
    <${Field} label="Memory of a task"><input name="mem" placeholder="such as 512M" /></${Field}>
    <${Field} label="Time limit"><input name="time_limit" placeholder="such as 10m" /></${Field}>
    <${Field} label="Retries of a failed task"><input name="retries" type="number" min="0"
      placeholder="0" /></${Field}>
    <${Field} label="Priority" hint="higher ones start first"><input name="priority" type="number"
      placeholder="0" /></${Field}>
    <${Field} label="Files that travel along"><input name="files" type="file" multiple /></${Field}>
    <${Field} label="Files that come back" hint="one pattern for each line, such as out/*.png">
      <textarea name="out" rows="2" class="mono" spellcheck="false"></textarea></${Field}>
  </div></details>`;
}

const hints = {
  once: null,
  array: "The number is $RPIC_TASK. 1-100:5 counts in steps, 1-100%4 runs four at once.",
  items: "{} in the command stands for the item, {.} for it without its ending.",
};

// Whoever got no answer sends the same again: with the same key, so that it becomes one job.
function useSubmit() {
  const last = useRef({ text: null, key: "" });
  return async (job) => {
    const text = JSON.stringify(job);
    if (last.current.text !== text) last.current = { text, key: crypto.randomUUID() };
    const headers = { "Idempotency-Key": last.current.key };
    const answer = await request("jobs", { json: job, headers });
    last.current.text = null;
    return answer;
  };
}

export function SubmitPage() {
  const send = useSubmit();
  const [way, setWay] = useState("once");
  const [busy, setBusy] = useState("");
  const [error, setError] = useState(null);
  const [warning, setWarning] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    setError(null);
    try {
      const files = [];
      for (const file of form.getAll("files").filter((one) => one.size > 0 || one.name)) {
        setBusy(`Sending ${file.name} …`);
        const hash = await sendFile(file);
        files.push({ path: file.name, file: hash, size: file.size, mode: 0o755 });
      }
      setBusy("Submitting …");
      const { job, warning: told } = await send(jobOf(form, files));
      if (told) setWarning({ job, told });
      else open(`#/jobs/${job.id}`);
    } catch (problem) {
      setError(problem);
    }
    setBusy("");
  };
  const cpus = workers.value.filter((node) => node.state === "online")
    .reduce((sum, node) => sum + node.cpus, 0);
  return html`<div class="narrow"><h1>Run a job</h1>
    ${!mayDo("submit") && html`<${NeedsRole} role="submit" what="Sending jobs" />`}
    <form class="card" onSubmit=${submit}>
      <${Field} label="Command" hint="A line for sh, run in a folder of its own">
        <textarea name="command" rows="2" class="mono" required spellcheck="false"
          placeholder="echo hello from $RPIC_NODE"></textarea></${Field}>
      <fieldset class="choice"><legend>How often</legend>${ways.map(([value, label]) => html`
        <label key=${value}><input type="radio" name="way" value=${value}
          checked=${way === value} onChange=${() => setWay(value)} />${label}</label>`)}</fieldset>
      ${way === "array" && html`<${Field} label="Numbers" hint=${hints.array}>
        <input name="array" class="mono" required placeholder="1-100" /></${Field}>`}
      ${way === "items" && html`<${Field} label="Items, one for each line" hint=${hints.items}>
        <textarea name="items" rows="4" class="mono" required spellcheck="false"></textarea>
        </${Field}>`}
      <${More} />
      <${Trouble} error=${error} />
      ${warning && html`<p class="notice" role="alert">${`${warning.told} `}
        <a href=${`#/jobs/${warning.job.id}`}>Job ${warning.job.id}</a> waits.</p>`}
      <div class="actions"><button class="primary" disabled=${busy !== "" || !mayDo("submit")}>
        Run</button>
        <span class="quiet" role="status">${busy || (cpus > 0
          ? `${plural(cpus, "task")} can run at once` : "No board can run tasks now")}</span></div>
    </form></div>`;
}
