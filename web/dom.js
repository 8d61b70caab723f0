// The few things that are done with the page's elements. Every text goes in as textContent: names
// and models come from the nodes, and a node may be hostile.

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Writes only what changed, so that selections survive and nothing is drawn twice.
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function setAttribute(target, name, value) {
  if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

// A labelled bar from 0 to 100.
export class Meter {
  constructor(label) {
    this.root = element("div", "meter");
    this.root.append(element("span", "meter-label", label));
    this.value = element("span", "meter-value");
    this.track = element("div", "track");
    this.fill = element("div", "fill");
    this.track.append(this.fill);
    this.root.append(this.value, this.track);
    this.track.setAttribute("role", "meter");
    this.track.setAttribute("aria-label", label);
    this.track.setAttribute("aria-valuemin", "0");
    this.track.setAttribute("aria-valuemax", "100");
  }

  // `percent` null: not measured.
  set(percent, text) {
    const known = percent != null;
    const value = known ? Math.min(100, Math.max(0, percent)) : 0;
    setText(this.value, text);
    setAttribute(this.track, "aria-valuenow", String(Math.round(value)));
    setAttribute(this.track, "aria-valuetext", known ? text : "not measured");
    this.fill.style.width = `${value}%`;
    this.root.classList.toggle("high", known && value >= 90);
    this.root.classList.toggle("none", !known);
  }
}

// A list of terms and what they are; rows without a value are left out.
export class Facts {
  constructor() {
    this.root = element("dl", "facts");
    this.rows = new Map();
  }

  set(term, text) {
    let row = this.rows.get(term);
    if (!row) {
      row = element("div");
      row.append(element("dt", "", term), element("dd"));
      this.rows.set(term, row);
      this.root.append(row);
    }
    row.hidden = !text;
    setText(row.lastChild, text || "");
  }
}
