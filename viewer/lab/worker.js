// The worker of a page on a web host: it answers one question after the other, and the page stays alive meanwhile.
import { Core } from "./core.js";

// By its bytes: not every web host knows what kind of file a module is.
const loaded = fetch("cutaway.wasm").then((reply) => {
  if (!reply.ok) throw new Error(`cutaway.wasm: ${reply.status}`);
  return reply.arrayBuffer();
}).then((bytes) => WebAssembly.compile(bytes)).then((module) => new Core(module));
// Whoever asks is told.
loaded.catch(() => {});

async function answer(question) {
  let core;
  try {
    core = await loaded;
  } catch (error) {
    return JSON.stringify({ error: `The program could not be loaded (${error.message}). Load the page again.` });
  }
  try {
    return core.ask("play", question);
  } catch (error) {
    return JSON.stringify({ error: `The program has ended at this question (${error.message}). It begins anew with the next one.` });
  }
}

addEventListener("message", async ({ data: { id, question } }) => postMessage({ id, answer: await answer(question) }));
