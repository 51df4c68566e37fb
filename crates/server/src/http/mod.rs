//! The HTTP interface.
//!
//! | request | answers |
//! |---|---|
//! | `GET /v1/kv/{key}` | 200 with the value and its version as `ETag`; 304, 412 (`If-None-Match`, `If-Match`), 404 |
//! | `PUT /v1/kv/{key}` | 200 with the new version; 412 if `If-Match: "VERSION"` or `If-None-Match: *` does not hold |
//! | `DELETE /v1/kv/{key}` | 200; 412 as above |
//! | `GET /v1/kv?prefix=&after=&limit=` | keys in order, with versions and sizes; `after` for the next page |
//! | `GET /v1/backup/{shard}/{node}/{at_least}/{since}/{cursor}` | a piece of a replica's state, for `cutaway backup` |
//! | `GET /v1/status` | the cluster as this gateway sees it |
//! | `GET /v1/members` | who belongs to each shard (with the extension `membership`) |
//! | `POST /v1/members/{node}?at=` | has a node added; `DELETE` has it removed: what each shard's primary says to that |
//! | `GET /v1/openapi.json` | all of this, for machines |
//! | `GET /livez` | does this process work? If not, restart it |
//! | `GET /readyz` | has every shard a primary? If not, route elsewhere |
//! | `GET /metrics` | what Prometheus reads: text, or OpenMetrics for who asks for it |
//!
//! A key is the rest of the path, percent-decoded: any bytes, slashes included. 503 means certainly no effect, with
//! `Retry-After`; 401 and 403 say which token is missing (`Authorization: Bearer TOKEN`); 504 with `{"outcome":"unknown"}` means that a write may have taken effect, and may yet.
//!
//! What a request says is understood or refused, never ignored, and a refusal is JSON with an `error`. Three things look
//! like exceptions. `Range` is answered with the whole value, which RFC 9110 has every client expect. A value's
//! `Content-Type` is not kept: a value is bytes, whichever protocol reads or writes it, and one that came back as
//! `text/html` would be a page of this very origin. And what is not HTTP at all gets a bare status, from hyper.
//!
//! | file | job |
//! |---|---|
//! | `mod` | routes and handlers |
//! | `request` | what a request says, before anything is done for it |
//! | `bearer` | whether whoever sends it may |
//! | `preconditions` | what it demands of a key's version |
//! | `reply` | replies as status, headers and JSON |
//! | `backup` | pieces of a replica's state |
//! | `members` | who belongs to the cluster, and changes of that |
//! | `openapi.json` | the description |

mod backup;
mod bearer;
mod members;
pub mod of_node;
mod preconditions;
mod reply;
mod request;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use dataplane::{Change, Op, Query, VALUE_BYTES_MAX};
use gateway::{Reply, Request};
use secure::identity::Watched;
use secure::token::Tokens;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};
use trace::Event;

use crate::budget::{Budget, Held, SHORT_BYTES};
use crate::core::{GatewayOptions, Handle};
use crate::explain;
use crate::flow::{self, NoBody};
use crate::linger::Peer;
use crate::metrics;
use crate::partial::Partial;
use crate::status;
use preconditions::OfRead;
use reply::{plain, problem, refused, reply_json};

/// The core answers a question about itself at once, or it hangs.
const CORE_PATIENCE: Duration = Duration::from_secs(2);
/// Listings under way at a time; further ones wait.
const LISTINGS_MAX: usize = 16;

/// A question from a handler to the core.
pub enum Call {
    /// A client's request.
    Request(Request, oneshot::Sender<(Option<Reply>, Option<Held>)>),
    /// A client's request with its story.
    Explained(Request, oneshot::Sender<(Option<Reply>, Vec<Event>)>),
    /// The cluster as it is seen; with what only loopback clients are told, if `true`.
    Status(bool, oneshot::Sender<Value>),
    /// A piece of a replica's state.
    Backup(backup::Piece, oneshot::Sender<backup::Answered>),
    /// A change of the members; what each shard says to that.
    Change(Change, oneshot::Sender<Option<Value>>),
    /// The members, as each shard's primary has them.
    Members(oneshot::Sender<Value>),
    /// OpenMetrics text.
    Metrics(oneshot::Sender<String>),
}

/// Handlers run apart from the core's thread-bound state; this is how they reach it.
#[derive(Clone)]
struct App {
    calls: mpsc::Sender<Call>,
    host_names: Arc<Vec<String>>,
    tokens: Arc<Watched<Tokens>>,
    listings: Arc<Semaphore>,
    budget: Budget,
    partial: Partial,
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
            Call::Backup(piece, reply) => {
                let asked = piece.ask(&mut core.borrow_mut());
                tokio::task::spawn_local(async move { drop(reply.send(backup::wait(asked).await)) });
            }
            Call::Change(change, reply) => {
                let core = core.clone();
                tokio::task::spawn_local(
                    async move { drop(reply.send(members::ask_for(&core, change).await)) },
                );
            }
            Call::Members(reply) => drop(reply.send(members::members(&core.borrow()))),
            Call::Metrics(reply) => {
                let core = core.borrow();
                let _ = reply.send(core.metrics.text(&core.view(), core.resp_clients.open()));
            }
        }
    }
}

/// The routes.
pub fn app(calls: mpsc::Sender<Call>, options: &GatewayOptions, budget: Budget, partial: Partial) -> Router {
    let app = App {
        calls,
        host_names: Arc::new(options.host_names.clone()),
        tokens: options.tokens.clone(),
        listings: Arc::new(Semaphore::new(LISTINGS_MAX)),
        budget,
        partial,
    };
    Router::new()
        .route("/v1/kv", get(list))
        .route("/v1/kv/", get(read).put(put).delete(delete))
        .route("/v1/kv/{*key}", get(read).put(put).delete(delete))
        .route("/v1/backup/{shard}/{node}/{at_least}/{since}/{cursor}", get(read_backup))
        .route("/v1/status", get(read_status))
        .route("/v1/members", get(read_members))
        .route("/v1/members/{node}", post(add_member).delete(remove_member))
        .route("/v1/openapi.json", get(openapi))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(read_metrics))
        .route_layer(middleware::from_fn(understand))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "not this method; see Allow")
        })
        .fallback(async || {
            problem(StatusCode::NOT_FOUND, "no such path; /v1/openapi.json describes those there are")
        })
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

/// Refuses what a web page could have sent, and whoever shows no token.
async fn guard(State(app): State<App>, request: HttpRequest, next: Next) -> Response {
    let allowed = request::from_here(&request, &app.host_names);
    let mut response = match allowed.and_then(|()| bearer::allowed(&request, &app.tokens.now())) {
        Err(refusal) => refused(refusal),
        Ok(()) => next.run(request).await,
    };
    // An answer was true when it was given: whoever keeps it asks whether it still is. And what a client stored must not
    // be taken for a page or a script of this origin.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Refuses what has no meaning on our paths.
async fn understand(request: HttpRequest, next: Next) -> Response {
    match request::understood(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refused(refusal),
    }
}

async fn put(State(app): State<App>, uri: Uri, headers: HeaderMap, request: HttpRequest) -> Response {
    let condition = match preconditions::of_write(&headers) {
        Ok(condition) => condition,
        Err(why) => return problem(StatusCode::BAD_REQUEST, why),
    };
    match app.body_of(request).await {
        // The room is held until the value is stored.
        Ok((value, _room)) => {
            app.run(
                Request::Write(Op::Put { key: request::key_of(&uri), value, condition }),
                &headers,
                |reply, _| plain(reply),
            )
            .await
        }
        Err(refusal) => refusal,
    }
}

async fn delete(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    match preconditions::of_write(&headers) {
        Ok(condition) => {
            app.run(
                Request::Write(Op::Delete { key: request::key_of(&uri), condition }),
                &headers,
                |reply, _| plain(reply),
            )
            .await
        }
        Err(why) => problem(StatusCode::BAD_REQUEST, why),
    }
}

async fn read(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    match OfRead::new(&headers) {
        Ok(wanted) => {
            let key = request::key_of(&uri);
            let request = match headers.contains_key(request::EXPLAIN) {
                true => Request::Read(Query::Get(key)), // One at a time: it needs no room to be made.
                false => Request::Read(Query::GetUpTo(key, SHORT_BYTES)),
            };
            app.run(request, &headers, |reply, held| reply::read(reply, held, &wanted)).await
        }
        Err(why) => problem(StatusCode::BAD_REQUEST, why),
    }
}

async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    match request::page_of(&uri) {
        Ok((prefix, after, limit)) => {
            let _turn = app.listings.acquire().await;
            let request = Request::Read(Query::Scan { prefix, after, limit });
            app.run(request, &headers, |reply, _| reply::page(reply, limit)).await
        }
        Err(refusal) => refused(refusal),
    }
}

impl App {
    /// Asks the core; `None` when it is about to end, or does not answer.
    async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> Option<T> {
        let (tx, rx) = oneshot::channel();
        self.calls.send(call(tx)).await.ok()?;
        rx.await.ok()
    }

    /// Asks for a change of the members.
    async fn change(&self, change: Change) -> Response {
        match self.ask(|tx| Call::Change(change, tx)).await {
            Some(None) => problem(
                StatusCode::NOT_FOUND,
                "this cluster was founded with members that do not change; found one with --with membership",
            ),
            answer => said(answer.flatten()),
        }
    }

    /// The body of a request, and the room that it takes. Only the value that is really sent takes any.
    async fn body_of(&self, request: HttpRequest) -> Result<(Arc<[u8]>, Option<Held>), Response> {
        let share = self.partial.share();
        match flow::collect(request.into_body(), &share, VALUE_BYTES_MAX).await {
            Ok(value) if value.len() <= SHORT_BYTES as usize => Ok((value.into(), None)),
            Ok(value) => match self.budget.put(value.len(), &share).await {
                Some(room) => Ok((value.into(), Some(room))),
                None => {
                    Err(plain(Some(Reply::Unavailable("other values take all the room there is".into()))))
                }
            },
            Err(NoBody::TooLong) => Err(refused(request::too_long())),
            Err(NoBody::Stalled) => {
                Err(refused((StatusCode::REQUEST_TIMEOUT, "the body did not come on".into())))
            }
            Err(NoBody::Broken) => Err(problem(StatusCode::BAD_REQUEST, "the body did not come to its end")),
        }
    }

    /// Has the core do it; the reply becomes a response, or part of a story.
    async fn run(
        &self,
        request: Request,
        headers: &HeaderMap,
        response: impl FnOnce(Option<Reply>, Option<Held>) -> Response,
    ) -> Response {
        if headers.contains_key(request::EXPLAIN) {
            let limit = match &request {
                Request::Read(Query::Scan { limit, .. }) => Some(*limit),
                _ => None,
            };
            let answer = self.ask(|tx| Call::Explained(request, tx)).await;
            let (reply, events) = answer.unwrap_or_default();
            return reply::explained(reply, limit, &events);
        }
        let (reply, held) = self.ask(|tx| Call::Request(request, tx)).await.unwrap_or_default();
        response(reply, held)
    }
}

async fn read_status(State(app): State<App>, ConnectInfo(Peer(from)): ConnectInfo<Peer>) -> Response {
    said(app.ask(|tx| Call::Status(from.ip().is_loopback(), tx)).await)
}

async fn read_members(State(app): State<App>) -> Response {
    said(app.ask(Call::Members).await)
}

async fn add_member(State(app): State<App>, Path(node): Path<String>, uri: Uri) -> Response {
    match (members::node_of(&node), members::place_of(&uri)) {
        (Ok(node), Ok(place)) => app.change(Change::Add(node, place)).await,
        (Err(why), _) | (_, Err(why)) => problem(StatusCode::BAD_REQUEST, why),
    }
}

async fn remove_member(State(app): State<App>, Path(node): Path<String>) -> Response {
    match members::node_of(&node) {
        Ok(node) => app.change(Change::Remove(node)).await,
        Err(why) => problem(StatusCode::BAD_REQUEST, why),
    }
}

fn said(answer: Option<Value>) -> Response {
    match answer {
        Some(answer) => reply_json(StatusCode::OK, answer),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping"),
    }
}

async fn read_backup(State(app): State<App>, Path(words): Path<[String; 5]>) -> Response {
    match backup::Piece::of(&words) {
        Ok(piece) => match app.budget.long(backup::PIECE_BYTES).await {
            Some(room) => backup::reply(app.ask(|tx| Call::Backup(piece, tx)).await, room),
            None => {
                backup::later("clients that are slow to take their replies hold all room for long values")
            }
        },
        Err(why) => problem(StatusCode::BAD_REQUEST, why),
    }
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

async fn livez(State(app): State<App>) -> Response {
    match tokio::time::timeout(CORE_PATIENCE, app.ask(|tx| Call::Status(false, tx))).await {
        Ok(Some(_)) => reply_json(StatusCode::OK, json!({ "live": true, "reasons": [] })),
        Ok(None) => not("live", vec!["the gateway is stopping".into()]),
        Err(_) => not("live", vec!["the gateway's core does not answer".into()]),
    }
}

async fn readyz(State(app): State<App>) -> Response {
    let Some(status) = app.ask(|tx| Call::Status(false, tx)).await else {
        return not("ready", vec!["the gateway is stopping".into()]);
    };
    let shards = status["shards"].as_array().cloned().unwrap_or_default();
    let without = shards.iter().filter(|shard| shard["primary"].is_null());
    let mut reasons: Vec<_> =
        without.map(|shard| format!("shard {} has no primary that serves", shard["shard"])).collect();
    if shards.is_empty() {
        reasons.extend(status["problems"][0].as_str().map(String::from));
    }
    if reasons.is_empty() {
        reply_json(StatusCode::OK, json!({ "ready": true, "reasons": [] }))
    } else {
        not("ready", reasons)
    }
}

fn not(what: &str, reasons: Vec<String>) -> Response {
    let why = format!("not {what}: {}", reasons.join("; "));
    reply_json(StatusCode::SERVICE_UNAVAILABLE, json!({ what: false, "reasons": reasons, "error": why }))
}

async fn read_metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    match app.ask(Call::Metrics).await {
        Some(text) => exposition(&headers, &text).into_response(),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping"),
    }
}

/// Metrics in the form that is asked for.
fn exposition(headers: &HeaderMap, openmetrics: &str) -> impl IntoResponse + use<> {
    let mut forms = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let (kind, text) = match forms.any(request::wants_openmetrics) {
        true => ("application/openmetrics-text; version=1.0.0; charset=utf-8", openmetrics.to_owned()),
        false => ("text/plain; version=0.0.4; charset=utf-8", metrics::plain(openmetrics)),
    };
    ([(header::CONTENT_TYPE, kind), (header::VARY, "accept")], text)
}
