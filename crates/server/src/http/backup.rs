//! Pieces of a replica's state, passed on as they come: what a copy is made of, `cutaway backup` decides.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dataplane::{Frame, NodeId, PAYLOAD_BYTES_MAX, Seq, ShardId, wire};
use tokio::sync::oneshot;

use super::reply::{Body, problem};
use crate::budget::Held;
use crate::core::Core;

/// A node that has not answered by then has other things to do, or is gone: whoever asks goes to another one.
const PATIENCE: Duration = Duration::from_secs(2);
/// Room for a piece: the payload of a frame, one item beyond it, and what stands around small items.
pub const PIECE_BYTES: usize = 2 * PAYLOAD_BYTES_MAX + (128 << 10);
/// Longest cursor in bytes, with much to spare.
const CURSOR_BYTES_MAX: usize = 64;

/// Which piece is wanted, of whom.
pub struct Piece {
    replica: (NodeId, ShardId),
    bounds: (Seq, Seq),
    cursor: Vec<u8>,
}

/// What came of it: the frame, silence, or there is no such replica.
pub type Answered = Option<Option<Frame>>;

impl Piece {
    /// The piece that a path names.
    pub fn of([shard, node, at_least, since, cursor]: &[String; 5]) -> Result<Piece, String> {
        let number = |what: &str, text: &str| {
            text.parse::<u64>().map_err(|_| format!("{what} is a number from 0, not {text:?}"))
        };
        let node_number = node.strip_prefix('n').and_then(|digits| digits.parse().ok());
        let node = node_number.ok_or_else(|| format!("a node is named such as n1, not {node:?}"))?;
        let shard = u32::try_from(number("a shard", shard)?).map_err(|_| "there are fewer shards")?;
        let bounds = (number("at_least", at_least)?, number("since", since)?);
        let cursor = if cursor == "-" { Some(Vec::new()) } else { unhex(cursor) };
        let cursor = cursor.ok_or("a cursor is - at first, and then what the piece before said")?;
        Ok(Piece { replica: (NodeId(node), shard), bounds, cursor })
    }

    /// Asks for it.
    pub fn ask(self, core: &mut Core) -> Option<oneshot::Receiver<Frame>> {
        core.ask_for_backup(self.replica, self.bounds, self.cursor)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2)
        || digits.len() > 2 * CURSOR_BYTES_MAX
        || !digits.iter().all(u8::is_ascii_hexdigit)
    {
        return None;
    }
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}

/// Waits for the answer, but not for long.
pub async fn wait(asked: Option<oneshot::Receiver<Frame>>) -> Answered {
    let answer = tokio::time::timeout(PATIENCE, asked?).await;
    Some(answer.ok().and_then(Result::ok))
}

/// The frame as it came, with its checksum. Its room is given back with its last byte.
pub fn reply(answered: Option<Answered>, room: Held) -> Response {
    match answered {
        Some(Some(Some(frame))) => {
            let mut bytes = Vec::new();
            wire::encode(&frame, &mut bytes);
            let body = Bytes::from_owner(Body(bytes.into(), Some(room)));
            ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
        }
        Some(None) => problem(StatusCode::NOT_FOUND, "there is no such replica; /v1/status lists them"),
        Some(Some(None)) | None => later("the node does not answer"),
    }
}

/// Nothing is wrong with the question.
pub fn later(why: &str) -> Response {
    let mut later = problem(StatusCode::SERVICE_UNAVAILABLE, why);
    later.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    later
}
