//! What fails in a step, as words.

use crate::quiet;

/// Runs it; a failed assertion of the engine is a violation like any other.
pub(super) fn caught<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    quiet::caught(run)?
}
