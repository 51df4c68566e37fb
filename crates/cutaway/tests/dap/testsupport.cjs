// Microsoft's own client for tests of debug adapters drives `cutaway debug`: node testsupport.cjs CUTAWAY ROOT

const assert = require("assert");
const fs = require("fs");
const path = require("path");
const { DebugClient } = require("@vscode/debugadapter-testsupport");

const [cutaway, root] = process.argv.slice(2);

/** A client, and an adapter of its own. */
async function adapter() {
    const client = new DebugClient(cutaway, "debug", "cutaway", { cwd: root }, true);
    // How long a machine may take is nobody's promise: only one that hangs is to be noticed.
    client.defaultTimeout = 120_000;
    await client.start();
    return client;
}

async function aBreakpointOnALineIsHit() {
    const client = await adapter();
    const file = path.join(root, "crates/dataplane/src/roles/candidate.rs");
    const line = fs.readFileSync(file, "utf8").split("\n").findIndex((text) => text.includes("Kind::PromiseGranted"));
    const at = { path: file, line: line + 1 };
    await client.hitBreakpoint({ program: "epoch-fence" }, at);
    const threads = (await client.threadsRequest()).body.threads.map((thread) => thread.name);
    assert.deepStrictEqual(threads, ["client", "n1", "n2", "n3"]);

    // One event back, and on again to the same place.
    await Promise.all([client.stepBackRequest({ threadId: 1 }), client.waitForEvent("stopped")]);
    await Promise.all([client.continueRequest({ threadId: 1 }), client.assertStoppedLocation("breakpoint", at)]);
    await client.stop();
}

async function aBrokenPromiseIsAnException() {
    const client = await adapter();
    const [, , stopped] = await Promise.all([
        client.configurationSequence(),
        client.launch({ program: "epoch-fence", without: ["epoch-fence"] }),
        client.waitForEvent("stopped"),
    ]);
    assert.strictEqual(stopped.body.reason, "exception");
    assert.match(stopped.body.text, /^P1: n2 serves without entry 3/);
    const { threadId } = stopped.body;
    const frame = (await client.stackTraceRequest({ threadId })).body.stackFrames[0];
    const { scopes } = (await client.scopesRequest({ frameId: frame.id })).body;
    const log = scopes.find((scope) => scope.name === "Log");
    const { variables } = (await client.variablesRequest({ variablesReference: log.variablesReference })).body;
    assert(variables.some((entry) => /^epoch 2/.test(entry.value)), JSON.stringify(variables));
    const { result } = (await client.evaluateRequest({ expression: "verdict", context: "repl" })).body;
    assert.match(result, /^P1: BROKEN/);
    await Promise.all([client.reverseContinueRequest({ threadId }), client.waitForEvent("stopped")]);
    await assert.rejects(client.evaluateRequest({ expression: "n1.lgo" }), /no `lgo`/);
    await client.disconnectRequest();
    client.stopAdapter();
}

async function anotherStepBeginsABranch() {
    const client = await adapter();
    await Promise.all([
        client.configurationSequence(),
        client.launch({ program: "epoch-fence", stopOnEntry: true }),
        client.waitForEvent("stopped"),
    ]);
    const { targets } = (await client.gotoTargetsRequest({ source: { name: "schedule" }, line: 1 })).body;
    const crash = targets.find((target) => target.label === "crash n1 keep 0");
    const [, stopped] = await Promise.all([
        client.gotoRequest({ threadId: 1, targetId: crash.id }),
        client.waitForEvent("stopped"),
    ]);
    assert.strictEqual(stopped.body.reason, "goto");
    await client.stop();
}

(async () => {
    await aBreakpointOnALineIsHit();
    await aBrokenPromiseIsAnException();
    await anotherStepBeginsABranch();
    console.log("all of it holds");
})().catch((error) => {
    console.error(error);
    process.exit(1);
});
