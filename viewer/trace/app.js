// The page of a saved run: which event is chosen, and what keys and clicks do. Everything else follows from that event.
import { el, showMenu } from "../lab/parts.js";
import { Picture } from "../lab/picture.js";
import { drawLogs } from "../lab/logs.js";
import { showGuard } from "../lab/panel.js";
import { Run } from "./model.js";
import { placeOf, States } from "./state.js";
import { MARKS, Overview } from "./marks.js";
import { Lanes } from "./lanes.js";
import { Events, seconds } from "./events.js";

const $ = (id) => document.getElementById(id);
const library = JSON.parse($("library").textContent);
const run = new Run(JSON.parse($("run").textContent));
const mechanisms = new Map(library.mechanisms.map((one) => [one.id, one]));
const states = new States(run);
const shards = [...new Set(run.lanes.filter((lane) => lane.startsWith("n")).map((lane) => lane.split("/")[1]))];
const app = { run, states, at: 0, shard: shards[0] ?? "0", cone: "", playing: null, said: null };
globalThis.cutaway = app;

// ---- where one stands -------------------------------------------------------------------------------------------------

function choose(at, moves = false) {
  if (at === null || at === undefined || at < 0 || at >= run.size) return;
  app.at = at;
  app.said = null;
  const lane = run.lanes[run.lane(at)];
  if (lane.startsWith("n")) app.shard = lane.split("/")[1];
  lanes.reveal(at);
  draw(moves);
}

function draw(moves = false) {
  const { at } = app;
  const answer = states.answer(at, app.shard);
  $("shard").value = app.shard;
  drawNotice();
  drawLogs($("logs"), answer, true, (_, from) => laneMenu(from, "node"));
  picture.draw(answer, { mark: markOf(at) }, moves);
  const marked = app.cone ? run.cone(at, app.cone === "past") : null;
  events.draw(at, marked);
  drawTime(marked);
}

function drawTime(marked = app.cone ? run.cone(app.at, app.cone === "past") : null) {
  const { at } = app;
  const filtered = run.shown.length < run.size ? new Set(run.shown) : null;
  lanes.draw(at, marked, filtered);
  overview.draw(at, app.shard, lanes.window);
  $("slider").value = at + 1;
  $("slider").setAttribute("aria-valuetext", `event ${at + 1} of ${run.size}: ${run.sentence(at)}`);
  $("where").textContent = `event ${at + 1} of ${run.size}, ${seconds(run.time(at))} of ${seconds(run.time(run.size - 1))}`;
}

/** What moves in the picture with an event. */
function markOf(at) {
  const lost = run.lost(at);
  if (lost) return { kind: "lost", from: lost[0], to: lost[1] };
  if (run.lanes[run.lane(at)] === "world") return null;
  const sent = run.came(at)[0];
  return sent === undefined ? { kind: "at", at: run.lane(at) } : { kind: "arrow", from: run.lane(sent), to: run.lane(at) };
}

function drawNotice() {
  const { at, said } = app;
  const broken = run.broken >= 0 && at >= run.broken;
  const parts = [el("b", {}, `${at + 1} `), run.sentence(at), el("span", { class: "fine" }, ` after ${seconds(run.time(at))}`)];
  // What is said of a key comes beside what happened, never instead of it.
  if (said) parts.push(el("span", { class: "aside" }, said));
  if (run.broken >= 0 && at !== run.broken) {
    parts.push(" ", el("button", { type: "button", class: "linklike", click: () => choose(run.broken) }, "to the broken promise"));
  }
  $("verdict").className = `verdict ${broken ? "bad" : run.broken >= 0 ? "plain" : "good"}`;
  $("notice").replaceChildren(...parts);
  const promise = run.broken >= 0 ? run.promise(run.broken) : 0;
  $("lamps").replaceChildren(...library.promises.map((words, n) => {
    const state = n + 1 === promise ? (broken ? "red" : "ahead") : "green";
    const told = { red: "is broken", ahead: `breaks at event ${run.broken + 1}`, green: "is not seen broken" }[state];
    return el("button", { type: "button", class: `lamp ${state}`, title: words, "aria-label": `P${n + 1} ${told}: ${words}`,
      click: () => { app.said = `P${n + 1} ${told}: ${words}`; drawNotice(); } },
    el("i", { "aria-hidden": "true" }, state === "green" ? "●" : state === "red" ? "✗" : "◐"), el("b", {}, `P${n + 1}`));
  }));
}

// ---- ways through time ------------------------------------------------------------------------------------------------

function step(by) {
  const place = run.place(app.at);
  const here = run.shown[place] === app.at;
  choose(run.shown[by > 0 && !here ? place : place + by], by > 0);
}

function find(by, is, what) {
  const to = run.next(app.at, by, is);
  if (to !== null) return choose(to);
  app.said = `There is no ${by > 0 ? "further" : "earlier"} ${what}.`;
  drawNotice();
}

function along(all, what) {
  if (all.length) return choose(all[0]);
  app.said = `This event has no ${what} in the trace.`;
  drawNotice();
}

const ofMark = (name) => { const mark = MARKS.find((one) => one.name === name); return (at) => mark.is(run, at); };
const sameLane = (like) => (at) => run.lane(at) === run.lane(like);

function zoom(by) {
  lanes.zoom(by, app.at);
  drawTime();
}

function cone(which) {
  app.cone = app.cone === which ? "" : which;
  draw();
}

function play(stop = false) {
  if (app.playing || stop) {
    clearInterval(app.playing);
    app.playing = null;
  } else {
    app.playing = setInterval(() => (run.place(app.at) + 1 < run.shown.length ? step(1) : play(true)), 500);
  }
  $("play").textContent = app.playing ? "❚❚" : "▶";
}

let searching = null;
function search(text) {
  clearTimeout(searching);
  searching = setTimeout(() => {
    run.filter(text);
    const many = run.shown.length;
    $("count").textContent = text.trim() ? `${many} ${many === 1 ? "event" : "events"}` : "";
    if (many && text.trim()) choose(run.shown[Math.min(run.place(app.at), many - 1)]); else draw();
  }, 120);
}

const KEYS = [
  ["→ or j", "the next event", () => step(1), ["ArrowRight", "j"]],
  ["← or k", "the event before", () => step(-1), ["ArrowLeft", "k"]],
  ["home", "the first event", () => choose(run.shown[0]), ["Home"]],
  ["end", "the last event", () => choose(run.shown.at(-1)), ["End"]],
  ["space", "play or pause", () => play(), [" "]],
  ["[", "a cause of this event", () => along(run.parents(app.at), "cause"), ["["]],
  ["]", "what follows from it", () => along(run.effects(app.at), "effect"), ["]"]],
  ["p", "light all that it follows from", () => cone("past"), ["p"]],
  ["f", "light all that follows from it", () => cone("future"), ["f"]],
  ["n", "the next event of this lane", () => find(1, sameLane(app.at), "event of this lane"), ["n"]],
  ["N", "the one before of this lane", () => find(-1, sameLane(app.at), "event of this lane"), ["N"]],
  ["g", "the next event of this mechanism", () => find(1, (at) => run.mechanism(app.at) !== "" && run.mechanism(at) === run.mechanism(app.at), "event of this mechanism"), ["g"]],
  ["e E", "the next election, the one before", (key) => find(key === "e" ? 1 : -1, ofMark("elected"), "election"), ["e", "E"]],
  ["x X", "the next fault, the one before", (key) => find(key === "x" ? 1 : -1, ofMark("fault"), "fault"), ["x", "X"]],
  ["c C", "the next commit, the one before", (key) => find(key === "c" ? 1 : -1, ofMark("committed"), "commit"), ["c", "C"]],
  ["b", "to the broken promise", () => (run.broken >= 0 ? choose(run.broken) : find(1, () => false, "broken promise")), ["b"]],
  ["/", "search all events", () => $("search").focus(), ["/"]],
  ["+ -", "look closer, or from further away", (key) => zoom(key === "-" ? 2 : 0.5), ["+", "=", "-"]],
  ["0", "the whole run", () => zoom(Infinity), ["0"]],
  ["esc", "show all events again", () => { $("search").value = ""; search(""); app.cone = ""; play(true); }, ["Escape"]],
  ["?", "these keys", () => $("help").showModal(), ["?"]],
];

document.addEventListener("keydown", (event) => {
  if (!(event.target instanceof Element) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("dialog, .menu, select")) return;
  if (event.target === $("search")) {
    if (event.key !== "Escape" && event.key !== "Enter") return;
    $("events").focus();
    if (event.key === "Enter") return;
  }
  const key = KEYS.find(([, , , names]) => names.includes(event.key));
  if (!key || (event.key === " " && event.target.closest("button, [role=button]"))) return;
  event.preventDefault();
  key[2](event.key);
});

// ---- what is clicked --------------------------------------------------------------------------------------------------

function laneMenu(from, kind, name = from.dataset.name) {
  const is = (at) => placeOf(run.lanes[run.lane(at)]) === name;
  if (kind === "node" && !name) return;
  const items = [["the next event", () => find(1, is, `event of ${name}`)], ["the event before", () => find(-1, is, `event of ${name}`)]];
  showMenu(from, name, [["", items]]);
}

const ways = {
  node: (node, from) => laneMenu(from, "node", node.name),
  gateway: (gateway, from) => laneMenu(from, "gateway", gateway.name),
  client: (_, from) => laneMenu(from, "client", "client"),
  message: (way, from) => showMenu(from, `${way.from} → ${way.to}: ${way.words}`,
    [["", [["to its sending", () => choose(way.sent)], [way.lost ? "to its loss" : "to its arrival", () => choose(way.at)]]]]),
  messages: (all, from) => showMenu(from, `More messages from ${all[0].from} to ${all[0].to}`,
    [["To their arrival", all.slice(0, 30).map((way) => [way.words, () => choose(way.at)])]]),
  link([a, b], from) {
    const is = (at) => run.came(at).some((sent) => [a, b].includes(placeOf(run.lanes[run.lane(sent)]))) && [a, b].includes(placeOf(run.lanes[run.lane(at)]));
    showMenu(from, `Between ${a} and ${b}`, [["", [["the next message", () => find(1, is, "message")], ["the message before", () => find(-1, is, "message")]]]]);
  },
};

// ---- the beginning ----------------------------------------------------------------------------------------------------

const picture = new Picture($("picture"), (kind, what, from) => { play(true); ways[kind]?.(what, from); });
const events = new Events($("chosen"), $("events"), run, { promises: library.promises, choose, guard: (id) => showGuard(mechanisms.get(id)) });
const lanes = new Lanes($("lanes"), run, choose);
const overview = new Overview($("overview"), run, choose);
lanes.changed = () => drawTime();
document.documentElement.style.setProperty("--lanes", run.lanes.length);

const way = (label, words, act, id = null) => el("button", { type: "button", id, "aria-label": words, title: words, click: act }, label);
$("ways").append(way("|◀", "To the first event (home)", () => choose(run.shown[0])), way("◂", "The event before (←)", () => step(-1)),
  way("▶", "Play or pause (space)", () => play(), "play"), way("▸", "The next event (→)", () => step(1)),
  way("▶|", "To the last event (end)", () => choose(run.shown.at(-1))),
  way("cause", "To the cause of the event ([)", () => along(run.parents(app.at), "cause")), way("effect", "To the effect, what follows from it (])", () => along(run.effects(app.at), "effect")),
  way("fault", "To the next fault (x)", () => find(1, ofMark("fault"), "fault")), way("election", "To the next election (e)", () => find(1, ofMark("elected"), "election")),
  way("+", "Look closer (+)", () => zoom(0.5)), way("−", "Look from further away (-)", () => zoom(2)));
$("slider").max = run.size;
$("slider").addEventListener("input", () => choose(Number($("slider").value) - 1));
$("search").addEventListener("input", () => search($("search").value));
for (const shard of shards) $("shard").append(el("option", { value: shard }, shard));
$("shards").hidden = shards.length < 2;
$("shard").addEventListener("change", () => { app.shard = $("shard").value; draw(); });
for (const [label, words] of KEYS) $("help-keys").append(el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, label)), el("td", {}, words)));
$("keys-button").addEventListener("click", () => $("help").showModal());
$("theme").addEventListener("click", () => {
  const { dataset } = document.documentElement;
  const dark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  dataset.theme = dark ? "light" : "dark";
  draw();
});
$("title").textContent = run.title;
document.title = `Cutaway: ${run.title}`;
$("legend").append(...MARKS.map((mark) => el("span", { class: mark.name }, el("i", { class: "sign" }, mark.sign), mark.words)),
  el("span", { class: "work" }, el("i", { class: "sign" }, "■"), "lanes: a mechanism at work"),
  el("span", {}, "drag the overview; scroll the lanes to look closer, with shift to move"));
let resized = null;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(draw, 120); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
// What breaks opens where it broke, with its causes lit.
if (run.broken >= 0) app.cone = "past";
choose(run.broken >= 0 ? run.broken : 0);
performance.mark("ready");
