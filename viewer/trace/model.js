// What the file holds: the events of a run, and what follows from them. Nothing here draws.

/** Columns of a row, as the file writes them; what is missing at the end of a row is 0. */
const LANE = 0, TIME = 1, KIND = 2, MECHANISM = 3, SOURCE = 4, SENTENCE = 5, PARENTS = 6, CHANGES = 7, CAME = 8, DELTA = 9,
  LOST = 10, BROKEN = 11;
const NONE = [];

/** A run. Events are named by their place in `rows`, from 0; people count from 1. */
export class Run {
  constructor(data) {
    this.title = data.title;
    this.lanes = data.lanes;
    this.tables = data;
    this.rows = data.rows;
    this.children = new Map();
    this.sends = new Map();
    /** The first event of each lane. */
    this.begins = [];
    this.rows.forEach((row, at) => {
      this.begins[row[LANE]] ??= at;
      for (const parent of row[PARENTS] || NONE) add(this.children, parent, at);
      for (const sent of row[CAME] || NONE) add(this.sends, sent, { sent, at, from: this.rows[sent][LANE], to: row[LANE], lost: false });
      if (row[LOST]) {
        const sent = (row[PARENTS] || NONE).find((parent) => parent < at);
        if (sent !== undefined) add(this.sends, sent, { sent, at, from: row[LOST][0], to: row[LOST][1], lost: true });
      }
    });
    this.broken = this.rows.findIndex((row) => row[BROKEN]);
    this.shown = null;
    this.filter("");
  }

  get size() { return this.rows.length; }

  lane(at) { return this.rows[at][LANE]; }
  time(at) { return this.rows[at][TIME] || 0; }
  kind(at) { return this.tables.kinds[this.rows[at][KIND] || 0]; }
  mechanism(at) { return this.tables.mechanisms[this.rows[at][MECHANISM] || 0]; }
  source(at) { return this.tables.sources[this.rows[at][SOURCE] || 0]; }
  what(at) { return this.rows[at][SENTENCE] || ""; }
  parents(at) { return this.rows[at][PARENTS] || NONE; }
  changes(at) { return this.rows[at][CHANGES] || NONE; }
  came(at) { return this.rows[at][CAME] || NONE; }
  delta(at) { return this.rows[at][DELTA] || null; }
  lost(at) { return this.rows[at][LOST] || null; }
  promise(at) { return this.rows[at][BROKEN] || 0; }
  effects(at) { return this.children.get(at) ?? NONE; }
  sentence(at) { return `${this.lanes[this.lane(at)]} ${this.what(at)}`; }

  /** Everything that an event depends on (`past`), or that depends on it. */
  cone(at, past) {
    const seen = new Set([at]);
    const open = [at];
    while (open.length > 0) {
      const next = open.pop();
      for (const other of past ? this.parents(next) : this.effects(next)) {
        if (seen.has(other)) continue;
        seen.add(other);
        open.push(other);
      }
    }
    return seen;
  }

  /** The last cause of an event, the cause of that, and so on, as many as `most`: the first one first. */
  chain(at, most) {
    const found = [];
    for (let to = this.parents(at).at(-1); to !== undefined && found.length < most; to = this.parents(to).at(-1)) found.unshift(to);
    return found;
  }

  /** Shows only events that have `text` in their sentence, mechanism or kind. */
  filter(text) {
    const wanted = text.trim().toLowerCase();
    this.shown = [];
    for (let at = 0; at < this.rows.length; at++) {
      const words = wanted && `${this.sentence(at)} ${this.kind(at)} ${this.mechanism(at)}`.toLowerCase();
      if (!wanted || words.includes(wanted)) this.shown.push(at);
    }
  }

  /** The place among the shown events of the first one that is not before `at`; as many as there are, if there is none. */
  place(at) {
    let [low, high] = [0, this.shown.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.shown[middle] < at) low = middle + 1; else high = middle;
    }
    return low;
  }

  /** The next event from `at` in one direction that is so. */
  next(at, by, is) {
    for (let to = at + by; to >= 0 && to < this.rows.length; to += by) if (is(to)) return to;
    return null;
  }
}

function add(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value); else map.set(key, [value]);
}
