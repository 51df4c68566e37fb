//! The invariants in a sentence each, for whoever reads of a broken one. Engine and ARCHITECTURE state them.

/// Their numbers, and what they say.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("D1", "two replicas that committed a seq committed the same entry at that seq"),
    ("D2", "an epoch has at most one primary"),
    ("D3", "a replica's promise never decreases, across any restart"),
    ("D4", "every write acknowledged to a client is in the log of every later primary"),
    ("D5", "only committed entries are applied, so only committed entries are read"),
    ("D6", "every request takes effect at most once"),
    ("D7", "a committed entry is never truncated"),
    ("D8", "a primary's log only grows during its epoch"),
    ("E1", "what was acknowledged is recovered"),
    ("E2", "what is recovered is a prefix of what was appended, in order; an applied entry is never undone"),
    ("E3", "no extent has two owners"),
    ("E4", "every live key reads its own bytes"),
    ("E5", "the promise never goes back"),
    ("E6", "nothing that was undone, discarded or overwritten comes back"),
];

/// The invariants that a sentence on what is broken begins with.
pub fn stated(broken: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let ids: Vec<&str> = broken.split(':').next().unwrap_or_default().split(", ").collect();
    INVARIANTS.iter().filter(move |(id, _)| ids.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_architecture_and_of_the_engine() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let text = |file: &str| std::fs::read_to_string(format!("{root}/{file}")).unwrap();
        let (cluster, device) = (text("ARCHITECTURE.md"), text("crates/engine/src/lib.rs"));
        for (id, what) in INVARIANTS {
            let sentence = format!("{}{}", what[..1].to_ascii_uppercase(), &what[1..]);
            let stated = match id.starts_with('D') {
                true => cluster.contains(&format!("| **{id}** | {what} |")),
                false => device.contains(&format!("- **{id}** {sentence}.")),
            };
            assert!(stated, "{id}: {what}");
        }
    }
}
