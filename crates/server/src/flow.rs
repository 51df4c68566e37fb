//! How much of a gateway's memory its clients hold together, in bytes, whatever they do.
//!
//! | what | bound |
//! |---|---|
//! | values longer than [`SHORT_BYTES`], from asking a node to the last byte in the client's socket | [`LONG_BYTES_MAX`] |
//! | values longer than that on their way in, from when they are whole to the answer | [`PUT_BYTES_MAX`] |
//! | replies that pipelines are ahead of their clients, beyond a short one for each connection | [`AHEAD_BYTES_MAX`] |
//!
//! Nobody knows how long a value is before it is read. So every read asks for a short one, and is told the length of a
//! long one; the gateway makes room for it, and asks again. A connection fetches the long values of one command at a time
//! and holds nothing while it waits for room: so a pipeline of long values leaves room between them for everybody else's
//! requests, and no two connections wait for each other.
//!
//! A client that does not read keeps what was fetched for it. While others wait for room, whoever takes less than
//! [`PACE`] is disconnected.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use dataplane::Query;
use gateway::{Reply, Request};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::gateway_host::Handle;
use crate::partial::Share;

/// Longest value that is sent unasked.
pub const SHORT_BYTES: u32 = 8 << 10;
/// Bytes of long values on their way to clients.
pub const LONG_BYTES_MAX: usize = 64 << 20;
/// Bytes of long values on their way from clients.
pub const PUT_BYTES_MAX: usize = 64 << 20;
/// Bytes of long values in the reply to one command.
pub const REPLY_BYTES_MAX: usize = 32 << 20;
/// Most bytes of one page of a scan: the most and longest keys.
pub const PAGE_BYTES: usize = 12 << 20;
/// Bytes of short values that one command is sent unasked.
const MANY_BYTES: usize = 1 << 20;
/// Bytes of replies that pipelines are ahead of their clients.
pub const AHEAD_BYTES_MAX: usize = 64 << 20;
/// Bytes of long values that are on their way from nodes at a time, for all clients, and for one command. Between them,
/// everybody else has a turn: a gateway that takes over a hundred values in a row answers nobody meanwhile.
const FETCHED_BYTES_MAX: usize = 8 << 20;
const AT_ONCE_BYTES: usize = 2 << 20;
/// Bytes a second that a client must take while others wait.
pub const PACE: u64 = 64 << 10;
/// Nobody is hurried before this.
const GRACE: Duration = Duration::from_secs(1);
/// A client that takes nothing for this long is gone, even if nobody waits.
const STALLED: Duration = Duration::from_secs(30);
/// Room that does not come about by then is refused.
const ROOM_PATIENCE: Duration = Duration::from_secs(10);
/// What the budgets count in.
const UNIT: usize = 1024;
/// A value that grows each time it is read is given up.
const TRIES: usize = 3;

/// Room, until it is dropped.
pub type Held = OwnedSemaphorePermit;

/// What is left.
#[derive(Clone)]
pub struct Budget {
    long: Arc<Semaphore>,
    fetched: Arc<Semaphore>,
    puts: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            long: Arc::new(Semaphore::new(LONG_BYTES_MAX / UNIT)),
            fetched: Arc::new(Semaphore::new(FETCHED_BYTES_MAX / UNIT)),
            puts: Arc::new(Semaphore::new(PUT_BYTES_MAX / UNIT)),
            ahead: Arc::new(Semaphore::new(AHEAD_BYTES_MAX / UNIT)),
            waiting: Arc::default(),
        }
    }
}

/// How long a value is sent unasked, if so many are asked for together; 0 if only their lengths matter.
pub fn short(values: usize) -> u32 {
    match values {
        0 => 0,
        many => SHORT_BYTES.min((MANY_BYTES / many) as u32),
    }
}

fn units(bytes: usize) -> u32 {
    bytes.div_ceil(UNIT) as u32
}

impl Budget {
    /// Room for long values on their way out, in the order of asking; `None` if none came about.
    pub async fn long(&self, bytes: usize) -> Option<Held> {
        self.waiting.fetch_add(1, Relaxed);
        let room = timeout(ROOM_PATIENCE, self.long.clone().acquire_many_owned(units(bytes))).await;
        self.waiting.fetch_sub(1, Relaxed);
        room.ok()?.ok()
    }

    /// Room for a value on its way in, if it is there at once.
    pub fn put_at_once(&self, bytes: usize) -> Option<Held> {
        self.puts.clone().try_acquire_many_owned(units(bytes)).ok()
    }

    /// Room for a value that has come whole; `None` if none came about. Until then it counts as a request that has not, and
    /// goes as those do: else as many values could wait here as there are connections.
    pub async fn put(&self, bytes: usize, share: &Share) -> Option<Held> {
        share.hold(bytes);
        self.waiting.fetch_add(1, Relaxed);
        let room = tokio::select! {
            room = timeout(ROOM_PATIENCE, self.puts.clone().acquire_many_owned(units(bytes))) => room.ok(),
            () = share.make_room() => None,
        };
        self.waiting.fetch_sub(1, Relaxed);
        share.hold(0);
        room?.ok()
    }

    /// Room for a reply of so many bytes, if it is there at once.
    pub fn ahead_at_once(&self, bytes: usize) -> Option<Held> {
        self.ahead.clone().try_acquire_many_owned(units(bytes)).ok()
    }

    /// Room for a reply of so many bytes; `None` if none came about.
    pub async fn ahead(&self, bytes: usize) -> Option<Held> {
        timeout(ROOM_PATIENCE, self.ahead.clone().acquire_many_owned(units(bytes))).await.ok()?.ok()
    }

    /// How long a client that has taken so many bytes of a reply may have been at it, and how long since the last of them.
    pub fn hurried(&self, taken: u64, since_first: Duration, since_last: Duration) -> bool {
        let slow = since_first > GRACE + Duration::from_millis(taken * 1000 / PACE);
        since_last > STALLED || (slow && self.waiting.load(Relaxed) > 0)
    }

    /// Writes all of `bytes`, as long as somebody takes them.
    pub async fn write(&self, to: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> io::Result<()> {
        let (first, mut last, all) = (Instant::now(), Instant::now(), bytes.len());
        while !bytes.is_empty() {
            match timeout(GRACE / 2, to.write(bytes)).await {
                Ok(written) => {
                    let written = written?;
                    if written == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    bytes = &bytes[written..];
                    last = Instant::now();
                }
                Err(_) if self.hurried((all - bytes.len()) as u64, first.elapsed(), last.elapsed()) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not take its replies"));
                }
                Err(_) => (),
            }
        }
        Ok(())
    }
}

/// Collects a body of at most `most` bytes, as long as it comes on. What has come takes the memory of a request that has not
/// come whole, until `share` is told otherwise.
pub async fn collect<B>(mut body: B, share: &Share, most: usize) -> Result<Vec<u8>, NoBody>
where
    B: axum::body::HttpBody<Data = bytes::Bytes> + Unpin,
{
    let mut all = Vec::new();
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx));
        let next = tokio::select! {
            next = timeout(STALLED, frame) => next.map_err(|_| NoBody::Stalled)?,
            () = share.make_room() => return Err(NoBody::Stalled),
        };
        match next {
            None => return Ok(all),
            Some(Err(_)) => return Err(NoBody::Broken),
            Some(Ok(frame)) => all.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
        }
        if all.len() > most {
            return Err(NoBody::TooLong);
        }
        share.hold(all.len());
    }
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBody {
    /// It is longer than allowed.
    TooLong,
    /// It did not come on, and its room was needed, or its time was up.
    Stalled,
    /// The connection ended, or what came is no body.
    Broken,
}

/// Fetches the values that were too long to be sent unasked. They take room until what is returned is dropped: when the
/// last byte is written.
pub async fn whole(core: &Handle, replies: &mut [Reply]) -> Option<Held> {
    let long = |(at, reply): (usize, &Reply)| match reply {
        Reply::Long(key, bytes) => Some((at, key.clone(), *bytes)),
        _ => None,
    };
    let mut long: Vec<_> = replies.iter().enumerate().filter_map(long).collect();
    if long.is_empty() {
        return None;
    }
    let mut why = Reply::Unavailable("the value grew while it was being read; ask again".into());
    for _ in 0..TRIES {
        let bytes: usize = long.iter().map(|(.., bytes)| *bytes as usize).sum();
        if bytes > REPLY_BYTES_MAX {
            why = Reply::Invalid(format!(
                "the values have {bytes} bytes, more than {REPLY_BYTES_MAX}: ask for fewer"
            ));
            break;
        }
        let budget = core.borrow().budget.clone();
        let Some(held) = budget.long(bytes).await else {
            why = Reply::Unavailable(
                "clients that are slow to take their replies hold all room for long values".into(),
            );
            break;
        };
        if !fetch(core, &mut long, replies).await {
            return Some(held);
        }
        // One has grown beyond its room: everything is given back, and begun anew.
        long.iter().for_each(|(at, key, bytes)| replies[*at] = Reply::Long(key.clone(), *bytes));
    }
    long.iter().for_each(|(at, ..)| replies[*at] = why.clone());
    None
}

/// Fetches these values, a few at a time; true if one is longer than it was.
async fn fetch(core: &Handle, long: &mut [(usize, Arc<[u8]>, u32)], replies: &mut [Reply]) -> bool {
    let fetched = core.borrow().budget.fetched.clone();
    let mut grown = false;
    let mut from = 0;
    while from < long.len() {
        let (mut upto, mut bytes) = (from, 0);
        while upto < long.len() && (upto == from || bytes + long[upto].2 as usize <= AT_ONCE_BYTES) {
            bytes += long[upto].2 as usize;
            upto += 1;
        }
        let _turn = fetched.clone().acquire_many_owned(units(bytes)).await;
        let ask = |(_, key, most): &(usize, Arc<[u8]>, u32)| {
            core.borrow_mut().submit(Request::Read(Query::GetUpTo(key.clone(), *most)))
        };
        let answers: Vec<_> = long[from..upto].iter().map(ask).collect();
        for (answer, (at, _, bytes)) in answers.into_iter().zip(&mut long[from..upto]) {
            replies[*at] =
                answer.await.unwrap_or_else(|_| Reply::Unavailable("the gateway is stopping".into()));
            if let Reply::Long(_, more) = replies[*at] {
                (*bytes, grown) = (more, true);
            }
        }
        from = upto;
    }
    grown
}
