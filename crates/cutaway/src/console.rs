//! The console of `up`: the page of `lab`, with the running cluster in the picture instead of a simulated one.
//!
//! | question | answers |
//! |---|---|
//! | `watch` | the cluster as its processes show themselves, once that is no longer what the page has seen |
//! | `act` | does one of six things to a member, named by its id |
//! | `ask` | puts, gets or deletes, through a gateway; with the story of that request |
//! | `record`, `trace` | all events from now on; those that are remembered, as a file for `view` |
//! | `rebuild` | the situation as a schedule for `lab` |
//! | `play` | what `lab` answers: the page at `/lab` is that one |
//!
//! Who may ask is decided in one place for both pages: `page/http.rs`. Nobody watching costs nothing; somebody watching
//! costs each process one small answer for each sample.
//!
//! | file | job |
//! |---|---|
//! | `watch` | samples the cluster while somebody watches |
//! | `rebuild` | what is seen, as a situation of the lab |
//! | `errand` | what a page wants of the thread that owns the processes |

mod errand;
mod rebuild;
mod watch;

use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use server::supervisor::Cluster;
use ureq::http::Method;
use web::document;

use crate::client::{GatewayArgs, encode};
use crate::kv::EXPLAIN;
use crate::page::http::{self, Answer, Door, Site};
use errand::{Errand, Errands};
use watch::Watch;

/// Longest value that the page stores.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Serves the console of a cluster until the process ends, on this machine only, and returns its address. `gateways` are
/// names with HTTP addresses. Call it within a `LocalSet`.
pub fn serve(cluster: &Rc<Cluster>, gateways: Vec<(String, GatewayArgs)>) -> Result<String, String> {
    let told = |error| format!("cannot listen on 127.0.0.1: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(told)?;
    let port = listener.local_addr().map_err(told)?.port();
    let door = Arc::new(Door::new(port)?);
    let address = format!("http://127.0.0.1:{port}/#t={}", door.token());
    let watch = Watch::start(cluster.clone());
    let site = Arc::new(site(&watch, &errand::start(cluster.clone()), gateways));
    let serve = move || http::serve(&listener, &door, &site);
    std::thread::Builder::new().name("console".into()).spawn(serve).map_err(|error| error.to_string())?;
    Ok(address)
}

fn site(watch: &Arc<Watch>, errands: &Errands, gateways: Vec<(String, GatewayArgs)>) -> Site {
    let run = |answer: fn(&Errands, &Value) -> Result<Value, String>| -> Answer {
        let errands = errands.clone();
        question(move |asked| answer(&errands, asked))
    };
    let (seen, shown) = (watch.clone(), watch.clone());
    Site {
        pages: vec![
            ("/", document::with(&document::console(), &Value::Null)),
            ("/lab", document::with(&document::document(), &Value::Null)),
        ],
        asks: vec![
            ("/watch", question(move |asked| Ok(seen.after(asked)))),
            (
                "/rebuild",
                question(move |asked| rebuild::answer(&shown.latest(asked["shard"].as_u64().unwrap_or(0)))),
            ),
            ("/ask", question(move |asked| ask(&gateways, asked))),
            ("/act", run(act)),
            ("/record", run(record)),
            ("/trace", run(trace)),
            ("/play", Box::new(|question| lab::page::answer(question).to_string())),
        ],
        command: "cutaway up",
    }
}

/// JSON in, JSON out; what cannot be answered gets an `error`, which says why.
fn question(answer: impl Fn(&Value) -> Result<Value, String> + Send + Sync + 'static) -> Answer {
    Box::new(move |text| {
        let asked = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"));
        let answered = asked.and_then(|asked| answer(&asked));
        answered.unwrap_or_else(|error| json!({ "error": error })).to_string()
    })
}

fn text<'a>(asked: &'a Value, name: &str) -> Result<&'a str, String> {
    asked[name].as_str().ok_or_else(|| format!("`{name}` is missing: a text"))
}

/// Kills, pauses, resumes, restarts, isolates or heals: a member that is named by its id.
fn act(errands: &Errands, asked: &Value) -> Result<Value, String> {
    let (name, action) = (text(asked, "member")?, text(asked, "action")?);
    let action = action.parse().map_err(|()| format!("there is no action {action:?}"))?;
    let done = errands.run(|tell| Errand::Act(name.into(), action, tell))??;
    // What to do next is on the page already.
    Ok(json!({ "done": done.split("; next: ").next() }))
}

fn record(errands: &Errands, asked: &Value) -> Result<Value, String> {
    let on = asked["on"].as_bool().ok_or("`on` is missing: true or false")?;
    errands.run(|tell| Errand::Record(on, tell))?;
    Ok(json!({ "recording": on }))
}

fn trace(errands: &Errands, _: &Value) -> Result<Value, String> {
    let lines = errands.run(Errand::Trace)?;
    let events = lines.lines().count();
    Ok(json!({ "events": events, "lines": lines }))
}

/// Puts, gets or deletes a key through a gateway, which is named by its id.
fn ask(gateways: &[(String, GatewayArgs)], asked: &Value) -> Result<Value, String> {
    let via = text(asked, "via")?;
    let (_, gateway) =
        gateways.iter().find(|(name, _)| name == via).ok_or_else(|| format!("there is no {via:?}"))?;
    let key = text(asked, "key")?;
    if key.is_empty() || key.len() > dataplane::KEY_BYTES_MAX {
        return Err(format!("a key has 1 to {} bytes", dataplane::KEY_BYTES_MAX));
    }
    let (method, value) = match text(asked, "op")? {
        "put" => (Method::PUT, text(asked, "value")?),
        "get" => (Method::GET, ""),
        "delete" => (Method::DELETE, ""),
        other => return Err(format!("there is no operation {other:?}: put, get and delete are")),
    };
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!(
            "the page stores up to {VALUE_BYTES_MAX} bytes; `cutaway put --file` stores more"
        ));
    }
    let path = format!("/v1/kv/{}", encode(key.as_bytes()));
    let answer = gateway.ask(method, &path, &[EXPLAIN], value.as_bytes()).map_err(|e| e.to_string())?;
    let mut body = answer.json().map_err(|e| e.to_string())?;
    if body["reply"].is_null() {
        return Ok(json!({ "reply": body, "events": [] }));
    }
    if let Some(hex) = body["reply"]["value_hex"].as_str() {
        body["reply"]["value"] = shown(hex).into();
    }
    Ok(body)
}

/// A value as text, as much of it as a page shows.
fn shown(hex: &str) -> String {
    const SHOWN_MAX: usize = 2000;
    let digits: String = hex
        .as_bytes()
        .chunks(2)
        .take(SHOWN_MAX)
        .fold(String::new(), |text, two| text + "%" + std::str::from_utf8(two).unwrap_or(""));
    let more = if hex.len() / 2 > SHOWN_MAX { "…" } else { "" };
    format!("{}{more}", percent_decode_str(&digits).decode_utf8_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: Value) -> String {
        let gateways = vec![("g1".to_string(), GatewayArgs::at("127.0.0.1:1".into()))];
        ask(&gateways, &value).unwrap_err()
    }

    #[test]
    fn what_the_page_asks_is_named_by_ids_and_bounded() {
        for (question, reason) in [
            (json!({}), "`via` is missing"),
            (json!({ "via": "127.0.0.1:7401", "op": "get", "key": "k" }), "there is no \"127.0.0.1:7401\""),
            (json!({ "via": "g1", "op": "get", "key": "" }), "a key has"),
            (json!({ "via": "g1", "op": "get", "key": "k".repeat(1025) }), "a key has"),
            (json!({ "via": "g1", "op": "flush", "key": "k" }), "there is no operation"),
            (json!({ "via": "g1", "op": "put", "key": "k" }), "`value` is missing"),
            (json!({ "via": "g1", "op": "put", "key": "k", "value": "v".repeat(70_000) }), "stores up to"),
            (json!({ "via": "g1", "op": "get", "key": "k" }), "nobody can be reached"),
        ] {
            let error = asked(question.clone());
            assert!(error.contains(reason), "{question}: {error}");
        }
    }

    #[test]
    fn a_value_is_shown_as_text_and_not_all_of_a_long_one() {
        assert_eq!(shown("c3bc3c"), "ü<");
        assert_eq!(shown("ff"), "\u{fffd}");
        assert_eq!(shown(&"61".repeat(3000)).chars().count(), 2001);
    }
}
