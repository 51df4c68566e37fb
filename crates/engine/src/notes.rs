//! What happened, in order, for whoever owns the engine to tell.
//!
//! The engine's rules know no listener. They note each transition here, while somebody listens; the owner takes the
//! notes out after each operation and hands them to its tracer, before it tells of anything that came later.

use trace::{Kind, Source};

/// Events that nobody was told of yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) on: bool,
    pub(crate) noted: Vec<(Kind, Source)>,
}

impl Notes {
    /// Does anybody listen?
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Notes an event. Call it through [`trace::emit!`], which builds `kind` only when somebody listens.
    pub(crate) fn record(&mut self, kind: Kind, source: Source) {
        self.noted.push((kind, source));
    }
}
