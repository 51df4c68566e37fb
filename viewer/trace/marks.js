// The whole run at a glance: who led in which epoch, and what one would look for.
import { Pen, epochColour } from "./pen.js";

/** What events are marked with: sign, colour, and the words for it. The first that fits counts. */
export const MARKS = [
  { name: "broken", sign: "◆", colour: "--bad", words: "a promise breaks", is: (run, at) => run.promise(at) > 0 },
  { name: "fault", sign: "✕", colour: "--soft", words: "a fault, or a restart", is: isFault },
  { name: "elected", sign: "▲", colour: "--accent", words: "a primary is elected", is: (run, at) => run.kind(at) === "PrimaryElected" },
  { name: "refused", sign: "⊠", colour: "--guard", words: "a mechanism refuses", is: (run, at) => run.mechanism(at) !== "" && /Refus|Withh|VoteLost|Ignored/.test(run.kind(at)) },
  { name: "committed", sign: "❘", colour: "--good", words: "entries are committed", is: (run, at) => run.kind(at) === "CommitAdvanced" },
];

/** Of a process that was killed only its next life can tell. */
function isFault(run, at) {
  const kind = run.kind(at);
  if (kind === "DeviceOpened") return run.begins[run.lane(at)] !== at;
  return /^(FaultInjected|Crashed|DeviceDamaged|DevicePoisoned|CorruptionFound)$/.test(kind);
}

/** The marks of a run by name, each a list of events. */
export function marksOf(run) {
  const found = Object.fromEntries(MARKS.map((mark) => [mark.name, []]));
  for (let at = 0; at < run.size; at++) {
    const mark = MARKS.find((one) => one.is(run, at));
    if (mark) found[mark.name].push(at);
  }
  return found;
}

/** Where each epoch's primary was elected in a shard: [event, epoch]. */
export function reigns(run, shard) {
  const found = [];
  for (let at = 0; at < run.size; at++) {
    if (run.kind(at) !== "PrimaryElected" || !run.lanes[run.lane(at)].endsWith(`/${shard}`)) continue;
    const epoch = run.changes(at).find(([name]) => name === "epoch")?.[1] ?? 0;
    found.push([at, epoch]);
  }
  return found;
}

/** A strip with the marks, the epochs, and the part that the lanes show. */
export class Overview {
  constructor(canvas, run, go) {
    this.pen = new Pen(canvas);
    this.run = run;
    this.marks = marksOf(run);
    // Who drags seeks more often than a frame is drawn.
    let wanted = null;
    const seek = (event) => {
      if (wanted === null) requestAnimationFrame(() => { go(wanted); wanted = null; });
      wanted = Math.max(0, Math.min(run.size - 1, Math.round(event.offsetX / canvas.clientWidth * (run.size - 1))));
    };
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); seek(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
  }

  draw(at, shard, [first, last]) {
    const size = this.pen.begin();
    if (!size) return;
    const [width, height] = size;
    const { pen, run } = this;
    const x = (event) => run.size > 1 ? event / (run.size - 1) * (width - 2) + 1 : width / 2;
    this.epochs(x, width, height, shard);
    pen.rect(x(first), 0, Math.max(2, x(last) - x(first)), height - 12, "--faint");
    for (const mark of [...MARKS].reverse()) {
      let drawn = -10;
      const room = mark.name === "committed" ? 2 : 7;
      for (const event of this.marks[mark.name]) {
        const here = x(event);
        if (here - drawn < room) continue;
        drawn = here;
        if (mark.name === "committed") pen.rect(here - 0.5, height - 18, 1.5, 5, mark.colour);
        else pen.text(mark.sign, Math.max(6, Math.min(here, width - 6)), mark.name === "refused" ? 9 : 19, mark.colour, "center");
      }
    }
    pen.rect(x(at) - 1, 0, 2, height, "--ink");
  }

  epochs(x, width, height, shard) {
    this.reigns ??= new Map();
    if (!this.reigns.has(shard)) this.reigns.set(shard, reigns(this.run, shard));
    const all = this.reigns.get(shard);
    all.forEach(([at, epoch], n) => {
      const end = n + 1 < all.length ? x(all[n + 1][0]) : width;
      this.pen.rect(x(at), height - 12, Math.max(1, end - x(at) - 1), 12, epochColour(epoch));
      if (end - x(at) > 22) this.pen.text(`e${epoch}`, x(at) + 3, height - 6, [1, 3].includes((epoch - 1) % 6 + 1) ? "--on-dark" : "--on-light");
    });
  }
}
