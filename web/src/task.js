// One task: how it went, what it prints, the files that came back.

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { post, request } from "./api.js";
import { bytes, span } from "./format.js";
import { Badge, ConfirmButton, Facts, Trouble } from "./parts.js";
import { mayDo } from "./store.js";

const shownCharacters = 400_000; // of the log; the file has all of it

// Writes a log into an element, which it keeps short, and follows the end while it is in sight.
class LogView {
  constructor(root) {
    this.root = root;
    this.characters = 0;
    this.atLineStart = true;
  }

  clear() {
    this.root.replaceChildren();
    this.characters = 0;
    this.atLineStart = true;
  }

  add(kind, text) {
    const { root } = this;
    const following = root.scrollHeight - root.scrollTop - root.clientHeight < 40;
    const piece = document.createElement("span");
    piece.className = kind === "out" || this.atLineStart ? kind : `${kind} going-on`;
    piece.textContent = text;
    root.append(piece);
    this.atLineStart = text.endsWith("\n");
    this.characters += text.length;
    while (this.characters > shownCharacters && root.childNodes.length > 1) {
      this.characters -= root.firstChild.textContent.length;
      root.firstChild.remove();
    }
    if (following) root.scrollTop = root.scrollHeight;
  }
}

function Log({ path, attempt }) {
  const box = useRef(null);
  const [state, setState] = useState("connecting");
  useEffect(() => {
    const view = new LogView(box.current);
    const source = new EventSource(`/api/v1/${path}/log/events`);
    const on = (kind, act) => source.addEventListener(kind, (event) => act(JSON.parse(event.data)));
    on("attempt", () => {
      view.clear();
      setState("live");
    });
    for (const kind of ["out", "err", "note"]) on(kind, ({ text }) => view.add(kind, text));
    on("end", () => {
      source.close();
      setState("ended");
    });
    source.addEventListener("error", () => {
      setState(source.readyState === EventSource.CLOSED ? "refused" : "connecting");
    });
    source.addEventListener("open", () => setState("live"));
    return () => source.close();
  }, [path, attempt]);
  const words = { connecting: "connecting", live: "following", ended: "complete",
    refused: "not to be had" };
  return html`<div class="log-box"><header class="head"><h3>Output
      <span class="quiet log-state" role="status">${words[state]}</span></h3>
      <a href=${`/api/v1/${path}/log`} download=${`${path.replaceAll("/", "-")}.log`}>Download</a>
    </header>
    <pre class="log" ref=${box} tabindex="0" aria-label="Output"></pre></div>`;
}

function Files({ path }) {
  const [files, setFiles] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    const control = new AbortController();
    request(`${path}/files`, { signal: control.signal }).then(setFiles, (problem) => {
      if (!control.signal.aborted) setError(problem);
    });
    return () => control.abort();
  }, [path]);
  return html`<h3>Files</h3><${Trouble} error=${error} />
    <ul class="files">${(files?.files ?? []).filter((file) => file.href).map((file) => html`
      <li key=${file.path}><a href=${file.href} download>${file.path}</a>
        <span class="quiet">${bytes(file.size)}</span></li>`)}</ul>
    ${files?.more && html`<p class="quiet small">There are more files than are listed;
      the command <code>rpicluster fetch</code> brings all.</p>`}`;
}

function rowsOf(task) {
  return [
    ["Board", task.node && html`<a href=${`#/boards/${encodeURIComponent(task.node)}`}>
      ${task.node}</a>`],
    ["Attempt", task.attempt || null],
    ["Took", task.duration_seconds == null ? null : span(task.duration_seconds)],
    ["Exit code", task.exit_code],
    ["Signal", task.signal],
    ["CPU time", task.cpu_seconds == null ? null : span(task.cpu_seconds)],
    ["Memory at most", task.max_rss_bytes ? bytes(task.max_rss_bytes) : null],
  ];
}

export function TaskPanel({ job, index, known }) {
  const path = `jobs/${job.id}/tasks/${index}`;
  const [task, setTask] = useState(known);
  const [error, setError] = useState(null);
  useEffect(() => {
    const control = new AbortController();
    request(path, { signal: control.signal }).then((answer) => {
      setTask(answer.task);
      setError(null);
    }, (problem) => {
      if (!control.signal.aborted) setError(problem);
    });
    return () => control.abort();
  }, [path, known?.state, known?.attempt, job.state]);
  const cancel = () => post(`jobs/${job.id}/cancel`, { tasks: String(index) })
    .then(() => setError(null), setError);
  if (!task) return html`<${Trouble} error=${error} />`;
  const open = task.state === "queued" || task.state === "running";
  return html`<section class="card task" aria-labelledby="task-title">
    <header class="head"><h2 id="task-title">Task ${index}</h2><${Badge} state=${task.state} />
      ${open && job.state !== "held" && mayDo("submit") && html`<${ConfirmButton}
        label="Cancel task" question="Really cancel it?" onConfirm=${cancel} />`}</header>
    <${Trouble} error=${error} />
    ${task.reason && html`<p class="why">${task.reason}</p>`}
    <${Facts} rows=${rowsOf(task)} />
    ${task.attempt > 0 && html`<${Log} path=${path} attempt=${task.attempt} />`}
    ${task.files && html`<${Files} path=${path} />`}</section>`;
}
