//! Damaged values that are being asked of the others, and what is said of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataplane::{GatewayId, Micros, NodeId, Seq};

/// Notices kept for the host, and values that are said once.
const NOTICES_MAX: usize = 64;
const TOLD_MAX: usize = 1024;
/// A damaged value: the entry that wrote it, and its key.
pub(crate) type Name = (Seq, Arc<[u8]>);

/// What is being asked for, and what came of earlier questions, for status and metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repairs {
    pub wanted: BTreeMap<Name, Wanted>,
    pub mended: u64,
    pub missing: u64,
    /// For whoever runs the node.
    pub notices: Vec<String>,
    /// What was said already: of which value, and whether that it is damaged or that nobody has it.
    told: BTreeSet<(Seq, bool)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub asked_at: Micros,
    pub asked: usize,
    /// Who has said that it does not have the value.
    pub without: BTreeSet<NodeId>,
    pub reads: Vec<(GatewayId, u64)>,
}

impl Repairs {
    /// Something that people should know.
    pub(crate) fn notice(&mut self, what: String) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(what);
        }
    }

    /// The same, once for each value: its readers may ask for ever.
    pub(crate) fn notice_once(&mut self, version: Seq, missing: bool, what: String) {
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        if self.told.insert((version, missing)) {
            self.notice(what);
        }
    }

    pub(crate) fn next_deadline(&self, resend_after: Micros) -> Option<Micros> {
        self.wanted.values().map(|wanted| wanted.asked_at + resend_after).min()
    }
}
