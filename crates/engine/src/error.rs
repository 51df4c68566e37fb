//! Everything that can go wrong, by operation.
//!
//! Four families: a *refusal* (the call was not possible; nothing changed), the *environment* (`Io`), *corruption*
//! (`Corrupt`, with a [`Damage`]), and *bugs*, which panic with the number of the invariant they break.

use std::io;
use std::sync::Arc;

use crate::types::{FORMAT_VERSION, Identity, KEY_BYTES_MAX, Lsn, Seq, TAG_BYTES_MAX, VALUE_BYTES_MAX};

/// Which part of the device a damage is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// A superblock slot.
    Superblock,
    /// The WAL ring.
    Wal,
    /// A checkpoint chunk.
    Checkpoint,
    /// A value in the data region.
    Data,
}

/// Bytes that are not what they must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The part of the device.
    pub zone: Zone,
    /// Byte offset on the device.
    pub offset: u64,
    /// What had to be there, for people.
    pub expected: String,
    /// What is there, for people.
    pub found: String,
    /// The value that is damaged, if it is one: its key, and the entry that wrote it. Others may have it whole.
    pub value: Option<(Arc<[u8]>, Seq)>,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Damage { zone, offset, expected, found, .. } = self;
        write!(f, "{zone:?} damaged at byte {offset}: expected {expected}, found {found}")
    }
}

/// One enum per operation: each lists only what that operation can return, and each variant carries its sentence.
macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident $(($inner:ident: $type:ty))? $({ $($field:ident: $ftype:ty),* })? $text:literal;)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[allow(missing_docs)]
        pub enum $name { $($(#[$vdoc])* $variant $(($type))? $({ $($field: $ftype),* })?,)* }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self { $($name::$variant $(($inner))? $({ $($field),* })? => write!(f, $text),)* }
            }
        }

        impl std::error::Error for $name {}
    )*};
}

errors! {
    /// Why bytes are not the structure they were taken for.
    #[derive(Clone, Copy, PartialEq, Eq)]
    DecodeError {
        /// Fewer bytes than the structure has.
        Short { bytes: usize, needed: usize } "{bytes} bytes where {needed} are needed";
        /// Another magic number: something else, or nothing, was written here.
        Magic { found: u32 } "no such structure (magic {found:#010x})";
        /// The bytes are not the ones that were written.
        Crc { stored: u32, computed: u32 } "CRC-32C {computed:#010x} where {stored:#010x} is stored";
        /// The device answered with an error.
        Unreadable "it cannot be read";
        /// Whole, and written by another version of this program.
        OtherVersion { found: u16 } "format version {found} where this program has {FORMAT_VERSION}";
        /// A field has a value that no encoder writes.
        Field { name: &'static str, value: u64 } "impossible {name} {value}";
    }

    /// Why the log ends where it ends.
    Stop {
        /// What lies there is not a record.
        NotARecord(error: DecodeError) "{error}";
        /// A record of an earlier lap.
        OtherLsn { expected: Lsn, found: Lsn } "a record of lsn {found} where {expected} belongs (an earlier lap)";
        /// A record that an earlier recovery discarded.
        OtherLife { expected: u64, found: u64 } "a record of life {found} where life {expected} belongs (a discarded tail)";
        /// A record of another batch.
        OtherBatch { expected: u64, found: u64 } "a record of batch {found} where batch {expected} belongs";
        /// A record that does not follow the one before it.
        OtherSeq { expected: Seq, found: Seq } "entry {found} where entry {expected} belongs";
        /// The record is whole, but the value it points to is not: its batch was never synced.
        Value { seq: Seq } "the value of entry {seq} does not fit its checksum";
        /// The ring is full to the last byte.
        FullLap "the whole ring is in use";
    }

    /// Why a device was not formatted.
    FormatError {
        /// There is a cluster's device here. To destroy it, say so with `reformat`.
        AlreadyFormatted(identity: Identity) "the device already belongs to {identity}";
        /// There is a device of another version here. To destroy it, say so with `reformat`.
        OtherVersion { found: u16 } "the device already has format version {found}; this program has {FORMAT_VERSION}";
        /// Use a bigger device.
        TooSmall { bytes: u64, needed: u64 } "the device has {bytes} bytes; at least {needed} are needed";
        /// The device failed; it is not formatted now.
        Io(error: io::Error) "cannot format the device: {error}";
    }

    /// Why a device was not opened. Nothing on it has changed.
    OpenError {
        /// Neither superblock slot was ever written: format the device, if it is the right one.
        NotFormatted "the device is not formatted";
        /// Nothing but its version is understood: use the program that wrote it.
        OtherVersion { found: u16 } "the device has format version {found}; this program has {FORMAT_VERSION}";
        /// Both superblock slots are damaged; without one there is nothing to go by. Replace the device.
        Corrupt(damage: Damage) "{damage}";
        /// The device of someone else.
        WrongIdentity { expected: Identity, found: Identity } "the device belongs to {found}, not to {expected}";
        /// The file is shorter than it was when it was formatted.
        Truncated { bytes: u64, formatted: u64 } "the device has {bytes} bytes; it was formatted with {formatted}";
        /// The device failed.
        Io(error: io::Error) "cannot open the device: {error}";
    }

    /// Why an entry was not appended, made durable, truncated or applied, or something else not written. What is not `Io` is a
    /// refusal: nothing has changed.
    WriteError {
        /// A write or sync failed earlier: reopen.
        Poisoned "the engine stopped after an I/O error; reopen it";
        /// The device is damaged: read, or `give_up_damaged`.
        Damaged "the log is damaged; the engine only reads";
        /// The device failed, and the engine has stopped: what was being written may or may not be there after reopening.
        Io(error: io::Error) "the device failed: {error}";
        /// A batch is being written: call again after `end_sync`.
        BatchOut "a batch is being written";
        /// An epoch is promised at most once.
        StalePromise { asked: u64, promised: u64 } "epoch {asked} is not greater than the promised epoch {promised}";
        /// Of `append`: keys have at least one byte.
        KeyEmpty "the key is empty";
        /// Of `append`: use a shorter key.
        KeyTooLong { bytes: usize } "the key has {bytes} bytes; {KEY_BYTES_MAX} are the most";
        /// Of `append`: use a smaller value.
        ValueTooLong { bytes: usize } "the value has {bytes} bytes; {VALUE_BYTES_MAX} are the most";
        /// Of `append`: use a shorter tag.
        TagTooLong { bytes: usize } "the tag has {bytes} bytes; {TAG_BYTES_MAX} are the most";
        /// Checkpoint; entries that are not applied yet cannot be dropped from the log.
        WalFull { needed: u64, free: u64 } "the log is full: {needed} bytes are needed, {free} are free";
        /// No room for the value, the checkpoint, or the installed state: checkpoint if one is due, else delete something.
        NoSpace { needed: u64, free: u64 } "no space: {needed} units are needed, {free} are free beyond the reserve";
        /// Of `apply`: the log does not reach that far.
        Missing { seq: Seq, last: Seq } "entry {seq} is not in the log, which ends at {last}";
        /// Of `apply`: sync first: only durable entries become visible.
        NotDurable { seq: Seq, durable: Seq } "entry {seq} is not durable yet; entries up to {durable} are";
        /// `install_begin` comes first, and comes again after an item was refused.
        NotInstalling "no transferred state is being installed";
        /// Items arrive in ascending key order, with sizes and versions that an engine can have written.
        BadItem "the transferred item is not in order or not possible";
    }

    /// Why something was not read.
    ReadError {
        /// A write or sync failed earlier: reopen.
        Poisoned "the engine stopped after an I/O error; reopen it";
        /// The bytes are not the ones that were written: get them from another replica.
        Corrupt(damage: Damage) "{damage}";
        /// A newer checkpoint has replaced the one that the cursor belongs to: start the transfer again.
        CheckpointGone { asked: Seq, current: Seq } "the checkpoint at {asked} was replaced by one at {current}";
        /// The device failed.
        Io(error: io::Error) "the device failed: {error}";
    }
}

macro_rules! from_io {
    ($($name:ident),*) => {$(
        impl From<io::Error> for $name {
            fn from(error: io::Error) -> $name {
                $name::Io(error)
            }
        }
    )*};
}

from_io!(FormatError, OpenError, WriteError, ReadError);
