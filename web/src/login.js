// Where a token becomes a session.

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { login } from "./api.js";
import { Trouble } from "./parts.js";
import { open, route } from "./router.js";
import { who } from "./store.js";

// What a page shows that needs more than this session may do.
export function NeedsRole({ role, what }) {
  const may = who.value?.role;
  return html`<p class="notice">${what} needs a token of the role <b>${role}</b>${may
    ? html`; now you are <b>${may}</b>` : ""}. <a href="#/login">Log in with one</a>, made on the
    master by <code>rpicluster token create --role ${role}</code>.</p>`;
}

export function LoginPage() {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await login(new FormData(event.target).get("token").trim());
      setError(null);
      if (route.value[0] === "login") open("#/");
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  };
  const { session, name, role } = who.value ?? {};
  return html`<div class="narrow"><h1>Log in</h1>
    ${session && html`<p>You are logged in as <b>${name}</b>, with the role <b>${role}</b>.</p>`}
    <form class="card" onSubmit=${submit}>
      <label>Token<input name="token" type="password" required autocomplete="current-password"
        spellcheck="false" autofocus /></label>
      <${Trouble} error=${error} />
      <button class="primary" disabled=${busy}>Log in</button></form>
    <p class="quiet">A token is made on the master, for looking, for sending jobs, or for
      everything: <code>rpicluster token create --role viewer</code>, <code>submit</code> or ${""}
      <code>admin</code>.</p></div>`;
}
