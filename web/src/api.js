// Requests to the webserver. Whatever goes wrong becomes an ApiError whose message a person can act
// on; the page never asks for anything but its own address.

import { who } from "./store.js";

export class ApiError extends Error {
  constructor(status, message, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function problemOf(answer) {
  try {
    const problem = await answer.json();
    return new ApiError(answer.status, problem.detail || problem.title, problem.code);
  } catch {
    return new ApiError(answer.status, `The webserver answered ${answer.status}`);
  }
}

// `options`: method, json or body, headers, signal. Gives the answer's value; null if it has none.
export async function request(path, { json, headers = {}, ...options } = {}) {
  const sent = { ...headers };
  if (who.value?.csrf) sent["X-CSRF-Token"] = who.value.csrf;
  if (json !== undefined) {
    sent["Content-Type"] = "application/json";
    options.body = JSON.stringify(json);
    options.method ??= "POST";
  }
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, { cache: "no-store", ...options, headers: sent });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The webserver does not answer");
  }
  if (answer.status === 401 && path !== "login") checkWho().catch(() => {});
  if (!answer.ok) throw await problemOf(answer);
  return answer.status === 204 ? null : answer.json();
}

export const post = (path, json) => request(path, { method: "POST", json });

export async function checkWho() {
  who.value = await request("whoami");
  return who.value;
}

export async function login(token) {
  who.value = await post("login", { token });
}

export async function logout() {
  await request("logout", { method: "POST" });
  await checkWho();
}

// Sends a file for jobs to come; gives its hash. Pages get hashes only on this machine or by HTTPS,
// which is where the webserver gives this page at all.
export async function sendFile(file) {
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  const hash = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  await request(`files/${hash}`, {
    method: "PUT", body: file, headers: { "Content-Type": "application/octet-stream" },
  });
  return hash;
}
