//! The engine.
#![allow(unused, clippy::all, missing_docs)]
use std::io;
use std::sync::Arc;
use trace::{Mechanisms, Tracer};
use crate::{device::Device, error::*, recovery::RecoveryReport, types::*};

pub fn format(device: &impl Device, identity: &Identity, standing: Standing, layout: Layout) -> Result<(), FormatError> { unimplemented!() }
pub fn reformat(device: &impl Device, identity: &Identity, standing: Standing, layout: Layout) -> Result<(), FormatError> { unimplemented!() }

#[derive(Clone, Debug)]
pub struct Engine<D> { device: D }
#[derive(Debug)]
pub struct Batch {}
impl Batch {
    pub fn write(&self, device: &impl Device) -> io::Result<()> { unimplemented!() }
    /// The host's clock, for the trace: how long the write took.
    pub fn timed(self, micros: u64) -> Batch { unimplemented!() }
}

impl<D: Device> Engine<D> {
    pub fn open(device: D, identity: &Identity, mechanisms: Mechanisms, t: &mut Tracer) -> Result<(Engine<D>, RecoveryReport), OpenError> { unimplemented!() }
    pub fn append(&mut self, op: Op, tag: &[u8], t: &mut Tracer) -> Result<Seq, AppendError> { unimplemented!() }
    pub fn truncate(&mut self, from: Seq, t: &mut Tracer) -> Result<(), WriteError> { unimplemented!() }
    pub fn begin_sync(&mut self) -> Option<Batch> { unimplemented!() }
    pub fn end_sync(&mut self, batch: Batch, result: io::Result<()>, t: &mut Tracer) -> Result<Synced, WriteError> { unimplemented!() }
    pub fn sync(&mut self, t: &mut Tracer) -> Result<Synced, WriteError> { unimplemented!() }
    pub fn last_seq(&self) -> Seq { unimplemented!() }
    pub fn durable_seq(&self) -> Seq { unimplemented!() }
    pub fn applied_seq(&self) -> Seq { unimplemented!() }
    pub fn appended_lsn(&self) -> Lsn { unimplemented!() }
    pub fn durable_lsn(&self) -> Lsn { unimplemented!() }
    pub fn has_unsynced(&self) -> bool { unimplemented!() }
    /// Applies entry `applied_seq + 1`, which must be durable here: clamp to `durable_seq()`.
    pub fn apply(&mut self, skip: bool, t: &mut Tracer) -> Result<Outcome, ApplyError> { unimplemented!() }
    pub fn commit(&mut self, upto: Seq, t: &mut Tracer) -> Result<Vec<(Seq, Outcome)>, ApplyError> { unimplemented!() }
    pub fn get(&self, key: &[u8]) -> Result<Option<Found>, ReadError> { unimplemented!() }
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Arc<[u8]>, Seq, u32)> { unimplemented!() }
    pub fn key_count(&self) -> u64 { unimplemented!() }
    pub fn entry(&self, seq: Seq) -> Result<Option<Entry>, ReadError> { unimplemented!() }
    pub fn tag(&self, seq: Seq) -> Option<&[u8]> { unimplemented!() }
    pub fn retained_from(&self) -> Seq { unimplemented!() }
    pub fn checkpoint_seq(&self) -> Seq { unimplemented!() }
    pub fn promised(&self) -> u64 { unimplemented!() }
    pub fn promise(&mut self, epoch: u64, t: &mut Tracer) -> Result<(), WriteError> { unimplemented!() }
    pub fn standing(&self) -> Standing { unimplemented!() }
    pub fn set_standing(&mut self, standing: Standing, t: &mut Tracer) -> Result<(), WriteError> { unimplemented!() }
    pub fn host_state(&self) -> &[u8] { unimplemented!() }
    pub fn is_poisoned(&self) -> bool { unimplemented!() }
    pub fn checkpoint_due(&self) -> bool { unimplemented!() }
    pub fn checkpoint_running(&self) -> bool { unimplemented!() }
    pub fn checkpoint_begin(&mut self, host_state: Vec<u8>, t: &mut Tracer) { unimplemented!() }
    pub fn checkpoint_step(&mut self, t: &mut Tracer) -> Result<CheckpointProgress, WriteError> { unimplemented!() }
    pub fn checkpoint(&mut self, host_state: Vec<u8>, t: &mut Tracer) -> Result<(), WriteError> { unimplemented!() }
    pub fn transfer_read(&self, cursor: Option<TransferCursor>, bytes_max: usize) -> Result<TransferChunk, ReadError> { unimplemented!() }
    pub fn install_begin(&mut self, t: &mut Tracer) -> Result<(), WriteError> { unimplemented!() }
    pub fn install_put(&mut self, key: Arc<[u8]>, version: Seq, value: Arc<[u8]>) -> Result<(), WriteError> { unimplemented!() }
    pub fn install_finish(&mut self, seq: Seq, host_state: Vec<u8>, epoch: u64, t: &mut Tracer) -> Result<(), WriteError> { unimplemented!() }
    pub fn install_abort(&mut self) { unimplemented!() }
    pub fn damage(&self) -> Option<&Damage> { unimplemented!() }
    pub fn reset_to_joining(&mut self, t: &mut Tracer) -> Result<(), WriteError> { unimplemented!() }
    pub fn space(&self) -> Space { unimplemented!() }
    pub fn device(&self) -> &D { &self.device }
}
