// How a board joins: one line to paste, and the same as a QR code.

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { request } from "./api.js";
import { NeedsRole } from "./login.js";
import { CopyButton, Shape, Trouble } from "./parts.js";
import { qrCode } from "./qr.js";
import { boards, cluster, mayDo } from "./store.js";

function QrCode({ text, label }) {
  const rows = qrCode(text);
  if (!rows) return null;
  const size = rows.length + 8;
  const path = rows.flatMap((row, y) => row.map((dark, x) => dark && `M${x + 4} ${y + 4}h1v1h-1z`))
    .filter(Boolean).join("");
  return html`<svg class="qr" viewBox=${`0 0 ${size} ${size}`} role="img" aria-label=${label}>
    <path class="back" d=${`M0 0h${size}v${size}H0z`} /><path d=${path} /></svg>`;
}

// The address that the webserver uses is of no use elsewhere if it is its own machine.
function masterAddress(told) {
  const port = /:(\d+)$/.exec(told)?.[1];
  if (told && !/^(127\.|localhost|\[::1\]|::1)/.test(told)) return told;
  const host = cluster.value?.master?.machine.hostname || "MASTER";
  return port && port !== "12345" ? `${host}:${port}` : host;
}

// The blank in front keeps the line out of the shell's history.
const joinLine = (key, address) => ` (umask 077; echo ${key} > join.key) && ` +
  `rpicluster-slave --master ${masterAddress(address)} --key-file join.key --ensure`;

export function JoinPage() {
  const [key, setKey] = useState(null);
  const [error, setError] = useState(null);
  const [before] = useState(() => new Set(boards.value.map((node) => node.id)));
  const show = () => request("join-key").then((answer) => {
    setKey(answer);
    setError(null);
  }, setError);
  const fresh = boards.value.filter((node) => !before.has(node.id));
  const line = key ? joinLine(key.join_key, key.address)
    : joinLine("KEY", cluster.value?.address ?? "");
  return html`<div class="narrow"><h1>Add a board</h1>
    <ol class="steps">
      <li><b>Install rpicluster on the board.</b><p>Copy <code>rpicluster-slave</code> and ${""}
        <code>rpicluster-runner</code> to it, for example with <code>scp</code>.</p></li>
      <li><b>Paste this line there.</b>
        <pre class="paste" tabindex="0" aria-label="Line to paste">${
          line.trim().split(/(?<= )/).map((word) => html`<span>${word}</span>`)}</pre>
        ${!key && mayDo("admin") && html`<button class="primary" onClick=${show}>
          Show the line with the join key</button>`}
        ${!key && !mayDo("admin") && html`<${NeedsRole} role="admin"
          what="Seeing the join key" />`}
        ${key && html`<${CopyButton} text=${line} label="Copy the line" />
          <p class="quiet small">Whoever has this line can add boards. Keep it to
            yourself; <code>rpicluster token --rotate</code> makes a new key.</p>
          <${QrCode} text=${line} label="The line as a QR code" />`}
        <${Trouble} error=${error} /></li>
      <li><b>Watch it appear.</b>
        <div role="status">${fresh.length === 0
          ? html`<p class="quiet waiting">Waiting for a board …</p>`
          : fresh.map((node) => html`<p key=${node.id} class="joined"><${Shape} of="good" />
            <a href=${`#/boards/${encodeURIComponent(node.name)}`}>${node.name}</a> has joined:
            ${node.cpu}</p>`)}</div></li>
    </ol></div>`;
}
