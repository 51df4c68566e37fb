//! What is known of each mechanism beside its guard: words by hand, and where to find things. A table for each room.

use trace::Mechanism;

macro_rules! schedule {
    ($id:literal) => {
        Some(include_str!(concat!("../../../counterexamples/", $id, ".schedule")))
    };
}

macro_rules! trial {
    ($id:literal) => {
        Some(include_str!(concat!("../../../variations/", $id, ".schedule")))
    };
}

mod cluster;
mod entry;
mod extension;
mod local;

pub use entry::Entry;

/// Everything that is known of `mechanism`.
pub fn entry(mechanism: Mechanism) -> &'static Entry {
    entries().find(|entry| entry.mechanism == mechanism).expect("a test counts them")
}

/// All of them, in the order of [`Mechanism::ALL`].
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    local::ENTRIES.iter().chain(cluster::ENTRIES).chain(extension::ENTRIES)
}
