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

use dataplane::wire::FRAME_BYTES_MAX;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::partial::Share;
use crate::unsent::UNSENT_BYTES_MAX;

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
/// Bytes of long values that are on their way from nodes at a time. Between them, everybody else has a turn: a gateway that
/// takes over a hundred values in a row answers nobody meanwhile.
const FETCHED_BYTES_MAX: usize = 8 << 20;
/// Bytes of long values that are on their way to nodes at a time. All of them may be for one node. If they were more than its
/// connection takes, (1) some are dropped there, (2) nobody answers them in time, (3) the gateway gives a healthy primary up.
pub(crate) const SENT_BYTES_MAX: usize = UNSENT_BYTES_MAX - FRAME_BYTES_MAX;
/// Bytes a second that a client must take while others wait.
pub const PACE: u64 = 64 << 10;
/// Nobody is hurried before this.
const GRACE: Duration = Duration::from_secs(1);
/// A client that takes nothing for this long is gone, even if nobody waits.
pub const STALLED: Duration = Duration::from_secs(30);
/// Room that does not come about by then is refused.
const ROOM_PATIENCE: Duration = Duration::from_secs(10);
/// What the budgets count in.
const UNIT: usize = 1024;

/// Room, until it is dropped; for a value on its way in, on the connection of a node too.
#[derive(Debug)]
pub struct Held {
    _room: OwnedSemaphorePermit,
    _sent: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn room(room: OwnedSemaphorePermit) -> Held {
        Held { _room: room, _sent: None }
    }
}

/// What is left.
#[derive(Clone)]
pub struct Budget {
    long: Arc<Semaphore>,
    pub(crate) fetched: Arc<Semaphore>,
    puts: Arc<Semaphore>,
    sent: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            long: Arc::new(Semaphore::new(LONG_BYTES_MAX / UNIT)),
            fetched: Arc::new(Semaphore::new(FETCHED_BYTES_MAX / UNIT)),
            puts: Arc::new(Semaphore::new(PUT_BYTES_MAX / UNIT)),
            sent: Arc::new(Semaphore::new(SENT_BYTES_MAX / UNIT)),
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

pub(crate) fn units(bytes: usize) -> u32 {
    bytes.div_ceil(UNIT) as u32
}

impl Budget {
    /// Bytes of long values and of replies that are held now, on their way in and out.
    pub fn held(&self) -> usize {
        let all = LONG_BYTES_MAX + PUT_BYTES_MAX + AHEAD_BYTES_MAX;
        let free = [&self.long, &self.puts, &self.ahead].map(|room| room.available_permits() * UNIT);
        all.saturating_sub(free.iter().sum())
    }

    /// Room for long values on their way out, in the order of asking; `None` if none came about.
    pub async fn long(&self, bytes: usize) -> Option<Held> {
        self.waiting.fetch_add(1, Relaxed);
        let room = timeout(ROOM_PATIENCE, self.long.clone().acquire_many_owned(units(bytes))).await;
        self.waiting.fetch_sub(1, Relaxed);
        room.ok()?.ok().map(Held::room)
    }

    /// Room for a value on its way in, if it is there at once.
    pub fn put_at_once(&self, bytes: usize) -> Option<Held> {
        let room = self.puts.clone().try_acquire_many_owned(units(bytes)).ok()?;
        let sent = self.sent.clone().try_acquire_many_owned(units(bytes)).ok()?;
        Some(Held { _room: room, _sent: Some(sent) })
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
        let room = room?.ok()?;
        let sent = timeout(ROOM_PATIENCE, self.sent.clone().acquire_many_owned(units(bytes))).await;
        Some(Held { _room: room, _sent: Some(sent.ok()?.ok()?) })
    }

    /// Room for a reply of so many bytes, if it is there at once.
    pub fn ahead_at_once(&self, bytes: usize) -> Option<Held> {
        self.ahead.clone().try_acquire_many_owned(units(bytes)).ok().map(Held::room)
    }

    /// Room for a reply of so many bytes; `None` if none came about.
    pub async fn ahead(&self, bytes: usize) -> Option<Held> {
        let room = timeout(ROOM_PATIENCE, self.ahead.clone().acquire_many_owned(units(bytes))).await;
        room.ok()?.ok().map(Held::room)
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

#[cfg(test)]
mod tests {
    use dataplane::VALUE_BYTES_MAX;

    use super::*;
    use crate::partial::Partial;

    #[tokio::test]
    async fn values_that_the_way_to_a_node_has_no_room_for_wait_and_go_on_when_one_is_answered() {
        let (budget, partial) = (Budget::default(), Partial::default());
        let mut sent: Vec<Held> = std::iter::from_fn(|| budget.put_at_once(VALUE_BYTES_MAX)).collect();
        assert_eq!(sent.len() * VALUE_BYTES_MAX, SENT_BYTES_MAX);
        // Each of these has its room, and waits for its turn alone.
        let waits = PUT_BYTES_MAX / VALUE_BYTES_MAX - sent.len();
        let share = partial.share();
        let mut waiting: Vec<_> = (0..waits).map(|_| Box::pin(budget.put(VALUE_BYTES_MAX, &share))).collect();
        for put in &mut waiting {
            tokio::select! { biased; _ = put => panic!("there is no room"), () = std::future::ready(()) => {} }
        }
        assert_eq!(budget.held(), PUT_BYTES_MAX);
        for put in waiting {
            sent.remove(0);
            sent.push(put.await.expect("its turn has come"));
        }
    }
}
