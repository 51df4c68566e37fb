//! What a replica does in each role.

pub(crate) mod backup;
pub(crate) mod candidate;
pub(crate) mod peer;
pub(crate) mod primary;
pub(crate) mod reads;
pub(crate) mod receiver;
pub(crate) mod sender;
