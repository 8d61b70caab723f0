// The card of the master.

import { Facts, Meter, element, setText } from "./dom.js";
import { bytes, duration, memoryPercent, percent, temperature } from "./format.js";

export class MasterCard {
  constructor(root) {
    this.root = root;
    this.empty = element("p", "card quiet", "Nothing is known of the master yet.");
    this.card = element("article", "card master");
    this.name = element("h3");
    this.model = element("p", "model");
    this.cpu = new Meter("CPU");
    this.memory = new Meter("Memory");
    this.facts = new Facts();
    const head = element("div", "master-head");
    head.append(this.name, this.model);
    const meters = element("div", "meters");
    meters.append(this.cpu.root, this.memory.root);
    this.card.append(head, meters, this.facts.root);
    this.card.hidden = true;
    root.append(this.empty, this.card);
    this.uptime = null;
  }

  // `age`: seconds since the master said this.
  show(master, address, age) {
    this.empty.hidden = master != null;
    this.card.hidden = master == null;
    this.uptime = null;
    if (master == null) return;
    const { machine, vitals } = master;
    setText(this.name, machine.hostname || address);
    setText(this.model, machine.cpu || "CPU model not known");
    this.cpu.set(vitals.cpu_percent, percent(vitals.cpu_percent));
    const used = memoryPercent(machine.ram_bytes, vitals);
    const total = bytes(machine.ram_bytes);
    this.memory.set(used, used == null ? total : `${percent(used)} of ${total}`);
    this.facts.set("Cores", machine.cpu_cores > 0 ? String(machine.cpu_cores) : "");
    this.facts.set("Temperature", temperature(vitals.temperature_c));
    this.facts.set("Architecture", machine.arch);
    this.facts.set("System", machine.os);
    this.facts.set("Kernel", machine.kernel);
    this.facts.set("Address", address);
    this.facts.set("Version", master.version);
    this.uptime = { seconds: master.uptime_seconds + age, at: performance.now() };
    this.tick();
  }

  tick() {
    if (!this.uptime) return;
    const passed = (performance.now() - this.uptime.at) / 1000;
    this.facts.set("Up", duration(this.uptime.seconds + passed));
  }
}
