//! How much memory requests take that have not come whole: arguments, bodies, frames, of all connections of a process.
//!
//! A request that is complete is answered soon. One that is not waits for somebody else, for as long as they like, and
//! takes its memory meanwhile. Each connection may hold [`FREE_BYTES`] of that, and beyond it all together [`BYTES_MAX`]:
//! when they come to more, the one whose last byte is the longest ago has to make room. So whoever sends keeps sending,
//! and a thousand that stopped in the middle harm each other and nobody else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

/// Nobody is refused so much.
pub const FREE_BYTES: usize = 32 << 10;
/// What they may hold together, beyond that.
pub const BYTES_MAX: usize = 128 << 20;

/// What all connections of a process hold.
#[derive(Clone, Debug)]
pub struct Partial(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    max: usize,
    bytes: usize,
    /// Counts whenever a byte comes, so that it tells who waited longest.
    turn: u64,
    shares: BTreeMap<u64, Hold>,
    next: u64,
}

#[derive(Debug)]
struct Hold {
    bytes: usize,
    turn: u64,
    make_room: Arc<Notify>,
}

impl Default for Partial {
    fn default() -> Partial {
        Partial::of(BYTES_MAX)
    }
}

impl Partial {
    fn of(max: usize) -> Partial {
        Partial(Arc::new(Mutex::new(Held { max, ..Held::default() })))
    }

    /// For one connection.
    pub fn share(&self) -> Share {
        let make_room = Arc::new(Notify::new());
        let mut held = self.0.lock().expect("nobody panics while it is locked");
        held.next += 1;
        let id = held.next;
        held.shares.insert(id, Hold { bytes: 0, turn: 0, make_room: make_room.clone() });
        Share { all: self.clone(), id, make_room, holds: AtomicUsize::new(0) }
    }

    /// How much they hold together, beyond what is free.
    pub fn bytes(&self) -> usize {
        self.0.lock().expect("nobody panics while it is locked").bytes
    }
}

/// What one connection holds.
#[derive(Debug)]
pub struct Share {
    all: Partial,
    id: u64,
    make_room: Arc<Notify>,
    /// What it was told last.
    holds: AtomicUsize,
}

impl Share {
    /// Says how much the request takes now, after something of it came, or when it was complete.
    pub fn hold(&self, bytes: usize) {
        if self.holds.swap(bytes, Relaxed).max(bytes) <= FREE_BYTES {
            return;
        }
        let held = &mut *self.all.0.lock().expect("nobody panics while it is locked");
        held.turn += 1;
        held.set(self.id, bytes.saturating_sub(FREE_BYTES), held.turn);
        while held.bytes > held.max {
            let waited_longest = held.shares.iter().filter(|(_, s)| s.bytes > 0).min_by_key(|(_, s)| s.turn);
            let Some(id) = waited_longest.map(|(id, _)| *id).filter(|id| *id != self.id) else { return };
            held.shares[&id].make_room.notify_one();
            // It is told once, and its memory is as good as free.
            held.set(id, 0, held.turn);
        }
    }

    /// Resolves when this connection has to make room for others.
    pub async fn make_room(&self) {
        self.make_room.notified().await
    }
}

impl Held {
    fn set(&mut self, id: u64, bytes: usize, turn: u64) {
        let share = self.shares.get_mut(&id).expect("a share is there until it is dropped");
        self.bytes = self.bytes + bytes - share.bytes;
        (share.bytes, share.turn) = (bytes, turn);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Ok(held) = &mut self.all.0.lock() {
            held.bytes -= held.shares.remove(&self.id).map_or(0, |share| share.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn told(share: &Share) -> bool {
        pin!(share.make_room()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn whoever_waited_longest_makes_room_and_whoever_sends_does_not() {
        let all = Partial::of(100);
        let [stalled, sends, late] = [(); 3].map(|()| all.share());
        stalled.hold(FREE_BYTES + 60);
        sends.hold(FREE_BYTES + 10);
        sends.hold(FREE_BYTES + 40);
        assert_eq!((all.bytes(), told(&stalled)), (100, false));
        late.hold(FREE_BYTES + 1);
        assert!(told(&stalled) && !told(&sends) && !told(&late));
        assert_eq!(all.bytes(), 41);
        drop(stalled);
        assert_eq!(all.bytes(), 41, "what was given up is not given back twice");
        sends.hold(0);
        drop(late);
        assert_eq!(all.bytes(), 0);
    }

    #[test]
    fn small_requests_are_never_in_the_way() {
        let all = Partial::of(0);
        let shares: Vec<_> = (0..100).map(|_| all.share()).collect();
        shares.iter().for_each(|share| share.hold(FREE_BYTES));
        assert!(shares.iter().all(|share| !told(share)));
        // One alone is never told to make room for itself: it has its own bounds.
        shares[0].hold(FREE_BYTES + 1);
        assert!(!told(&shares[0]));
    }
}
