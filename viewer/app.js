// The page: which event is chosen, and what the keys do.

import { Run } from "./model.js";
import { Lanes } from "./draw.js";

/** Events whose text is in the page all at once; of more, those around the chosen one. */
const TEXTS_MAX = 500;
const AROUND = 40;

const KEYS = [
  ["j k", "next and previous event"],
  ["J K", "next and previous event of the same lane"],
  ["[ ]", "a cause, and an effect"],
  ["p f", "everything that it depends on, and that depends on it"],
  ["/", "show only events with a text in them"],
  ["s", "pin the event, to compare others with it"],
  ["Tab", "the other run"],
  ["?", "this list"],
];

const byId = (id) => document.getElementById(id);

class App {
  constructor(data) {
    byId("title").textContent = document.title = data.title;
    byId("about").textContent = data.about.join("\n");
    this.runs = data.runs.map((run) => new Run(run));
    this.views = this.runs.map((run, n) => new Lanes(run, byId("runs"), (at) => this.choose(n, at)));
    this.current = 0;
    this.cone = "";
    this.pin = null;
    for (const [keys, words] of KEYS) byId("keys").append(row([keys, words]));
    this.views.forEach((view, n) => view.scroll.addEventListener("focus", () => {
      this.current = n;
      this.tell();
    }));
    document.addEventListener("keydown", (event) => this.key(event));
    byId("filter").addEventListener("input", () => this.filter(byId("filter").value));
    byId("twin").addEventListener("toggle", () => this.texts());
    this.choose(0, data.chosen || 0);
  }

  get run() { return this.runs[this.current]; }
  get view() { return this.views[this.current]; }

  /** Chooses an event, and in the other run the same step. */
  choose(current, at) {
    this.current = current;
    const step = this.runs[current].event(at).step;
    this.views.forEach((view, n) => {
      if (n === current) view.chosen = at;
      else if (step) view.chosen = this.runs[n].ofStep(step);
    });
    this.mark();
    this.views.forEach((view) => view.reveal());
    this.tell();
    this.texts();
  }

  mark() {
    this.views.forEach((view, n) => {
      view.marked = this.cone && n === this.current
        ? this.runs[n].cone(view.chosen, this.cone === "past") : null;
      view.pinned = this.pin && this.pin.run === n ? this.pin.at : -1;
    });
  }

  filter(text) {
    this.runs.forEach((run) => run.filter(text));
    const shown = this.runs.map((run) => run.shown.length).join(" and ");
    byId("count").textContent = text ? `${shown} events` : "";
    if (this.run.shown.length > 0) this.choose(this.current, this.run.shown[this.run.place(this.view.chosen)]);
    else this.views.forEach((view) => view.reveal());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    if (event.target === byId("filter")) {
      if (event.key === "Enter" || event.key === "Escape") this.view.scroll.focus();
      return;
    }
    const act = {
      j: () => this.by(1), k: () => this.by(-1), ArrowDown: () => this.by(1), ArrowUp: () => this.by(-1),
      J: () => this.inLane(1), K: () => this.inLane(-1),
      "[": () => this.go(this.run.event(this.view.chosen).parents[0]),
      "]": () => this.go((this.run.children.get(this.view.chosen) || [])[0]),
      p: () => this.cones("past"), f: () => this.cones("future"),
      "/": () => byId("filter").focus(),
      s: () => this.pinned(),
      "?": () => byId("help").showModal(),
    }[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  }

  go(at) {
    if (at !== undefined) this.choose(this.current, at);
  }

  by(step) {
    this.go(this.run.shown[this.run.place(this.view.chosen) + step]);
  }

  inLane(step) {
    const lane = this.run.lane(this.view.chosen);
    let place = this.run.place(this.view.chosen) + step;
    while (place >= 0 && place < this.run.shown.length && this.run.lane(this.run.shown[place]) !== lane) place += step;
    this.go(this.run.shown[place]);
  }

  cones(which) {
    this.cone = this.cone === which ? "" : which;
    this.mark();
    this.views.forEach((view) => view.draw());
  }

  pinned() {
    this.pin = this.pin ? null : { run: this.current, at: this.view.chosen };
    this.mark();
    this.views.forEach((view) => view.draw());
    this.tell();
  }

  /** The chosen event in words. */
  tell() {
    const event = this.run.event(this.view.chosen);
    byId("live").textContent = this.run.sentence(event.at);
    byId("event").replaceChildren(...this.told(this.run, event.at));
    const pin = this.pin;
    byId("pinned").replaceChildren();
    if (pin) {
      const title = document.createElement("h2");
      title.textContent = "Pinned";
      byId("pinned").append(title, ...this.told(this.runs[pin.run], pin.at));
    }
  }

  told(run, at) {
    const event = run.event(at);
    const list = document.createElement("dl");
    const add = (name, value) => {
      if (value === "" || value === null) return;
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      dt.textContent = name;
      dd.textContent = value;
      list.append(dt, dd);
    };
    add("what", run.sentence(at));
    add("in", run.name);
    add("step", event.step || "");
    add("at", event.time ? `${event.time} µs` : "");
    add("own clock", event.clock ? `${event.clock} µs` : "");
    add("cause", event.parents.map((parent) => run.sentence(parent)).join("; "));
    add("mechanism", event.mechanism);
    add("changes", event.delta ? `${event.delta[0]}: ${event.delta[1]} → ${event.delta[2]}` : "");
    add("source", event.source);
    const parts = [list];
    if (event.state) {
      const state = document.createElement("pre");
      const before = at > 0 ? lastState(run, at - 1) : null;
      event.state.forEach((text, n) => {
        const shown = document.createElement("span");
        shown.textContent = `${text}\n`;
        if (before && before[n] !== text) {
          shown.className = "changed";
          shown.textContent = `${text}   (changed)\n`;
        }
        state.append(shown);
      });
      parts.push(state);
    } else {
      const fields = [...run.fields(event.lane, at)].map(([name, value]) => `${name}: ${value}`).join("\n");
      if (fields) {
        const state = document.createElement("pre");
        state.textContent = `${run.lanes[event.lane]} by now\n${fields}`;
        parts.push(state);
      }
    }
    return parts;
  }

  /** The text twin: all events, or those around the chosen one. */
  texts() {
    if (!byId("twin").open) return;
    byId("texts").replaceChildren(...this.runs.map((run, n) => {
      const box = document.createElement("div");
      const title = document.createElement("h3");
      title.textContent = run.name;
      const list = document.createElement("ol");
      const place = run.place(this.views[n].chosen);
      const few = run.shown.length <= TEXTS_MAX;
      const [first, last] = few ? [0, run.shown.length] : [Math.max(0, place - AROUND), place + AROUND];
      list.start = first + 1;
      run.shown.slice(first, last).forEach((at) => {
        const item = document.createElement("li");
        item.textContent = run.sentence(at);
        if (at === this.views[n].chosen) item.setAttribute("aria-current", "true");
        list.append(item);
      });
      box.append(title, list);
      return box;
    }));
  }
}

function lastState(run, at) {
  for (let n = at; n >= 0; n--) {
    const state = run.event(n).state;
    if (state) return state;
  }
  return null;
}

function row(cells) {
  const line = document.createElement("tr");
  cells.forEach((text, n) => {
    const cell = document.createElement(n === 0 ? "th" : "td");
    if (n === 0) cell.scope = "row";
    cell.textContent = text;
    line.append(cell);
  });
  return line;
}

const app = new App(JSON.parse(byId("data").textContent));
performance.mark("ready");
globalThis.cutaway = app;
