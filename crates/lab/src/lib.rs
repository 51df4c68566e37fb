//! The lab: what holds with every mechanism on, and what breaks when one is taken out.
//!
//! | part | job |
//! |---|---|
//! | [`check`] | exhaustive, bounded exploration of the replicas' real step functions |
//! | [`cluster`] | schedules on the checker's cluster, step by step |
//! | [`story`] | schedules written by hand, with what the replicas say to them (`stories/`) |
//! | [`device`] | every crash of every small workload, on the real engine and a simulated disk |
//! | [`why`] | one mechanism taken out: the schedule in which a client is betrayed, told as a story |
//! | [`hostile`] | any bytes at all, given to every decoder |

#![forbid(unsafe_code)]

mod brief;
pub mod check;
pub mod cluster;
pub mod device;
pub mod hostile;
mod quiet;
pub use quiet::caught;
pub mod story;
pub mod why;

use trace::{Mechanism, Mechanisms};

/// All mechanisms but those with these ids; an id that there is not is the error.
pub fn all_but<'a>(ids: impl IntoIterator<Item = &'a String>) -> Result<Mechanisms, String> {
    ids.into_iter().try_fold(Mechanisms::all(), |on, id| {
        let mechanism = Mechanism::from_id(id).ok_or_else(|| {
            let ids: Vec<_> = Mechanism::ALL.iter().map(|m| m.id()).collect();
            format!("there is no mechanism {id}; there are {}", ids.join(" "))
        })?;
        Ok(on.without(mechanism))
    })
}
