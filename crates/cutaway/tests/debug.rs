//! `debug`: an editor steps through a schedule, forth, back and sideways.

mod common;
#[path = "common/editor.rs"]
mod editor;

use common::fetched;
use editor::{Editor, line};
use serde_json::{Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// It stands at the beginning of the counterexample of epoch-fence.
fn at_the_beginning(without: &[&str]) -> (Editor, Value) {
    let mut editor =
        Editor::launch(json!({ "program": "epoch-fence", "without": without, "stopOnEntry": true }));
    editor.ask("configurationDone", Value::Null);
    let stopped = editor.event("stopped");
    assert_eq!(stopped["reason"], "entry");
    (editor, stopped)
}

/// It stands where n3 refuses the old primary.
fn at_the_refusal() -> (Editor, Value) {
    let mut editor = Editor::launch(json!({ "program": "epoch-fence" }));
    let set = editor.ask("setFunctionBreakpoints", json!({ "breakpoints": [{ "name": "epoch-fence" }] }));
    assert_eq!(set["breakpoints"][0]["verified"], true);
    editor.ask("configurationDone", Value::Null);
    let stopped = editor.event("stopped");
    assert_eq!(stopped["reason"], "function breakpoint");
    assert_eq!(stopped["hitBreakpointIds"], json!([set["breakpoints"][0]["id"]]));
    (editor, stopped)
}

fn names(stack: &[Value]) -> Vec<&str> {
    stack.iter().map(|frame| frame["name"].as_str().unwrap()).collect()
}

#[test]
fn with_the_fence_taken_out_it_stops_where_the_acknowledged_write_is_gone() {
    let mut editor = Editor::launch(json!({ "program": "epoch-fence", "without": ["epoch-fence"] }));
    editor.ask("configurationDone", Value::Null);
    let stopped = editor.event("stopped");
    assert_eq!((&stopped["reason"], &stopped["allThreadsStopped"]), (&json!("exception"), &json!(true)));
    let text = stopped["text"].as_str().unwrap();
    assert_eq!(text, "P1: n2 serves without entry 3 of epoch 1, which was acknowledged");
    assert_eq!(editor.ask("exceptionInfo", json!({ "threadId": 1 }))["exceptionId"], "P1");
    assert!(
        editor.printed.contains("5. n1 → n3") && editor.printed.contains("BROKEN P1"),
        "{}",
        editor.printed
    );
    assert!(editor.printed.contains("client: write 1 is"), "what clients learn: {}", editor.printed);
    let stack = editor.stack(&stopped);
    let scopes = editor.scopes(&stack[0]).to_string();
    assert!(scopes.contains("BROKEN P1: n2 serves without entry 3"), "{scopes}");

    // The end is a place to go back from; going on there ends the session.
    assert_eq!(editor.go("continue")["reason"], "pause");
    editor.ask("continue", json!({ "threadId": 1 }));
    assert_eq!(editor.event("exited")["exitCode"], 1);
    editor.event("terminated");
    assert!(editor.refused("next", json!({ "threadId": 1 })).contains("restart"));
    editor.ask("restart", json!({}));
    assert_eq!(editor.event("stopped")["reason"], "exception");
    editor.ask("disconnect", json!({}));
    assert_eq!(editor.end().0, Some(0));
}

#[test]
fn promises_that_nobody_asks_about_stop_nothing() {
    let mut editor = Editor::launch(json!({ "program": "epoch-fence", "without": ["epoch-fence"] }));
    let set = editor.ask("setExceptionBreakpoints", json!({ "filters": ["P2", "P6"] }));
    assert_eq!(set["breakpoints"][0]["verified"], true);
    assert_eq!(set["breakpoints"][1]["verified"], false);
    editor.ask("configurationDone", Value::Null);
    let stopped = editor.event("stopped");
    assert_eq!(stopped["reason"], "pause");
    assert!(stopped["text"].as_str().unwrap().contains("P1"), "but the end tells of it: {stopped}");
}

#[test]
fn with_the_fence_it_stops_at_the_refusal_whose_line_and_guard_are_shown() {
    let (mut editor, stopped) = at_the_refusal();
    let stack = editor.stack(&stopped);
    let names = names(&stack);
    assert!(
        names[0].starts_with("5.1 n3 has promised epoch 2, and refuses n1's message of epoch 1"),
        "{names:?}"
    );
    assert!(stack[0]["source"]["path"].as_str().unwrap().ends_with("crates/dataplane/src/transitions.rs"));
    assert!(line(&stack[0]).contains("Kind::StaleEpochRefused"), "{}", line(&stack[0]));
    assert!(line(&stack[1]).contains("fn epoch_fence("), "{}", line(&stack[1]));
    // Its causes: n1 sent the entry, which it appended, because a client wrote.
    assert!(
        names[2].contains("n1 sends entry 3") && line(&stack[2]).contains("Kind::EntriesSent"),
        "{names:?}"
    );
    let last = stack.last().unwrap();
    assert!(last["name"].as_str().unwrap().starts_with("step 1 of the schedule"), "{names:?}");
    assert_eq!(line(last), "> write 1 to n1");
    // Each other thread shows what happened there last.
    let threads = editor.ask("threads", Value::Null);
    let threads: Vec<_> = threads["threads"].as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
    assert_eq!(threads, ["client", "n1", "n2", "n3"]);
    let other = editor.stack(&json!({ "threadId": 3 }));
    assert!(other[0]["name"].as_str().unwrap().contains(" n2 "), "{other:?}");
    // The scopes are those of the frame's process.
    let scopes = editor.scopes(&stack[0]);
    let shown: Vec<_> = scopes.as_array().unwrap().iter().map(|scope| scope[0].as_str().unwrap()).collect();
    let all = ["Event", "State", "Log", "Disk", "Sessions", "Messages on their way", "Held back", "Promises"];
    assert_eq!(shown, all);
    assert_eq!(scopes[1][1][1], json!(["epoch", "2", null]), "n3 has promised: {scopes}");
    let scopes = editor.scopes(&stack[2]);
    assert_eq!(scopes[1][1][1], json!(["epoch", "1", null]), "n1 has not: {scopes}");
}

#[test]
fn back_and_forth_shows_the_same_at_every_event() {
    let (mut editor, mut stopped) = at_the_beginning(&["epoch-fence"]);
    let look = |editor: &mut Editor, stopped: &Value| {
        let stack = editor.stack(stopped);
        let places: Vec<_> = stack.iter().map(|f| json!([f["name"], f["source"], f["line"]])).collect();
        json!([places, editor.scopes(&stack[0])])
    };
    let mut forth = vec![look(&mut editor, &stopped)];
    loop {
        stopped = editor.go("next");
        if stopped["reason"] == "pause" {
            break;
        }
        forth.push(look(&mut editor, &stopped));
    }
    assert!(forth.len() > 20, "events are stopped at one by one: {}", forth.len());
    for there in forth.iter().rev().skip(1) {
        let stopped = editor.go("stepBack");
        assert_eq!(look(&mut editor, &stopped), *there);
    }
    assert_eq!(editor.go("stepBack")["reason"], "entry", "before the beginning there is nothing");
    for there in &forth[1..] {
        let stopped = editor.go("next");
        assert_eq!(look(&mut editor, &stopped), *there);
    }
}

#[test]
fn reverse_goes_to_the_cause_and_on_to_the_beginning() {
    let (mut editor, stopped) = at_the_refusal();
    let stack = editor.stack(&stopped);
    let events: Vec<_> = names(&stack).into_iter().filter(|n| n.starts_with(char::is_numeric)).collect();
    assert!(events.len() > 2, "{events:?}");
    for cause in &events[1..] {
        let stopped = editor.go("reverseContinue");
        assert_eq!(stopped["reason"], "step");
        assert_eq!(names(&editor.stack(&stopped))[0], *cause);
    }
    let stopped = editor.go("reverseContinue");
    assert!(stopped["description"].as_str().unwrap().contains("Nothing has caused this"), "{stopped}");
    assert_eq!(names(&editor.stack(&stopped))[0], *events.last().unwrap());
    // From the past on, the same comes again.
    assert_eq!(editor.go("continue")["reason"], "function breakpoint");
}

#[test]
fn step_in_stays_with_a_node_and_step_out_goes_to_the_end_of_the_step() {
    let (mut editor, _) = at_the_beginning(&[]);
    for _ in 0..3 {
        editor.ask("stepIn", json!({ "threadId": 4 }));
        let stopped = editor.event("stopped");
        assert_eq!(stopped["threadId"], 4);
        assert!(stopped["text"].as_str().unwrap().contains(" n3 "), "{stopped}");
    }
    let stopped = editor.go("stepOut");
    let step = stopped["text"].as_str().unwrap().split('.').next().unwrap().to_string();
    let next = editor.go("next");
    assert!(!next["text"].as_str().unwrap().starts_with(&format!("{step}.")), "{stopped} {next}");
}

#[test]
fn another_possible_step_begins_a_branch() {
    let (mut editor, _) = at_the_refusal();
    let targets = editor.ask("gotoTargets", json!({ "source": {}, "line": 1 }));
    let targets = targets["targets"].as_array().unwrap().clone();
    let crash = targets.iter().find(|target| target["label"] == "crash n3 keep 0").expect("n3 may crash");
    editor.ask("goto", json!({ "threadId": 1, "targetId": crash["id"] }));
    let stopped = editor.event("stopped");
    assert_eq!(stopped["reason"], "goto");
    assert!(stopped["text"].as_str().unwrap().starts_with("6"), "{stopped}");
    assert!(editor.value("branches").contains("11 steps"), "the line that was left is kept");
    // This step is in no file: the editor is given the text of the schedule.
    let stack = editor.stack(&stopped);
    let source = &stack.last().unwrap()["source"];
    let text = editor.ask("source", json!({ "sourceReference": source["sourceReference"] }));
    let at = stack.last().unwrap()["line"].as_u64().unwrap() as usize - 1;
    assert_eq!(text["content"].as_str().unwrap().lines().nth(at), Some("> crash n3 keep 0"));
    // The target was one of that place.
    let why = editor.refused("goto", json!({ "threadId": 1, "targetId": crash["id"] }));
    assert!(why.contains("gotoTargets"), "{why}");
    // Back to the line that was left, by hand.
    editor.ask("evaluate", json!({ "expression": "branch 1", "context": "repl" }));
    assert_eq!(editor.event("stopped")["reason"], "goto");
    assert!(editor.value("ahead").contains("deliver n3 n2 Promised"));
}

#[test]
fn a_line_that_emits_an_event_is_a_breakpoint_and_so_are_a_guard_and_a_step() {
    let mut editor = Editor::launch(json!({ "program": "epoch-fence" }));
    let sources = |file: &str| std::fs::canonicalize(format!("{ROOT}/{file}")).unwrap();
    let at = |file: &str, what: &str| {
        let text = std::fs::read_to_string(sources(file)).unwrap();
        text.lines().position(|line| line.contains(what)).expect("it is there") + 1
    };
    let set = |editor: &mut Editor, file: &str, line: usize| {
        let source = json!({ "path": sources(file) });
        let set =
            editor.ask("setBreakpoints", json!({ "source": source, "breakpoints": [{ "line": line }] }));
        set["breakpoints"][0].clone()
    };
    let candidate = "crates/dataplane/src/roles/candidate.rs";
    let (above, emits) = (at(candidate, "Kind::PromiseGranted") - 1, at(candidate, "Kind::PromiseGranted"));
    let granted = set(&mut editor, candidate, above);
    assert_eq!((&granted["verified"], &granted["line"]), (&json!(true), &json!(emits)), "it moves down");
    let nothing = set(&mut editor, "crates/kv/src/lib.rs", 1);
    assert_eq!(nothing["verified"], false);
    assert!(nothing["message"].as_str().unwrap().contains("emit"), "{nothing}");
    let guard = "crates/dataplane/src/guard.rs";
    let fence = set(&mut editor, guard, at(guard, "fn epoch_fence(") + 1);
    assert_eq!((&fence["verified"], &fence["line"]), (&json!(true), &json!(at(guard, "fn epoch_fence("))));
    let schedule = "crates/lab/counterexamples/epoch-fence.schedule";
    let step = set(&mut editor, schedule, at(schedule, "> sync n2"));
    assert_eq!(step["verified"], true, "{step}");

    editor.ask("configurationDone", Value::Null);
    let mut stops = Vec::new();
    loop {
        let stopped = editor.event("stopped");
        if stopped["reason"] != "breakpoint" {
            break;
        }
        stops.push((stopped["hitBreakpointIds"][0].clone(), stopped["text"].as_str().unwrap().to_string()));
        editor.ask("continue", json!({ "threadId": 1 }));
    }
    let hit: Vec<_> = stops.iter().map(|(id, _)| id.clone()).collect();
    assert!(hit.contains(&granted["id"]) && hit.contains(&step["id"]), "{stops:?}");
    let fenced = stops.iter().find(|(id, _)| *id == fence["id"]).expect("the guard is at work");
    assert!(fenced.1.contains("refuses n1's message"), "{stops:?}");
    let began = stops.iter().find(|(id, _)| *id == step["id"]).unwrap();
    assert!(began.1.starts_with("8"), "{stops:?}");
}

#[test]
fn names_that_there_are_not_are_answered_with_the_nearest() {
    let mut editor = Editor::launch(json!({ "program": "epoch-fence" }));
    let names = json!([{ "name": "epoch-fense" }, { "name": "PrimaryElected" }, { "name": "" }]);
    let set = editor.ask("setFunctionBreakpoints", json!({ "breakpoints": names }));
    assert_eq!(set["breakpoints"][0]["verified"], false);
    assert!(set["breakpoints"][0]["message"].as_str().unwrap().contains("did you mean epoch-fence?"));
    assert_eq!(set["breakpoints"][1]["verified"], true, "a kind of event is a name too");
    assert_eq!(set["breakpoints"][2]["verified"], false);
    let launch = |arguments: Value| Editor::start().refused("launch", arguments);
    assert!(launch(json!({})).contains("\"program\""));
    assert!(launch(json!({ "program": 7 })).contains("a text, not 7"));
    let why = launch(json!({ "program": "epoch-fnce" }));
    assert!(why.contains("did you mean epoch-fence?") && why.contains("stories/"), "{why}");
    let why = launch(json!({ "program": "epoch-fence", "without": ["durable-akc"] }));
    assert!(why.contains("did you mean durable-ack?"), "{why}");
    assert!(launch(json!({ "program": "epoch-fence", "without": 3 })).contains("a list of mechanisms"));
    assert!(launch(json!({ "program": format!("{ROOT}/README.md") })).contains("README.md: line 3"));
    assert!(launch(json!({ "program": "no-role-survives" })).contains("has no schedule"));
}

#[test]
fn the_console_shows_the_state_and_takes_steps() {
    let (mut editor, _) = at_the_refusal();
    assert_eq!(editor.value("n3.state").split("; ").next(), Some("role: backup"));
    assert!(editor.value("n1.log").contains("entry 3: epoch 1, durable"), "{}", editor.value("n1.log"));
    assert!(editor.value("n2.disk").contains("superblock A"));
    assert!(editor.value("network").contains("n3 → n2: "), "{}", editor.value("network"));
    assert!(editor.value("verdict").starts_with("P1: holds"));
    assert!(editor.value("steps").contains("deliver n3 n2 Promised"));
    assert!(editor.value("help").contains("do STEP"));
    let ask = |what: &str, how: &str| json!({ "expression": what, "context": how });
    assert!(editor.refused("evaluate", ask("n3.lgo", "hover")).contains("no `lgo`"));
    assert!(editor.refused("evaluate", ask("netwrok", "repl")).contains("did you mean network?"));
    // What is watched is asked again at each stop: it takes no steps.
    assert!(editor.refused("evaluate", ask("do sync n2", "watch")).contains("console"));
    let why = editor.refused("evaluate", ask("do deliver n3 n1 PrepareOk", "repl"));
    assert!(why.contains("no PrepareOk is on its way from n3 to n1"), "{why}");
    assert!(editor.refused("evaluate", ask("do dance", "repl")).contains("dance"));
    // For editors without the buttons.
    editor.ask("evaluate", ask("cause", "repl"));
    assert!(editor.event("stopped")["text"].as_str().unwrap().contains("n1 sends entry 3"));
    editor.ask("evaluate", ask("back", "repl"));
    editor.event("stopped");
    assert_eq!(editor.go("continue")["reason"], "function breakpoint");
    let before = editor.value("network");
    editor.ask("evaluate", ask("do lose n3 n2 Promised", "repl"));
    let stopped = editor.event("stopped");
    assert_eq!(stopped["reason"], "goto");
    assert_ne!(editor.value("network"), before);
}

#[test]
fn a_device_has_a_host_and_its_sectors() {
    let mut editor = Editor::launch(
        json!({ "program": "extent-quarantine", "without": ["extent-quarantine"], "stopOnEntry": true }),
    );
    editor.ask("configurationDone", Value::Null);
    editor.event("stopped");
    let threads = editor.ask("threads", Value::Null);
    assert_eq!(threads["threads"][1]["name"], "device");
    let stopped = editor.go("continue");
    assert_eq!(stopped["reason"], "exception", "{stopped}");
    let stack = editor.stack(&stopped);
    assert!(editor.scopes(&stack[0]).to_string().contains("Promises"));
    // Of each event, the scopes show that very event.
    let mut stopped = stopped;
    while stopped["reason"] != "entry" {
        let frame = editor.stack(&stopped)[0].clone();
        let scopes = editor.scopes(&frame);
        if scopes[0][0] == "Event" {
            let sentence = scopes[0][1][1][1].as_str().unwrap();
            assert!(frame["name"].as_str().unwrap().contains(sentence), "{frame} {scopes}");
        }
        stopped = editor.go("stepBack");
    }
    assert!(!editor.value("steps").is_empty());
    assert!(editor.refused("evaluate", json!({ "expression": "network" })).contains("help"));
}

#[test]
fn without_the_sources_frames_name_the_function() {
    let nowhere = std::env::temp_dir();
    let arguments = json!({ "program": "epoch-fence", "sourceRoot": nowhere });
    let mut editor = Editor::launch(arguments);
    editor.ask("setFunctionBreakpoints", json!({ "breakpoints": [{ "name": "epoch-fence" }] }));
    editor.ask("configurationDone", Value::Null);
    let stopped = editor.event("stopped");
    assert!(editor.printed.contains("sourceRoot"), "{}", editor.printed);
    let stack = editor.stack(&stopped);
    assert_eq!((&stack[0]["presentationHint"], &stack[0]["line"]), (&json!("subtle"), &json!(0)));
    let name = stack[0]["name"].as_str().unwrap();
    assert!(name.contains("in crates/dataplane/src/transitions.rs)"), "{name}");
    assert!(stack[1]["name"].as_str().unwrap().contains("fn epoch_fence in crates/dataplane/src/guard.rs"));
}

#[test]
fn a_run_without_a_debugger_stops_nowhere() {
    let mut editor =
        Editor::launch(json!({ "program": "epoch-fence", "without": "epoch-fence", "noDebug": true }));
    editor.ask("configurationDone", Value::Null);
    assert_eq!(editor.event("exited")["exitCode"], 1);
    editor.event("terminated");
    assert!(editor.printed.contains("BROKEN P1"), "{}", editor.printed);
}

#[test]
fn lines_are_counted_from_0_for_an_editor_that_does() {
    let mut editor = Editor::start();
    editor.ask("initialize", json!({ "linesStartAt1": false }));
    editor.ask("launch", json!({ "program": "epoch-fence", "stopOnEntry": true }));
    editor.event("initialized");
    editor.ask("configurationDone", Value::Null);
    editor.event("stopped");
    let stopped = editor.go("next");
    let mut frame = editor.stack(&stopped)[0].clone();
    frame["line"] = json!(frame["line"].as_u64().unwrap() + 1);
    assert!(line(&frame).contains("Kind::"), "{frame}");
    let why = Editor::start().refused("initialize", json!({ "pathFormat": "uri" }));
    assert!(why.contains("path"), "{why}");
}

#[test]
fn garbage_ends_it_with_a_reason_and_an_odd_request_with_a_refusal() {
    for (bytes, why) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], "no header of the Debug Adapter Protocol"),
        (b"Content-Length: 4294967296\r\n\r\n", "4194304 are the most"),
        (b"Content-Length: 99\r\n\r\n{}", "2 of the 99 bytes"),
        (b"\x00\xff\xfe\x00", "ends within the header"),
        (&[b'x'; 100_000], "at most 8192 bytes"),
        (b"\r\n\r\n", "no Content-Length"),
    ] {
        let mut editor = Editor::start();
        editor.send(bytes);
        let (code, told) = editor.end();
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(why) && !told.contains("panicked"), "{told}");
    }
    // A message that is none leaves the next one readable.
    let mut editor = Editor::start();
    editor.send(b"Content-Length: 3\r\n\r\n{]}Content-Length: 2\r\n\r\n[]");
    editor.ask("initialize", json!({}));
    assert!(editor.refused("dance", Value::Null).contains("no request `dance`"));
    assert_eq!(editor.end().0, Some(0));
}

#[test]
fn whatever_the_arguments_there_is_an_answer() {
    let commands = [
        "initialize",
        "configurationDone",
        "setBreakpoints",
        "setFunctionBreakpoints",
        "setExceptionBreakpoints",
        "threads",
        "stackTrace",
        "scopes",
        "variables",
        "source",
        "exceptionInfo",
        "evaluate",
        "gotoTargets",
        "goto",
        "next",
        "stepIn",
        "stepOut",
        "stepBack",
        "reverseContinue",
        "continue",
        "pause",
        "attach",
        "launch",
        "terminate",
        "restart",
    ];
    let values =
        [json!(null), json!(0), json!(-1), json!(u64::MAX), json!(1.5), json!("x"), json!([[]]), json!({})];
    let fields = [
        "threadId",
        "frameId",
        "variablesReference",
        "sourceReference",
        "targetId",
        "expression",
        "breakpoints",
        "filters",
        "lines",
        "levels",
        "startFrame",
        "start",
        "count",
        "program",
        "arguments",
    ];
    for launched in [false, true] {
        let mut editor = if launched { at_the_beginning(&[]).0 } else { Editor::start() };
        for command in commands {
            for value in &values {
                editor.request(command, value.clone());
                let all: serde_json::Map<_, _> =
                    fields.iter().map(|field| (field.to_string(), value.clone())).collect();
                editor.request(command, Value::Object(all));
            }
            let path = format!("{ROOT}/crates/dataplane/src/guard.rs");
            let lines = json!({ "source": { "path": path }, "lines": [0, u64::MAX, 1] });
            editor.request("setBreakpoints", lines);
        }
        let (code, told) = editor.end();
        assert_eq!(code, Some(0), "{told}");
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn the_page_and_the_extension_name_what_there_is() {
    let read = |file: &str| std::fs::read_to_string(format!("{ROOT}/{file}")).unwrap();
    let page = read("docs/debugging.md");
    let package: Value = serde_json::from_str(&read("editors/vscode/package.json")).unwrap();
    let debugger = &package["contributes"]["debuggers"][0];
    assert_eq!((&debugger["runtime"], &debugger["runtimeArgs"]), (&json!("cutaway"), &json!(["debug"])));
    for field in debugger["configurationAttributes"]["launch"]["properties"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("| `{field}` |")), "{field}");
        // One of the wrong type is refused: so it is read.
        let mut arguments = json!({ "program": "epoch-fence" });
        arguments[field] = json!(7);
        assert!(Editor::start().refused("launch", arguments).contains(field.as_str()));
    }
    // The configurations of the page, as VS Code would fill them in.
    let (_, rest) = page.split_once("```json\n").unwrap();
    let text = rest.split("```").next().unwrap().replace("${workspaceFolder}", ROOT);
    let file = format!("{ROOT}/stories/old_primary_wakes_up.story");
    let launch: Value = serde_json::from_str(&text.replace("${file}", &file)).unwrap();
    for configuration in launch["configurations"].as_array().unwrap() {
        assert_eq!(configuration["type"], debugger["type"]);
        let mut editor = Editor::launch(configuration.clone());
        editor.ask("configurationDone", Value::Null);
        assert_eq!(editor.event("stopped")["reason"], "entry");
        let help = editor.ask("evaluate", json!({ "expression": "help", "context": "repl" }));
        for form in editor.parts(&help["variablesReference"]).as_array().unwrap() {
            let word = form[0].as_str().unwrap();
            assert!(page.contains(&format!("`{word}`")), "{word}");
        }
    }
}

// ---- Clients of others ----

/// What a script of a client says, run by `program`.
fn script(program: &mut std::process::Command, script: &str) {
    let root = std::fs::canonicalize(ROOT).unwrap();
    let script = root.join("crates/cutaway/tests/dap").join(script);
    let output = program.arg(script).arg(env!("CARGO_BIN_EXE_cutaway")).arg(root).output().expect("it runs");
    let told = [output.stdout, output.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
    assert!(output.status.success() && told[0].contains("all of it holds"), "{}{}", told[0], told[1]);
}

#[test]
fn the_client_of_vs_codes_makers_finds_its_way() {
    let npm = std::process::Command::new("npm").args(["root", "-g"]).output();
    let modules =
        npm.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default();
    let client = std::path::Path::new(&modules).join("@vscode/debugadapter-testsupport");
    if !client.is_dir() {
        return println!("*** SKIPPED: there is no @vscode/debugadapter-testsupport; .ci/setup installs it");
    }
    script(std::process::Command::new("node").env("NODE_PATH", &modules), "testsupport.cjs");
}

#[test]
fn a_client_that_checks_each_message_finds_nothing_wrong() {
    if let Some(python) = fetched("dap-python/venv/bin/python") {
        script(&mut std::process::Command::new(python), "dap_python.py");
    }
}
