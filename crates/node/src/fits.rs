//! What has room on the device of the entries that a message brings. The rules decide what follows.

use dataplane::{Fits, Message, Op};
use engine::{Device, Reserve, Room};

use crate::node::Node;
use crate::tag::TAG_BYTES_MAX;

impl<D: Device> Node<D> {
    /// The engine is asked only where it matters: a question that it answers with no makes it look for room.
    pub(crate) fn fits(&mut self, message: &Message) -> Fits {
        let entries = match message {
            Message::Write { op, .. } if self.replica.is_primary() => return self.write_fits(op),
            Message::OpenSession if self.replica.is_primary() => self.marker_fits(Reserve::Progress),
            Message::TakeOver { .. } | Message::Pull { unproven: true, .. } => {
                self.marker_fits(Reserve::Truncations)
            }
            Message::Prepare { entries, .. } => self.entries_fit(entries),
            _ => return Fits::ALL,
        };
        Fits { entries, never: false }
    }

    fn write_fits(&mut self, op: &Op) -> Fits {
        match self.room_for(op) {
            Room::Now => Fits::ALL,
            Room::Later => Fits { entries: 0, never: false },
            // Without its value it is an entry like a marker.
            Room::Never => Fits { entries: usize::from(self.room_for(&Op::Nop) == Room::Now), never: true },
        }
    }

    fn room_for(&mut self, op: &Op) -> Room {
        self.engine.admits(op.key().map_or(&[], |key| &key[..]), op.into(), TAG_BYTES_MAX)
    }

    fn marker_fits(&mut self, beside: Reserve) -> usize {
        usize::from(self.engine.has_room_beside([&Op::Nop].into_iter(), TAG_BYTES_MAX, beside))
    }

    /// So many entries of a primary, beginning with the first. What is here need not be taken again.
    fn entries_fit(&mut self, entries: &[dataplane::Entry]) -> usize {
        let (replica, engine) = (&self.replica, &mut self.engine);
        let mut fits = |n: usize| {
            let new = entries[..n].iter().filter(|entry| !replica.core().has(entry)).map(|entry| &entry.op);
            engine.has_room_beside(new, TAG_BYTES_MAX, Reserve::Truncations)
        };
        (1..=entries.len()).rev().find(|n| fits(*n)).unwrap_or(0)
    }
}
