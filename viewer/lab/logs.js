// The logs, one below the other by seq, and the disks beside them.
import { asButton, el, epochClass } from "./parts.js";

const STANDINGS = [
  ["tentative", "appended, not synced"], ["durable", "survives a crash"], ["committed", "a majority has it"],
  ["applied", "visible to clients"],
];

/** Draws the logs of `answer` into `box`. `pick(node, from)` hears which disk is clicked; `diskOf` draws one in a line. */
export function drawLogs(box, answer, lostShows, pick, diskOf = diskInALine) {
  box.replaceChildren();
  if (answer.state.device) return;
  const { nodes } = answer.state;
  const seqs = nodes.flatMap((node) => node.log.map((cell) => cell.seq));
  const lost = lostShows ? answer.lost : null;
  if (lost) seqs.push(lost.seq);
  const [first, last] = [Math.min(...seqs, 1), Math.max(...seqs, 1)];
  const columns = [];
  for (let seq = Math.max(first, last + 1 - (answer.columns ?? 40)); seq <= last; seq++) columns.push(seq);
  const head = el("tr", {}, el("th", { scope: "col", class: "node-head" }, "log"),
    columns.map((seq) => el("th", { scope: "col", class: lost?.seq === seq ? "lost-head" : "" }, String(seq))),
    el("td", { class: "fill" }), el("th", { scope: "col", class: "disk-head" }, "disk"));
  const body = nodes.map((node) => el("tr", {},
    el("th", { scope: "row", class: "node-head" }, node.name, el("small", {}, ` ${node.down ? node.standing ?? "down" : node.role}`)),
    ends(node, columns[0]) ? el("td", { class: "behind", colspan: columns.length }, ends(node, columns[0])) : columns.map((seq) => logCell(node, seq, lost)), el("td", { class: "fill" }), el("td", { class: "disk" }, diskOf(node, pick))));
  box.append(el("div", { class: "log-scroll", tabindex: "0", role: "region", "aria-label": "Logs and disks" },
    el("table", { class: "logs" }, el("thead", {}, head), el("tbody", {}, body))));
  // Where there is no room beside the logs, the disks go below.
  box.append(el("div", { class: "disks" }, nodes.map((node) => el("div", {}, el("b", {}, node.name), " ", diskOf(node, pick)))));
  box.append(el("p", { class: "legend" }, STANDINGS.map(([standing, means]) =>
    el("span", {}, el("i", { class: `cell ${standing} e1` }, standing === "applied" ? "✓" : ""), `${standing}: ${means}`)),
    lost ? lostLegend(nodes, lost, `${answer.unit ?? "step"} ${answer.broken_at}`) : null));
  box.querySelector(".log-scroll").scrollLeft = 1e6;
}

/** What stands for a log that ends before the first entry that is shown. */
function ends(node, first) {
  const last = node.log.at(-1)?.seq ?? node.base;
  return last > 0 && last < first ? `ends with entry ${last}` : null;
}

/** The signs of a lost entry that are in the picture. */
function lostLegend(nodes, lost, when) {
  const at = nodes.flatMap((node) => node.log.filter((cell) => cell.seq === lost.seq));
  const sign = (classes, label, words) => el("span", { class: "bad" }, el("i", { class: `cell ${classes}` }, label), words);
  return [
    at.some((cell) => cell.epoch === lost.epoch) ? sign(`applied ${epochClass(lost.epoch)} lost`, `e${lost.epoch}`, `entry ${lost.seq} of epoch ${lost.epoch}, lost at ${when}: who leads now lacks it`) : null,
    at.some((cell) => cell.epoch !== lost.epoch) ? sign(`applied ${epochClass(at.find((cell) => cell.epoch !== lost.epoch).epoch)} instead`, "", "another entry in its place") : null,
    nodes.some((node) => !node.down && seqIsGone(node, lost)) ? sign("gone", "✗", `entry ${lost.seq} of epoch ${lost.epoch} is missing, lost at ${when}`) : null,
  ];
}

const seqIsGone = (node, lost) => lost.seq > node.base && !node.log.some((cell) => cell.seq === lost.seq);

function logCell(node, seq, lost) {
  const cell = node.log.find((other) => other.seq === seq);
  const isLost = lost?.seq === seq;
  if (!cell) {
    if (seq <= node.base) return el("td", {}, el("span", { class: "cell folded", "aria-label": `entry ${seq} is in the checkpoint` }, "▤"));
    const gone = isLost && !node.down;
    return el("td", {}, gone ? el("span", { class: "cell gone", title: `${node.name} lacks the lost entry` }, "✗") : "");
  }
  const same = isLost && cell.epoch === lost.epoch;
  const words = `entry ${seq} of epoch ${cell.epoch}: ${cell.standing}${same ? "; this is the entry that was lost" : ""}`;
  const classes = `cell ${cell.standing} ${epochClass(cell.epoch)}${same ? " lost" : ""}${isLost && !same ? " instead" : ""}`;
  return el("td", {}, el("span", { class: classes, title: words, role: "img", "aria-label": words },
    `e${cell.epoch}`, cell.standing === "applied" ? el("sup", {}, "✓") : null));
}

function diskInALine(node, pick) {
  const { superblocks, log, units, extents, unsynced } = node.disk;
  const space = () => document.createTextNode(" ");
  const newest = Math.max(...superblocks.map((block) => block?.generation ?? -1));
  const chips = superblocks.map((block, at) => el("span", {
    class: `block ${block ? (block.generation === newest ? "newest" : "older") : "torn"}`,
  }, "AB"[at], block ? ` g${block.generation} p${block.promised}` : " torn"));
  // A trace tells of promises and entries, not of bytes and units.
  if (!log) return el("span", { class: "disk-facts" }, chips.flatMap((chip) => [chip, space()]));
  const bar = ringBar(log);
  const box = el("span", { class: "disk-facts" }, chips.flatMap((chip) => [chip, space()]), el("span", { class: "ringed" }, "log ", bar), space(),
    el("span", {}, `${extents.length} ext${units[1] ? ` +${units[1]}q` : ""}`),
    space(), unsynced ? el("span", { class: "unsynced" }, "unsynced") : null);
  const words = superblocks.map((block, at) => block
    ? `superblock ${"AB"[at]} generation ${block.generation} promises ${block.promised}` : `superblock ${"AB"[at]} not readable`);
  return asButton(box, `Disk of ${node.name}: ${words.join(", ")}${unsynced ? ", something unsynced" : ""}`, (from) => pick(node, from));
}

/** How much of the log ring is in use. */
export function ringBar(log) {
  const share = log[0] ? Math.max(4, Math.round(100 * log[1] / log[0])) : 0;
  const bar = el("span", { class: "ring", title: `log ring: ${log[1]} of ${log[0]} bytes` }, el("i"));
  bar.firstChild.style.width = `${share}%`;
  return bar;
}

/** All that is known of a disk, as lines. */
export function diskLines(node) {
  const { superblocks, log, units, extents, unsynced } = node.disk;
  const lines = superblocks.map((block, at) => block
    ? `superblock ${"AB"[at]}: generation ${block.generation}, promise ${block.promised}, checkpoint at entry ${block.checkpoint}`
    : `superblock ${"AB"[at]}: not readable`);
  lines.push(`log ring: ${log[1]} of ${log[0]} bytes in use`);
  lines.push(`units: ${units[0]}, ${units[1]} in quarantine, ${units[2]} free`);
  for (const [unit, count, whose] of extents) lines.push(`units ${unit}–${unit + count - 1}: ${whose}`);
  for (const [key, version, value] of node.keys) lines.push(`key ${key} = ${value} (version ${version})`);
  if (unsynced) lines.push("some of what is written is not synced");
  return lines;
}
