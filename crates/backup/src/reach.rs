//! How far a copy must reach to hold everything that was acknowledged before it was begun.

use kv::Seq;

/// The least entry that a copy must be as of, from how far the logs of replicas of a shard were durable when each was asked,
/// after the copy was begun; `None` if too few of them spoke.
///
/// 1. A client is told OK when its write is durable on a majority, the primary among it.
/// 2. Each replica that is heard after that says how far its log is durable.
/// 3. Any majority has one replica in common with the one that acknowledged, and an entry that was acknowledged is never
///    truncated: so the furthest of them is at least that far.
///
/// A replica that may have forgotten something, or is being filled, must not be counted. The copy may wait for more than was
/// acknowledged: entries that are on their way.
pub fn reach(members: usize, durable: &[Seq]) -> Option<Seq> {
    durable.iter().max().copied().filter(|_| durable.len() > members / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_of_a_majority_has_everything_that_was_acknowledged() {
        assert_eq!(reach(3, &[4, 7]), Some(7));
        assert_eq!(reach(3, &[7]), None, "one of three may have missed all of it");
        assert_eq!(reach(4, &[7, 7]), None, "half of them are no majority");
        assert_eq!(reach(1, &[7]), Some(7));
        assert_eq!(reach(3, &[]), None);
    }
}
