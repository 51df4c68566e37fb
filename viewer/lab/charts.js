// Small charts of the last minutes: what the processes say of their own speed and room.
import { el, svg } from "./parts.js";

/** Points that are kept. */
const POINTS = 240;

/** Numbers over time, one list for each name. */
export class Series {
  constructor() { this.all = new Map(); }

  add(name, at, value) {
    if (!Number.isFinite(value)) return;
    if (!this.all.has(name)) this.all.set(name, []);
    const points = this.all.get(name);
    points.push([at, value]);
    if (points.length > POINTS) points.shift();
  }

  get(name) { return this.all.get(name) ?? []; }
}

/** The latency that this share of the requests between two samples stayed below, in milliseconds. */
function quantile(before, now, share) {
  const counts = now.map(([upto, count], at) => [upto, count - (before?.[at]?.[1] ?? 0)]);
  const all = counts.at(-1)?.[1] ?? 0;
  return all > 0 ? 1000 * counts.find(([, count]) => count >= all * share)[0] : NaN;
}

const total = (results) => Object.values(results).reduce((sum, count) => sum + count, 0);
const share = ([all, used]) => (all ? 100 * used / all : 0);

/** Notes what is measured of a sample. `last` remembers the one before. */
export function note(series, answer, at, last) {
  const { nodes, gateways } = answer.state;
  for (const { name, look, down } of gateways) {
    if (down || !look) continue;
    const before = last.get(name);
    last.set(name, { at, look });
    series.add(`${name} open`, at, look.in_flight);
    // A restarted process counts from 0.
    const done = before ? total(look.requests) - total(before.look.requests) : NaN;
    if (!(done >= 0) || at <= before.at) continue;
    series.add(`${name} rate`, at, 1000 * done / (at - before.at));
    series.add(`${name} p50`, at, quantile(before.look.took, look.took, 0.5));
    series.add(`${name} p99`, at, quantile(before.look.took, look.took, 0.99));
  }
  const first = Math.max(0, ...nodes.filter((node) => !node.down).map((node) => node.look.last));
  for (const { name, look, down } of nodes) {
    if (down) continue;
    series.add(`${name} sync`, at, look.sync_micros / 1000);
    series.add(`${name} lag`, at, first - look.applied);
    series.add(`${name} space`, at, share([look.claims[1], look.claims[0]]));
    series.add(`${name} ring`, at, share(look.wal));
  }
}

const CHARTS = [
  ["Requests", "rate", "g", "/s", 1], ["Half of them took at most", "p50", "g", " ms", 2], ["99 of 100 took at most", "p99", "g", " ms", 2],
  ["Requests in flight", "open", "g", "", 0], ["A sync takes", "sync", "n", " ms", 2], ["Lag: entries not applied yet", "lag", "n", "", 0],
  ["Space that keys and values claim", "space", "n", " %", 1], ["Log ring in use", "ring", "n", " %", 1],
];

/** Draws all of them into a box. */
export function drawCharts(box, series, names) {
  box.replaceChildren(el("p", { class: "hint" }, "Since this page was opened. Latencies are upper ends of the gateways' buckets, which double."),
    ...CHARTS.map(([title, what, kind, unit, digits]) => chart(title, series, names.filter((name) => name.startsWith(kind)), what, unit, digits)));
}

function chart(title, series, names, what, unit, digits) {
  const [width, height] = [336, 36];
  const lines = names.map((name) => [name, series.get(`${name} ${what}`)]).filter(([, points]) => points.length > 0);
  const all = lines.flatMap(([, points]) => points);
  const [from, to] = [Math.min(...all.map(([at]) => at)), Math.max(...all.map(([at]) => at))];
  const top = Math.max(...all.map(([, value]) => value), 1e-9);
  const said = (value) => `${value.toLocaleString("en", { maximumFractionDigits: digits })}${unit}`;
  const words = lines.map(([name, points]) => `${name} ${said(points.at(-1)[1])}`).join(", ") || "nothing yet";
  const picture = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${words}` },
    svg("line", { class: "ground", x1: 0, y1: height - 1, x2: width, y2: height - 1 }));
  lines.forEach(([, points], at) => {
    const place = ([when, value]) => `${(to > from ? Math.max(0, (when - from) / (to - from)) : when < from ? 0.9 : 1) * width},${height - 2 - value / top * (height - 6)}`;
    // One point is no line: it is drawn as a short one.
    const drawn = points.length > 1 ? points : [[from - 1, points[0][1]], [to, points[0][1]]];
    picture.append(svg("polyline", { class: `line l${at % 3}`, points: drawn.map(place).join(" ") }));
  });
  return el("figure", { class: "chart-box" }, el("figcaption", {}, el("b", {}, title), el("small", {}, lines.length ? ` up to ${said(top)}` : "")),
    picture, el("p", { class: "fine keys" }, lines.length ? lines.map(([name, points], at) =>
      el("span", {}, svg("svg", { class: "swatch", viewBox: "0 0 18 6", "aria-hidden": "true" }, svg("line", { class: `line l${at % 3}`, x1: 0, y1: 3, x2: 18, y2: 3 })), ` ${name} ${said(points.at(-1)[1])}`)) : words));
}
