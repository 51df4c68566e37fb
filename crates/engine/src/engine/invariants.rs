//! What must hold of an open device after each operation, by the numbers of [`crate`]. What it takes to check is the same
//! however large the device is: so it is always checked.
//!
//! These hold with all mechanisms on. With one taken out some need not: that is what the lab shows, so nothing is checked
//! there.

use trace::Mechanisms;

use super::Engine;
use crate::device::Device;

impl<D: Device> Engine<D> {
    /// # Panics
    /// If an invariant does not hold: this engine must not go on.
    pub(super) fn check(&self) {
        if self.mechanisms != Mechanisms::all() || self.damage.is_some() {
            return;
        }
        let (log, last) = (&self.log, self.log.last());
        assert!(self.applied <= self.durable, "E1: entry {} is applied, not durable", self.applied);
        assert!(self.durable <= last, "E1: entry {} is durable, not in the log", self.durable);
        // A checkpoint may cover all that is durable, so that the log begins with what is not.
        assert!(log.start <= log.end, "E2: the log begins behind its end");
        assert!(log.durable <= log.end, "E1: what was never appended is durable");
        assert!(log.end.0 - log.start.0 <= log.ring.bytes, "E2: the log is longer than its ring");
        assert!(log.batch_lsn <= log.end, "E2: a batch begins behind the log");
        assert!(log.first <= self.applied + 1, "E2: an entry is neither applied nor in the log");
        let records = log.tentative.len() as u64;
        assert_eq!(records, last - self.applied, "E2: an entry that is not applied has no record");
        assert!(self.checkpoint_seq() <= self.applied, "E2: a checkpoint of what is not applied");
        let taken = self.space.claimed.units + self.space.allocator.free_units();
        assert!(taken <= self.space.superblock.data_units, "E3: more is claimed or free than there is");
    }
}
