// The page: what is shown, what is clicked, and the questions that go to the time machine.
import { readFragment, readText, writeFragment, writeText } from "./text.js";
import { askProgram, askRecording, askWorker } from "./ask.js";
import { closeMenu, el, showMenu } from "./parts.js";
import { Picture } from "./picture.js";
import { diskLines, drawLogs } from "./logs.js";
import { refusal, Timeline } from "./time.js";
import { showGuard, Story, Switches, TextPanel } from "./panel.js";
import { challenges, seen, stormStep, TOUR, tourCard } from "./lessons.js";

const $ = (id) => document.getElementById(id);
const library = JSON.parse($("library").textContent);
/** Lines with a state for each step, if this page is a file that stands alone. */
const recorded = JSON.parse($("recorded").textContent);
const mechanisms = new Map(library.mechanisms.map((one) => [one.id, one]));
const LAMPS = ["nothing lost", "one order", "unknown is said", "comes back", "damage is told"];
const FREE = "> cluster 3\n";

/** What a browser may refuse to keep is not needed. */
const keep = {
  get: (name) => { try { return localStorage.getItem(`cutaway.${name}`); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(`cutaway.${name}`, value); } catch { /* not kept */ } },
};

/** Everything that is shown follows from these. */
const app = {
  line: readText(FREE), answer: null, other: null, compare: null, chosen: null, said: null, undone: [], done: [], branches: [],
  tour: null, challenge: null, storm: null, playing: null, token: null,
};
globalThis.cutaway = app;

const worker = document.querySelector("meta[name=worker]")?.content;
const asks = recorded ? askRecording(recorded) : worker ? askWorker(worker) : askProgram(() => app.token);

function ask(line, without = line.without) {
  return asks({ schedule: writeText(line), without, at: line.at });
}

/** Stands somewhere else. `undoable`: what was there before can be had again. */
let turn = 0;
async function stand(line, { undoable = true, moves = false, say = null, known = null } = {}) {
  const mine = ++turn;
  const [answer, other] = await Promise.all([known ?? ask(line), app.compare ? ask(line, otherOf(line)) : null]);
  // A later click has overtaken this one.
  if (mine !== turn) return null;
  if (answer.error) {
    app.said = { bad: true, text: answer.error };
    drawNotice();
    return null;
  }
  if (undoable && app.answer) {
    app.done.push(app.line);
    app.undone = [];
  }
  app.line = { ...line, settings: answer.settings, steps: answer.steps, without: answer.without, at: answer.at };
  Object.assign(app, { answer, other: other?.error ? null : other, said: say });
  if (!app.chosen || app.chosen[0] !== app.line.at) app.chosen = telling();
  draw(moves);
  celebrate();
  return answer;
}

/** What the other run is without. */
function otherOf(line) {
  return line.without.includes(app.compare) ? line.without.filter((id) => id !== app.compare) : [...line.without, app.compare];
}

const DECISIVE = /Elected|Serving|SteppedDown|Granted|Committed|Truncated|Installed|Takeover|Appended/;
const NOISE = /Written|Synced|Sent|Counted/;

/** The event that says most of the step that was just taken. */
function telling() {
  const act = app.answer?.acts[app.answer.at - 1];
  if (!act?.events.length) return null;
  const event = refusal(act) ?? act.events.find((one) => DECISIVE.test(one.kind)) ?? act.events.find((one) => !NOISE.test(one.kind))
    ?? act.events[0];
  return [app.answer.at, event.n];
}

/** Takes steps here. What was ahead becomes a line that was left, unless it begins with them. */
async function take(...steps) {
  const { line } = app;
  const ahead = line.steps.slice(line.at);
  const planned = steps.every((step, at) => ahead[at] === step);
  const all = planned ? line.steps : [...line.steps.slice(0, line.at), ...steps];
  const next = { ...line, steps: all, at: line.at + steps.length };
  const answer = await ask(next);
  const refused = answer.error ?? answer.acts.slice(line.at, next.at).find((act) => act.skipped)?.skipped;
  if (refused) {
    app.said = { bad: true, text: `Not possible: ${refused}` };
    drawNotice();
    return null;
  }
  if (!planned && ahead.length > 0) app.branches.push(line);
  return stand(next, { moves: true, known: answer });
}

function go(at, moves = false) {
  const to = Math.max(0, Math.min(at, app.line.steps.length));
  if (to === app.line.at) return null;
  return stand({ ...app.line, at: to }, { undoable: false, moves });
}

function load(text, { without = [], at = null } = {}) {
  const line = readText(text);
  line.without = without;
  if (at !== null) line.at = Math.min(at, line.steps.length);
  app.branches = [];
  app.chosen = null;
  return stand(line);
}

function flip(id, on) {
  const without = app.line.without.filter((other) => other !== id);
  return stand({ ...app.line, without: on ? without : [...without, id] });
}

function breakIt(id) {
  app.compare = null;
  return load(mechanisms.get(id).counterexample, { without: [id] });
}

function undo(from, to) {
  if (from.length === 0) return;
  to.push(app.line);
  stand(from.pop(), { undoable: false });
}

function choose(step, n) {
  app.chosen = [step, n];
  if (step === app.line.at) draw(false); else go(step);
}

function cause() {
  const event = chosenEvent();
  const parent = event?.parents.at(-1);
  if (parent) choose(...parent); else say("There is no cause before this one.");
}

function effect() {
  if (!app.chosen) return;
  const [step, n] = app.chosen;
  for (let at = step - 1; at < app.answer.acts.length; at++) {
    const found = app.answer.acts[at].events.find((event) => event.parents.some(([s, m]) => s === step && m === n));
    if (found) return choose(at + 1, found.n);
  }
  say("Nothing on this line follows from it.");
}

function chosenEvent() {
  return app.chosen ? app.answer.acts[app.chosen[0] - 1]?.events.find((event) => event.n === app.chosen[1]) : null;
}

function say(text, bad = false) {
  app.said = { text, bad };
  drawNotice();
}

function togglePlay(stop = false) {
  if (app.playing || stop) {
    clearInterval(app.playing);
    app.playing = null;
  } else {
    if (app.line.at >= app.line.steps.length) go(0);
    app.playing = setInterval(() => { if (!go(app.line.at + 1, true)) togglePlay(true); }, 900);
  }
  timeline.play.textContent = app.playing ? "❚❚" : "▶";
}

// ---- what is clicked --------------------------------------------------------------------------------------------------

const ways = {
  node(node, from) {
    const { name } = node;
    const is = (step, verb) => step.startsWith(`${verb} ${name}`) || (step.startsWith(verb) && step.endsWith(` ${name}`));
    const label = (step) => ({
      sync: "sync: what is written becomes durable", tick: "tick: its timers expire", wipe: "wipe: an empty disk",
      takeover: "take over: stand for a greater epoch", write: `${step.replace(` to ${name}`, "")}: a client's write arrives`,
      read: "read: a client's read arrives",
      crash: step.endsWith("keep 0") ? "crash: what is not synced is lost" : `crash, ${step.split(" ").slice(2).join(" ")}: unsynced records survive`,
    })[step.split(" ")[0]] ?? step;
    const items = ["sync", "write", "read", "takeover", "tick", "crash", "wipe"]
      .flatMap((verb) => app.answer.possible.filter((step) => is(step, verb)))
      .filter((step) => !step.startsWith("tick all"))
      .map((step) => [label(step), () => take(step)]);
    const cuts = app.answer.possible.filter((step) => step.startsWith("cut ") && step.split(" ").includes(name));
    const heals = app.answer.possible.filter((step) => step.startsWith("heal ") && step.split(" ").includes(name));
    const links = [];
    if (cuts.length) links.push(["isolate: cut all its links", () => take(...cuts)]);
    if (heals.length) links.push(["heal its links", () => take(...heals)]);
    showMenu(from, `${name}: ${node.down ?? node.role}`, [["", items], ["Links", links],
      ["Look", [["disk and keys…", () => showDisk(node)]]]]);
  },
  message(way, from) {
    const items = [["deliver", "deliver"], ["lose", "drop"], ["again", "duplicate: deliver, and keep a copy"]]
      .map(([verb, label]) => [label, () => take(`${verb} ${way.which}`)]);
    showMenu(from, `${way.from} → ${way.to}: ${way.words}`, [["", items]]);
  },
  messages(all, from) {
    showMenu(from, `More messages from ${all[0].from} to ${all[0].to}`,
      [["Deliver", all.map((way) => [way.words, () => take(`deliver ${way.which}`)])],
        ["Drop", all.map((way) => [way.words, () => take(`lose ${way.which}`)])]]);
  },
  held({ node, way }, from) {
    showMenu(from, `${node.name} holds back: ${way.words}`, [["It leaves when the sync returns", [["sync", () => take(`sync ${node.name}`)]]]]);
  },
  link([a, b], from) {
    const here = app.answer.possible.filter((step) => /^(cut|heal) /.test(step) && step.includes(a) && step.includes(b));
    showMenu(from, `The link between ${a} and ${b}`, [["", here.map((step) => [step.startsWith("cut") ? "cut: it loses everything" : "heal", () => take(step)])]]);
  },
  gateway(gateway, from) {
    const here = app.answer.possible.filter((step) => step.endsWith(` ${gateway.name}`) && !/^(cut|heal|deliver|lose|again)/.test(step));
    showMenu(from, `Gateway ${gateway.name}`, [["", here.map((step) => [step, () => take(step)])],
      ["Another key or value", [["put…", () => askPut(gateway.name)]]]]);
  },
  client(_, from) {
    const via = app.answer.possible.filter((step) => / via g/.test(step));
    const direct = app.answer.possible.filter((step) => /^(write|read) /.test(step));
    showMenu(from, "A client", [["Through a gateway", via.map((step) => [step, () => take(step)])],
      ["Straight to a node", direct.map((step) => [step, () => take(step)])]]);
  },
  device(_, from) {
    showMenu(from, "What can happen next", [["", app.answer.possible.slice(0, 40).map((step) => [step, () => take(step)])]]);
  },
};

function showDisk(node) {
  const dialog = el("dialog", { "aria-label": `Disk of ${node.name}` }, el("h2", {}, `Disk of ${node.name}`),
    el("ul", {}, diskLines(node).map((line) => el("li", {}, line))), el("form", { method: "dialog" }, el("button", {}, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function askPut(gateway) {
  const key = el("input", { value: "k", maxlength: 64, id: "put-key" });
  const value = el("input", { value: "v", maxlength: 64, id: "put-value" });
  const put = () => { dialog.close(); take(`put ${key.value.trim()} ${value.value.trim()} via ${gateway}`); };
  const dialog = el("dialog", { "aria-label": "Put" }, el("h2", {}, `put, via ${gateway}`),
    el("p", {}, el("label", { for: "put-key" }, "key "), key), el("p", {}, el("label", { for: "put-value" }, "value "), value),
    el("button", { type: "button", class: "primary", click: put }, "Put"));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

// ---- two runs ---------------------------------------------------------------------------------------------------------

/** The first step that goes differently, from 0. */
function differs() {
  if (!app.other) return null;
  const told = (act) => JSON.stringify([act.skipped, act.client, act.state, act.events.map((event) => event.sentence)]);
  const all = Math.max(app.answer.acts.length, app.other.acts.length);
  for (let at = 0; at < all; at++) {
    const [a, b] = [app.answer.acts[at], app.other.acts[at]];
    if (!a || !b || told(a) !== told(b)) return at;
  }
  return null;
}

function difference(at) {
  const name = (answer) => answer.without.includes(app.compare) ? `without ${app.compare}` : `with ${app.compare}`;
  const [one, other] = [app.answer, app.other];
  const lone = (answer, than) => {
    const known = (than.acts[at]?.events ?? []).map((event) => event.sentence);
    const act = answer.acts[at];
    return act?.skipped ?? act?.events.find((event) => !known.includes(event.sentence))?.sentence ?? act?.client[0] ?? "nothing more happens";
  };
  return `The runs part at step ${at + 1}: ${name(one)}, ${lone(one, other)}; ${name(other)}, ${lone(other, one)}.`;
}

function chooseCompare(from) {
  if (app.compare) {
    app.compare = null;
    return stand(app.line, { undoable: false });
  }
  const out = app.line.without;
  const pick = (id) => () => { app.compare = id; stand(app.line, { undoable: false }); };
  const rest = library.mechanisms.filter((one) => one.guard && !out.includes(one.id));
  showMenu(from, "Compare with the same steps", [["With this switched on again", out.map((id) => [id, pick(id)])],
    ["Without", rest.map((one) => [one.id, pick(one.id)])]]);
}

// ---- drawing ----------------------------------------------------------------------------------------------------------

const stages = [];
function stage(at) {
  while (stages.length <= at) {
    const box = el("div", { class: "run" });
    const title = el("h2", { class: "run-title" });
    const place = el("div", { class: "picture" });
    const logs = el("div", { class: "log-box" });
    box.append(title, place, logs);
    stages.push({ box, title, logs, picture: new Picture(place, (kind, what, from) => { togglePlay(true); ways[kind](what, from); }) });
  }
  return stages[at];
}

function draw(moves) {
  const { answer, other } = app;
  // First what takes its height from the picture.
  drawLamps();
  drawNotice();
  const runs = other ? [answer, other] : [answer];
  $("stage").classList.toggle("two", runs.length === 2);
  $("stage").replaceChildren(...runs.map((_, at) => stage(at).box));
  runs.forEach((run, at) => {
    const { title, picture, logs } = stage(at);
    title.hidden = !other;
    title.textContent = other ? (run.without.includes(app.compare) ? `without ${app.compare}` : `with ${app.compare}`) : "";
    title.classList.toggle("bad", Boolean(run.broken_at && run.broken_at <= run.at));
    drawLogs(logs, run, true, showDisk);
    picture.draw(run, run.acts[run.at - 1], moves);
  });
  story.draw(answer, app.chosen);
  switches.refresh(app.line.without);
  const address = new URL(location.href);
  address.hash = writeFragment(app.line);
  try { history.replaceState(null, "", address); } catch { /* the address of a file stays as it is */ }
  text.draw(writeText(app.line), address.href, app.branches, (at) => stand({ ...app.branches[at], at: 0 }));
  timeline.draw(answer, app.line.at, differs());
  $("compare").setAttribute("aria-pressed", String(Boolean(app.compare)));
}

function drawLamps() {
  const { answer } = app;
  const reached = answer.broken_at && answer.broken_at <= answer.at;
  $("lamps").replaceChildren(...answer.verdict.map((promise) => {
    const state = promise.broken ? (reached ? "red" : "ahead") : "green";
    const words = { red: "is broken", ahead: `breaks at step ${answer.broken_at}`, green: "holds" }[state];
    return el("button", { type: "button", class: `lamp ${state}`, title: promise.words, "aria-label": `P${promise.n} ${words}: ${promise.words}`,
      click: () => say(`P${promise.n} ${words}. ${promise.broken ?? promise.words}`, state === "red") },
    el("i", { "aria-hidden": "true" }, state === "green" ? "●" : state === "red" ? "✗" : "◐"), el("b", {}, `P${promise.n}`), el("span", {}, LAMPS[promise.n - 1]));
  }));
}

/** One sentence on how things stand. */
function drawNotice() {
  const box = $("notice");
  const { answer } = app;
  const act = answer?.acts[answer.at - 1];
  const parts = [];
  let kind = "good";
  const refused = act && refusal(act);
  const at = differs();
  if (app.said) {
    kind = app.said.bad ? "bad" : "plain";
    parts.push(app.said.text);
  } else if (answer?.broken_at && answer.at >= answer.broken_at) {
    kind = "bad";
    parts.push(el("b", {}, `Broken at step ${answer.broken_at}. `), answer.broken ?? `A node's own assertion ended the run: ${answer.stopped}`);
  } else if (refused) {
    kind = "guarded";
    parts.push(el("b", {}, `Step ${answer.at}, refused by `), el("button", { type: "button", class: "chip", click: () => showGuard(mechanisms.get(refused.mechanism)) }, refused.mechanism), ` ${refused.sentence}`);
  } else if (act?.skipped) {
    kind = "plain";
    parts.push(`Step ${answer.at} is not possible here: ${act.skipped}`);
  } else if (answer) {
    const ahead = answer.broken_at ? ` Step ${answer.broken_at} will break one.` : "";
    kind = answer.broken_at ? "plain" : "good";
    parts.push(answer.at === 0 ? `${answer.steps.length ? `${answer.steps.length} steps are planned: → takes one, ▶ plays them. ` : ""}Click a message, a node, a link or the client.${ahead}` : `Every promise holds after ${answer.at === 1 ? "1 step" : `${answer.at} steps`}.${ahead}`);
  }
  if (answer?.broken_at && answer.at !== answer.broken_at) {
    parts.push(" ", el("button", { type: "button", class: "linklike", click: () => go(answer.broken_at) }, "to the betrayal"));
  }
  if (app.line.without.length && !app.said?.bad) parts.push(el("span", { class: "out" }, ` without ${app.line.without.join(", ")}`));
  if (app.other) parts.push(el("span", { class: "parting" }, at === null ? "Both runs are the same in every step." : difference(at),
    at === null || answer.at === at + 1 ? null : [" ", el("button", { type: "button", class: "linklike", click: () => go(at + 1) }, "to that step")]));
  $("verdict").className = `verdict ${kind}`;
  box.replaceChildren(...parts);
}

// ---- learning ---------------------------------------------------------------------------------------------------------

function showTab(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const is = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(is));
    tab.tabIndex = is ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !is;
  }
  // On a phone the panel is below the picture.
  const below = innerWidth <= 860 && !document.body.classList.contains("touring");
  if (name === "learn" && app.answer && below) document.querySelector(".panel").scrollIntoView({ block: "start" });
}

function setMode(mode) {
  stopStorm();
  app.tour = app.challenge = null;
  document.body.classList.remove("touring");
  if (mode === "free") { load(FREE); showTab("story"); }
  if (mode === "tour") startTour(0);
  if (mode === "challenge") showChallenges();
  if (mode === "replay") showReplays();
  if (mode === "storm") startStorm();
  mark(mode);
}

function mark(mode) {
  for (const button of document.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
}

async function startTour(at) {
  document.body.classList.add("touring");
  app.tour = at;
  app.compare = null;
  const stop = TOUR[at];
  if (stop.load) await load(stop.load, { without: stop.without ?? [] });
  const card = tourCard(at, {
    take: async (here) => {
      const answer = await take(...here.steps);
      return Boolean(answer) && seen(answer, here.see);
    },
    next: () => (at + 1 < TOUR.length ? startTour(at + 1) : (keep.set("toured", "yes"), setMode("challenge"))),
    stop: () => { app.tour = null; document.body.classList.remove("touring"); showTab("story"); mark("free"); },
  });
  $("panel-learn").replaceChildren(card);
  showTab("learn");
}

function showChallenges() {
  const list = challenges(library).map((one) => {
    const best = keep.get(`best.${one.id}`);
    const par = readText(one.lines).steps.length;
    return el("li", { class: best ? "solved" : "" }, el("button", { type: "button", class: "choice", click: () => startChallenge(one) },
      el("b", {}, `Break P${one.promise} without ${one.id}`), el("small", {}, best ? `✓ ${best} steps, par ${par}` : `par ${par}`), el("br"), one.does));
  });
  $("panel-learn").replaceChildren(el("div", { class: "card" }, el("p", {}, "A mechanism is out. Find a schedule that breaks a promise. Par is the lab's own, as short as it gets.")),
    el("ol", { class: "choices" }, list));
  showTab("learn");
}

function startChallenge(one) {
  const stored = readText(one.lines);
  app.challenge = { ...one, steps: stored.steps, hints: 0 };
  load(writeText({ ...stored, notes: [], steps: [] }), { without: [one.id] });
  drawChallenge();
  mark("challenge");
}

function drawChallenge() {
  const { id, promise, does, steps, hints } = app.challenge;
  const hint = () => { app.challenge.hints = Math.min(hints + 1, steps.length); drawChallenge(); };
  $("panel-learn").replaceChildren(el("div", { class: "card" },
    el("p", { class: "fine" }, `Challenge · par ${steps.length} steps`), el("h2", {}, `Break P${promise} without ${id}`), el("p", {}, does),
    el("p", {}, "Click messages and nodes until a lamp goes red."),
    el("ol", { class: "hints" }, steps.slice(0, hints).map((step) => el("li", {}, step))),
    el("div", { class: "row" }, el("button", { type: "button", click: hint, disabled: hints >= steps.length }, "Hint: the lab's next step"),
      el("button", { type: "button", click: showChallenges }, "Other challenges")),
    el("p", { id: "won", "aria-live": "polite" })));
  showTab("learn");
}

/** A lamp has gone red in a challenge. */
function celebrate() {
  const { challenge, answer } = app;
  if (!challenge || !answer.broken_at || answer.at < answer.broken_at || !$("won")) return;
  if (answer.without.length !== 1 || answer.without[0] !== challenge.id) return;
  const steps = answer.broken_at;
  const best = Math.min(steps, Number(keep.get(`best.${challenge.id}`) ?? steps));
  keep.set(`best.${challenge.id}`, best);
  const par = challenge.steps.length;
  $("won").textContent = `Broken in ${steps} steps; par is ${par}. ${steps < par ? "Shorter than the lab's!" : steps === par ? "As short as it gets." : "It can be done in fewer."}`;
}

function showReplays() {
  const item = (label, act) => el("li", {}, el("button", { type: "button", class: "choice", click: act }, label));
  const broken = library.mechanisms.filter((one) => one.counterexample)
    .map((one) => item(`without ${one.id}`, () => { breakIt(one.id); showTab("story"); }));
  const stories = library.stories.map((one) => item(one.name, () => { load(one.text, { at: 0 }); showTab("story"); }));
  $("panel-learn").replaceChildren(
    el("div", { class: "card" }, el("h2", { class: "sub" }, "A new cluster"), el("div", { class: "row" }, [["3 nodes", FREE], ["3 nodes, a gateway", "> cluster 3\n> gateways 1\n"],
      ["5 nodes, two gateways", "> cluster 5\n> gateways 2\n"], ["3 cold nodes", "> cluster 3 cold\n"]].map(([label, lines]) =>
      el("button", { type: "button", click: () => { load(lines); showTab("story"); } }, label)))),
    el("h2", { class: "sub" }, "Counterexamples: a promise breaks"), el("ul", { class: "choices" }, broken), el("h2", { class: "sub" }, "Stories: it holds"), el("ul", { class: "choices" }, stories));
  showTab("learn");
}

function startStorm() {
  if (app.answer.state.device) load(FREE);
  showTab("story");
  let left = 120;
  app.storm = setInterval(async () => {
    const { answer } = app;
    if (left-- <= 0 || answer.stopped || (answer.broken_at && answer.at >= answer.broken_at)) return stopStorm();
    const step = stormStep(answer.possible);
    if (step && !app.busy) { app.busy = true; await take(step); app.busy = false; }
  }, 320);
}

function stopStorm() {
  clearInterval(app.storm);
  if (app.storm) mark("free");
  app.storm = null;
}

// ---- keys and the beginning -------------------------------------------------------------------------------------------

const KEYS = [
  ["→ or l", "a step on", () => go(app.line.at + 1, true), ["ArrowRight", "l"]],
  ["← or h", "a step back", () => go(app.line.at - 1), ["ArrowLeft", "h"]],
  ["space", "play or pause", () => togglePlay(), [" "]],
  ["home", "to the beginning", () => go(0), ["Home"]],
  ["end", "to the end", () => go(Infinity), ["End"]],
  ["[", "to the cause of the chosen event", cause, ["["]],
  ["]", "to what followed from it", effect, ["]"]],
  ["j", "the next event of this step", () => nextEvent(1), ["j"]],
  ["k", "the one before", () => nextEvent(-1), ["k"]],
  ["b", "to the betrayal", () => app.answer.broken_at && go(app.answer.broken_at), ["b"]],
  ["u", "undo", () => undo(app.done, app.undone), ["u"]],
  ["r", "redo", () => undo(app.undone, app.done), ["r"]],
  ["c", "two runs: with and without a mechanism", () => chooseCompare($("compare")), ["c"]],
  ["n", "the next event of this node", () => nextLike((event, like) => event.actor === like.actor), ["n"]],
  ["g", "the next event of this mechanism", () => nextLike((event, like) => event.mechanism && event.mechanism === like.mechanism), ["g"]],
  ["/", "search all events", () => { showTab("story"); story.search.focus(); }, ["/"]],
  ["m", "mechanisms, to switch off and on", () => { showTab("mechanisms"); document.querySelector("#panel-mechanisms input").focus(); }, ["m"]],
  ["t", "the schedule as text", () => { showTab("text"); text.area.focus(); }, ["t"]],
  ["s", "the story", () => showTab("story"), ["s"]],
  ["esc", "close a menu; stop the storm", () => { closeMenu(); stopStorm(); togglePlay(true); }, ["Escape"]],
  ["?", "these keys", () => $("help").showModal(), ["?"]],
];

function nextEvent(by) {
  const events = app.answer.acts[app.line.at - 1]?.events ?? [];
  const n = (app.chosen?.[1] ?? 0) + by;
  if (events.some((event) => event.n === n)) choose(app.line.at, n);
}

/** The next event on the line that is like the chosen one. */
function nextLike(alike) {
  const like = chosenEvent();
  if (!like) return say("Choose an event first.");
  const [step, n] = app.chosen;
  const all = app.answer.acts.flatMap((act, at) => act.events.map((event) => [at + 1, event]));
  const next = all.find(([at, event]) => (at > step || (at === step && event.n > n)) && alike(event, like));
  if (next) choose(next[0], next[1].n); else say("There is no further one on this line.");
}

document.addEventListener("keydown", (event) => {
  if (!(event.target instanceof Element) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=range]), textarea, dialog, .menu")) return;
  const key = KEYS.find(([, , , names]) => names.includes(event.key));
  if (!key || (event.key === " " && event.target.closest("button, [role=button]"))) return;
  if (event.target.closest("[role=tablist]") && event.key.startsWith("Arrow")) return;
  event.preventDefault();
  key[2]();
});

const storyWays = { go: (at) => go(at), choose, guard: (id) => showGuard(mechanisms.get(id)) };
const story = new Story($("panel-story"), storyWays);
const switches = new Switches($("panel-mechanisms"), library, { flip, guard: storyWays.guard, break: (id) => { breakIt(id); showTab("story"); } });
const text = new TextPanel($("panel-text"), {
  play: async (lines) => {
    const line = { ...readText(lines), without: app.line.without };
    document.activeElement?.blur();
    if (!await stand(line)) text.error.textContent = app.said?.text ?? "";
  },
  copy: async (from) => {
    from.select();
    try { await navigator.clipboard.writeText(from.value); say("The address is copied."); } catch { say("Copy the selected address."); }
  },
});
const timeline = new Timeline($("time"), {
  go: (at) => go(at), play: () => togglePlay(), back: () => go(app.line.at - 1), on: () => go(app.line.at + 1, true), cause, effect,
  undo: () => undo(app.done, app.undone), redo: () => undo(app.undone, app.done),
});

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
}

function begin() {
  const { token, line } = readFragment(location.hash);
  if (token) keep.set("token", token);
  app.token = token ?? keep.get("token");
  return line ?? (recorded ? lineOf(recorded[0]) : readText(FREE));
}

function lineOf({ notes, settings, steps, without }) {
  return { notes, settings, steps, without, at: steps.length };
}

for (const [label, words] of KEYS) $("help-keys").append(el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, label)), el("td", {}, words)));
for (const button of document.querySelectorAll("[data-mode]")) {
  button.addEventListener("click", () => (button.dataset.mode === "storm" && app.storm ? stopStorm() : setMode(button.dataset.mode)));
}
const tabs = [...document.querySelectorAll("[role=tab]")];
tabs.forEach((tab, at) => {
  tab.addEventListener("click", () => showTab(tab.id.slice(4)));
  tab.addEventListener("keydown", (event) => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 }[event.key];
    if (to === undefined) return;
    const next = tabs[(to + tabs.length) % tabs.length];
    showTab(next.id.slice(4));
    next.focus();
  });
});
$("keys-button").addEventListener("click", () => $("help").showModal());
$("compare").addEventListener("click", () => chooseCompare($("compare")));
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(dark ? "light" : "dark");
  keep.set("theme", dark ? "light" : "dark");
});
addEventListener("hashchange", () => stand(begin()));
let resized = null;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => app.answer && draw(false), 120); });

setTheme(keep.get("theme"));
$("panel-learn").replaceChildren(el("div", { class: "card" }, el("h2", {}, "New here?"),
  el("p", {}, "The tour takes ten minutes: a write, a crash, a failover, and a split brain that one comparison prevents. Each step asks you first."),
  el("button", { type: "button", class: "primary", click: () => setMode("tour") }, "Start the tour")));
if (recorded) {
  document.body.classList.add("recorded");
  app.compare = recorded[1] ? recorded[0].without[0] ?? null : null;
}
const fresh = !recorded && !readFragment(location.hash).line;
showTab(fresh ? "learn" : "story");
const first = begin();
if (worker) say("The program is loading…");
// What breaks opens where it broke.
stand(first).then((answer) => { if (answer?.broken_at && first.at === first.steps.length) go(answer.broken_at); });
mark("free");
