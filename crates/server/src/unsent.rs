//! Bytes on their way out of one connection.

use std::collections::VecDeque;

use dataplane::{Epoch, Frame, Message, RequestId, Seq, wire};

/// Most bytes waiting to be sent on one connection; frames beyond are dropped. It holds the largest frame twice.
pub const UNSENT_BYTES_MAX: usize = 2 * wire::FRAME_BYTES_MAX;
/// A buffer that grew beyond this is given back once it is empty.
const KEPT_BYTES: usize = 1 << 20;
/// With more than this on its way out, a connection has a backlog, and control overtakes it.
const BACKLOG_BYTES: usize = 64 << 10;

/// Bytes on their way out: a queue of frames, and a short one beside it that overtakes a backlog.
///
/// Without the second, (1) a backup is sent four megabytes of entries over a slow line, (2) the question that confirms a
/// read waits behind them, (3) nobody answers in time, and a healthy primary is given up. What the queue holds is not
/// queued again: a sender that repeats a frame because no answer came would only make the line slower.
#[derive(Default)]
pub(crate) struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
    /// Where the frame begins that `sent` is in, or at the start of.
    frame: usize,
    urgent: Vec<u8>,
    urgent_sent: usize,
    /// The bulky frames in `bytes`: where each ends, and what it is.
    bulky: VecDeque<(usize, Bulky)>,
}

/// What makes two bulky frames the same one, sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bulky {
    Write(RequestId),
    Prepare(Epoch, Seq),
    Other,
}

impl Unsent {
    pub(crate) fn push(&mut self, frame: &Frame) -> bool {
        let waiting = self.bytes.len() - self.sent;
        let bulky = match &frame.message {
            Message::Write { request, .. } => Some(Bulky::Write(*request)),
            Message::Prepare { epoch, prev, entries, .. } if !entries.is_empty() => {
                Some(Bulky::Prepare(*epoch, prev.seq))
            }
            Message::Prepare { .. }
            | Message::Chunk { .. }
            | Message::Fetched { .. }
            | Message::ReadAnswer { .. } => Some(Bulky::Other),
            _ => None,
        };
        match bulky {
            None if waiting > BACKLOG_BYTES && self.urgent.len() < BACKLOG_BYTES => {
                wire::encode(frame, &mut self.urgent);
                return true;
            }
            Some(what) if what != Bulky::Other && self.bulky.iter().any(|(_, queued)| *queued == what) => {
                return true;
            }
            _ if waiting > UNSENT_BYTES_MAX - wire::FRAME_BYTES_MAX => return false,
            _ => (),
        }
        let start = self.bytes.len();
        wire::encode(frame, &mut self.bytes);
        if let Some(what) = bulky.filter(|_| self.bytes.len() - start > BACKLOG_BYTES) {
            self.bulky.push_back((self.bytes.len(), what));
        }
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.urgent.is_empty()
    }

    /// What is to be written next.
    pub(crate) fn next(&self) -> &[u8] {
        if self.urgent.is_empty() {
            return &self.bytes[self.sent..];
        }
        // Never into the middle of a frame.
        match self.sent > self.frame {
            true => &self.bytes[self.sent..self.end_of_frame()],
            false => &self.urgent[self.urgent_sent..],
        }
    }

    fn end_of_frame(&self) -> usize {
        let length = wire::frame_bytes(&self.bytes[self.frame..]);
        self.frame + length.ok().flatten().expect("only whole frames are queued")
    }

    pub(crate) fn advance(&mut self, written: usize) {
        if !self.urgent.is_empty() && self.sent == self.frame {
            self.urgent_sent += written;
            if self.urgent_sent == self.urgent.len() {
                self.urgent_sent = 0;
                self.urgent.clear();
            }
            return;
        }
        self.sent += written;
        while self.frame < self.sent && self.end_of_frame() <= self.sent {
            self.frame = self.end_of_frame();
        }
        while self.bulky.front().is_some_and(|(end, _)| *end <= self.sent) {
            self.bulky.pop_front();
        }
        if self.sent == self.bytes.len() {
            (self.sent, self.frame) = (0, 0);
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        } else if self.frame > KEPT_BYTES && self.frame > self.bytes.len() / 2 {
            self.bytes.drain(..self.frame);
            self.bulky.iter_mut().for_each(|(end, _)| *end -= self.frame);
            self.sent -= self.frame;
            self.frame = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use dataplane::{Address, Condition, GatewayId, NodeId, Op, Tail};

    use super::*;
    use crate::budget::SENT_BYTES_MAX;
    use crate::transport::take_frame;

    fn frame(message: Message) -> Frame {
        let from = Address::Gateway(GatewayId { gateway: 1, life: 1 });
        Frame { cluster: [1; 16], shard: 0, from, to: Address::Node(NodeId(1)), cause: None, message }
    }

    fn write(number: u64, bytes: usize) -> Frame {
        let op = Op::Put { key: [1].into(), value: vec![7; bytes].into(), condition: Condition::Always };
        frame(Message::Write { request: RequestId { session: 1, number }, op })
    }

    /// Takes everything, so many bytes at a time, as a peer would read it.
    fn drain(unsent: &mut Unsent, step: usize) -> Vec<Frame> {
        let (mut stream, mut frames) = (BytesMut::new(), Vec::new());
        while !unsent.is_empty() {
            let some = unsent.next().len().min(step);
            stream.extend_from_slice(&unsent.next()[..some]);
            unsent.advance(some);
            frames.extend(std::iter::from_fn(|| take_frame(&mut stream).unwrap()));
        }
        assert!(stream.is_empty());
        frames
    }

    #[test]
    fn control_overtakes_a_backlog_at_the_next_end_of_a_frame() {
        let bulk: Vec<_> = (1..6).map(|number| write(number, 100_000)).collect();
        let probes: Vec<_> = (1..4).map(|attempt| frame(Message::Probe { attempt })).collect();
        for step in [1 << 20, 4096, 777] {
            let mut unsent = Unsent::default();
            bulk.iter().for_each(|frame| assert!(unsent.push(frame)));
            // In the middle of the first frame.
            unsent.advance(50_000);
            let mut begun = BytesMut::from(&unsent.bytes[..50_000]);
            probes.iter().for_each(|frame| assert!(unsent.push(frame)));
            let mut stream = begun.split();
            let mut frames = Vec::new();
            while !unsent.is_empty() {
                let some = unsent.next().len().min(step);
                stream.extend_from_slice(&unsent.next()[..some]);
                unsent.advance(some);
                frames.extend(std::iter::from_fn(|| take_frame(&mut stream).unwrap()));
            }
            let mut due = bulk.clone();
            due.splice(1..1, probes.clone());
            assert!(frames == due, "{:?}", frames.iter().map(|f| f.message.name()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn without_a_backlog_everything_leaves_in_order() {
        let frames = [write(1, 100), frame(Message::Probe { attempt: 1 }), write(2, 100)];
        let mut unsent = Unsent::default();
        frames.iter().for_each(|frame| assert!(unsent.push(frame)));
        assert!(drain(&mut unsent, 7) == frames);
    }

    #[test]
    fn what_is_queued_is_not_queued_again_and_once_sent_it_may_be() {
        let entries = Message::Prepare {
            epoch: Epoch(1),
            prev: Tail::default(),
            entries: vec![dataplane::Entry {
                seq: 1,
                epoch: Epoch(1),
                origin: dataplane::Origin::Marker,
                op: Op::Put { key: [1].into(), value: vec![0; 100_000].into(), condition: Condition::Always },
            }],
            commit: 0,
        };
        for large in [write(1, 100_000), frame(entries)] {
            let mut unsent = Unsent::default();
            (0..9).for_each(|_| assert!(unsent.push(&large)));
            assert_eq!(drain(&mut unsent, 4096).len(), 1);
            assert!(unsent.push(&large));
            assert_eq!(drain(&mut unsent, 4096).len(), 1);
        }
    }

    #[test]
    fn all_long_values_that_clients_may_send_together_fit_on_the_way_to_one_node() {
        let mut unsent = Unsent::default();
        let values = (SENT_BYTES_MAX / dataplane::VALUE_BYTES_MAX) as u64;
        assert!(values >= 8, "and they are enough to share a sync");
        for number in 1..=values {
            assert!(unsent.push(&write(number, dataplane::VALUE_BYTES_MAX)), "value {number} is dropped");
        }
    }

    #[test]
    fn a_long_queue_is_given_back_as_it_shrinks() {
        let mut unsent = Unsent::default();
        let frames: Vec<_> = (1..40).map(|number| write(number, 500_000)).collect();
        let taken = frames.iter().filter(|frame| unsent.push(frame)).count();
        assert!(taken > 20 && unsent.bytes.len() <= UNSENT_BYTES_MAX);
        assert!(drain(&mut unsent, 300_000)[..] == frames[..taken]);
        assert!(unsent.bytes.capacity() <= KEPT_BYTES);
    }
}
