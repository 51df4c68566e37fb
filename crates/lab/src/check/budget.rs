//! How much may still happen in a state.

use super::scope::Scope;

/// How often what is bounded may still happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) takeovers: u8,
    pub(super) reads: u8,
    pub(super) crashes: u8,
    pub(super) wipes: u8,
    pub(super) rots: u8,
    pub(super) duplicates: u8,
    pub(super) ticks: u8,
    pub(super) wishes: u8,
    pub(super) expiries: u8,
    /// The changes that are in no log yet, as bits.
    pub(super) changes: u8,
}

impl Budget {
    pub(super) fn of(scope: &Scope) -> Budget {
        Budget {
            takeovers: scope.takeovers,
            reads: scope.reads,
            crashes: scope.crashes,
            wipes: scope.wipes,
            rots: scope.rots,
            duplicates: scope.duplicates,
            ticks: scope.ticks,
            wishes: scope.wishes,
            expiries: scope.expiries,
            changes: scope.changes.iter().enumerate().fold(0, |set, (at, _)| set | 1 << at),
        }
    }
}
