//! What clients asked, and what they were told: all that a promise to a client can be judged by.

use dataplane::{Condition, Micros, Seq};

/// Names a value: every put of a schedule stores another one.
pub type ValueId = u64;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Store this value.
    Put(ValueId, Condition),
    /// Remove the value.
    Delete(Condition),
    /// Read the value.
    Get,
    /// List some of the keys; of each of them that tells something, an operation of its own tells what.
    Scan,
    /// Count the keys.
    Count,
}

/// What was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The value is stored, with this version.
    Written(Seq),
    /// The value is stored; with which version, was not told.
    Stored,
    /// The key has no value now; it had one, or not.
    Deleted(bool),
    /// Nothing changed; the version was another one.
    ConditionFailed(Option<Seq>),
    /// Nothing changed, because of the condition; the version was not told.
    Refused,
    /// The version and value read.
    Value(Seq, ValueId),
    /// There is a value of this version.
    Version(Seq),
    /// There is no value.
    Missing,
    /// A write that may take effect at any time from its call on, or never.
    Unknown,
    /// Certainly no effect, or a read without an answer.
    Nothing,
}

/// One operation on one key. Moments are numbers that order calls and returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who.
    pub client: u32,
    /// On which key.
    pub key: u32,
    /// What was asked.
    pub call: Call,
    /// When it was called.
    pub called: u64,
    /// When it returned, and with what; `None` while it is under way.
    pub returned: Option<(u64, Told)>,
    /// The virtual time of the last of the two.
    pub at: Micros,
}

impl Operation {
    /// The operation as a client would tell it.
    pub fn tell(&self) -> String {
        format!("client {}: {} -> {}", self.client, self.asked(), self.told())
    }

    /// What was asked.
    pub fn asked(&self) -> String {
        let condition = |c: Condition| match c {
            Condition::Always => String::new(),
            Condition::Absent => " if absent".into(),
            Condition::Present => " if present".into(),
            Condition::Version(v) => format!(" if at version {v}"),
        };
        match self.call {
            Call::Put(value, c) => format!("put k{} = v{value}{}", self.key, condition(c)),
            Call::Delete(c) => format!("delete k{}{}", self.key, condition(c)),
            Call::Get => format!("get k{}", self.key),
            Call::Scan => "scan".into(),
            Call::Count => "count".into(),
        }
    }

    /// What was told.
    pub fn told(&self) -> String {
        match self.returned.map(|(_, told)| told) {
            None => "no answer yet".into(),
            Some(Told::Written(version)) => format!("OK, version {version}"),
            Some(Told::Stored) => "OK".into(),
            Some(Told::Refused) => "condition failed".into(),
            Some(Told::Deleted(existed)) => {
                format!("OK, {}", if existed { "it was there" } else { "it was not there" })
            }
            Some(Told::ConditionFailed(Some(version))) => {
                format!("condition failed, it is at version {version}")
            }
            Some(Told::ConditionFailed(None)) => "condition failed, it is absent".into(),
            Some(Told::Value(version, value)) => format!("v{value}, version {version}"),
            Some(Told::Version(version)) => format!("version {version}"),
            Some(Told::Missing) => "no such key".into(),
            Some(Told::Unknown) => "UNKNOWN".into(),
            Some(Told::Nothing) => "not done".into(),
        }
    }
}
