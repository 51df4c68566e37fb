//! Every exhibit, and one of them played.

use super::exhibit::{Exhibit, Shown};
use super::read;
use crate::nearest::unknown;
use crate::why::{Case, case};

macro_rules! own {
    ($id:literal) => {
        None
    };
    ($id:literal own) => {
        Some(include_str!(concat!("../../museum/", $id, ".schedule")))
    };
}

macro_rules! files {
    ($($id:literal $($own:ident)?)*) => {
        /// Every exhibit: its name, its text and its own schedule.
        const FILES: &[(&str, &str, Option<&str>)] = &[
            $(($id, include_str!(concat!("../../museum/", $id, ".md")), own!($id $($own)?)),)*
        ];
    };
}

// The disk first, then the cluster, then what is not in the core.
files! {
    "fsyncgate" own
    "second-crash"
    "rot-or-torn-tail"
    "rot-is-served"
    "vote-file-rewritten"
    "index-before-data"
    "lazy-fsync" own
    "ack-before-log"
    "forgotten-fence"
    "two-leaders-one-term"
    "wiped-voter"
    "github-43-seconds" own
    "raft-figure-8" own
    "hole-in-the-log"
    "late-append"
    "heartbeat-commits"
    "half-a-snapshot"
    "merged-clusters"
    "dirty-reads" own
    "deposed-leader-reads" own
    "read-index-too-early"
    "retried-twice" own
    "weak-pre-vote"
    "single-server-change"
    "removed-and-added-again"
    "learner-promotion"
    "lease-and-clock" own
    "rename-without-sync"
}

/// All of them.
pub fn exhibits() -> Vec<Exhibit> {
    let read = |(id, text, own): &(&'static str, &str, Option<&'static str>)| {
        read::exhibit(id, text, *own).expect("a test reads every file")
    };
    FILES.iter().map(read).collect()
}

/// The one called `id`.
pub fn exhibit(id: &str) -> Result<Exhibit, String> {
    let ids = FILES.iter().map(|(id, ..)| *id);
    exhibits().into_iter().find(|exhibit| exhibit.id == id).ok_or_else(|| unknown("exhibit", id, ids))
}

/// Plays an exhibit without its guard and with it. `None`: it cannot be shown here. An error says that nothing breaks.
pub fn play(exhibit: &Exhibit) -> Result<Option<Case>, String> {
    let (Shown::Without(guard), Some(schedule)) = (&exhibit.shown, exhibit.schedule()) else {
        return Ok(None);
    };
    let case = case(*guard, schedule).map_err(|why| format!("{}: {why}", exhibit.id))?;
    Ok(Some(Case { called: exhibit.id.to_string(), ..case }))
}
