//! The gateway's removable mechanisms. (`frame-identity` is `dataplane::guard::frame_identity`, for both.)

use dataplane::{Micros, Seq};
use trace::{Mechanism, Mechanisms};

/// `failover-backoff`: how long to wait before takeover attempt number `attempt` (from 0), given a random number.
///
/// Without it: (1) two gateways suspect the primary and ask two replicas; (2) each candidate's epoch fences the other
/// before its marker is committed; (3) both gateways ask again at once, and so on.
pub fn failover_backoff(on: Mechanisms, attempt: u32, random: u64, patience: Micros, max: Micros) -> Micros {
    if attempt == 0 || !on.stops(Mechanism::FailoverBackoff, true) {
        return 0;
    }
    let wait = (patience << attempt.min(10)).min(max);
    // Half fixed, half random: gateways that collided once do not collide for ever.
    wait / 2 + random % (wait / 2 + 1)
}

/// `session-once`: may session `opened` be taken up, after `last`? Another one is greater: it was opened later in the log.
///
/// Without it its numbers are given out again: (1) request 15.1 takes effect; (2) session 15 is given up; (3) a late
/// frame says that it is open; (4) another request becomes 15.1, and is answered with the result of the first.
pub fn session_once(on: Mechanisms, opened: Seq, last: Seq) -> bool {
    !on.stops(Mechanism::SessionOnce, opened <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_half_fixed_half_random_and_doubles_up_to_the_longest() {
        let wait = |attempt, random| failover_backoff(Mechanisms::all(), attempt, random, 100, 1000);
        assert_eq!((wait(0, 7), wait(1, 0), wait(1, 100), wait(1, 101)), (0, 100, 200, 100));
        assert_eq!((wait(2, 200), wait(3, 400), wait(4, 500), wait(99, 500)), (400, 800, 1000, 1000));
        let without = Mechanisms::all().without(Mechanism::FailoverBackoff);
        assert_eq!(failover_backoff(without, 3, 400, 100, 1000), 0);
    }
}
