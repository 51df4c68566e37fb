//! Keys, values, and what can be done to them: said once, used by all.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

/// Position of an entry in a shard's replicated log, and the version of the value that it wrote. The first entry is 1; 0 is
/// before everything. The seq of a truncated entry is given out again.
pub type Seq = u64;

/// Longest key, in bytes. The shortest has one.
pub const KEY_BYTES_MAX: usize = 1024;
/// Longest value, in bytes. An empty value is a value.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// A key, the entry that wrote its value, and the value.
pub type Item = (Arc<[u8]>, Seq, Arc<[u8]>);

/// What must hold of a key, when the entry is applied, for its operation to take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Nothing.
    Always,
    /// The key has no value.
    Absent,
    /// The key has a value.
    Present,
    /// The key's value was written by this entry.
    Version(Seq),
}

impl Condition {
    /// Does it hold of a key with this version?
    pub fn holds(self, version: Option<Seq>) -> bool {
        match self {
            Condition::Always => true,
            Condition::Absent => version.is_none(),
            Condition::Present => version.is_some(),
            Condition::Version(wanted) => version == Some(wanted),
        }
    }
}

/// What an entry does when it is applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Gives a key a value.
    Put {
        /// 1 byte to [`KEY_BYTES_MAX`].
        key: Arc<[u8]>,
        /// Up to [`VALUE_BYTES_MAX`].
        value: Arc<[u8]>,
        /// Decided when the entry is applied, in log order.
        condition: Condition,
    },
    /// Removes a key.
    Delete {
        /// 1 byte to [`KEY_BYTES_MAX`].
        key: Arc<[u8]>,
        /// Decided when the entry is applied, in log order.
        condition: Condition,
    },
    /// Changes no key: an epoch marker, or the opening of a session.
    Nop,
}

impl Op {
    /// The key that it is about.
    pub fn key(&self) -> Option<&Arc<[u8]>> {
        match self {
            Op::Put { key, .. } | Op::Delete { key, .. } => Some(key),
            Op::Nop => None,
        }
    }

    /// Are key and value within their bounds?
    pub fn is_within_bounds(&self) -> bool {
        let sizes = Sizes::from(self);
        (self.key().is_none() || (1..=KEY_BYTES_MAX).contains(&sizes.key_bytes))
            && sizes.value_bytes.is_none_or(|bytes| bytes <= VALUE_BYTES_MAX)
    }
}

/// How long an operation's key and value are: all that decides whether there is room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// 0 without a key.
    pub key_bytes: usize,
    /// Of a put.
    pub value_bytes: Option<usize>,
}

impl From<&Op> for Sizes {
    fn from(op: &Op) -> Sizes {
        let value_bytes = match op {
            Op::Put { value, .. } => Some(value.len()),
            Op::Delete { .. } | Op::Nop => None,
        };
        Sizes { key_bytes: op.key().map_or(0, |key| key.len()), value_bytes }
    }
}

/// What an applied entry came to. Success and refusal are both results of the log, the same on every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The value is stored; its version is the entry's seq.
    Written(Seq),
    /// The key has no value now.
    Deleted {
        /// Whether it had one.
        existed: bool,
    },
    /// The condition did not hold; nothing changed.
    ConditionFailed {
        /// The key's version at that point of the log.
        current: Option<Seq>,
    },
    /// A session was opened, or a marker passed.
    Nothing,
    /// There was no room on the primary's device: nothing changed. A result of the log like any other: a refusal beside the
    /// log would say "no effect" while another copy of the request is in the log already, or comes when there is room.
    NoRoom,
}

/// What a device gives when a sync has returned: everything up to a position of its log is durable. Only a device has one to
/// give, or what stands for a device in a test or a model.
pub trait Receipt {
    /// Everything that ends at or before this position is durable.
    fn position(&self) -> u64;
    /// Every entry up to this one is durable.
    fn seq(&self) -> Seq;
}

/// Bytes for people: printable ASCII as it is, the rest escaped, cut after 32 bytes.
pub fn show(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(32)];
    format!("{}{}", cut.escape_ascii(), if cut.len() < bytes.len() { "…" } else { "" })
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, key, condition) = match self {
            Op::Put { key, condition, .. } => ("put", key, condition),
            Op::Delete { key, condition } => ("delete", key, condition),
            Op::Nop => return f.write_str("no-op"),
        };
        write!(f, "{verb} {}", show(key))?;
        match condition {
            Condition::Always => Ok(()),
            Condition::Absent => f.write_str(" if absent"),
            Condition::Present => f.write_str(" if present"),
            Condition::Version(seq) => write!(f, " if at version {seq}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Written(seq) => write!(f, "written as version {seq}"),
            Outcome::Deleted { existed: true } => f.write_str("deleted"),
            Outcome::Deleted { existed: false } => f.write_str("nothing to delete"),
            Outcome::ConditionFailed { current: Some(seq) } => {
                write!(f, "condition failed, version is {seq}")
            }
            Outcome::ConditionFailed { current: None } => f.write_str("condition failed, key is absent"),
            Outcome::Nothing => f.write_str("no key changes"),
            Outcome::NoRoom => f.write_str("no room for it"),
        }
    }
}
