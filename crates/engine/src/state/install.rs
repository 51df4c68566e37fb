//! A state that is being received, beside the one that is here.

use std::sync::Arc;

use super::index::Index;
use crate::format::value_ref::ValueRef;
use crate::space::Claim;
use crate::types::{KEY_BYTES_MAX, Seq, VALUE_BYTES_MAX};

/// A state being received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Install {
    pub(crate) index: Index,
    /// The items received so far are in order up to this key.
    last: Option<Arc<[u8]>>,
    pub(crate) version_max: Seq,
    pub(crate) claim: Claim,
}

impl Install {
    /// Can an engine have sent this as the next item?
    pub(crate) fn expects(&self, key: &[u8], version: Seq, value: &[u8]) -> bool {
        let possible =
            (1..=KEY_BYTES_MAX).contains(&key.len()) && value.len() <= VALUE_BYTES_MAX && version > 0;
        possible && self.last.as_ref().is_none_or(|last| **last < *key)
    }

    /// The item has room on the device.
    pub(crate) fn push(&mut self, key: Arc<[u8]>, value: ValueRef) {
        self.version_max = self.version_max.max(value.version);
        self.claim = self.claim + Claim::of_value(&key, &value);
        self.index.insert(&key, value);
        self.last = Some(key);
    }
}
