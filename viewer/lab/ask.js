// Whom the page asks. A question is { schedule, without, at }, an answer is what `lab::page` says, or an { error }: whoever
// answers, the page is the same. Nothing here draws.
import { readText } from "./text.js";

/** The program that serves the page. `token` is a function: another address may bring another one. */
export function askProgram(token) {
  return async (question) => {
    try {
      const reply = await fetch("play", {
        method: "POST", body: JSON.stringify(question),
        headers: { "Content-Type": "application/json", "X-Cutaway-Token": token() ?? "" },
      });
      return reply.ok ? await reply.json() : { error: (await reply.text()).trim() };
    } catch {
      return { error: "The program does not answer. Start `cutaway lab` again, and open the address that it prints." };
    }
  };
}

/** The program as a module in a worker, where the page is on a web host. */
export function askWorker(place) {
  const worker = new Worker(place, { type: "module" });
  const waiting = new Map();
  let last = 0;
  worker.addEventListener("message", ({ data: { id, answer } }) => {
    waiting.get(id)?.(JSON.parse(answer));
    waiting.delete(id);
  });
  // It could not even be loaded.
  worker.addEventListener("error", () => {
    for (const tell of waiting.values()) tell({ error: "The program could not be loaded. Load the page again." });
    waiting.clear();
  });
  return (question) => new Promise((tell) => {
    waiting.set(++last, tell);
    worker.postMessage({ id: last, question: JSON.stringify(question) });
  });
}

/** A recording: lines with a state for each step, in a file that stands alone. */
export function askRecording(films) {
  const same = (a, b) => a.length === b.length && a.every((one) => b.includes(one));
  return async ({ schedule, without, at }) => {
    const { settings, steps } = readText(schedule);
    const found = films.find((film) => same(film.without, without) && film.settings.join() === settings.join()
      && film.steps.join() === steps.join());
    if (!found) return { error: "This file is a recording. To change it: cutaway lab --url 'ADDRESS', with the address under Text." };
    const to = Math.min(at, found.acts.length);
    return { ...found, at: to, state: found.frames[to], possible: [] };
  };
}
