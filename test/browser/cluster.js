// The real programs in a temporary folder, on loopback. What was started is ended by process id.

import { execFile, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync }
  from "node:fs";
import { chmod, mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { until } from "./bench.js";

const execute = promisify(execFile);
const stopLimit = 5; // seconds

function freePort() {
  return new Promise((done) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

export class Cluster {
  constructor(bin) {
    this.bin = bin;
    this.programs = new Map(); // name -> child process
  }

  async start() {
    this.folder = await mkdtemp(path.join(os.tmpdir(), "rpicluster-browser."));
    await chmod(this.folder, 0o711); // tasks run as another user, who has to get through
    this.port = await freePort();
    this.env = Object.fromEntries(Object.entries(process.env).filter(([name]) =>
      !name.startsWith("RPICLUSTER_") && !name.startsWith("XDG_")));
    Object.assign(this.env, { HOME: this.folder, RPIC_BROWSER_TEST: this.folder });
    this.run("rpicluster-master", "master", "--state-dir", this.at("master"), "--bind",
      "127.0.0.1", "--port", this.port);
    this.key = await until(() => this.cli("token").catch(() => ""), "the master answers");
    await writeFile(this.at("join.key"), this.key, { mode: 0o600 });
  }

  at(name) {
    return path.join(this.folder, name);
  }

  run(program, name, ...words) {
    const log = openSync(this.at(`${name}.log`), "a");
    const child = spawn(path.join(this.bin, program), words.map(String),
      { env: this.env, stdio: ["ignore", log, log] });
    closeSync(log);
    this.programs.set(name, child);
    return child;
  }

  startSlave(name, ...words) {
    return this.run("rpicluster-slave", name, "--state-dir", this.at(name), "--name", name,
      "--master", `127.0.0.1:${this.port}`, "--key-file", this.at("join.key"), "--heartbeat", 1,
      ...words);
  }

  startWorker(name, cpus = 2) {
    return this.startSlave(name, "--role", "worker", "--cpus", cpus);
  }

  async startWebserver() {
    const port = await freePort();
    this.startSlave("web", "--role", "webserver", "--web-port", port);
    const url = `http://127.0.0.1:${port}`;
    await until(() => fetch(`${url}/api/v1/state`).then(async (answer) =>
      answer.ok && (await answer.json()).connected, () => false), "the webserver is connected");
    return url;
  }

  // Standard output of the command, which must succeed.
  async cli(...words) {
    const all = ["--state-dir", this.at("master"), ...words.map(String)];
    const { stdout } = await execute(path.join(this.bin, "rpicluster"), all, { env: this.env });
    return stdout.trim();
  }

  async token(role) {
    return JSON.parse(await this.cli("-o", "json", "token", "create", "--role", role)).token;
  }

  // Everything of a board at once, as when its cable is pulled: its slave, runner and tasks.
  pullThePlug(name) {
    const folder = this.at(name);
    for (const pid of this.processes((words) => words.includes(folder)))
      process.kill(pid, "SIGKILL");
    this.programs.delete(name);
  }

  // Ids of the processes of this cluster whose command line and work folder are as `test` wants
  // them. Tasks have an environment of their own, and are known by their folder.
  processes(test = () => true) {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).filter((pid) => {
      try {
        const mine = readFileSync(`/proc/${pid}/environ`, "latin1").includes(this.folder);
        const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ") +
          readlinkSync(`/proc/${pid}/cwd`);
        return (mine || words.includes(this.folder)) && test(words);
      } catch {
        return false; // it has just ended, or is somebody else's
      }
    }).map(Number);
  }

  async close() {
    const wrong = [];
    for (const [name, child] of this.programs) {
      if (child.exitCode != null || child.signalCode != null)
        wrong.push(`${name} ended by itself: ${this.tail(name)}`);
      else child.kill("SIGTERM");
    }
    const ended = () => [...this.programs.values()].every((child) =>
      child.exitCode != null || child.signalCode != null);
    await until(ended, "the programs end", stopLimit).catch((error) => wrong.push(error.message));
    for (const pid of this.processes()) process.kill(pid, "SIGKILL");
    if (this.folder && existsSync(this.folder))
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    return wrong;
  }

  tail(name) {
    return readFileSync(this.at(`${name}.log`), "utf8").split("\n").slice(-12).join("\n");
  }
}
