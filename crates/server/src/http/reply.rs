//! Replies as status, headers and JSON.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dataplane::Outcome;
use gateway::{DEVICE_FULL, Reply};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::{Value, json};
use trace::Event;

use crate::budget::Held;

use super::preconditions::OfRead;
use super::request::{Refusal, mark_of_key};

/// A refusal or failure with its reason.
pub fn problem(status: StatusCode, why: impl Into<String>) -> Response {
    reply_json(status, json!({ "error": why.into() }))
}

/// The same; with what would have been understood instead, or that the connection is of no further use, where there is a
/// header to say it.
pub fn refused((status, why): Refusal) -> Response {
    let mut response = problem(status, why);
    let more = match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some((header::ACCEPT_ENCODING, "identity")),
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"cutaway\"")),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => Some((header::CONNECTION, "close")),
        _ => None,
    };
    response.headers_mut().extend(more.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

pub fn reply_json(status: StatusCode, body: Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

/// A reply to a read, as far as the read wants it.
pub fn read(reply: Option<Reply>, held: Option<Held>, wanted: &OfRead) -> Response {
    let Some(Reply::Value(version, value)) = reply else { return plain(reply.or_else(stopping)) };
    match wanted.decide(version) {
        StatusCode::PRECONDITION_FAILED => {
            plain(Some(Reply::Done(Outcome::ConditionFailed { current: Some(version) })))
        }
        StatusCode::NOT_MODIFIED => {
            (StatusCode::NOT_MODIFIED, [(header::ETAG, tag(version))]).into_response()
        }
        status => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream".into()),
                (header::ACCEPT_RANGES, "none".into()),
                (header::ETAG, tag(version)),
            ];
            (status, headers, Bytes::from_owner(Body(value, held))).into_response()
        }
    }
}

/// A value on its way to a client; its room is given back with its last byte.
pub struct Body(pub Arc<[u8]>, #[allow(dead_code)] pub Option<Held>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A reply to a listing of so many keys at most.
pub fn page(reply: Option<Reply>, limit: u32) -> Response {
    let (status, body) = describe_page(reply, limit);
    finish(status, body)
}

fn describe_page(reply: Option<Reply>, limit: u32) -> (StatusCode, Value) {
    let reply = reply.or_else(stopping);
    let full = match &reply {
        Some(Reply::Keys(keys)) => keys.last().filter(|_| keys.len() as u32 == limit),
        _ => None,
    };
    let after = full.map(|(key, ..)| mark_of_key(key));
    let (status, mut body) = describe(reply);
    if status == StatusCode::OK {
        body["after"] = after.into();
    }
    (status, body)
}

/// A read that the gateway's end leaves without a reply: it has no effect, so none is unknown.
fn stopping() -> Option<Reply> {
    Some(Reply::Unavailable("the gateway is stopping".into()))
}

fn tag(version: u64) -> String {
    format!("\"{version}\"")
}

/// A reply other than a value.
pub fn plain(reply: Option<Reply>) -> Response {
    let (status, body) = describe(reply);
    finish(status, body)
}

fn finish(status: StatusCode, body: Value) -> Response {
    let version = body.get("version").and_then(Value::as_u64).filter(|_| status == StatusCode::OK);
    let mut response = reply_json(status, body);
    if let Some(version) = version {
        let tag = HeaderValue::from_str(&tag(version)).expect("digits in quotes");
        response.headers_mut().insert(header::ETAG, tag);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Any reply as status and JSON.
fn describe(reply: Option<Reply>) -> (StatusCode, Value) {
    use StatusCode as S;
    let failed = |status, outcome: &str, why: String| (status, json!({ "outcome": outcome, "error": why }));
    match reply {
        Some(Reply::Done(Outcome::Written(version))) => {
            (S::OK, json!({ "outcome": "written", "version": version }))
        }
        Some(Reply::Done(Outcome::Deleted { existed })) => {
            (S::OK, json!({ "outcome": "deleted", "existed": existed }))
        }
        Some(Reply::Done(Outcome::ConditionFailed { current })) => (
            S::PRECONDITION_FAILED,
            json!({
                "outcome": "condition_failed", "version": current,
                "error": "the precondition does not hold; nothing was changed",
            }),
        ),
        Some(Reply::Done(Outcome::Nothing | Outcome::NoRoom)) => (S::OK, json!({ "outcome": "nothing" })),
        Some(Reply::Value(version, value)) => (
            S::OK,
            json!({ "outcome": "value", "version": version, "value_hex": crate::manifest::hex(&value) }),
        ),
        Some(Reply::Long(_, bytes)) => (S::OK, json!({ "outcome": "value", "bytes": bytes })),
        Some(Reply::Missing) => failed(S::NOT_FOUND, "missing", "the key has no value".into()),
        Some(Reply::Keys(keys)) => {
            let keys: Vec<_> = keys
                .iter()
                .map(|(key, version, bytes)| {
                    json!({
                        "key": String::from_utf8_lossy(key),
                        "key_encoded": percent_encode(key, NON_ALPHANUMERIC).to_string(),
                        "version": version, "bytes": bytes,
                    })
                })
                .collect();
            (S::OK, json!({ "keys": keys }))
        }
        Some(Reply::Count(count)) => (S::OK, json!({ "count": count })),
        Some(Reply::Unknown(why)) => failed(S::GATEWAY_TIMEOUT, "unknown", why),
        Some(Reply::NoRoom) => failed(S::INSUFFICIENT_STORAGE, "full", DEVICE_FULL.into()),
        Some(Reply::Unavailable(why)) => failed(S::SERVICE_UNAVAILABLE, "unavailable", why),
        Some(Reply::Invalid(why)) => failed(S::BAD_REQUEST, "invalid", why),
        Some(Reply::Damaged) => {
            failed(S::INTERNAL_SERVER_ERROR, "damaged", "the stored value is damaged".into())
        }
        // The process ends with the request under way: nobody can say any more.
        None => failed(S::GATEWAY_TIMEOUT, "unknown", "the gateway is stopping".into()),
    }
}

/// A reply with its story; to a listing, of so many keys at most. A story is told of a failure as well, and is one then.
pub fn explained(reply: Option<Reply>, limit: Option<u32>, events: &[Event]) -> Response {
    let (status, mut body) = match limit {
        Some(limit) => describe_page(reply, limit),
        None => describe(reply),
    };
    let mut story = if status.is_success() { json!({}) } else { body.clone() };
    body["status"] = status.as_u16().into();
    story["reply"] = body;
    story["events"] =
        events.iter().filter_map(|e| serde_json::from_str::<Value>(&trace::json::to_line(e)).ok()).collect();
    finish(status, story)
}
