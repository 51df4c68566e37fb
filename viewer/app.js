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
  ["?", "this list"],
];

const byId = (id) => document.getElementById(id);

class App {
  constructor(data) {
    byId("title").textContent = document.title = data.title;
    byId("about").textContent = data.about.join("\n");
    this.run = new Run(data.run);
    this.view = new Lanes(this.run, byId("run"), (at) => this.choose(at));
    this.cone = "";
    this.pin = -1;
    for (const [keys, words] of KEYS) byId("keys").append(row([keys, words]));
    document.addEventListener("keydown", (event) => this.key(event));
    byId("filter").addEventListener("input", () => this.filter(byId("filter").value));
    byId("twin").addEventListener("toggle", () => this.texts());
    this.choose(0);
  }

  choose(at) {
    this.view.chosen = at;
    this.mark();
    this.view.reveal();
    this.tell();
    this.texts();
  }

  mark() {
    this.view.marked = this.cone ? this.run.cone(this.view.chosen, this.cone === "past") : null;
    this.view.pinned = this.pin;
  }

  filter(text) {
    this.run.filter(text);
    byId("count").textContent = text ? `${this.run.shown.length} events` : "";
    if (this.run.shown.length > 0) this.choose(this.run.shown[this.run.place(this.view.chosen)]);
    else this.view.reveal();
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
    if (at !== undefined) this.choose(at);
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
    this.view.draw();
  }

  pinned() {
    this.pin = this.pin < 0 ? this.view.chosen : -1;
    this.mark();
    this.view.draw();
    this.tell();
  }

  /** The chosen event in words. */
  tell() {
    const event = this.run.event(this.view.chosen);
    byId("live").textContent = this.run.sentence(event.at);
    byId("event").replaceChildren(...this.told(event.at));
    byId("pinned").replaceChildren();
    if (this.pin >= 0) {
      const title = document.createElement("h2");
      title.textContent = "Pinned";
      byId("pinned").append(title, ...this.told(this.pin));
    }
  }

  told(at) {
    const { run } = this;
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
    add("at", event.time ? `${event.time} µs` : "");
    add("own clock", event.clock ? `${event.clock} µs` : "");
    add("cause", event.parents.map((parent) => run.sentence(parent)).join("; "));
    add("mechanism", event.mechanism);
    add("changes", event.delta ? `${event.delta[0]}: ${event.delta[1]} → ${event.delta[2]}` : "");
    add("source", event.source);
    const parts = [list];
    const fields = [...run.fields(event.lane, at)].map(([name, value]) => `${name}: ${value}`).join("\n");
    if (fields) {
      const state = document.createElement("pre");
      state.textContent = `${run.lanes[event.lane]} by now\n${fields}`;
      parts.push(state);
    }
    return parts;
  }

  /** The text twin: all events, or those around the chosen one. */
  texts() {
    if (!byId("twin").open) return;
    const { shown } = this.run;
    const place = this.run.place(this.view.chosen);
    const few = shown.length <= TEXTS_MAX;
    const [first, last] = few ? [0, shown.length] : [Math.max(0, place - AROUND), place + AROUND];
    const list = document.createElement("ol");
    list.start = first + 1;
    shown.slice(first, last).forEach((at) => {
      const item = document.createElement("li");
      item.textContent = this.run.sentence(at);
      if (at === this.view.chosen) item.setAttribute("aria-current", "true");
      list.append(item);
    });
    byId("texts").replaceChildren(list);
  }
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
