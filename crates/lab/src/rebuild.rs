//! A situation that was seen elsewhere, as a schedule that leads here to it: roles, epochs and logs.
//!
//! What was seen is cut to the last [`ENTRIES_MAX`] entries, and written down epoch by epoch: whoever led an epoch takes over
//! in it, writes its entries, and each entry arrives at those that have it. The schedule is then played, and what came out is
//! held against what was seen. So nobody is told that something was carried over which was not.

use std::collections::BTreeSet;

use trace::Mechanisms;

use crate::facts::State;
use crate::machine::{Facts, Machine};
use crate::schedule::Schedule;

/// Entries that are carried over.
pub const ENTRIES_MAX: u64 = 12;
/// Entries of every log where a schedule begins: the marker of epoch 1, and a session.
const BEGIN: u64 = 2;

/// What was seen of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What it is to the others: `primary`, `backup` or `candidate`.
    pub role: String,
    /// The greatest epoch that it promised.
    pub promised: u64,
    /// Its checkpoint: the entries up to there.
    pub base: u64,
    /// The last entries of its log, at least [`ENTRIES_MAX`] if it has them: seq and epoch.
    pub log: Vec<(u64, u64)>,
    /// The last entry.
    pub last: u64,
    /// Why nothing reaches it, if nothing does: it is down, paused, cut off.
    pub away: Option<String>,
}

impl Seen {
    fn epoch_at(&self, seq: u64) -> Option<u64> {
        self.log.iter().find(|(at, _)| *at == seq).map(|(_, epoch)| *epoch)
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// Leads there.
    pub schedule: Schedule,
    /// What is as it was seen.
    pub carried: Vec<String>,
    /// What is not.
    pub left: Vec<String>,
}

/// How epochs and entries that were seen are numbered here.
#[derive(Clone, Copy)]
struct Scale {
    /// Entries up to there are left out.
    from: u64,
    /// Added to each epoch.
    epochs: u64,
}

impl Scale {
    fn of(nodes: &[Seen]) -> Scale {
        let last = nodes.iter().map(|node| node.last).max().unwrap_or(0);
        let base = nodes.iter().map(|node| node.base).max().unwrap_or(0);
        // Its first entries are the very ones that a schedule begins with.
        let young =
            nodes.iter().all(|node| (1..=BEGIN).all(|seq| node.epoch_at(seq).is_none_or(|of| of == 1)));
        let from = last.saturating_sub(ENTRIES_MAX).max(base).max(if young { BEGIN } else { 0 });
        // Here n1 leads epoch 1. If somebody else did, all epochs are one greater.
        let first = |node: &Seen| node.log.iter().filter(|(seq, epoch)| *seq > from && *epoch == 1).count();
        let n1_wrote = nodes.iter().all(|node| first(node) <= first(&nodes[0]));
        let other_led = nodes[1..].iter().any(|node| node.role == "primary" && node.promised == 1);
        Scale { from, epochs: u64::from(!n1_wrote || other_led) }
    }

    fn seq(&self, seen: u64) -> u64 {
        seen.max(self.from) - self.from + BEGIN
    }

    /// The end of a log that may have stood still in epoch 1 before all that is carried.
    fn log(&self, node: &Seen) -> Vec<(u64, u64)> {
        let carried = node.log.iter().filter(|(seq, _)| *seq > self.from);
        carried.map(|(seq, epoch)| (self.seq(*seq), epoch + self.epochs)).collect()
    }
}

/// Writes the schedule.
struct Writer<'a> {
    nodes: &'a [Seen],
    scale: Scale,
    steps: Vec<String>,
    /// Nodes whose links are cut.
    cut: BTreeSet<usize>,
    writes: u64,
}

impl Writer<'_> {
    fn name(at: usize) -> String {
        format!("n{}", at + 1)
    }

    /// Cuts off those of `out` whom nothing reaches any more.
    fn leave(&mut self, out: &BTreeSet<usize>) {
        let away: Vec<usize> = out.iter().copied().filter(|at| self.nodes[*at].away.is_some()).collect();
        for one in away.into_iter().filter(|one| !self.cut.contains(one)).collect::<Vec<_>>() {
            for other in (0..self.nodes.len()).filter(|other| *other != one && !self.cut.contains(other)) {
                self.steps.push(format!("cut {} {}", Self::name(one), Self::name(other)));
            }
            self.cut.insert(one);
        }
    }

    fn calm(&mut self, out: &BTreeSet<usize>) {
        let without: String = out.iter().map(|at| format!(" {}", Self::name(*at))).collect();
        self.steps.push(format!("calm{}{without}", if out.is_empty() { "" } else { " without" }));
    }

    fn all_but(&self, some: &BTreeSet<usize>) -> BTreeSet<usize> {
        (0..self.nodes.len()).filter(|at| !some.contains(at)).collect()
    }

    /// Who has this entry of this epoch.
    fn holders(&self, epoch: u64, seq: u64) -> BTreeSet<usize> {
        let has = |at: &usize| self.nodes[*at].epoch_at(seq) == Some(epoch);
        (0..self.nodes.len()).filter(has).collect()
    }

    /// The entries of one epoch: who led it takes over, unless that is how a schedule begins, and writes them.
    fn epoch(&mut self, epoch: u64) {
        let of_epoch = |node: &Seen| {
            let own = node.log.iter().filter(|(seq, of)| *of == epoch && *seq > self.scale.from);
            own.map(|(seq, _)| *seq).collect::<Vec<_>>()
        };
        let mut seqs: Vec<u64> = self.nodes.iter().flat_map(of_epoch).collect();
        seqs.sort_unstable();
        seqs.dedup();
        let Some(leader) = self.leader(epoch, &seqs) else { return };
        let here = epoch + self.scale.epochs;
        if here > 1 {
            let out = self.all_but(&self.voters(epoch, leader, seqs.first().copied()));
            self.leave(&out);
            self.steps.push(format!("takeover {} above {}", Self::name(leader), here - 1));
            self.calm(&out);
            // Its marker is the first entry.
            seqs.drain(..seqs.len().min(1));
        }
        for (at, seq) in seqs.iter().enumerate() {
            let holders = self.holders(epoch, *seq);
            let out = self.all_but(&holders);
            self.leave(&out);
            if holders.len() == 1 {
                // Nobody ever heard of it.
                self.leave(&holders);
            }
            self.writes += 1;
            self.steps.push(format!("write {} to {}", self.writes, Self::name(leader)));
            let next = seqs.get(at + 1).map(|next| self.all_but(&self.holders(epoch, *next)));
            if next.is_none_or(|next| next != out) {
                self.calm(&out);
            }
        }
    }

    /// Who led an epoch: who says so, else who has the most of it.
    fn leader(&self, epoch: u64, seqs: &[u64]) -> Option<usize> {
        let says = |node: &Seen| node.role == "primary" && node.promised == epoch;
        let most = || {
            let holders = self.holders(epoch, *seqs.last()?);
            holders.into_iter().next()
        };
        if epoch + self.scale.epochs == 1 { Some(0) } else { self.nodes.iter().position(says).or_else(most) }
    }

    /// Who promised an epoch; as many more as make a majority.
    fn voters(&self, epoch: u64, leader: usize, first: Option<u64>) -> BTreeSet<usize> {
        let mut voters = first.map_or_else(BTreeSet::new, |first| self.holders(epoch, first));
        voters.insert(leader);
        let majority = self.nodes.len() / 2 + 1;
        let promised = |at: &usize| self.nodes[*at].promised >= epoch && !self.cut.contains(at);
        let reached = |at: &usize| self.nodes[*at].away.is_none();
        voters.extend((0..self.nodes.len()).filter(promised).filter(reached));
        for at in (0..self.nodes.len()).filter(promised) {
            if voters.len() < majority {
                voters.insert(at);
            }
        }
        for at in (0..self.nodes.len()).filter(reached) {
            if voters.len() < majority {
                voters.insert(at);
            }
        }
        voters
    }
}

/// A schedule that leads to what was seen, as nearly as it goes. `nodes` are n1 and on.
pub fn rebuild(nodes: &[Seen], gateways: usize) -> Result<Rebuilt, String> {
    if nodes.is_empty() {
        return Err("nothing was seen yet".into());
    }
    let scale = Scale::of(nodes);
    let mut writer = Writer { nodes, scale, steps: Vec::new(), cut: BTreeSet::new(), writes: 0 };
    let mut epochs: BTreeSet<u64> = nodes
        .iter()
        .flat_map(|node| node.log.iter().filter(|(seq, _)| *seq > scale.from).map(|(_, epoch)| *epoch))
        .collect();
    epochs.extend(nodes.iter().filter(|node| node.role == "primary").map(|node| node.promised));
    epochs.into_iter().for_each(|epoch| writer.epoch(epoch));
    writer.leave(&(0..nodes.len()).collect());
    let mut setting = vec![format!("cluster {}", nodes.len())];
    setting.extend((gateways > 0).then(|| format!("gateways {gateways}")));
    let notes = vec!["What a running cluster looked like.".to_string()];
    let mut schedule = Schedule { notes, setting, steps: writer.steps };
    let mut state = play(&schedule)?;
    // Whoever led once, and was started anew since, leads no more.
    let fallen: Vec<String> = (0..nodes.len())
        .filter(|at| nodes[*at].role == "backup" && state.nodes[*at].role != "backup")
        .map(|at| format!("crash {} keep 0", Writer::name(at)))
        .collect();
    if !fallen.is_empty() {
        schedule.steps.extend(fallen);
        state = play(&schedule)?;
    }
    let (carried, left) = compare(nodes, scale, &state);
    Ok(Rebuilt { schedule, carried, left })
}

fn play(schedule: &Schedule) -> Result<State, String> {
    let mut machine = Machine::new(schedule, Mechanisms::all())?;
    while machine.advance().is_some() {}
    match machine.state() {
        Facts::Cluster(state) => Ok(state),
        Facts::Device(_) => Err("that is a device".into()),
    }
}

/// What came out as it was seen, and what did not.
fn compare(nodes: &[Seen], scale: Scale, state: &State) -> (Vec<String>, Vec<String>) {
    let (mut carried, mut left) = (Vec::new(), Vec::new());
    for (seen, here) in nodes.iter().zip(&state.nodes) {
        let name = &here.name;
        let (mut same, mut other) = (Vec::new(), Vec::new());
        let mut told = |is: bool, same_words: String, other_words: String| {
            if is { same.push(same_words) } else { other.push(other_words) }
        };
        told(
            seen.role == here.role,
            seen.role.clone(),
            format!("it is {} there, {} here", seen.role, here.role),
        );
        let promised = seen.promised + scale.epochs;
        let renumbered = if scale.epochs > 0 { format!(" ({promised} here)") } else { String::new() };
        told(
            promised == here.promised,
            format!("epoch {}{renumbered}", seen.promised),
            format!("it promised epoch {promised} there, {} here", here.promised),
        );
        let log: Vec<(u64, u64)> =
            here.log.iter().filter(|cell| cell.seq > BEGIN).map(|cell| (cell.seq, cell.epoch)).collect();
        let wanted = scale.log(seen);
        let count = wanted.len();
        told(
            log == wanted,
            format!("the last {count} entries of its log, with their epochs"),
            format!("its log ends otherwise: {count} entries there, {} here, or of other epochs", log.len()),
        );
        if !same.is_empty() {
            carried.push(format!("{name}: {}", same.join(", ")));
        }
        left.extend(other.into_iter().map(|what| format!("{name}: {what}")));
        left.extend(seen.away.iter().map(|why| format!("{name} is {why} there; here its links are cut")));
    }
    if nodes.iter().any(|node| node.last < BEGIN) {
        left.push(format!("the logs here begin with {BEGIN} entries, which not all have there"));
    }
    if scale.from != BEGIN {
        let (there, here) = (scale.from, BEGIN);
        left.push(match there {
            0 => format!("the logs here begin with {here} entries of epoch 1 that are not there"),
            _ => format!("entries 1 to {there}: here the logs begin with {here} others of epoch 1"),
        });
    }
    left.push("keys and values: the entries here are writes of numbers to one key".into());
    left.push("what is on its way, sessions, disks, and what the gateways know".into());
    (carried, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A situation of the lab itself, as if it had been seen elsewhere.
    fn seen(text: &str) -> Vec<Seen> {
        let state = play(&text.parse().unwrap()).unwrap();
        let away = |name: &str| state.cut.iter().filter(|(a, b)| a == name || b == name).count() > 1;
        let one = |node: &crate::facts::NodeState| Seen {
            role: node.role.into(),
            promised: node.promised,
            base: node.base,
            log: node.log.iter().map(|cell| (cell.seq, cell.epoch)).collect(),
            last: node.log.last().map_or(node.base, |cell| cell.seq),
            away: away(&node.name).then(|| "cut off".to_string()),
        };
        state.nodes.iter().map(one).collect()
    }

    fn is_rebuilt(text: &str) {
        let nodes = seen(text);
        let rebuilt = rebuild(&nodes, 1).unwrap();
        let again = seen(&rebuilt.schedule.to_string());
        assert_eq!(nodes, again, "{text}\nbecame\n{}", rebuilt.schedule);
        assert_eq!(rebuilt.carried.len(), nodes.len(), "{:?}", rebuilt.carried);
        assert!(!rebuilt.left.iter().any(|line| line.contains("ends otherwise")), "{:?}", rebuilt.left);
    }

    #[test]
    fn a_cluster_that_nothing_has_happened_to() {
        is_rebuilt("> cluster 3\n");
        is_rebuilt("> cluster 5\n> write 1 to n1\n> write 2 to n1\n> calm\n");
    }

    #[test]
    fn a_backup_that_is_cut_off_and_lags() {
        is_rebuilt(
            "> cluster 3\n> write 1 to n1\n> calm\n> cut n3 n1\n> cut n3 n2\n> write 2 to n1\n> write 3 to n1\n> calm\n",
        );
    }

    #[test]
    fn an_old_primary_that_is_cut_off_with_entries_of_its_own() {
        is_rebuilt(
            "> cluster 3\n> write 1 to n1\n> calm\n> cut n1 n2\n> cut n1 n3\n> write 2 to n1\n> write 3 to n1\n> calm\n\
             > takeover n2 above 1\n> calm\n> write 4 to n2\n> calm\n",
        );
    }

    #[test]
    fn an_old_primary_that_has_come_back_as_a_backup() {
        is_rebuilt(
            "> cluster 3\n> takeover n3 above 4\n> calm\n> write 1 to n3\n> calm\n> takeover n2 above 7\n> calm\n",
        );
    }

    #[test]
    fn a_long_log_is_cut_to_its_end_and_that_is_told() {
        let writes: String = (1..=40).map(|n| format!("> write {n} to n2\n> calm\n")).collect();
        let nodes = seen(&format!("> cluster 3\n> takeover n2 above 1\n> calm\n{writes}"));
        let rebuilt = rebuild(&nodes, 0).unwrap();
        let again = seen(&rebuilt.schedule.to_string());
        // What is in a checkpoint has no epoch to carry.
        let base = nodes.iter().map(|node| node.base).max().unwrap();
        let from = base.max(nodes[1].last - ENTRIES_MAX);
        assert!(from > BEGIN + ENTRIES_MAX && from < nodes[1].last, "{nodes:?}");
        for node in &again {
            assert_eq!((node.last, node.promised), (BEGIN + nodes[1].last - from, 2), "{}", rebuilt.schedule);
        }
        assert_eq!(again[1].role, "primary");
        assert!(
            rebuilt.left.iter().any(|line| line.contains(&format!("entries 1 to {from}:"))),
            "{:?}",
            rebuilt.left
        );
    }

    #[test]
    fn what_cannot_be_reached_is_told_and_not_claimed() {
        // No schedule gives a backup a promise that nobody asked for.
        let mut nodes = seen("> cluster 3\n");
        nodes[2].promised = 9;
        let rebuilt = rebuild(&nodes, 0).unwrap();
        assert!(
            rebuilt.left.contains(&"n3: it promised epoch 9 there, 1 here".to_string()),
            "{:?}",
            rebuilt.left
        );
        assert!(rebuild(&[], 0).is_err());
    }

    #[test]
    fn the_first_epoch_of_somebody_else_is_told_as_a_greater_one() {
        let mut nodes = seen("> cluster 3\n> write 1 to n1\n> calm\n");
        (nodes[0].role, nodes[1].role) = ("backup".into(), "primary".into());
        let rebuilt = rebuild(&nodes, 0).unwrap();
        let again = seen(&rebuilt.schedule.to_string());
        assert_eq!((again[1].role.as_str(), again[1].promised), ("primary", 2), "{}", rebuilt.schedule);
        assert!(
            rebuilt.carried.iter().any(|line| line.contains("epoch 1 (2 here)")),
            "{:?}",
            rebuilt.carried
        );
    }
}
