//! What keeps frames from coming through: a process that is cut off, in one direction or in both, and a network on which
//! frames are lost, come late, or overtake each other.
//!
//! Only `up` can switch it, over the child's standard input. TCP loses and reorders nothing, it only stalls and breaks; here
//! single frames go missing and pass each other, which is what the rules claim to stand. Outgoing frames are dropped where
//! they are queued, everything else happens to those that arrive; so a process that is troubled alone is troubled in what
//! it hears.

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use dataplane::Frame;
use tokio::time::Instant;

use crate::manifest::random;

/// One frame in so many is lost.
const LOST_OF: u8 = 20;
/// How late frames come that come late.
const DELAY: std::ops::Range<u64> = 5..50;
/// One in so many waits while later ones pass, for so many milliseconds.
const OVERTAKEN_OF: u8 = 4;
const OVERTAKEN: std::ops::Range<u64> = 1..20;
/// Bytes of frames of one connection that are late. One more, and it is lost: memory is bounded here as well.
const LATE_BYTES_MAX: usize = 16 << 20;

/// What is wrong with the network, as this process meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Every frame, in and out, is dropped.
    Isolated,
    /// Every frame that it sends is dropped; it hears the others.
    Mute,
    /// Every frame that reaches it is dropped; the others hear it.
    Deaf,
    /// One in twenty of the frames that reach it is lost.
    Lossy,
    /// All that reach it are 5 to 50 ms late, in the order in which they were sent.
    Slow,
    /// One in four is overtaken by others.
    Shuffled,
}

/// Each with the order that brings it about, and what the log says then. The place in the table is what `Cut` holds, from 1 on.
const TROUBLES: [(Trouble, &str, &str); 6] = [
    (Trouble::Isolated, "isolate", "isolated: every frame is dropped"),
    (Trouble::Mute, "mute", "mute: every frame that is sent is dropped"),
    (Trouble::Deaf, "deafen", "deaf: every frame that arrives is dropped"),
    (Trouble::Lossy, "lose", "some frames that arrive are lost"),
    (Trouble::Slow, "delay", "frames arrive late"),
    (Trouble::Shuffled, "shuffle", "some frames that arrive are overtaken by others"),
];

impl Trouble {
    /// The order that brings it about.
    pub fn order(self) -> &'static str {
        TROUBLES[self as usize].1
    }

    /// Does it keep frames from coming through at all?
    pub fn is_a_cut(self) -> bool {
        matches!(self, Trouble::Isolated | Trouble::Mute | Trouble::Deaf)
    }
}

impl FromStr for Trouble {
    type Err = ();
    fn from_str(order: &str) -> Result<Trouble, ()> {
        TROUBLES.iter().find(|trouble| trouble.1 == order).map(|trouble| trouble.0).ok_or(())
    }
}

/// The trouble of this process, if there is any. Shared by all its connections.
#[derive(Clone, Debug, Default)]
pub struct Cut(Arc<AtomicU8>);

impl Cut {
    /// Brings trouble about, or ends it.
    pub fn set(&self, trouble: Option<Trouble>) {
        self.0.store(trouble.map_or(0, |trouble| trouble as u8 + 1), Ordering::Relaxed);
        tracing::info!(
            "{}",
            trouble.map_or("healed: frames pass again", |trouble| TROUBLES[trouble as usize].2)
        );
    }

    fn now(&self) -> Option<Trouble> {
        let place = usize::from(self.0.load(Ordering::Relaxed));
        place.checked_sub(1).map(|place| TROUBLES[place].0)
    }

    /// Is every frame that this process sends dropped?
    pub fn is_mute(&self) -> bool {
        matches!(self.now(), Some(Trouble::Isolated | Trouble::Mute))
    }

    /// Resolves once frames pass in both directions: a greeting needs both.
    pub async fn wait_for_end(&self) {
        while self.now().is_some_and(Trouble::is_a_cut) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Frames of one connection that have arrived, and are handed on later.
#[derive(Default)]
pub struct Late {
    /// Each with its moment, the next one first.
    frames: VecDeque<(Instant, usize, Frame)>,
    bytes: usize,
}

impl Late {
    /// A frame of so many bytes arrives: back at once, kept for later, or lost.
    pub fn arrive(&mut self, frame: Frame, bytes: usize, cut: &Cut) -> Option<Frame> {
        let Some(trouble) = cut.now() else { return Some(frame) };
        let [dice, more] = random::<2>();
        let within = |range: std::ops::Range<u64>| {
            Duration::from_millis(range.start + u64::from(more) % (range.end - range.start))
        };
        let wait = match trouble {
            Trouble::Mute => return Some(frame),
            Trouble::Isolated | Trouble::Deaf => return None,
            Trouble::Lossy => return (dice % LOST_OF != 0).then_some(frame),
            Trouble::Slow => within(DELAY),
            Trouble::Shuffled if dice % OVERTAKEN_OF == 0 => within(OVERTAKEN),
            Trouble::Shuffled => return Some(frame),
        };
        if self.bytes + bytes > LATE_BYTES_MAX {
            return None;
        }
        let due = Instant::now() + wait;
        let due = match self.frames.back() {
            // Nothing overtakes on a line that is only slow.
            Some((last, ..)) if trouble == Trouble::Slow => due.max(*last),
            _ => due,
        };
        let place = self.frames.partition_point(|(other, ..)| *other <= due);
        self.frames.insert(place, (due, bytes, frame));
        self.bytes += bytes;
        None
    }

    /// The next frame whose moment has come. May be given up at any time.
    pub async fn next(&mut self) -> Frame {
        match self.frames.front() {
            Some((due, ..)) => tokio::time::sleep_until(*due).await,
            None => std::future::pending().await,
        }
        let (_, bytes, frame) = self.frames.pop_front().expect("it was there before it was waited for");
        self.bytes -= bytes;
        frame
    }
}

#[cfg(test)]
mod tests {
    use dataplane::{Address, Message, NodeId};

    use super::*;

    fn probe(attempt: u64) -> Frame {
        let (from, to) = (Address::Node(NodeId(1)), Address::Node(NodeId(2)));
        Frame { cluster: [0; 16], shard: 0, from, to, cause: None, message: Message::Probe { attempt } }
    }

    fn attempt(frame: &Frame) -> u64 {
        let Message::Probe { attempt } = frame.message else { panic!("only probes are sent") };
        attempt
    }

    /// What comes of a thousand frames, in order.
    async fn of_a_thousand(trouble: Trouble) -> Vec<u64> {
        let (cut, mut late, mut heard) = (Cut::default(), Late::default(), Vec::new());
        cut.set(Some(trouble));
        for number in 0..1000 {
            heard.extend(late.arrive(probe(number), 50, &cut).map(|frame| attempt(&frame)));
        }
        while !late.frames.is_empty() {
            heard.push(attempt(&late.next().await));
        }
        assert_eq!(late.bytes, 0);
        heard
    }

    #[tokio::test]
    async fn each_trouble_does_what_it_says_and_no_more() {
        let all: Vec<u64> = (0..1000).collect();
        assert_eq!(of_a_thousand(Trouble::Isolated).await, [0; 0]);
        assert_eq!(of_a_thousand(Trouble::Deaf).await, [0; 0]);
        assert_eq!(of_a_thousand(Trouble::Mute).await, all);
        assert_eq!(of_a_thousand(Trouble::Slow).await, all, "late, and in order");
        let left = of_a_thousand(Trouble::Lossy).await;
        assert!((800..1000).contains(&left.len()) && left.is_sorted(), "{}", left.len());
        let mut shuffled = of_a_thousand(Trouble::Shuffled).await;
        assert!(!shuffled.is_sorted());
        shuffled.sort_unstable();
        assert_eq!(shuffled, all, "overtaken, and not lost");
    }

    #[tokio::test]
    async fn late_frames_take_bounded_memory() {
        let (cut, mut late) = (Cut::default(), Late::default());
        cut.set(Some(Trouble::Slow));
        for number in 0..100 {
            assert!(late.arrive(probe(number), 1 << 20, &cut).is_none());
        }
        assert_eq!(late.frames.len(), 16);
    }

    #[test]
    fn every_trouble_has_its_place_in_the_table() {
        for (place, (trouble, order, _)) in TROUBLES.into_iter().enumerate() {
            assert_eq!((trouble as usize, order.parse()), (place, Ok(trouble)));
            let cut = Cut::default();
            cut.set(Some(trouble));
            assert_eq!(cut.now(), Some(trouble));
        }
    }
}
