//! The HTTP interface.
//!
//! | request | answers |
//! |---|---|
//! | `GET /v1/kv/{key}` | 200 with the value and its version as `ETag`; 304 (`If-None-Match`), 404 |
//! | `PUT /v1/kv/{key}` | 200 with the new version; 412 if `If-Match: "VERSION"` or `If-None-Match: *` does not hold |
//! | `DELETE /v1/kv/{key}` | 200; 412 as above |
//! | `GET /v1/kv?prefix=&after=&limit=` | keys in order, with versions and sizes |
//! | `GET /v1/status` | the cluster as this gateway sees it |
//! | `GET /livez` | does this process work? If not, restart it |
//! | `GET /readyz` | has every shard a primary? If not, route elsewhere |
//! | `GET /metrics` | Prometheus text |
//!
//! A key is the rest of the path, percent-decoded: any bytes, slashes included. 503 means certainly no effect, with
//! `Retry-After`; 504 with `{"outcome":"unknown"}` means that a write may have taken effect, and may yet.
//!
//! No web page may act here. A page that a browser loaded from elsewhere can send requests to loopback, so a request with
//! the `Origin` of another site is refused unless it only reads; and a site can let its own name resolve to 127.0.0.1, so
//! the `Host` must be an IP address, `localhost`, or a name that the operator allowed.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dataplane::{Condition, Outcome, Seq, VALUE_BYTES_MAX};
use gateway::{Reply, Request};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_encode};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};
use trace::Event;

use crate::explain;
use crate::flow::{self, Budget, Held, NoBody};
use crate::gateway_host::{GatewayOptions, Handle};
use crate::status;

/// A request with this header is answered with its story.
pub const EXPLAIN: &str = "x-cutaway-explain";
/// The core answers a question about itself at once, or it hangs.
const CORE_PATIENCE: Duration = Duration::from_secs(2);
/// Listings under way at a time; further ones wait.
const LISTINGS_MAX: usize = 16;
/// Keys of one listing when the client names no limit, and at most.
const LIMIT: (u32, u32) = (1000, 10_000);

/// A question from a handler to the core.
pub enum Call {
    /// A client's request.
    Request(Request, oneshot::Sender<(Option<Reply>, Option<Held>)>),
    /// A client's request with its story.
    Explained(Request, oneshot::Sender<(Option<Reply>, Vec<Event>)>),
    /// The cluster as it is seen; with what only loopback clients are told, if `true`.
    Status(bool, oneshot::Sender<Value>),
    /// Prometheus text.
    Metrics(oneshot::Sender<String>),
}

/// Handlers run apart from the core's thread-bound state; this is how they reach it.
#[derive(Clone)]
struct App {
    calls: mpsc::Sender<Call>,
    host_names: Arc<Vec<String>>,
    listings: Arc<Semaphore>,
    budget: Budget,
}

/// Answers the handlers' questions, on the core's thread.
pub async fn answer(core: Handle, mut inbox: mpsc::Receiver<Call>) {
    let one_story_at_a_time = Rc::new(tokio::sync::Mutex::new(()));
    while let Some(call) = inbox.recv().await {
        // Handlers that went away need no answer.
        match call {
            Call::Request(request, reply) => {
                let (core, answer) = (core.clone(), core.borrow_mut().submit(request));
                tokio::task::spawn_local(async move {
                    let mut replies: Vec<_> = answer.await.into_iter().collect();
                    let held = flow::whole(&core, &mut replies).await;
                    drop(reply.send((replies.pop(), held)))
                });
            }
            Call::Explained(request, reply) => {
                let (core, turn) = (core.clone(), one_story_at_a_time.clone());
                tokio::task::spawn_local(async move {
                    let _turn = turn.lock().await;
                    let _ = reply.send(explain::explain(&core, request).await);
                });
            }
            Call::Status(near, reply) => drop(reply.send(status::status(&core.borrow(), near))),
            Call::Metrics(reply) => {
                let core = core.borrow();
                let _ = reply.send(core.metrics.text(&core.view(), core.resp_clients.open()));
            }
        }
    }
}

/// The routes.
pub fn app(calls: mpsc::Sender<Call>, options: &GatewayOptions, budget: Budget) -> Router {
    let app = App {
        calls,
        host_names: Arc::new(options.host_names.clone()),
        listings: Arc::new(Semaphore::new(LISTINGS_MAX)),
        budget,
    };
    Router::new()
        .route("/v1/kv", get(list))
        .route("/v1/kv/", get(read).put(put).delete(delete))
        .route("/v1/kv/{*key}", get(read).put(put).delete(delete))
        .route("/v1/status", get(read_status))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || problem(StatusCode::NOT_FOUND, "no such path; see /v1/kv/{key} and /v1/status"))
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

fn problem(status: StatusCode, why: impl Into<String>) -> Response {
    reply_json(status, json!({ "error": why.into() }))
}

fn reply_json(status: StatusCode, body: Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

/// Refuses what a web page could have sent.
async fn guard(State(app): State<App>, request: HttpRequest, next: Next) -> Response {
    if let Some(why) = foreign(request.method(), request.headers(), &app.host_names) {
        return problem(StatusCode::FORBIDDEN, why);
    }
    next.run(request).await
}

/// Why a request may come from a web page of somebody else; `None` if it cannot.
fn foreign(method: &Method, headers: &HeaderMap, allowed: &[String]) -> Option<&'static str> {
    let text = |name| headers.get(name).map(|v: &HeaderValue| v.to_str().unwrap_or("?"));
    let host = text(header::HOST);
    if !host.is_some_and(|host| is_own_host(host, allowed)) {
        return Some("the Host header names neither an IP address nor localhost");
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let own_origin = |origin: &str| origin.split_once("://").map(|(_, authority)| authority) == host;
    let other_site = text(header::ORIGIN).is_some_and(|origin| !own_origin(origin));
    (!reads && other_site).then_some("pages of other sites may not write here")
}

/// An IP address cannot be rebound to another machine's, and `localhost` is never looked up elsewhere; any other name
/// must be allowed by the operator.
fn is_own_host(host: &str, allowed: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|a| a.eq_ignore_ascii_case(name))
}

fn key_of(uri: &Uri) -> Arc<[u8]> {
    let rest = uri.path().strip_prefix("/v1/kv/").unwrap_or("");
    percent_decode(rest.as_bytes()).collect::<Vec<u8>>().into()
}

/// The parameters of a query, percent-decoded to bytes.
fn parameters(uri: &Uri) -> Vec<(String, Vec<u8>)> {
    let decode = |text: &str| percent_decode(text.replace('+', " ").as_bytes()).collect::<Vec<u8>>();
    let pairs = uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (String::from_utf8_lossy(&decode(name)).into_owned(), decode(value)))
        .collect()
}

/// What a write's headers demand of the current version.
fn condition(headers: &HeaderMap) -> Result<Condition, &'static str> {
    match (headers.get(header::IF_MATCH), headers.get(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Condition::Always),
        (Some(value), None) if value == "*" => Ok(Condition::Present),
        (Some(value), None) => version(value)
            .map(Condition::Version)
            .ok_or("If-Match takes * or one version in double quotes, as ETag gave it"),
        (None, Some(value)) if value == "*" => Ok(Condition::Absent),
        (None, Some(_)) => Err("If-None-Match takes only * when writing"),
        (Some(_), Some(_)) => Err("If-Match and If-None-Match exclude each other"),
    }
}

fn version(tag: &HeaderValue) -> Option<Seq> {
    tag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

async fn put(State(app): State<App>, uri: Uri, headers: HeaderMap, request: HttpRequest) -> Response {
    match condition(&headers) {
        Ok(condition) => match app.body_of(request).await {
            // The room is held until the value is stored.
            Ok((value, _room)) => {
                app.run(Request::Put { key: key_of(&uri), value, condition }, &headers).await
            }
            Err(refusal) => refusal,
        },
        Err(why) => problem(StatusCode::BAD_REQUEST, why),
    }
}

async fn delete(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    match condition(&headers) {
        Ok(condition) => app.run(Request::Delete { key: key_of(&uri), condition }, &headers).await,
        Err(why) => problem(StatusCode::BAD_REQUEST, why),
    }
}

async fn read(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let key = key_of(&uri);
    let request = match explains(&headers) {
        true => Request::Get { key }, // One at a time: it needs no room to be made.
        false => Request::GetUpTo { key, most: flow::SHORT_BYTES },
    };
    app.run(request, &headers).await
}

fn explains(headers: &HeaderMap) -> bool {
    headers.get(EXPLAIN).is_some_and(|v| v == "1")
}

async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let (mut prefix, mut after, mut limit) = (Vec::new(), None, LIMIT.0);
    for (name, value) in parameters(&uri) {
        match name.as_str() {
            "prefix" => prefix = value,
            "after" => after = Some(Arc::from(value)),
            "limit" => match std::str::from_utf8(&value).ok().and_then(|v| v.parse().ok()) {
                Some(n) if (1..=LIMIT.1).contains(&n) => limit = n,
                _ => {
                    return problem(
                        StatusCode::BAD_REQUEST,
                        format!("limit is a number from 1 to {}", LIMIT.1),
                    );
                }
            },
            other => {
                return problem(
                    StatusCode::BAD_REQUEST,
                    format!("no parameter {other:?}; there are prefix, after, limit"),
                );
            }
        }
    }
    let _turn = app.listings.acquire().await;
    app.run(Request::Scan { prefix: prefix.into(), after, limit }, &headers).await
}

impl App {
    /// Asks the core; `None` when it is about to end, or does not answer.
    async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> Option<T> {
        let (tx, rx) = oneshot::channel();
        self.calls.send(call(tx)).await.ok()?;
        rx.await.ok()
    }

    /// The body of a request, and the room that it takes. Only the value that is really sent takes any.
    async fn body_of(&self, request: HttpRequest) -> Result<(Arc<[u8]>, Option<Held>), Response> {
        use axum::body::HttpBody;
        let body = request.into_body();
        let announced =
            body.size_hint().upper().map_or(VALUE_BYTES_MAX, |n| (n as usize).min(VALUE_BYTES_MAX));
        let room = match announced > flow::SHORT_BYTES as usize {
            true => match self.budget.put(announced).await {
                Some(room) => Some(room),
                None => {
                    return Err(plain(
                        Some(Reply::Unavailable("other values take all the room there is".into())),
                        0,
                    ));
                }
            },
            false => None,
        };
        match flow::collect(body, &self.budget, VALUE_BYTES_MAX).await {
            Ok(value) => Ok((value.into(), room)),
            Err(NoBody::TooLong) => {
                let why = format!("a value has at most {VALUE_BYTES_MAX} bytes");
                Err(problem(StatusCode::PAYLOAD_TOO_LARGE, why))
            }
            Err(NoBody::Stalled) => Err(problem(StatusCode::REQUEST_TIMEOUT, "the body did not come on")),
            Err(NoBody::Broken) => Err(problem(StatusCode::BAD_REQUEST, "the body did not come to its end")),
        }
    }

    async fn run(&self, request: Request, headers: &HeaderMap) -> Response {
        let limit = match &request {
            Request::Scan { limit, .. } => *limit,
            _ => 0,
        };
        if explains(headers) {
            let answer = self.ask(|tx| Call::Explained(request, tx)).await;
            let (reply, events) = answer.unwrap_or_default();
            return explained(reply, &events);
        }
        let (reply, held) = self.ask(|tx| Call::Request(request, tx)).await.unwrap_or_default();
        match reply {
            Some(Reply::Value(version, value)) => {
                let tag = format!("\"{version}\"");
                if headers.get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes()) {
                    return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
                }
                let kind = (header::CONTENT_TYPE, "application/octet-stream".to_string());
                (StatusCode::OK, [kind, (header::ETAG, tag)], Bytes::from_owner(Body(value, held)))
                    .into_response()
            }
            reply => plain(reply, limit),
        }
    }
}

/// A value on its way to a client; its room is given back with its last byte.
struct Body(Arc<[u8]>, #[allow(dead_code)] Option<Held>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A reply other than a value.
fn plain(reply: Option<Reply>, limit: u32) -> Response {
    let (status, body) = describe(reply, limit);
    let version = body.get("version").and_then(Value::as_u64).filter(|_| status == StatusCode::OK);
    let mut response = reply_json(status, body);
    if let Some(version) = version {
        let tag = HeaderValue::from_str(&format!("\"{version}\"")).expect("digits in quotes");
        response.headers_mut().insert(header::ETAG, tag);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Any reply as status and JSON. `limit` is the listing's, 0 for other requests.
fn describe(reply: Option<Reply>, limit: u32) -> (StatusCode, Value) {
    use StatusCode as S;
    match reply {
        Some(Reply::Done(Outcome::Written(version))) => {
            (S::OK, json!({ "outcome": "written", "version": version }))
        }
        Some(Reply::Done(Outcome::Deleted { existed })) => {
            (S::OK, json!({ "outcome": "deleted", "existed": existed }))
        }
        Some(Reply::Done(Outcome::ConditionFailed { current })) => {
            (S::PRECONDITION_FAILED, json!({ "outcome": "condition_failed", "version": current }))
        }
        Some(Reply::Done(Outcome::Nothing)) => (S::OK, json!({ "outcome": "nothing" })),
        Some(Reply::Value(version, value)) => (
            S::OK,
            json!({ "outcome": "value", "version": version, "value_hex": crate::manifest::hex(&value) }),
        ),
        Some(Reply::Long(_, bytes)) => (S::OK, json!({ "outcome": "value", "bytes": bytes })),
        Some(Reply::Missing) => {
            (S::NOT_FOUND, json!({ "outcome": "missing", "error": "the key has no value" }))
        }
        Some(Reply::Keys(keys)) => {
            let next = keys.last().filter(|_| keys.len() as u32 == limit).map(|(key, ..)| encoded(key));
            let keys: Vec<_> = keys
                .iter()
                .map(|(key, version, bytes)| {
                    json!({
                        "key": String::from_utf8_lossy(key), "key_encoded": encoded(key),
                        "version": version, "bytes": bytes,
                    })
                })
                .collect();
            (S::OK, json!({ "keys": keys, "after": next }))
        }
        Some(Reply::Count(count)) => (S::OK, json!({ "count": count })),
        Some(Reply::Unknown(why)) => (S::GATEWAY_TIMEOUT, json!({ "outcome": "unknown", "error": why })),
        Some(Reply::Unavailable(why)) => {
            (S::SERVICE_UNAVAILABLE, json!({ "outcome": "unavailable", "error": why }))
        }
        Some(Reply::Invalid(why)) => (S::BAD_REQUEST, json!({ "outcome": "invalid", "error": why })),
        Some(Reply::Damaged) => (
            S::INTERNAL_SERVER_ERROR,
            json!({ "outcome": "damaged", "error": "the stored value is damaged" }),
        ),
        // The process ends with the request under way: nobody can say any more.
        None => (S::GATEWAY_TIMEOUT, json!({ "outcome": "unknown", "error": "the gateway is stopping" })),
    }
}

/// A key in the form that goes into a path or a query.
fn encoded(key: &[u8]) -> String {
    percent_encode(key, NON_ALPHANUMERIC).to_string()
}

/// A reply with its story; the reply's own status is inside, so that a story can be told of a failure as well.
fn explained(reply: Option<Reply>, events: &[Event]) -> Response {
    let (status, mut body) = describe(reply, 0);
    body["status"] = status.as_u16().into();
    let events: Vec<Value> =
        events.iter().filter_map(|e| serde_json::from_str(&trace::json::to_line(e)).ok()).collect();
    reply_json(StatusCode::OK, json!({ "reply": body, "events": events }))
}

async fn read_status(State(app): State<App>, ConnectInfo(from): ConnectInfo<SocketAddr>) -> Response {
    match app.ask(|tx| Call::Status(from.ip().is_loopback(), tx)).await {
        Some(status) => reply_json(StatusCode::OK, status),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping"),
    }
}

async fn livez(State(app): State<App>) -> Response {
    match tokio::time::timeout(CORE_PATIENCE, app.ask(|tx| Call::Status(false, tx))).await {
        Ok(Some(_)) => reply_json(StatusCode::OK, json!({ "live": true, "reasons": [] })),
        Ok(None) => not("live", vec![json!("the gateway is stopping")]),
        Err(_) => not("live", vec![json!("the gateway's core does not answer")]),
    }
}

async fn readyz(State(app): State<App>) -> Response {
    let Some(status) = app.ask(|tx| Call::Status(false, tx)).await else {
        return not("ready", vec![json!("the gateway is stopping")]);
    };
    let shards = status["shards"].as_array().cloned().unwrap_or_default();
    let reasons: Vec<_> = shards
        .iter()
        .filter(|shard| shard["primary"].is_null())
        .map(|shard| json!(format!("shard {} has no primary that serves", shard["shard"])))
        .collect();
    if reasons.is_empty() {
        reply_json(StatusCode::OK, json!({ "ready": true, "reasons": [] }))
    } else {
        not("ready", reasons)
    }
}

fn not(what: &str, reasons: Vec<Value>) -> Response {
    reply_json(StatusCode::SERVICE_UNAVAILABLE, json!({ what: false, "reasons": reasons }))
}

async fn metrics(State(app): State<App>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match app.ask(Call::Metrics).await {
        Some(text) => (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text).into_response(),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_web_site_could_own_are_not_this_host() {
        for own in
            ["127.0.0.1:7401", "localhost:7401", "LOCALHOST", "[::1]:7401", "10.1.2.3", "store.example"]
        {
            assert!(is_own_host(own, &["store.example".into()]), "{own}");
        }
        for foreign in
            ["evil.example:7401", "127.0.0.1.evil.example", "", "localhost.evil.example", "[evil]:1"]
        {
            assert!(!is_own_host(foreign, &[]), "{foreign}");
        }
    }

    #[test]
    fn keys_are_any_bytes_slashes_included() {
        let key = |uri: &str| key_of(&uri.parse().unwrap()).to_vec();
        assert_eq!(key("/v1/kv/a/b%2Fc?x=1"), b"a/b/c");
        assert_eq!(key("/v1/kv/%00%ff"), [0, 0xff]);
        assert_eq!(key("/v1/kv/"), b"");
    }

    #[test]
    fn preconditions_are_understood_or_refused_and_never_ignored() {
        let with = |pairs: &[(header::HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            pairs.iter().for_each(|(n, v)| drop(headers.insert(n, HeaderValue::from_static(v))));
            condition(&headers)
        };
        use header::{IF_MATCH, IF_NONE_MATCH};
        assert_eq!(with(&[]), Ok(Condition::Always));
        assert_eq!(with(&[(IF_MATCH, "\"17\"")]), Ok(Condition::Version(17)));
        assert_eq!(with(&[(IF_MATCH, "*")]), Ok(Condition::Present));
        assert_eq!(with(&[(IF_NONE_MATCH, "*")]), Ok(Condition::Absent));
        for bad in ["17", "\"x\"", "\"1\", \"2\"", "W/\"1\"", "\""] {
            assert!(with(&[(IF_MATCH, bad)]).is_err(), "{bad}");
        }
        assert!(with(&[(IF_NONE_MATCH, "\"1\"")]).is_err());
        assert!(with(&[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")]).is_err());
    }
}
