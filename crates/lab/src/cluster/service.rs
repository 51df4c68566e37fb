//! Is service there, and does it stay? (P4)
//!
//! Nothing wrong is answered without it; so it is judged only where a schedule says so. Time is counted in expiries of timers.

use dataplane::{Micros, NodeStatus, RoleName};

use super::witness::Sight;

/// A majority answered a primary that lately, and so it is a useful one.
const ANSWERED_WITHIN: Micros = 3;
/// So long there may be no useful primary.
const WITHOUT_MAX: Micros = 40;

/// What was seen last.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    /// Of each node, in which life.
    seen: Vec<Option<(u64, NodeStatus)>>,
    /// How many make a majority.
    need: usize,
    useful_at: Micros,
}

/// Does it lead, and does a majority answer it?
fn is_useful(status: &NodeStatus) -> bool {
    status.role == RoleName::Primary && status.serving && status.cut_off_micros <= ANSWERED_WITHIN
}

impl Service {
    /// What is wrong by now.
    pub(super) fn look(&mut self, seats: &[impl Sight], now: Micros) -> Option<String> {
        let seen = seats.iter().map(|sight| {
            let replica = sight.replica()?;
            Some((replica.core().config.life, replica.status(now)))
        });
        // Whoever was removed is to leave the lead.
        let belongs = |sight: &&_| {
            let core = Sight::replica(*sight).map(|replica| replica.core());
            core.is_none_or(|core| core.members.votes(core.config.me))
        };
        let belong: Vec<bool> = seats.iter().map(|sight| belongs(&sight)).collect();
        let before = std::mem::replace(&mut self.seen, seen.collect());
        let needs = seats.iter().filter_map(|sight| Some(sight.replica()?.core().members.majority()));
        self.need = needs.max().unwrap_or(1);
        if self.statuses().any(is_useful) {
            self.useful_at = now;
        }
        let pairs = before.iter().zip(&self.seen).zip(1..).zip(belong);
        let wrong = pairs.filter(|(_, belongs)| *belongs).map(|(pair, _)| pair).find_map(
            |((before, after), node)| match (before, after) {
                // A crash is no choice of the cluster's.
                (Some((life, before)), Some((same, after))) if life == same => {
                    self.wrong(before, after, node)
                }
                _ => None,
            },
        );
        let without = now.saturating_sub(self.useful_at);
        let nobody = || format!("nobody has served for {without} expiries of the timers");
        wrong.or_else(|| (without > WITHOUT_MAX).then(nobody))
    }

    fn statuses(&self) -> impl Iterator<Item = &NodeStatus> {
        self.seen.iter().flatten().map(|(_, status)| status)
    }

    /// What a node has become that should not have happened.
    fn wrong(&self, before: &NodeStatus, after: &NodeStatus, node: u32) -> Option<String> {
        if is_useful(before) && after.role != RoleName::Primary {
            let (led, epoch) = (before.promised.0, after.promised.0);
            return Some(format!(
                "n{node} led epoch {led}, a majority answered it, and epoch {epoch} deposed it"
            ));
        }
        let gave_up = before.role == RoleName::Candidate && after.role == RoleName::Backup;
        let leads = self.statuses().any(|status| status.serving);
        // Two that stood at the same moment may have split the votes; that can happen to anybody.
        let promised = || self.statuses().filter(|status| status.promised == before.promised);
        let in_vain = promised().any(|status| status.voted_tail > after.voted_tail);
        (gave_up && !leads && in_vain && promised().count() >= self.need).then(|| {
            let epoch = before.promised.0;
            format!("a majority promised n{node} epoch {epoch}, which it cannot lead with the shorter log: nobody does")
        })
    }
}
