// The panel: the chosen event with all that is known of it, and the events around it.
import { el, epochClass, epochOf } from "../lab/parts.js";

/** Events that are listed before and after the chosen one: more than there is room for. */
const AROUND = 24;
/** Causes that lead to a broken promise, as many as a reader follows. */
const CHAIN = 8;

export class Events {
  constructor(card, box, run, ways) {
    Object.assign(this, { card, box, run, ways });
    this.list = el("ol", { class: "events" });
    box.append(this.list);
  }

  draw(at, marked) {
    this.tell(at);
    const { run } = this;
    const place = run.place(at);
    const some = run.shown.slice(Math.max(0, place - AROUND), place + AROUND);
    this.list.replaceChildren(...some.map((event) => this.item(event, event === at, marked?.has(event))));
    const now = this.list.querySelector("[aria-current]");
    // The panel scrolls, never the page.
    if (now && this.box.scrollHeight > this.box.clientHeight) {
      const top = now.offsetTop - this.box.clientHeight / 2;
      // The first one that is seen is seen whole.
      const first = [...this.list.children].find((item) => item.offsetTop >= top);
      this.box.scrollTop = Math.max(0, first?.offsetTop ?? top);
    }
  }

  item(at, is, near) {
    const { run } = this;
    const kind = `${epochClass(epochOf(run.what(at)))} ${run.promise(at) ? "broken" : near ? "near" : ""}`;
    return el("li", {}, el("button", { type: "button", class: kind, "aria-current": is ? "true" : null, click: () => this.ways.choose(at) },
      el("b", {}, String(at + 1)), el("span", {}, run.sentence(at))));
  }

  tell(at) {
    const { run, ways } = this;
    const link = (to) => el("button", { type: "button", class: "linklike", click: () => ways.choose(to) }, `${to + 1} ${run.sentence(to)}`);
    const links = (words, all) => all.length ? [el("p", { class: "fine" }, words), ...all.slice(0, 4).map(link),
      all.length > 4 ? el("p", { class: "fine" }, `and ${all.length - 4} more`) : null] : [];
    const [mechanism, delta, lost] = [run.mechanism(at), run.delta(at), run.lost(at)];
    const promise = run.promise(at);
    if (promise) return this.tellBroken(at, promise, link);
    this.card.classList.remove("broken");
    this.card.replaceChildren(...[
      el("p", { class: "what" }, `Event ${at + 1} of ${run.lanes[run.lane(at)]}, after ${seconds(run.time(at))}`),
      mechanism ? el("p", {}, el("button", { type: "button", class: "chip", click: () => ways.guard(mechanism) }, mechanism)) : null,
      delta ? el("p", { class: "fine" }, `${delta[0]}: ${delta[1]} → ${delta[2]}`) : null,
      lost ? el("p", { class: "fine" }, `on its way from ${run.lanes[lost[0]]} to ${run.lanes[lost[1]]}`) : null,
      el("p", { class: "fine" }, run.source(at)),
      ...links("because of", run.parents(at)), ...links("what follows from it", run.effects(at)),
    ].filter(Boolean));
  }

  /** A promise that is broken: which, and the way that led there. */
  tellBroken(at, promise, link) {
    const { run, ways } = this;
    const chain = run.chain(at, CHAIN);
    const out = / ([a-z, -]+) is out$/.exec(run.what(at))?.[1].split(", ") ?? [];
    this.card.classList.add("broken");
    this.card.replaceChildren(el("p", { class: "what" }, `Promise ${promise} is broken: ${ways.promises[promise - 1]}`),
      ...(out.length ? [el("p", {}, "Taken out: ", out.map((id) => el("button", { type: "button", class: "chip", click: () => ways.guard(id) }, id)))] : []),
      el("p", { class: "fine" }, "How it came to this, each because of the one before:"),
      el("ol", { class: "chain" }, chain.map((to) => el("li", {}, link(to)))));
  }
}

/** Microseconds as people read them. */
export function seconds(micros) {
  if (micros >= 1e6) return `${(micros / 1e6).toFixed(3)} s`;
  return micros >= 1e3 ? `${(micros / 1e3).toFixed(3)} ms` : `${micros} µs`;
}
