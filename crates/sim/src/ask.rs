//! What clients ask, one by one, instead of by dice: so that a run can do without most of it.
//!
//! Each operation names its own moment. A client that still waits for an answer then asks as soon as it has it, so that
//! any subset of a list is a list.

use dataplane::Micros;

use crate::history::ValueId;

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Not before this moment, nor before the answer to what it asked last.
    pub at: Micros,
    /// Which client, from 1.
    pub client: u32,
    /// A gateway that it asks first, instead of its own.
    pub via: Option<u32>,
    /// What.
    pub what: What,
}

/// An operation. Keys are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum What {
    /// A value of at least so many bytes; its name takes a few.
    Put {
        key: u32,
        value: ValueId,
        bytes: u64,
        when: When,
    },
    Delete {
        key: u32,
        when: When,
    },
    Get {
        key: u32,
    },
    /// How long it is, if it is longer than so many bytes.
    GetUpTo {
        key: u32,
        most: u32,
    },
    /// The first keys behind one.
    Scan {
        after: Option<u32>,
        limit: u32,
    },
    Count,
}

/// On which condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// None.
    Always,
    /// The key has no value.
    Absent,
    /// It has one.
    Present,
    /// It has the version that this client saw last.
    Unchanged,
}
