// How things stand after an event, as far as the trace tells: the changes of all events before it, played forth from the
// last state that was kept. So no event is further away than a few hundred changes.

const KEPT_EVERY = 512;
/** Entries of a log that are drawn at most; older ones are forgotten. */
const CELLS = 22;

/** A message in the words of the protocol, by the event that tells of its sending. */
const MESSAGES = {
  EntriesSent: "Prepare", HeartbeatSent: "Heartbeat", MatchAcknowledged: "PrepareOk", RequestRouted: "Write",
  RequestRetried: "Write", ReadRouted: "Read", ReplyReleased: "Answer", ReadAnswered: "Answer", RequestRefused: "Refused",
  TakeoverAsked: "TakeOver", TakeoverStarted: "Promise?", PromiseStored: "Promise?", PromiseGranted: "Promise",
  PromiseRefused: "Refused", ConfirmationAsked: "Confirm?", EpochConfirmed: "Confirm", SessionAsked: "Session?",
  SessionOpened: "Session", TransferStarted: "Fetch", TransferChunkSent: "Chunk", ClientCalled: "Request", RequestEnded: "Reply",
  PrimaryServing: "Serving", VoteWithheld: "No vote",
};

/** What a place in the picture is called: all clients are one, and a picture is of one shard. */
export function placeOf(lane) { return lane.startsWith("c") ? "client" : lane.split("/")[0]; }

export class States {
  constructor(run) {
    this.run = run;
    this.kept = [{ lanes: run.lanes.map(fresh), flying: [] }];
  }

  /** The state after event `at`. */
  after(at) {
    const from = Math.floor(at / KEPT_EVERY);
    for (let last = this.kept.length - 1; last < from; last++) {
      const state = copy(this.kept[last]);
      for (let n = last * KEPT_EVERY; n < (last + 1) * KEPT_EVERY; n++) this.play(state, n);
      this.kept.push(state);
    }
    const state = copy(this.kept[from]);
    for (let n = from * KEPT_EVERY; n <= at; n++) this.play(state, n);
    return state;
  }

  play(state, at) {
    const lane = state.lanes[this.run.lane(at)];
    for (const [name, ...values] of this.run.changes(at)) PLAYED[name](lane, ...values);
    if (this.run.came(at).length || this.run.lost(at)) state.flying = state.flying.filter((way) => way.at !== at);
    const sends = this.run.sends.get(at);
    if (sends) state.flying = [...state.flying, ...sends];
  }

  /** The answer that picture and logs draw, for one shard. */
  answer(at, shard) {
    const { run } = this;
    const state = this.after(at);
    const [nodes, gateways, here] = [[], [], new Set(["client"])];
    run.lanes.forEach((lane, n) => {
      const is = state.lanes[n];
      if (lane.startsWith("g")) gateways.push({ name: lane, primary: is.knows[0], epoch: is.knows[1], in_flight: 0 });
      else if (lane.startsWith("n") && lane.endsWith(`/${shard}`)) nodes.push(nodeOf(placeOf(lane), is));
      else return;
      here.add(placeOf(lane));
    });
    const network = state.flying.filter((way) => [way.from, way.to].every((lane) => this.isHere(lane, shard) && here.has(placeOf(run.lanes[lane]))))
      .map((way) => ({ ...way, which: `${way.sent} ${way.to}`, from: placeOf(run.lanes[way.from]), to: placeOf(run.lanes[way.to]),
        name: MESSAGES[run.kind(way.sent)] ?? run.kind(way.sent), words: run.what(way.sent) }));
    const lost = run.broken >= 0 && at >= run.broken ? lostEntry(run.what(run.broken)) : null;
    return { at: at + 1, broken_at: run.broken + 1, unit: "event", columns: CELLS, lost, lanes: run.lanes.map(placeOf),
      state: { device: null, nodes, gateways, network, cut: [] } };
  }

  isHere(lane, shard) {
    const name = this.run.lanes[lane];
    return !name.startsWith("n") || name.endsWith(`/${shard}`);
  }
}

function fresh() {
  return { role: "backup", epoch: 0, serving: false, down: null, proven: true, stored: [0, 0], base: 0, cells: [],
    durable: 0, commit: 0, applied: 0, knows: [null, 0] };
}

function copy({ lanes, flying }) {
  return { lanes: lanes.map((lane) => ({ ...lane, cells: [...lane.cells] })), flying };
}

function cut(lane, from) {
  lane.cells = lane.cells.filter(([seq]) => seq < from);
  for (const name of ["durable", "commit", "applied"]) lane[name] = Math.min(lane[name], from - 1);
}

/** What `view/picture.rs` writes. */
const PLAYED = {
  role(lane, role) { lane.role = role; lane.serving = false; },
  epoch(lane, epoch) { lane.epoch = Math.max(lane.epoch, epoch); },
  stored(lane, epoch, generation) { lane.stored = [epoch, generation]; lane.epoch = Math.max(lane.epoch, epoch); },
  serving(lane) { lane.serving = true; },
  down(lane, why) { lane.down = why; lane.role = "backup"; lane.serving = false; },
  up(lane, checkpoint, last) {
    Object.assign(lane, { down: null, role: "backup", serving: false });
    if (last === null) return;
    cut(lane, last + 1);
    // Of its epoch it knows what its disk has kept.
    Object.assign(lane, { base: checkpoint, durable: last, commit: checkpoint, applied: checkpoint, epoch: lane.stored[0] });
  },
  proven(lane, yes) { lane.proven = yes; },
  append(lane, seq, epoch) {
    cut(lane, seq);
    lane.cells.push([seq, epoch]);
    if (lane.cells.length > CELLS) lane.cells.shift();
  },
  cut(lane, from) { cut(lane, from); },
  durable(lane, seq) { lane.durable = Math.max(lane.durable, seq); },
  commit(lane, seq) { lane.commit = seq; },
  applied(lane, seq) { lane.applied = seq; },
  base(lane, seq) { Object.assign(lane, { base: seq, cells: [], durable: seq, commit: seq, applied: seq }); },
  knows(lane, node, epoch) { lane.knows = [node, epoch]; },
};

function nodeOf(name, is) {
  const standing = (seq) => seq <= is.applied ? "applied" : seq <= is.commit ? "committed" : seq <= is.durable ? "durable" : "tentative";
  const block = { generation: is.stored[1], promised: is.stored[0] };
  return { name, role: is.role, promised: is.epoch, serving: is.serving, down: is.down, hint: "down", proven: is.proven, held: [],
    base: is.base, log: is.cells.map(([seq, epoch]) => ({ seq, epoch, standing: standing(seq) })),
    disk: { superblocks: [block, block] } };
}

/** The entry that a broken promise speaks of, if it does. */
function lostEntry(what) {
  const found = /without entry (\d+).*epoch (\d+)/.exec(what);
  return found ? { seq: Number(found[1]), epoch: Number(found[2]) } : null;
}
