// The guided tour, the challenges, replays, and the storm. A claim of the tour names what must be seen in its steps; a test
// takes the whole tour and holds it to that.
import { el } from "./parts.js";

const SPLIT = `> cluster 3
> write 1 to n1
> sync n1
> takeover n2
> deliver n2 n3 PromiseRequest`;
const REST = ["deliver n3 n2 Promised", "deliver n2 n3 Prepare", "sync n2", "sync n3", "deliver n3 n1 PrepareOk",
  "deliver n3 n2 PrepareOk"];

export const TOUR = [
  { chapter: "A write", load: "> cluster 3",
    say: "Three nodes, each with a log on a simulated disk. n1 is primary of epoch 1. A client's write is about to reach it.",
    ask: "n1 appends the entry and sends it to n2 and n3. May it answer OK at once?",
    choices: ["Yes: it has the entry.", "Yes: the messages are on their way.", "No: nothing of it is durable anywhere."], right: 2,
    steps: ["write 1 to n1"], see: "sends entry 3 to n2",
    told: "Entry 3 is in n1's log as a dashed cell: a power cut now would lose it. The tokens are messages that you could click." },
  { chapter: "A write", say: "Now n1's sync returns. Its cell becomes solid: entry 3 survives a crash of n1.",
    ask: "Entry 3 is durable on one node of three. Is it committed?",
    choices: ["No: a majority must have it durable.", "Yes: the primary decides alone."], right: 0,
    steps: ["sync n1"], see: "durable",
    told: "If one node were enough, losing that node would lose an acknowledged write." },
  { chapter: "A write", say: "n2 receives the entry, syncs, and acknowledges. n3 has heard nothing yet.",
    ask: "When n2's acknowledgement reaches n1: does the client get its answer?",
    choices: ["Not before n3 has it too.", "Yes: two of three is a majority."], right: 1,
    steps: ["deliver n1 n2 Prepare", "sync n2", "deliver n2 n1 PrepareOk"], see: "write 1 is written as version 3",
    told: "Committed (square) and applied (✓) on n1. n2 has it durable, but does not know yet that it is committed." },
  { chapter: "A crash", say: "n1 loses power, and restarts at once.",
    ask: "What does n1 have when it is back?",
    choices: ["It is primary as before, with entry 3.", "It has entry 3, but it is a backup.", "Its log is empty."], right: 1,
    steps: ["crash n1 keep 0"], see: "n1: Backup in epoch 1, log [1@1 2@1 3@1]",
    told: "What was synced is there. The role is not: no role survives a restart, or one epoch could have two histories." },
  { chapter: "A failover", say: "Nobody leads. A gateway asks n3 to take over, whose log lacks entry 3. n3 asks n2 for its promise.",
    ask: "Will n3 become primary with n2's promise?",
    choices: ["Yes: two of three promised.", "No: n2's log has more than n3's."], right: 1,
    steps: ["lose n1 n3", "takeover n3", "deliver n3 n2 PromiseRequest", "sync n2", "deliver n2 n3 Promised"], see: "[most-complete-log]",
    told: "n3 has two promises of two and is still a candidate. The promise brings the end of n2's log along: n3 lacks something that may be committed, and most-complete-log holds it back." },
  { chapter: "A failover", say: "The gateway asks n2 instead, in a greater epoch. Then everything on its way arrives.",
    ask: "Entry 3 was written in epoch 1. What becomes of it?",
    choices: ["It is kept, and committed together with a marker of the new epoch.", "It is cut off: its epoch is over."], right: 0,
    steps: ["takeover n2 above 2", "calm"], see: "starts to serve",
    told: "A new primary keeps what is in its log. It serves once an entry of its own epoch, the marker, is committed." },
  { chapter: "A split brain", load: SPLIT,
    say: "Another cluster. n1 leads epoch 1 and has a write on its way to n3. Meanwhile n2 stands for epoch 2, and n3 has promised it.",
    ask: "n1's Prepare of epoch 1 reaches n3 now. What does n3 do?",
    choices: ["It appends the entry: n1 is still primary somewhere.", "It refuses: it has promised epoch 2."], right: 1,
    steps: ["deliver n1 n3 Prepare"], see: "[epoch-fence]",
    told: "That is the fence. One comparison: is the message's epoch lower than the one I promised? Click the mechanism to read its code." },
  { chapter: "A split brain", say: "The rest of the same schedule: n2 gets its promise, leads epoch 2, and commits its marker with n3.",
    ask: "Two nodes believe that they are primary. Is any promise to a client broken?",
    choices: ["Yes: two primaries are a split brain.", "No: only one of them can get a majority."], right: 1,
    steps: REST.filter((step) => step !== "deliver n3 n1 PrepareOk"), see: "HELD",
    told: "n1 thinks that it leads, and can commit nothing. Belief does no harm; a majority decides." },
  { chapter: "A split brain", load: SPLIT, without: ["epoch-fence"],
    say: "The same steps once more, with the fence switched off. You know the schedule: n3 will now take n1's entry and acknowledge it.",
    ask: "Which promise breaks in the end?",
    choices: ["P1: a write that returned OK is lost.", "P4: service does not return.", "None: the other mechanisms catch it."], right: 0,
    steps: ["deliver n1 n3 Prepare", ...REST], see: "P1: n2 serves without entry 3",
    told: "The client was told OK, and n2 leads without that entry: it is red in every log. Now switch epoch-fence on again under Mechanisms, or try a challenge." },
];

/** Does what was just told hold in the last step, or in how it ends? */
export function seen(answer, text) {
  const act = answer.acts[answer.at - 1];
  const told = [...act.client, ...act.state, ...act.stopped_by.map((id) => `[${id}]`),
    ...act.events.map((event) => event.sentence + (event.mechanism ? ` [${event.mechanism}]` : ""))];
  const end = answer.broken ?? (answer.stopped ? "STOPPED" : "HELD");
  return [...told, end].some((line) => line.includes(text));
}

/** The card of one stop of the tour. `ways`: load, take, next, stop. */
export function tourCard(at, ways) {
  const stop = TOUR[at];
  const outcome = el("div", { class: "outcome", "aria-live": "polite" });
  const choices = stop.choices.map((choice, n) => el("button", { type: "button", class: "choice", click: () => guess(n) }, choice));
  async function guess(n) {
    choices.forEach((button, other) => {
      button.disabled = true;
      if (other === stop.right) button.classList.add("right");
      else if (other === n) button.classList.add("wrong");
    });
    const holds = await ways.take(stop);
    outcome.replaceChildren(
      el("p", {}, el("b", {}, n === stop.right ? "Right. " : "Not so. "), stop.told),
      holds ? "" : el("p", { class: "bad" }, "This run told something else than the tour expected."),
      el("button", { type: "button", class: "primary", click: () => ways.next() }, at + 1 < TOUR.length ? "Go on" : "Finish"));
    outcome.querySelector("button").focus();
  }
  return el("div", { class: "card tour" },
    el("p", { class: "fine" }, `Tour · ${at + 1} of ${TOUR.length} · ${stop.chapter}`),
    el("progress", { max: TOUR.length, value: at, "aria-label": "Tour" }),
    el("p", {}, stop.say), el("p", { class: "ask" }, stop.ask), ...choices, outcome,
    el("p", {}, el("button", { type: "button", class: "linklike", click: () => ways.stop() }, "Leave the tour")));
}

/** The mechanisms that one can be asked to break, with their pars. */
export function challenges(library) {
  return library.mechanisms
    .filter((one) => one.room === "cluster" && one.counterexample && one.guard)
    .map((one) => ({ id: one.id, promise: one.promise, does: one.does, lines: one.counterexample }));
}

/** A random step that keeps the cluster busy: messages and syncs mostly, faults now and then. */
export function stormStep(possible) {
  const weights = { deliver: 10, sync: 10, write: 3, put: 3, get: 1, read: 1, tick: 1, takeover: 0.5, lose: 0.7, again: 0.7,
    crash: 0.5, cut: 0.2, heal: 2, delete: 0.5, wipe: 0.03, calm: 0.05 };
  const bag = possible.map((step) => [step, weights[step.split(" ")[0]] ?? 0.3]);
  let left = Math.random() * bag.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [step, weight] of bag) {
    left -= weight;
    if (left <= 0) return step;
  }
  return possible[0];
}
