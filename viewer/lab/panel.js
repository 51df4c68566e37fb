// The panel beside the picture: the story so far, the mechanisms, and the schedule as text.
import { el, epochClass, epochOf } from "./parts.js";
import { signOf } from "./time.js";

/** The story, with a search through all of its events. */
export class Story {
  constructor(box, ways) {
    this.ways = ways;
    this.search = el("input", { type: "search", placeholder: "Search all events ( / )", "aria-label": "Search all events", input: () => this.draw() });
    this.list = el("div", { class: "story-list" });
    box.append(this.search, this.list);
    this.box = box;
  }

  draw(answer = this.answer, chosen = this.chosen) {
    Object.assign(this, { answer, chosen });
    const wanted = this.search.value.trim().toLowerCase();
    if (!wanted) return drawStory(this.list, this.box, answer, chosen, this.ways);
    const found = answer.acts.flatMap((act, at) => act.events
      .filter((event) => `${event.sentence} ${event.mechanism ?? ""} ${event.kind}`.toLowerCase().includes(wanted))
      .map((event) => el("li", {}, el("button", { type: "button", class: "step", click: () => this.ways.choose(at + 1, event.n) },
        el("b", {}, `${at + 1}.${event.n}`), event.sentence))));
    this.list.replaceChildren(el("p", { class: "hint", role: "status" }, `${found.length} events`), el("ol", { class: "story" }, found.slice(0, 200)));
  }
}

/** The steps as a list; the one that was just taken is open, with all that happened in it. */
function drawStory(list, box, answer, chosen, ways) {
  const ol = el("ol", { class: "story" });
  ol.append(el("li", { class: answer.at === 0 ? "now" : "" },
    el("button", { type: "button", class: "step", click: () => ways.go(0) }, el("b", {}, "0"), answer.settings.join(", "))));
  answer.acts.forEach((act, at) => ol.append(storyStep(answer, act, at, chosen, ways)));
  const notes = answer.notes.join(" ").trim();
  list.replaceChildren(...(notes ? [el("p", { class: "hint notes" }, notes)] : []), ol);
  const now = ol.querySelector(".now");
  if (now) box.scrollTop = Math.max(0, now.offsetTop - box.clientHeight / 3);
}

function storyStep(answer, act, at, chosen, ways) {
  const now = answer.at === at + 1;
  const kind = signOf(answer, at);
  const item = el("li", { class: `${now ? "now" : ""} ${at >= answer.at ? "ahead" : ""} ${kind ?? ""}` },
    el("button", { type: "button", class: "step", "aria-current": now ? "step" : null, click: () => ways.go(at + 1) },
      el("b", {}, String(at + 1)), act.words));
  if (act.skipped) item.append(el("p", { class: "skipped-line" }, `Not possible here: ${act.skipped}`));
  if (!now) return item;
  for (const event of act.events) item.append(storyEvent(at + 1, event, chosen, ways));
  for (const line of act.client) item.append(el("p", { class: "client-line" }, `✉ the client learns: ${line}`));
  if (answer.broken_at === at + 1) item.append(el("p", { class: "broken-line" }, `◆ ${answer.broken ?? answer.stopped}`));
  const silent = act.stopped_by.filter((id) => !act.events.some((event) => event.mechanism === id));
  if (silent.length) item.append(el("p", { class: "fine guards" }, "guards at work: ",
    silent.map((id) => el("button", { type: "button", class: "chip", click: () => ways.guard(id) }, id))));
  if (!act.events.length && !act.client.length && !act.skipped) item.append(el("p", { class: "hint" }, "Nothing else happened."));
  return item;
}

function storyEvent(step, event, chosen, ways) {
  const isChosen = chosen && chosen[0] === step && chosen[1] === event.n;
  const row = el("div", { class: `event ${isChosen ? "chosen" : ""} ${epochClass(epochOf(event.sentence))}` },
    el("button", { type: "button", class: "sentence", "aria-pressed": String(Boolean(isChosen)), click: () => ways.choose(step, event.n) }, event.sentence));
  if (event.mechanism) row.append(el("button", { type: "button", class: "chip", click: () => ways.guard(event.mechanism) }, event.mechanism));
  if (!isChosen) return row;
  const parents = event.parents.map(([s, n]) =>
    el("button", { type: "button", class: "linklike", click: () => ways.choose(s, n) }, `${s}.${n}`));
  row.append(el("p", { class: "fine" }, parents.length ? ["because of ", ...parents.flatMap((p, at) => at ? [", ", p] : [p])] : "no cause before it"));
  if (event.change) row.append(el("p", { class: "fine" }, `${event.change[0]}: ${event.change[1]} → ${event.change[2]}`));
  row.append(el("p", { class: "fine" }, `${event.source[1]} in ${event.source[0]}`));
  return row;
}

/** Every mechanism on one line with its switch. Drawn once; `refresh` sets the switches. */
export class Switches {
  constructor(box, library, ways) {
    this.inputs = new Map();
    this.rows = [];
    const search = el("input", { type: "search", placeholder: "Search mechanisms", "aria-label": "Search mechanisms",
      input: () => this.filter(search.value) });
    box.append(search);
    for (const room of ["cluster", "device"]) {
      box.append(el("h2", { class: "sub" }, room === "cluster" ? "Between replicas" : "On one device"));
      for (const mechanism of library.mechanisms.filter((one) => one.room === room)) box.append(this.row(mechanism, ways));
    }
  }

  row(mechanism, ways) {
    const input = el("input", { type: "checkbox", role: "switch", checked: true, id: `on-${mechanism.id}`,
      disabled: !mechanism.guard, change: () => ways.flip(mechanism.id, input.checked) });
    this.inputs.set(mechanism.id, input);
    const row = el("div", { class: "mechanism" }, input,
      el("label", { for: input.id }, el("b", {}, mechanism.id), el("small", {}, ` P${mechanism.promise}`)),
      el("span", { class: "row-tools" },
        mechanism.guard ? el("button", { type: "button", class: "linklike", click: () => ways.guard(mechanism.id), "aria-label": `Guard of ${mechanism.id}` }, "guard") : null,
        mechanism.counterexample ? el("button", { type: "button", class: "linklike", click: () => ways.break(mechanism.id), "aria-label": `Break it without ${mechanism.id}` }, "break it") : null),
      el("p", {}, mechanism.does));
    this.rows.push([row, `${mechanism.id} ${mechanism.does}`.toLowerCase()]);
    return row;
  }

  filter(text) {
    for (const [row, words] of this.rows) row.hidden = !words.includes(text.trim().toLowerCase());
  }

  refresh(without) {
    for (const [id, input] of this.inputs) {
      input.checked = !without.includes(id);
      input.closest(".mechanism").classList.toggle("off", !input.checked);
    }
  }
}

/** The schedule as text. */
export class TextPanel {
  constructor(box, ways) {
    this.area = el("textarea", { spellcheck: "false", "aria-label": "The schedule", rows: 18 });
    this.error = el("p", { class: "bad", role: "alert" });
    this.address = el("input", { readonly: true, "aria-label": "Address that holds this schedule", class: "address" });
    this.branches = el("div", {});
    box.append(el("p", { class: "hint" }, "One step a line. Change it, and play it."), this.area, this.error,
      el("div", { class: "row" },
        el("button", { type: "button", class: "primary", click: () => ways.play(this.area.value) }, "Play this text"),
        el("button", { type: "button", click: () => ways.copy(this.address) }, "Copy the address")),
      this.address, el("p", { class: "hint" }, "The address holds the schedule. On a terminal: cutaway play 'ADDRESS'"), this.branches);
  }

  draw(text, address, branches, take) {
    if (document.activeElement !== this.area) this.area.value = text;
    this.address.value = address;
    this.error.textContent = "";
    const items = branches.map((line, at) => el("li", {}, el("button", { type: "button", class: "linklike", click: () => take(at) },
      `${line.steps.length} steps, the last: ${line.steps.at(-1)}`)));
    this.branches.replaceChildren(...(items.length ? [el("h2", { class: "sub" }, "Lines that were left"), el("ul", {}, items)] : []));
  }
}

/** Shows a guard: what it does, where it is, and its text. */
export function showGuard(mechanism) {
  const dialog = el("dialog", { class: "guard", "aria-label": `Guard of ${mechanism.id}` },
    el("h2", {}, mechanism.id), el("p", {}, mechanism.does),
    mechanism.guard
      ? [el("p", { class: "fine" }, `fn ${mechanism.guard.fn} in ${mechanism.guard.file}`), el("pre", { tabindex: "0" }, mechanism.guard.text)]
      : el("p", {}, mechanism.structural),
    el("form", { method: "dialog" }, el("button", {}, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
