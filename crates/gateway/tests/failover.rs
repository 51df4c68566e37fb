//! How a gateway finds the primary, loses it, and calls for the next.

mod common;

use common::*;
use dataplane::{Epoch, Message, Micros, NodeId, NodeStatus, Proof, RoleName};
use gateway::{Failover, Gateway, Output, Timing};

fn says(gateway: &mut Gateway, now: Micros, asked_at: Micros, node: u32, status: NodeStatus) -> Vec<Output> {
    hear_at(gateway, now, 0, node, Message::Status { attempt: asked_at, status })
}

fn leader(gateway: &Gateway) -> Option<u32> {
    gateway.view()[0].primary.map(|node| node.0)
}

fn failover(gateway: &Gateway) -> Option<(Option<u32>, u32, String)> {
    let last = gateway.view()[0].last_failover.clone()?;
    let Failover { from, to, why, .. } = last;
    Some((from.map(|node| node.0), to.0, why))
}

#[test]
fn a_primary_that_falls_silent_is_suspected_and_the_most_complete_log_is_called() {
    let mut g = gateway();
    let silence = Timing::default().silence;
    serves(&mut g, 1, 1);
    tick(&mut g, 1_000);
    assert_eq!((leader(&g), g.view()[0].epoch), (Some(1), Epoch(1)));
    tick(&mut g, 1_000 + silence - 1);
    assert_eq!(leader(&g), Some(1), "not before its time");
    let now = 1_000 + silence;
    let asked = tick(&mut g, now);
    assert_eq!((leader(&g), probes(&asked)), (None, 3), "all are asked how complete their logs are");
    assert_eq!(called(&says(&mut g, now, now, 2, backup(4, 7))), [], "one answer of three is not enough");
    assert_eq!(called(&says(&mut g, now, now, 3, backup(3, 9))), [(0, 3, 4)], "above every epoch heard of");
    says(&mut g, now + 10, 0, 3, primary(3, 5));
    assert_eq!((leader(&g), g.view()[0].epoch), (Some(3), Epoch(5)));
    assert_eq!(failover(&g), Some((Some(1), 3, "it has been silent for too long".into())));
    assert_eq!(g.view()[0].last_failover.as_ref().unwrap().at, now + 10);
    let heard = g.view()[0].nodes.clone();
    assert_eq!(
        heard[1],
        (NodeId(2), Some((now, backup(4, 7)))),
        "the view tells what each node said, and when"
    );
}

#[test]
fn at_the_start_nobody_is_called_before_all_have_answered_or_had_the_time_to() {
    let mut g = gateway();
    assert_eq!(probes(&tick(&mut g, 0)), 3);
    says(&mut g, 10, 0, 1, backup(1, 5));
    assert_eq!(called(&says(&mut g, 20, 0, 2, backup(1, 6))), []);
    assert_eq!(g.next_deadline(), Some(60_000));
    assert_eq!(called(&tick(&mut g, 59_999)), []);
    assert_eq!(called(&tick(&mut g, 60_000)), [(0, 2, 1)]);

    let mut g = gateway();
    tick(&mut g, 0);
    says(&mut g, 10, 0, 1, backup(1, 5));
    says(&mut g, 20, 0, 2, backup(1, 6));
    assert_eq!(called(&says(&mut g, 30, 0, 3, backup(1, 7))), [(0, 3, 1)], "the third answer ends the wait");
    assert_eq!(failover(&g), None);
    says(&mut g, 40, 0, 3, primary(3, 2));
    assert_eq!(failover(&g), Some((None, 3, "no primary was known when this gateway started".into())));
}

#[test]
fn whose_log_is_unproven_is_not_called() {
    let mut g = gateway();
    tick(&mut g, 0);
    let unproven = NodeStatus { proof: Proof::Unproven, ..backup(1, 9) };
    says(&mut g, 10, 0, 1, unproven);
    says(&mut g, 10, 0, 2, backup(1, 3));
    says(&mut g, 10, 0, 3, backup(1, 4));
    assert_eq!(called(&tick(&mut g, 60_000)), [(0, 3, 1)]);
}

/// n1 has lost entries and says where its log ended; n3 has all of them, and a slow disk. n2 answers first: it cannot lead,
/// and a candidacy of its own would depose n3 whenever that has come to lead.
#[test]
fn whom_no_majority_can_support_is_not_called_while_somebody_slow_may_be() {
    let full = backup(1, 9);
    let lost = || {
        let mut g = gateway();
        says(&mut g, 1_000, 0, 3, full.clone());
        serves(&mut g, 1, 1);
        let now = 1_000 + Timing::default().silence;
        tick(&mut g, now);
        assert_eq!(leader(&g), None);
        says(&mut g, now, now, 1, NodeStatus { voted_tail: full.tail, ..backup(1, 0) });
        assert_eq!(called(&says(&mut g, now, now, 2, backup(1, 5))), []);
        assert_eq!(called(&tick(&mut g, now + 200_000)), [], "n1 and n3 would not support n2");
        (g, now)
    };
    let (mut g, now) = lost();
    assert_eq!(called(&says(&mut g, now + 210_000, now, 3, full.clone())), [(0, 3, 1)]);
    // If n3 does not come to answer, what is known of it may be old.
    let (mut g, now) = lost();
    assert_eq!(called(&tick(&mut g, now + 2_000_000)), [(0, 2, 1)]);
}

#[test]
fn the_primaries_of_many_shards_spread_over_the_nodes() {
    let mut g = gateway_of(7);
    tick(&mut g, 0);
    let mut calls = Vec::new();
    for shard in 0..7 {
        for node in 1..=3 {
            let status = Message::Status { attempt: 0, status: backup(1, 2) };
            calls.extend(called(&hear_at(&mut g, 10, shard, node, status)));
        }
    }
    assert_eq!(
        calls,
        [1, 2, 3, 1, 2, 3, 1].iter().zip(0..).map(|(node, shard)| (shard, *node, 1)).collect::<Vec<_>>()
    );
}

#[test]
fn what_a_node_said_before_a_newer_promise_is_not_news() {
    let mut g = gateway();
    serves(&mut g, 1, 3);
    says(&mut g, 1_100, 0, 1, backup(2, 9));
    assert_eq!(leader(&g), Some(1), "a late frame of a time before it led");
    says(&mut g, 1_200, 0, 1, backup(3, 9));
    assert_eq!(leader(&g), None, "it says that it does not lead");
}

#[test]
fn a_primary_that_cannot_reach_a_majority_is_suspected_and_one_of_the_past_is_not_believed() {
    let mut g = gateway();
    let silence = Timing::default().silence;
    serves(&mut g, 1, 3);
    says(&mut g, 1_100, 0, 2, primary(2, 2));
    assert_eq!((leader(&g), g.view()[0].epoch), (Some(1), Epoch(3)));
    says(&mut g, 1_200, 0, 1, NodeStatus { cut_off_micros: silence, ..primary(1, 3) });
    assert_eq!(leader(&g), Some(1));
    says(&mut g, 1_300, 0, 1, NodeStatus { cut_off_micros: silence + 1, ..primary(1, 3) });
    assert_eq!(leader(&g), None);
    // It reaches them again: a false alarm is no failover.
    let before = failover(&g);
    says(&mut g, 1_400, 0, 1, primary(1, 3));
    assert_eq!((leader(&g), failover(&g)), (Some(1), before));
}

#[test]
fn a_takeover_that_another_gateway_called_for_is_noticed() {
    let mut g = gateway();
    serves(&mut g, 1, 1);
    serves(&mut g, 2, 2);
    assert_eq!(failover(&g), Some((Some(1), 2, "another gateway called for a takeover".into())));
}

#[test]
fn a_takeover_that_fails_is_tried_again_after_a_wait_and_then_the_lost_primary_may_be_called_too() {
    let mut g = gateway();
    let patience = Timing::default().takeover_patience;
    serves(&mut g, 1, 1);
    g.unreachable(2_000, NodeId(1), 0);
    assert_eq!(probes(&g.outputs().collect::<Vec<_>>()), 3);
    // n1 has the most complete log, but it is the one that was lost.
    says(&mut g, 2_100, 2_000, 1, backup(1, 9));
    assert_eq!(called(&says(&mut g, 2_200, 2_000, 2, backup(1, 5))), [(0, 2, 1)]);
    assert_eq!(called(&tick(&mut g, 2_200 + patience - 1)), []);
    let failed = 2_200 + patience;
    assert_eq!(called(&tick(&mut g, failed)), []);
    // The first wait is between once and twice the patience. Who answers meanwhile is not called.
    for node in 1..=3 {
        assert_eq!(
            called(&says(&mut g, failed + patience - 1, failed, node, backup(1, u64::from(10 - node)))),
            []
        );
    }
    let again = failed + 2 * patience;
    assert_eq!(probes(&tick(&mut g, again)), 3);
    says(&mut g, again, again, 1, backup(1, 9));
    assert_eq!(called(&says(&mut g, again, again, 2, backup(1, 5))), [(0, 1, 1)]);
}

#[test]
fn a_primary_that_does_not_serve_yet_is_none() {
    let mut g = gateway();
    says(&mut g, 1_000, 0, 1, NodeStatus { serving: false, ..primary(1, 2) });
    assert_eq!(leader(&g), None);
    says(&mut g, 1_000, 0, 1, primary(1, 2));
    assert_eq!(leader(&g), Some(1));
}

#[test]
fn a_primary_is_news_once_in_each_epoch() {
    let mut g = gateway();
    serves(&mut g, 1, 2);
    hear(&mut g, 1, Message::SessionOpened { session: 5 });
    assert_eq!(writes(&put(&mut g, 1)).len(), 1);
    assert_eq!(writes(&serves(&mut g, 1, 2)), [], "nothing is sent again because of it");
    assert_eq!(writes(&serves(&mut g, 1, 3)).len(), 1, "it led again, and may have lost what it was sent");
    assert_eq!(g.view()[0].epoch, Epoch(3));
}

#[test]
fn a_request_that_is_older_than_the_primary_is_no_reason_to_suspect_it() {
    let mut g = gateway();
    let timing = Timing::default();
    let stuck = 6 * timing.silence;
    serves(&mut g, 1, 1);
    hear(&mut g, 1, Message::SessionOpened { session: 5 });
    put(&mut g, 1);
    let learned_at = 1_000 + stuck - 1;
    says(&mut g, learned_at, learned_at, 2, primary(2, 2));
    let mut now = learned_at;
    // It answers every probe, and never the request.
    while now + timing.probe_every < learned_at + stuck {
        now += timing.probe_every;
        says(&mut g, now, now, 2, primary(2, 2));
        tick(&mut g, now);
        assert_eq!(leader(&g), Some(2), "{} after it was learned", now - learned_at);
    }
    tick(&mut g, learned_at + stuck - 1);
    assert_eq!(leader(&g), Some(2));
    tick(&mut g, learned_at + stuck);
    assert_eq!(leader(&g), None);
}

#[test]
fn a_called_node_has_all_of_its_time_and_the_next_attempt_waits_from_its_end_on() {
    let mut g = gateway();
    let patience = Timing::default().takeover_patience;
    serves(&mut g, 1, 1);
    g.unreachable(2_000, NodeId(1), 0);
    g.outputs().for_each(drop);
    says(&mut g, 2_100, 2_000, 3, backup(1, 4));
    assert_eq!(called(&says(&mut g, 2_200, 2_000, 2, backup(1, 5))), [(0, 2, 1)]);
    let failed = 2_200 + patience;
    let mut called_at = Vec::new();
    for now in (2_201..failed + 3 * patience).step_by(1_000) {
        let mut outputs = tick(&mut g, now);
        let stands = NodeStatus { role: RoleName::Candidate, ..backup(2, 5) };
        outputs.extend(says(&mut g, now, now, 2, if now < failed { stands } else { backup(2, 5) }));
        outputs.extend(says(&mut g, now, now, 3, backup(1, 5)));
        called_at.extend(called(&outputs).iter().map(|_| now));
    }
    let again = called_at[0];
    assert!((failed + patience..=failed + 2 * patience + 1_000).contains(&again), "{again}, not {failed}");
}

#[test]
fn a_gateway_wants_to_be_woken_when_a_silence_a_call_or_a_wait_has_lasted_long_enough() {
    let timing = Timing::default();
    let mut g = gateway();
    tick(&mut g, 0);
    assert_eq!(g.next_deadline(), Some(60_000), "so long it asks around");
    tick(&mut g, 60_000);
    assert_eq!(g.next_deadline(), Some(timing.probe_every), "nobody has answered");
    // A known primary falls silent between two probes.
    says(&mut g, 80_000, 0, 1, primary(1, 1));
    let silent = 80_000 + timing.silence;
    let mut woken = Vec::new();
    while leader(&g).is_some() {
        let now = g.next_deadline().unwrap();
        tick(&mut g, now);
        woken.push(now);
    }
    assert_eq!(*woken.last().unwrap(), silent, "{woken:?}");
    // The called node does not lead in its time, and another attempt has to wait.
    says(&mut g, silent, silent, 2, backup(1, 5));
    assert_eq!(called(&says(&mut g, silent, silent, 3, backup(1, 4))), [(0, 2, 1)]);
    let failed = silent + timing.takeover_patience;
    let (mut probed, mut others) = (Vec::new(), Vec::new());
    while probed.last().is_none_or(|at| *at < failed + 3 * timing.takeover_patience) {
        let now = g.next_deadline().unwrap();
        if probes(&tick(&mut g, now)) > 0 { probed.push(now) } else { others.push(now) }
    }
    // All are asked again at once when the wait is over, and not only when it is time for the next probe.
    let early = probed.windows(2).find(|pair| pair[1] - pair[0] != timing.probe_every).unwrap()[1];
    assert!((failed + timing.takeover_patience..=failed + 2 * timing.takeover_patience).contains(&early));
    assert_eq!(others, [failed, early + 2 * 60_000], "and more time is given to those who answer late");
}

#[test]
fn all_are_asked_once_when_a_primary_is_lost() {
    let mut g = gateway();
    serves(&mut g, 1, 1);
    g.unreachable(2_000, NodeId(1), 0);
    assert_eq!(probes(&g.outputs().collect::<Vec<_>>()), 3);
    assert_eq!(probes(&says(&mut g, 2_000, 2_000, 2, backup(1, 5))), 0, "not once more for each answer");
    assert_eq!(probes(&tick(&mut g, 2_000)), 0);
}

/// Syncs of a second, round trips of half a second: an attempt that is given as long as on a quick disk never succeeds.
#[test]
fn a_takeover_is_waited_for_as_long_as_syncs_and_round_trips_take() {
    let (trip, sync) = (500_000, 1_000_000);
    let slow = |promised| NodeStatus { sync_micros: sync, ..backup(promised, 5) };
    let mut g = gateway();
    serves(&mut g, 1, 1);
    let mut now = 1_000;
    for node in 2..=3 {
        says(&mut g, trip + 1_000, 1_000, node, slow(1));
    }
    g.unreachable(2_000, NodeId(1), 0);
    let mut calls = Vec::new();
    while calls.is_empty() {
        now += 10_000;
        let mut outputs = tick(&mut g, now);
        for node in 2..=3 {
            if now > 2_000 + trip {
                outputs.extend(says(&mut g, now, now - trip, node, slow(1)));
            }
        }
        calls = patiences(&outputs);
        assert!(now < 10_000_000, "nobody is called");
    }
    // Two syncs of a promise, one of the marker; to the candidate, to the others and back, twice.
    let needs = 3 * sync + 2 * trip + trip / 2;
    assert!(calls[0] >= 2 * sync + trip, "the candidate has {} µs", calls[0]);
    let called_at = now;
    while now < called_at + needs {
        now += 10_000;
        let stands = NodeStatus { role: RoleName::Candidate, ..slow(2) };
        let mut outputs = tick(&mut g, now);
        outputs.extend(says(&mut g, now, now - trip, 2, stands));
        outputs.extend(says(&mut g, now, now - trip, 3, slow(1)));
        assert_eq!(called(&outputs), [], "{} µs after the call", now - called_at);
    }
    says(&mut g, now, 0, 2, primary(2, 2));
    assert_eq!(leader(&g), Some(2));
}

#[test]
fn a_call_that_was_not_heard_is_repeated_and_one_that_was_given_up_ends_at_once() {
    let mut g = gateway();
    serves(&mut g, 1, 1);
    g.unreachable(2_000, NodeId(1), 0);
    g.outputs().for_each(drop);
    says(&mut g, 2_100, 2_000, 3, backup(1, 4));
    assert_eq!(called(&says(&mut g, 2_200, 2_000, 2, backup(1, 5))), [(0, 2, 1)]);
    assert_eq!(called(&says(&mut g, 2_300, 2_100, 2, backup(1, 5))), [], "it was asked before it was called");
    assert_eq!(called(&says(&mut g, 2_500, 2_400, 2, backup(1, 5))), [(0, 2, 1)]);
    // It stood in epoch 2, and is a backup again: the wait for the next attempt begins now.
    says(&mut g, 2_600, 0, 2, backup(2, 5));
    let patience = Timing::default().takeover_patience;
    let again = 2_600 + 2 * patience;
    let said = [2, 3].map(|node| says(&mut g, again, again, node, backup(2, 5))).concat();
    assert_eq!(called(&said).len(), 1);
}

#[test]
fn a_primary_that_answers_probes_and_no_requests_is_not_believed_again_before_somebody_else_was_called() {
    let mut g = gateway();
    serves(&mut g, 1, 1);
    hear(&mut g, 1, Message::SessionOpened { session: 5 });
    put(&mut g, 1);
    let mut now = 1_000;
    while leader(&g).is_some() {
        now += 50_000;
        tick(&mut g, now);
        if leader(&g).is_some() {
            says(&mut g, now, now, 1, primary(1, 1));
        }
        assert!(now < 9_000_000, "it is never suspected");
    }
    says(&mut g, now + 10, now + 5, 1, primary(1, 1));
    assert_eq!(leader(&g), None, "its status says what it said before");
    says(&mut g, now + 20, 0, 2, primary(2, 2));
    assert_eq!(failover(&g), Some((Some(1), 2, "it answers probes but no requests".into())));
}

/// While nobody leads nothing is written, so nothing shows that the disks are quick again.
#[test]
fn a_takeover_that_failed_after_a_stall_of_the_disks_is_tried_again_soon() {
    let stalled = |promised| NodeStatus { sync_micros: 2_500_000, ..backup(promised, 5) };
    let mut g = gateway();
    serves(&mut g, 1, 1);
    g.unreachable(2_000, NodeId(1), 0);
    let answers = |g: &mut Gateway, now, promised| {
        let mut outputs = tick(g, now);
        outputs.extend(says(g, now, now, 2, stalled(promised)));
        outputs.extend(says(g, now, now, 3, stalled(promised)));
        called(&outputs)
    };
    let mut now = 3_000;
    while answers(&mut g, now, 1).is_empty() {
        now += 1_000;
        assert!(now < 100_000, "nobody is called");
    }
    // It stood and failed, within milliseconds.
    let failed_at = now + 20_000;
    now = failed_at;
    while answers(&mut g, now, 2).is_empty() {
        now += 10_000;
        let waits = now - failed_at;
        assert!(waits <= Timing::default().backoff_max, "nobody is called for {waits} µs");
    }
}
