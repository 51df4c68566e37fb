//! Recovery.

/// What `open` found and did.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct RecoveryReport {}
