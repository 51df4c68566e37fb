// Small charts of the last minutes: what the processes say of their own speed and room.
import { el, svg } from "./parts.js";

/** Points that are kept. */
const POINTS = 240;
/** Milliseconds without a point, after which a line is broken off: nothing was measured meanwhile. */
const GAP = 5000;

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
    series.add(`${name} memory`, at, look.memory / 1024);
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
  ["Requests in flight", "open", "g", "", 0], ["Memory for long values and replies", "memory", "g", " KiB", 0], ["A sync seldom takes longer than", "sync", "n", " ms", 2], ["Lag: entries not applied yet", "lag", "n", "", 0],
  ["Space that keys and values claim", "space", "n", " %", 1], ["Log ring in use", "ring", "n", " %", 1],
];

/** Draws all of them into a box. What is `down` says nothing of itself now. */
export function drawCharts(box, series, names, down) {
  box.replaceChildren(el("p", { class: "hint" }, "From the opening of this page, at most the last minutes, to now. Latencies are upper ends of the gateways' buckets, which double."),
    ...CHARTS.map(([title, what, kind, unit, digits]) => chart(title, series, names.filter((name) => name.startsWith(kind)), down, [what, unit, digits])));
}

/** The points of a line in pieces, broken off where nothing was measured. */
function pieces(points) {
  const all = [];
  points.forEach((point, n) => {
    if (n === 0 || point[0] - points[n - 1][0] > GAP) all.push([]);
    all.at(-1).push(point);
  });
  return all;
}

function chart(title, series, names, down, [what, unit, digits]) {
  const [width, height] = [336, 36];
  const lines = names.map((name) => [name, series.get(`${name} ${what}`)]).filter(([, points]) => points.length > 0);
  const all = lines.flatMap(([, points]) => points);
  const [from, to] = [Math.min(...all.map(([at]) => at)), Math.max(...all.map(([at]) => at))];
  const top = Math.max(...all.map(([, value]) => value), 1e-9);
  const said = (value) => `${value.toLocaleString("en", value < 1 && digits ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: digits })}${unit}`;
  const now = (name, points) => `${name} ${down.has(name) ? "is down" : said(points.at(-1)[1])}`;
  const words = lines.map(([name, points]) => now(name, points)).join(", ") || "nothing yet";
  const picture = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${words}` },
    svg("line", { class: "ground", x1: 0, y1: height - 1, x2: width, y2: height - 1 }));
  lines.forEach(([, points], at) => {
    const x = (when) => (to > from ? (when - from) / (to - from) : 1) * width;
    const y = (value) => height - 2 - value / top * (height - 6);
    for (const piece of pieces(points)) {
      // One point is no line: it is drawn as a short one.
      const ends = piece.length > 1 ? [] : [`${Math.max(0, x(piece[0][0]) - 4)},${y(piece[0][1])}`];
      picture.append(svg("polyline", { class: `line l${at % 3}`, points: [...ends, ...piece.map(([when, value]) => `${x(when)},${y(value)}`)].join(" ") }));
    }
  });
  return el("figure", { class: "chart-box" }, el("figcaption", {}, el("b", {}, title), el("small", {}, lines.length ? ` (max ${said(top)})` : "")),
    picture, el("p", { class: "fine keys" }, lines.length ? lines.map(([name, points], at) =>
      el("span", {}, svg("svg", { class: "swatch", viewBox: "0 0 18 6", "aria-hidden": "true" }, svg("line", { class: `line l${at % 3}`, x1: 0, y1: 3, x2: 18, y2: 3 })), ` ${now(name, points)}`)) : words));
}
