//! Whose bytes will do for a value that is damaged here.
//!
//! A value never changes: it is told by its key and the entry that wrote it. Replicas that committed the entry have the
//! same bytes (D1); where it may not be committed, an entry is told by seq and epoch, which one primary gave once (D8). So
//! nobody need lead, and nothing need be confirmed, for one replica to give another the value back: asking and answering
//! are the node's business, as reading the device is. The replica's log has forgotten nothing by it: that a value cannot
//! be read takes nothing from what the log says, so the replica goes on voting, and leading.

use std::sync::Arc;

use crate::core::Core;
use crate::message::ValueName;
use crate::types::*;

impl Core {
    /// What the others are to be asked for, when the value of `key` as of entry `version` is damaged.
    pub fn name_of(&self, key: Arc<[u8]>, version: Seq) -> ValueName {
        let epoch = if version <= self.commit { None } else { self.log.epoch_at(version) };
        ValueName { key, version, epoch }
    }

    /// Is the entry that `name` means the one of that seq here? Asked by whoever gets the value, whose log may have changed
    /// meanwhile, and of an entry that may not be committed by whoever has it, too.
    pub fn means(&self, name: &ValueName) -> bool {
        match name.epoch {
            None => name.version <= self.commit,
            epoch => self.log.epoch_at(name.version) == epoch,
        }
    }
}
