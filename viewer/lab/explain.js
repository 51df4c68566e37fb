// The story of one request: its events as a list, and its way over the picture.
import { el, epochClass, epochOf, mayMove } from "./parts.js";

const laneOf = (id) => id.split(":")[0].split("/")[0];

/** Events as they came, with the step of each cause, and the hops between processes. */
export function readStory(events, shards) {
  // With one shard the name of a node says all.
  const plain = (sentence) => (shards > 1 ? sentence : sentence.replace(/^(n\d+)\/0 /, "$1 "));
  const places = new Map(events.map((event, at) => [event.id, at]));
  const begin = events[0]?.wall ?? 0;
  return events.map((event, at) => {
    const causes = event.parents.map((parent) => places.get(parent)).filter((cause) => cause !== undefined);
    const lane = laneOf(event.id);
    const hops = [...new Set(causes.map((cause) => laneOf(events[cause].id)).filter((from) => from !== lane))];
    return { at, lane, hops, causes, micros: (event.wall ?? begin) - begin, sentence: plain(event.sentence), mechanism: event.mechanism ?? null };
  });
}

/** Draws the list. `ways.choose(step)` shows one on the picture; `ways.guard(id)` shows a guard. */
export function drawSteps(box, story, chosen, ways) {
  const rows = story.map((step) => el("li", { class: step.at === chosen ? "now" : "" },
    el("button", { type: "button", class: "step", "aria-current": step.at === chosen ? "step" : null, click: () => ways.choose(step.at) },
      el("b", { class: "micros" }, `${step.micros}`), el("span", { class: epochClass(epochOf(step.sentence)) }, step.sentence)),
    step.mechanism ? el("button", { type: "button", class: "chip", click: () => ways.guard(step.mechanism) }, step.mechanism) : null));
  box.replaceChildren(el("p", { class: "hint" }, story.length === 0 ? "No process told of it." : `${story.length} events in ${(story.at(-1)?.micros / 1000).toFixed(1)} ms; the number before each is in microseconds since the first.`),
    el("ol", { class: "story told" }, rows));
}

/** Lets the request take its way over the picture, hop after hop; `step(n)` hears how far it is. */
export async function play(story, picture, step, goes) {
  for (const { at, lane, hops, sentence } of story) {
    if (!goes()) return;
    const moves = hops.length > 0;
    if (!moves && !/syncs|commits|applies|replies/.test(sentence)) continue;
    step(at);
    if (!mayMove()) continue;
    await Promise.all(moves ? hops.map((from) => picture().fly(from, lane)) : [picture().pulse(lane)]).catch(() => {});
  }
}
