//! What the tests of a replica without a device share.

use dataplane::{Appended, Receipt};

/// What the device of these tests gives for a sync.
pub struct Synced(pub Appended);

impl Receipt for Synced {
    fn position(&self) -> u64 {
        self.0.position
    }

    fn seq(&self) -> u64 {
        self.0.seq
    }
}
