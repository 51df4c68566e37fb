// What a file holds: the events of a run, and what follows from them. Nothing here draws.

/** Columns of a row, as the file writes them; what is missing at the end of a row is 0. */
const LANE = 0, TIME = 1, KIND = 2, MECHANISM = 3, SOURCE = 4, SENTENCE = 5, PARENTS = 6, DELTA = 7, EPOCH = 8,
  FROM = 9, LOST = 10, CLOCK = 11;

/** A run. Events are named by their place in `rows`. */
export class Run {
  constructor(data) {
    this.lanes = data.lanes;
    this.tables = data;
    this.rows = data.rows;
    this.shown = null;
    this.filter("");
  }

  get size() { return this.rows.length; }

  event(at) {
    const row = this.rows[at];
    const { kinds, mechanisms, sources } = this.tables;
    return {
      at,
      lane: row[LANE],
      time: row[TIME] || 0,
      clock: row[CLOCK] || 0,
      kind: kinds[row[KIND] || 0],
      mechanism: row[MECHANISM] ? mechanisms[row[MECHANISM]] : "",
      source: row[SOURCE] ? sources[row[SOURCE]] : "",
      sentence: row[SENTENCE] || "",
      parents: row[PARENTS] || [],
      delta: row[DELTA] || null,
      epoch: row[EPOCH] || 0,
      from: row[FROM] ? row[FROM] - 1 : -1,
      lost: Boolean(row[LOST]),
    };
  }

  sentence(at) {
    const row = this.rows[at];
    return `${this.lanes[row[LANE]]} ${row[SENTENCE] || ""}`;
  }

  lane(at) { return this.rows[at][LANE]; }

  /** The events that were caused by each, found once. */
  get children() {
    if (!this.found) {
      this.found = new Map();
      this.rows.forEach((row, at) => {
        for (const parent of row[PARENTS] || []) {
          if (!this.found.has(parent)) this.found.set(parent, []);
          this.found.get(parent).push(at);
        }
      });
    }
    return this.found;
  }

  /**
   * The events that sent a message to each: one that follows from another lane's event has heard of it, and the first one of
   * its lane is when the message came. What the world does to an actor, and sees of it, is no message.
   */
  get messages() {
    if (!this.came) {
      this.came = new Map();
      const world = this.lanes.indexOf("world");
      const seen = new Set();
      this.rows.forEach((row, at) => {
        if (row[FROM] || row[LANE] === world) return;
        for (const parent of row[PARENTS] || []) {
          const from = this.lane(parent);
          const journey = `${parent} ${row[LANE]}`;
          if (from === row[LANE] || from === world || seen.has(journey)) continue;
          seen.add(journey);
          if (!this.came.has(at)) this.came.set(at, []);
          this.came.get(at).push(parent);
        }
      });
    }
    return this.came;
  }

  /** Everything that an event depends on (`past`), or that depends on it. */
  cone(at, past) {
    const seen = new Set([at]);
    const open = [at];
    while (open.length > 0) {
      const next = open.pop();
      const more = past ? this.rows[next][PARENTS] || [] : this.children.get(next) || [];
      for (const other of more) {
        if (!seen.has(other)) {
          seen.add(other);
          open.push(other);
        }
      }
    }
    return seen;
  }

  /** Shows only events that have `text` in their sentence, mechanism or kind. */
  filter(text) {
    const wanted = text.trim().toLowerCase();
    this.shown = [];
    for (let at = 0; at < this.rows.length; at++) {
      if (wanted === "" || this.matches(at, wanted)) this.shown.push(at);
    }
  }

  matches(at, wanted) {
    const row = this.rows[at];
    const { kinds, mechanisms } = this.tables;
    const text = `${this.sentence(at)} ${kinds[row[KIND] || 0]} ${row[MECHANISM] ? mechanisms[row[MECHANISM]] : ""}`;
    return text.toLowerCase().includes(wanted);
  }

  /** The place among the shown events of the first one that is not before `at`. */
  place(at) {
    let [low, high] = [0, this.shown.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.shown[middle] < at) low = middle + 1; else high = middle;
    }
    return Math.min(low, Math.max(this.shown.length - 1, 0));
  }

  /** The epoch of each lane as of an event. */
  epochs(at) {
    const epochs = new Array(this.lanes.length).fill(0);
    for (let n = Math.max(0, at - 4000); n <= at; n++) {
      const row = this.rows[n];
      if (row[EPOCH]) epochs[row[LANE]] = row[EPOCH];
    }
    return epochs;
  }

  /** The fields of a lane as of an event: the events' differences, one after the other. */
  fields(lane, at) {
    const fields = new Map();
    for (let n = 0; n <= at; n++) {
      const row = this.rows[n];
      if (row[LANE] === lane && row[DELTA]) fields.set(row[DELTA][0], row[DELTA][2]);
    }
    return fields;
  }
}
