// The console: the running cluster in the picture, and what can be done to it. What is shown follows from what the processes
// last said of themselves; what is done is asked of the process that owns them.
import { readFragment } from "./text.js";
import { closeMenu, el, asButton, showMenu } from "./parts.js";
import { $, chooseTab, keep, showDialog, wireKeys, wireTabs, wireTheme } from "./frame.js";
import { Picture } from "./picture.js";
import { drawLogs, ringBar } from "./logs.js";
import { showGuard } from "./panel.js";
import { linesOf, liveAnswer, takeoversOf, verdictOf } from "./live.js";
import { drawCharts, note, Series } from "./charts.js";
import { drawSteps, play, readStory } from "./explain.js";

const library = JSON.parse($("library").textContent);
const guards = new Map(library.mechanisms.map((one) => [one.id, one]));
const guard = (id) => guards.has(id) && showGuard(guards.get(id));

const app = {
  token: null, shard: 0, shards: 1, version: 0, members: [], answer: null, said: null, lost: null, story: [], chosen: null, acts: [],
  telling: false, recording: false, tab: "ask",
};
globalThis.cutaway = app;
const series = new Series();
const lastOf = new Map();

// ---- asking -----------------------------------------------------------------------------------------------------------

async function ask(what, question) {
  try {
    const reply = await fetch(what, {
      method: "POST", body: JSON.stringify(question), headers: { "Content-Type": "application/json", "X-Cutaway-Token": app.token ?? "" },
    });
    return reply.ok ? await reply.json() : { error: (await reply.text()).trim(), refused: true };
  } catch {
    return { error: "`cutaway up` does not answer any more. Start it again, and open the address that it prints.", refused: true };
  }
}

/** Asks for what is new, again and again; a page that nobody sees asks no more. */
async function watch() {
  for (;;) {
    if (document.hidden) {
      await new Promise((go) => document.addEventListener("visibilitychange", go, { once: true }));
      continue;
    }
    const shard = app.shard;
    const seen = await ask("watch", { since: app.version, shard });
    app.lost = seen.error ?? null;
    if (seen.error) {
      draw();
      await new Promise((go) => setTimeout(go, 2000));
      continue;
    }
    if (shard !== app.shard) continue;
    app.version = seen.version;
    if (seen.members) hear(seen.members, seen.at);
  }
}

function hear(members, at) {
  app.members = members;
  app.shards = Math.max(app.shards, ...members.map((member) => member.shards ?? 1));
  app.answer = liveAnswer(members);
  app.recording = app.answer.state.nodes.some((node) => !node.down && node.look.recording);
  note(series, app.answer, at, lastOf);
  draw();
}

// ---- drawing ----------------------------------------------------------------------------------------------------------

const place = el("div", { class: "picture" });
const logBox = el("div", { class: "log-box" });
const picture = new Picture(place, (kind, what, from) => ways[kind]?.(what, from));

function draw() {
  drawVerdict();
  if (!app.answer) return;
  // As many entries as there is room for beside names and disks.
  app.answer.columns = Math.max(5, Math.min(24, Math.floor((logBox.clientWidth - (innerWidth <= 860 ? 110 : 290)) / (app.answer.wide ? 46 : 42))));
  drawLogs(logBox, app.answer, false, showNode, liveDisk);
  // What flies over the picture goes to its end; the logs show how things are.
  if (app.telling) return;
  picture.draw(app.answer, null, false);
  drawChosen();
  drawShards();
  drawForm();
  drawTab();
  $("record").setAttribute("aria-pressed", String(app.recording));
  $("record").textContent = app.recording ? "■ Stop recording" : "● Record events";
}

function drawVerdict() {
  let [words, kind] = app.answer ? verdictOf(app.answer.state, app.shard) : ["Waiting for the cluster…", "plain"];
  if (app.said) [words, kind] = [`${app.said.text} ${words}`, app.said.bad ? "guarded" : "plain"];
  if (app.lost) [words, kind] = [app.lost, "guarded"];
  $("verdict").className = `verdict ${kind}`;
  if ($("notice").textContent !== words) $("notice").textContent = words;
  const rates = (app.answer?.state.gateways ?? []).map((gateway) => [gateway.name, series.get(`${gateway.name} rate`).at(-1)?.[1]]);
  $("lamps").textContent = rates.filter(([, rate]) => rate !== undefined).map(([name, rate]) => `${name}: ${Math.round(rate).toLocaleString("en")} requests/s`).join("   ");
}

function drawShards() {
  if ($("shard").options.length === app.shards) return;
  $("shard").replaceChildren(...Array.from({ length: app.shards }, (_, shard) => el("option", { value: shard, selected: shard === app.shard }, `shard ${shard}`)));
  $("shard").hidden = app.shards < 2;
}

/** The disk of a node, as much as one that is in use can tell. */
function liveDisk(node, pick) {
  const { look } = node;
  const box = el("span", { class: "disk-facts" }, el("span", { class: "block newest" }, `p${look.stored}`), " ", el("span", { class: "ringed" }, "log ", ringBar(look.wal)),
    " ", el("span", {}, `${look.keys.toLocaleString("en")} ${look.keys === 1 ? "key" : "keys"}`), look.unsynced ? el("span", { class: "unsynced" }, "unsynced") : null);
  return asButton(box, `Disk of ${node.name}: promise ${look.stored}, checkpoint as of entry ${look.checkpoint}`, (from) => pick(node, from));
}

const bytes = (count) => (count >= 1 << 20 ? `${(count / (1 << 20)).toFixed(1)} MiB` : `${(count / 1024).toFixed(0)} KiB`);

function showNode(node) {
  const { look } = node;
  const lines = [
    node.down ?? `${node.role}, epoch ${node.promised}${look.follows ? `, follows ${look.follows}` : ""}`,
    `log: entries ${look.base + 1} to ${look.last}; durable up to ${look.durable}, committed up to ${look.committed}, applied up to ${look.applied}`,
    `on the disk: promise of epoch ${look.stored}, checkpoint as of entry ${look.checkpoint}`, `log ring: ${bytes(look.wal[1])} of ${bytes(look.wal[0])} in use`,
    `units: ${look.units[0]}, ${look.units[1]} in quarantine, ${look.units[2]} free`, `keys and values claim ${bytes(look.claims[0])} of ${bytes(look.claims[1])}`,
    `${look.syncs} syncs, ${bytes(look.written)} written since its start; a sync seldom takes longer than ${(look.sync_micros / 1000).toFixed(2)} ms`,
    `damaged values: ${look.values[0]} being asked for, ${look.values[1]} mended, ${look.values[2]} had from nobody`,
  ];
  showDialog(`${node.name}, shard ${app.shard}`, el("ul", {}, lines.map((line) => el("li", {}, line))));
}

function drawTab() {
  if (app.tab === "charts") drawCharts($("panel-charts"), series, app.members.map((member) => member.name), new Set([...app.answer.state.nodes, ...app.answer.state.gateways].filter((one) => one.down).map((one) => one.name)));
  if (app.tab === "takeovers") drawTakeovers();
}

/** To the millisecond: how long a takeover takes can be read off. */
const clock = (at) => `${new Date(at).toLocaleTimeString("en-GB")}.${String(Math.floor(at) % 1000).padStart(3, "0")}`;

let toldBefore = "";
function drawTakeovers() {
  const [takeovers, lines] = [takeoversOf(app.members), linesOf(app.members, app.acts)];
  const told = JSON.stringify([takeovers, lines]);
  if (told === toldBefore) return;
  toldBefore = told;
  const one = ({ at, shard, epoch, from, to, why }) => el("li", { class: "takeover" }, el("p", {}, el("b", {}, from && from !== to ? `${from} → ${to}` : to),
    ` epoch ${epoch}${app.shards > 1 ? `, shard ${shard}` : ""}`, el("small", {}, ` ${clock(at)}`)), el("p", { class: "why" }, from && from !== to ? `${from}: ${why}` : why));
  $("panel-takeovers").replaceChildren(el("h2", { class: "sub" }, "The last takeovers, and their causes"),
    takeovers.length ? el("ol", { class: "takeovers" }, takeovers.map(one)) : el("p", { class: "hint" }, "The gateways have seen none since they were started. Kill the primary to see one."),
    el("h2", { class: "sub" }, "What the processes said"),
    el("ol", { class: "lines" }, lines.slice(0, 60).map(({ at, name, text }) => el("li", {}, el("small", {}, `${clock(at)} `), el("b", {}, name), ` ${text}`))));
}

function showTab(name) {
  app.tab = name;
  toldBefore = "";
  chooseTab(name);
  if (app.answer) drawTab();
}

function say(text, bad = false) {
  app.said = text ? { text, bad } : null;
  drawVerdict();
}

// ---- acting -----------------------------------------------------------------------------------------------------------

async function act(member, action) {
  say(`${action} ${member}…`);
  const at = Date.now();
  const { done, error } = await ask("act", { member, action });
  // It began before any process could say what came of it.
  if (!error) app.acts = [...app.acts.slice(-15), { n: 0, at, name: "you", text: done }];
  say(error ? `Not done: ${error}` : `${done}.`, Boolean(error));
  if (!error) setTimeout(() => { if (app.said?.text === `${done}.`) say(null); }, 4000);
}

/** What can be done to a member as it is now. */
function actions({ name, member, down }) {
  const item = (action, words) => [`${action}: ${words}`, () => act(name, action)];
  if (member.pid === null) return [item("restart", "start its process again")];
  const items = [];
  if (down) items.push(item("resume", "let its process go on"));
  else items.push(item("kill", "end its process at once (SIGKILL)"), item("pause", "its process stands still (SIGSTOP)"));
  if (name.startsWith("n") && !down) items.push(member.isolated ? item("heal", "let its messages pass again") : item("isolate", "drop every message from and to it"));
  items.push(item("restart", "stop it in order, and start it again"));
  if (down) items.push(item("kill", "end its process at once (SIGKILL)"));
  return items;
}

const ways = {
  node(node, from) {
    showMenu(from, `${node.name}: ${node.down ?? node.role}`, [["", actions(node)], ["Look", [["log, disk and counters…", () => showNode(node)]]]]);
  },
  gateway(gateway, from) {
    const sees = (gateway.shard?.nodes ?? []).map(([name, state]) => `${name} ${state}`).join(", ");
    showMenu(from, `${gateway.name}: ${gateway.down ?? (sees ? `it sees ${sees}` : "it knows nobody yet")}`, [["", actions(gateway)]]);
  },
  client() {
    showTab("ask");
    $("ask-key").focus();
  },
  held({ node, way }, from) {
    showMenu(from, `${node.name} holds back ${way.name} for ${way.to}`, [["It leaves when the sync returns", [["look at the node…", () => showNode(node)]]]]);
  },
  link([a, b], from) {
    const ends = [a, b].map((name) => app.answer.state.nodes.find((node) => node.name === name)).filter((node) => node && !node.down);
    showMenu(from, `Between ${a} and ${b}: a link is cut by isolating one of them`, [["", ends.map((node) =>
      (node.member.isolated ? [`heal ${node.name}`, () => act(node.name, "heal")] : [`isolate ${node.name}`, () => act(node.name, "isolate")]))]]);
  },
};

// ---- a request --------------------------------------------------------------------------------------------------------

const form = el("form", { class: "asking", submit: (event) => { event.preventDefault(); request(); } },
  el("div", { class: "row" },
    el("label", {}, "Do ", el("select", { id: "ask-op", change: () => drawForm() }, ["put", "get", "delete"].map((op) => el("option", {}, op)))),
    el("label", {}, "through ", el("select", { id: "ask-via" }))),
  el("label", {}, "Key", el("input", { id: "ask-key", value: "greeting", maxlength: 1024, autocomplete: "off", spellcheck: "false" })),
  el("label", { id: "ask-value-row" }, "Value", el("input", { id: "ask-value", value: "hello", maxlength: 60000, autocomplete: "off", spellcheck: "false" })),
  el("div", { class: "row" }, el("button", { class: "primary", id: "ask-send" }, "Send and explain"),
    el("button", { type: "button", id: "ask-again", disabled: true, click: () => tell() }, "Show its way again")));
const told = el("p", { class: "told-line", role: "status" });
const steps = el("div", { class: "steps" }, el("p", { class: "hint" },
  "The request takes its way over the picture, as slowly as you can follow; what happened is listed here with the real times."));

function drawForm() {
  $("ask-value-row").hidden = $("ask-op").value !== "put";
  const names = (app.answer?.state.gateways ?? []).map((gateway) => gateway.name);
  if ($("ask-via").options.length === names.length) return;
  $("ask-via").replaceChildren(...names.map((name) => el("option", {}, name)));
  $("ask-via").closest("label").hidden = names.length < 2;
}

function outcome({ error, reply }) {
  if (error) return error;
  if (reply.outcome === "written") return `OK, version ${reply.version}`;
  if (reply.outcome === "deleted") return reply.existed ? "OK, deleted" : "OK, there was nothing to delete";
  if (reply.outcome === "value") return `${reply.value} (version ${reply.version})`;
  return reply.outcome === "missing" ? "the key has no value" : `${reply.outcome}: ${reply.error ?? ""}`;
}

async function request() {
  const question = { op: $("ask-op").value, via: $("ask-via").value, key: $("ask-key").value, value: $("ask-value").value };
  $("ask-send").disabled = true;
  told.textContent = "…";
  const answer = await ask("ask", question);
  $("ask-send").disabled = false;
  told.textContent = `${question.op} ${question.key}: ${outcome(answer)}`;
  told.classList.toggle("bad-line", Boolean(answer.error));
  app.story = readStory(answer.events ?? [], app.shards);
  app.chosen = null;
  $("ask-again").disabled = app.story.length === 0;
  showSteps();
  tell();
}

function showSteps() {
  drawSteps(steps, app.story, app.chosen, { choose: (at) => { app.chosen = at; showSteps(); draw(); }, guard });
  const now = steps.querySelector(".now");
  if (now && app.telling) $("panel-ask").scrollTop = now.offsetTop - $("panel-ask").clientHeight / 2;
}

/** The chosen event on the picture. */
function drawChosen() {
  const step = app.story[app.chosen];
  if (!step) return;
  for (const from of step.hops) picture.path(from, step.lane);
}

let turn = 0;
async function tell() {
  const mine = ++turn;
  app.telling = true;
  await play(app.story, () => picture, (at) => { app.chosen = at; showSteps(); }, () => mine === turn);
  if (mine !== turn) return;
  app.telling = false;
  app.chosen = null;
  showSteps();
  draw();
}

// ---- traces -----------------------------------------------------------------------------------------------------------

async function record() {
  const { error, recording } = await ask("record", { on: !app.recording });
  say(error ?? (recording ? "Every process now remembers all of its events, the latest 4,096 of each. That costs speed. “Save trace” takes them."
    : "The processes remember only requests that are explained."), Boolean(error));
}

async function saveTrace() {
  say("Collecting the events…");
  const { error, events, lines } = await ask("trace", {});
  if (error || !events) {
    say(error ?? "There are no events: explain a request, or record first.", true);
    return;
  }
  const address = URL.createObjectURL(new Blob([lines], { type: "application/jsonl" }));
  const link = el("a", { href: address, download: "trace.jsonl" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  app.saved = lines.length;
  say(`${events} events saved. On a terminal: cutaway view trace.jsonl --html trace.html`);
}

async function openInTheLab() {
  const { error, fragment, carried, not_carried: left } = await ask("rebuild", { shard: app.shard });
  if (error) return say(error, true);
  const list = (title, lines) => (lines.length ? [el("h3", {}, title), el("ul", {}, lines.map((line) => el("li", {}, line)))] : []);
  showDialog("Open in the lab", el("p", {}, "A schedule leads a simulated cluster to this situation. There you can go on, back, and break it."),
    list("Carried over", carried), list("Not carried over", left),
    el("p", {}, el("a", { class: "go", id: "to-the-lab", href: `lab#t=${app.token}&${fragment}`, target: "_blank", rel: "noopener" }, "Open the lab")));
}

// ---- the beginning ----------------------------------------------------------------------------------------------------

function arrange() {
  document.title = "Cutaway console";
  document.body.classList.add("live");
  document.querySelector(".bar h1 span").textContent = "console";
  const button = (id, label, words, run) => el("button", { type: "button", id, title: words, click: run }, label);
  document.querySelector(".bar nav").setAttribute("aria-label", "Cluster");
  document.querySelector(".bar nav").replaceChildren(
    el("select", { id: "shard", "aria-label": "Shard", hidden: true, change: () => { app.shard = Number($("shard").value); app.version = 0; } }),
    button("record", "● Record events", "Have every process remember all of its events", record),
    button("save", "Save trace", "The remembered events as a file for cutaway view", saveTrace),
    button("rebuild", "Open in the lab", "A simulated cluster in this situation", openInTheLab));
  $("compare").remove();
  $("lamps").setAttribute("aria-label", "Requests each second");
  $("time").remove();
  const tabs = [["ask", "Request"], ["takeovers", "Takeovers"], ["charts", "Charts"]];
  document.querySelector(".panel").setAttribute("aria-label", "Request, takeovers, charts");
  document.querySelector(".panel").replaceChildren(
    el("div", { class: "tabs", role: "tablist", "aria-label": "Panel" }, tabs.map(([id, label]) =>
      el("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}` }, label))),
    ...tabs.map(([id]) => el("div", { class: "page", role: "tabpanel", id: `panel-${id}`, "aria-labelledby": `tab-${id}`, tabindex: "0" })));
  $("panel-ask").append(form, told, steps);
  $("stage").append(el("div", { class: "run" }, place, logBox));
}

function primary() { return app.answer?.state.nodes.find((node) => node.role === "primary" && !node.down); }

function menuOf(node) {
  const found = node && place.querySelector(`[data-name="${CSS.escape(node.name)}"]`);
  if (found) ways.node(node, found); else say("Nobody leads.");
}

arrange();
const { token } = readFragment(location.hash);
if (token) keep.set("token", token);
app.token = token ?? keep.get("token");
// Whoever looks over a shoulder, or at a picture of the screen, is not given the token.
try { history.replaceState(null, "", location.pathname); } catch { /* the address stays as it is */ }
wireTheme();
wireTabs(showTab);
wireKeys([
  ["q", "a request", () => { showTab("ask"); $("ask-key").focus(); }, ["q"]],
  ["t", "takeovers and their causes", () => showTab("takeovers"), ["t"]],
  ["c", "charts", () => showTab("charts"), ["c"]],
  ["p", "what can be done to the primary", () => menuOf(primary()), ["p"]],
  ["1 … 9", "what can be done to that node", () => {}, []],
  ["w", "the way of the last request again", () => app.story.length && tell(), ["w"]],
  ["r", "record events, or stop that", record, ["r"]],
  ["s", "save the trace", saveTrace, ["s"]],
  ["l", "open in the lab", openInTheLab, ["l"]],
  ["esc", "close a menu; take away what is said", () => { closeMenu(); turn += 1; app.telling = false; app.chosen = null; say(null); draw(); }, ["Escape"]],
  ["?", "these keys", () => $("help").showModal(), ["?"]],
  ...Array.from({ length: 9 }, (_, at) => [null, null, () => menuOf(app.answer?.state.nodes[at]), [String(at + 1)]]),
]);
let sized = null;
addEventListener("resize", () => { clearTimeout(sized); sized = setTimeout(draw, 120); });
showTab("ask");
drawForm();
watch();
