// Time: the whole run at a glance, and the ways through it.
import { el } from "./parts.js";

const FAULTS = /^(crash|wipe|rot|lose|cut|again|stray|kill)|crash keep/;
const REFUSES = /Refus|Fenc|Withh|Dropp|Reject|Abandon|VoteLost|Corrupt|Damage/;
const SIGNS = {
  broken: ["◆", "a promise breaks"], refused: ["⊠", "a mechanism refuses"], elected: ["▲", "a primary is elected"],
  fault: ["✕", "a fault"], answered: ["✉", "a client is answered"], committed: ["●", "an entry is committed"],
  skipped: ["⊘", "not possible here"],
};

/** The event by which a mechanism refused something in this step. */
export function refusal(act) {
  return act?.events.find((event) => event.mechanism && REFUSES.test(event.kind)) ?? null;
}

/** What a step is marked with: the most telling of all that happened. */
export function signOf(answer, at) {
  const act = answer.acts[at];
  if (answer.broken_at === at + 1) return "broken";
  if (act.skipped) return "skipped";
  if (refusal(act)) return "refused";
  if (act.events.some((event) => event.kind === "PrimaryElected")) return "elected";
  if (FAULTS.test(act.step)) return "fault";
  if (act.client.length > 0) return "answered";
  return act.events.some((event) => event.kind === "EntriesCommitted") ? "committed" : null;
}

/** The timeline: buttons, a slider, and marks above it. */
export class Timeline {
  constructor(box, ways) {
    this.go = ways.go;
    const button = (label, words, act) => el("button", { type: "button", "aria-label": words, title: words, click: act }, label);
    this.play = button("▶", "Play or pause (space)", ways.play);
    this.slider = el("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "Step", input: () => this.go(Number(this.slider.value)) });
    this.marks = el("div", { class: "marks", "aria-hidden": "true" });
    this.where = el("output", { class: "where" });
    box.append(
      el("div", { class: "ways", role: "group", "aria-label": "Ways through time" },
        button("|◀", "To the beginning (home)", () => this.go(0)), button("◂", "A step back (←)", ways.back), this.play,
        button("▸", "A step on (→)", ways.on), button("▶|", "To the end (end)", () => this.go(Infinity)),
        button("cause", "To the cause of the chosen event ([)", ways.cause),
        button("effect", "To the effect, what followed from it (])", ways.effect),
        button("undo", "Undo (u)", ways.undo), button("redo", "Redo (r)", ways.redo)),
      el("div", { class: "track" }, this.marks, this.slider), this.where);
  }

  draw(answer, at, differs) {
    const all = answer.acts.length;
    this.slider.max = all;
    this.slider.value = at;
    const act = answer.acts[at - 1];
    this.slider.setAttribute("aria-valuetext", at === 0 ? "the beginning" : `step ${at} of ${all}: ${act?.words ?? ""}`);
    this.where.textContent = `${at} / ${all}`;
    this.marks.replaceChildren();
    const put = (step, sign, kind, words) => {
      const mark = el("span", { class: `mark ${kind}`, title: `step ${step}: ${words}` }, sign);
      mark.style.left = `calc(8px + (100% - 16px) * ${all ? step / all : 0})`;
      mark.addEventListener("click", () => this.go(step));
      this.marks.append(mark);
    };
    answer.acts.forEach((_, step) => {
      const kind = signOf(answer, step);
      if (kind) put(step + 1, SIGNS[kind][0], kind, SIGNS[kind][1]);
    });
    if (differs !== null) put(differs + 1, "≠", "differs", "here the two runs part");
  }
}
