//! The receiving side of a state transfer.
//!
//! The receiver writes values and index into free space, beside the state it has. All of it takes effect with one flip
//! of the superblock: checkpoint, promise, standing, and a new life of an empty log. A crash before leaves what was.

use std::sync::Arc;

use trace::{Kind, emit};

use super::Engine;
use crate::device::Device;
use crate::error::WriteError;
use crate::format::value_ref::ValueRef;
use crate::log::next_sector;
use crate::space::Claim;
use crate::state::{Checkpoint, Install, NewCheckpoint};
use crate::types::{Seq, Standing};

impl<D: Device> Engine<D> {
    /// Begins to receive a state; what was received before is dropped. The engine goes on as it is until
    /// [`install_finish`](Engine::install_finish).
    pub fn install_begin(&mut self) -> Result<(), WriteError> {
        self.writable()?;
        self.install_abort();
        self.install = Some(Install::default());
        self.check();
        Ok(())
    }

    /// Receives the next key, in ascending order, with the entry that wrote it. `NoSpace`: the state does not fit
    /// beside the one that is here; only [`give_up_all`](Engine::give_up_all) makes room, at the price of
    /// what is here.
    ///
    /// An error ends the installation: a state without the item that was refused must never become this device's own,
    /// not even if [`install_finish`](Engine::install_finish) was on its way already.
    pub fn install_put(&mut self, key: Arc<[u8]>, version: Seq, value: Arc<[u8]>) -> Result<(), WriteError> {
        let put = self.install_item(key, version, value);
        if put.is_err() {
            self.install_abort();
        }
        self.check();
        put
    }

    fn install_item(&mut self, key: Arc<[u8]>, version: Seq, value: Arc<[u8]>) -> Result<(), WriteError> {
        self.writable()?;
        let Some(install) = &mut self.install else { return Err(WriteError::NotInstalling) };
        if !install.expects(&key, version, &value) {
            return Err(WriteError::BadItem);
        }
        let Claim { units, item_bytes } = Claim::of(key.len(), value.len());
        // As much is left as the checkpoint of it can take.
        let reserve = self.space.checkpoint_units(install.claim.item_bytes + item_bytes);
        let room = self.space.allocator.free_units() >= units + reserve;
        let Some(extents) = room.then(|| self.space.place(&key, value.len(), None)).flatten() else {
            let free = self.space.allocator.free_units();
            return Err(WriteError::NoSpace { needed: units + reserve, free });
        };
        let stored = ValueRef::of(version, &value, &extents);
        let written = self.space.write(&stored, &value);
        install.push(key, stored);
        written.map_err(|error| self.failed(error.into()))
    }

    /// Replaces the state of this device by the received one, as of entry `seq`, with `host_state` of the same entry,
    /// and promises `epoch` if that is more than what is promised. Afterwards the device is a member, all entries up
    /// to `seq` are applied and durable, and the log is empty. `seq` may be less than what the log held before.
    ///
    /// No batch may be out: it could be written later, to extents that by then belong to something else.
    pub fn install_finish(&mut self, seq: Seq, host_state: Vec<u8>, epoch: u64) -> Result<(), WriteError> {
        self.writable()?;
        if self.log.out.is_some() {
            return Err(WriteError::BatchOut);
        }
        let Some(install) = self.install.take() else { return Err(WriteError::NotInstalling) };
        if install.version_max > seq {
            self.install = Some(install);
            return Err(WriteError::BadItem);
        }
        let mut new = NewCheckpoint::new(seq, &install.index, host_state);
        let mut written = Ok(true);
        while let Ok(true) = written {
            written = new.write_some(&mut self.space, &install.index);
        }
        // Values and chunks were written to free space in any order; all of it is durable before the flip.
        if let Err(error) = written.and_then(|_| Ok(self.space.sync_chunks()?)) {
            new.free_chunks(&mut self.space);
            self.install = Some(install);
            self.install_abort();
            return Err(self.failed(error));
        }
        let before = self.checkpoint_seq();
        let mut next = self.space.superblock;
        next.set_checkpoint(seq, new.head());
        next.set_standing(Standing::Member);
        next.promise = next.promise.max(epoch);
        next.begin_log(next_sector(self.log.end), self.log.batch);
        self.store(next)?;
        self.start_over(Checkpoint {
            index: install.index,
            chunks: new.take_chunks(),
            host_state: new.host_state,
        });
        emit!(self.notes, Kind::StateInstalled { before, seq, epoch: self.promised() });
        Ok(())
    }

    /// Drops what was received.
    pub fn install_abort(&mut self) {
        if let Some(Install { index, .. }) = self.install.take() {
            index.iter().for_each(|(key, value)| self.space.free_value(key.len(), value));
        }
    }
}
