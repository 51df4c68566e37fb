// Lanes from top to bottom, events from left to right: each at its place in the order of the run, with an arrow for each
// message. Near, one sees events; from far away, where something happens at all.
import { Pen, epochColour } from "./pen.js";

const LABEL = 46;
/** Events of which single messages are drawn. */
const ARROWS_MAX = 1500;
const NEAR = 24;

export class Lanes {
  constructor(canvas, run, choose) {
    this.pen = new Pen(canvas);
    this.run = run;
    this.span = Math.min(run.size, 160);
    this.first = 0;
    canvas.addEventListener("click", (event) => {
      const at = this.near(event.offsetX, event.offsetY);
      if (at !== null) choose(at);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan(Math.sign(event.deltaX || event.deltaY) * Math.ceil(this.span / 10));
      else this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.at(event.offsetX));
      this.changed();
    }, { passive: false });
  }

  changed() {}

  /** What is shown: the first and the last event. */
  get window() { return [this.first, Math.min(this.run.size, this.first + this.span) - 1]; }

  /** Shows more or fewer events; `around` stays where it is. */
  zoom(by, around) {
    const part = (around - this.first) / this.span;
    this.span = Math.max(Math.min(NEAR, this.run.size), Math.min(this.run.size, Math.round(this.span * by)));
    this.first = Math.round(around - part * this.span);
    this.pan(0);
  }

  pan(by) { this.first = Math.max(0, Math.min(this.first + by, this.run.size - this.span)); }

  reveal(at) {
    if (at < this.first || at >= this.first + this.span) this.first = at - Math.floor(this.span / 2);
    this.pan(0);
  }

  get width() { return this.pen.canvas.clientWidth - LABEL - 8; }
  x(at) { return LABEL + (at - this.first + 0.5) / this.span * this.width; }
  y(lane, height) { return (lane + 0.5) * height / this.run.lanes.length; }
  at(x) { return Math.max(0, Math.min(this.run.size - 1, this.first + Math.floor((x - LABEL) / this.width * this.span))); }

  /** The event next to a point: the nearest one of the lane. */
  near(x, y) {
    const lane = Math.floor(y / this.pen.canvas.clientHeight * this.run.lanes.length);
    const middle = this.at(x);
    for (let by = 0; by <= this.span; by++) {
      for (const at of [middle - by, middle + by]) {
        if (at >= this.first && at < this.first + this.span && at < this.run.size && this.run.lane(at) === lane) return at;
      }
    }
    return null;
  }

  draw(chosen, marked, matches) {
    const size = this.pen.begin();
    if (!size) return;
    const [width, height] = size;
    const { pen, run } = this;
    const [first, last] = this.window;
    run.lanes.forEach((_, lane) => pen.line(LABEL, this.y(lane, height), width, this.y(lane, height), "--faint"));
    if (last - first < ARROWS_MAX) this.arrows(first, last, height, marked);
    pen.rect(this.x(chosen) - 0.5, 0, 1, height, "--accent");
    const wide = Math.max(1, Math.min(7, this.width / this.span - 1));
    const tall = Math.min(12, height / run.lanes.length - 3);
    for (let at = first; at <= last; at++) {
      const faint = (marked && !marked.has(at)) || (matches && !matches.has(at));
      const colour = run.promise(at) ? "--bad" : faint ? "--line" : run.mechanism(at) ? "--guard" : "--soft";
      pen.rect(this.x(at) - wide / 2, this.y(run.lane(at), height) - tall / 2, wide, tall, colour);
    }
    this.ring(chosen, height, tall);
    // Over what came from before the window.
    pen.rect(0, 0, LABEL - 2, height, "--card");
    run.lanes.forEach((name, lane) => pen.text(name, LABEL - 6, this.y(lane, height), lane === run.lane(chosen) ? "--ink" : "--soft", "right"));
  }

  ring(at, height, tall) {
    const { on } = this.pen;
    on.strokeStyle = this.pen.colour("--accent");
    on.lineWidth = 2.5;
    on.strokeRect(this.x(at) - 6, this.y(this.run.lane(at), height) - tall / 2 - 2, 12, tall + 4);
  }

  arrows(first, last, height, marked) {
    const { run, pen } = this;
    for (let at = Math.max(0, first - ARROWS_MAX); at <= last; at++) {
      for (const way of run.sends.get(at) ?? []) {
        if (way.at < first) continue;
        const epoch = Number(/epoch (\d+)/.exec(run.what(at))?.[1] ?? 0);
        const faint = marked && !(marked.has(at) && marked.has(way.at));
        const colour = way.lost ? "--bad" : faint ? "--faint" : epoch ? epochColour(epoch) : "--line";
        const [x1, y1, x2, y2] = [this.x(at), this.y(way.from, height), this.x(way.at), this.y(way.to, height)];
        const part = way.lost ? 0.5 : 1;
        pen.line(x1, y1, x1 + (x2 - x1) * part, y1 + (y2 - y1) * part, colour, 1.4);
        if (way.lost) pen.text("✕", x1 + (x2 - x1) / 2, y1 + (y2 - y1) / 2, "--bad", "center");
      }
    }
  }
}
