//! What a gateway does with sessions when frames come late, told as stories.

mod common;

use common::*;
use dataplane::{Message, Outcome, RequestId, Seq, WriteResult};
use gateway::{Output, Reply};

/// The session is not known, but everything from this seq on is.
fn evicted(session: Seq, remembered_from: Seq) -> Message {
    let request = RequestId { session, number: 1 };
    Message::Answer { request, result: WriteResult::SessionUnknown(remembered_from) }
}

fn unknown_session(session: Seq) -> Message {
    evicted(session, Seq::MAX)
}

#[test]
fn a_gateway_that_was_idle_while_its_session_was_evicted_gives_its_next_write_an_answer() {
    for (remembered_from, known) in [(99, true), (100, true), (101, true), (102, false), (Seq::MAX, false)] {
        let mut gateway = gateway();
        serves(&mut gateway, 1, 1);
        put(&mut gateway, 1);
        hear(&mut gateway, 1, Message::SessionOpened { session: 15 });
        let (request, result) =
            (RequestId { session: 15, number: 1 }, WriteResult::Done(Outcome::Written(16)));
        hear(&mut gateway, 1, Message::Answer { request, result });
        // Others write on; whatever this gateway sends from here on takes effect at 101 or later.
        let status = dataplane::NodeStatus { committed: 100, ..primary(1, 1) };
        hear(&mut gateway, 1, Message::Status { attempt: 0, status });
        put(&mut gateway, 2);
        put(&mut gateway, 3);
        let told = hear(&mut gateway, 1, evicted(15, remembered_from));
        assert_eq!(replies(&told).len(), if known { 0 } else { 2 }, "{remembered_from}: {told:?}");
        let again = writes(&hear(&mut gateway, 1, Message::SessionOpened { session: 120 }));
        let numbers: Vec<u64> = again.iter().map(|request| request.number).collect();
        assert_eq!(numbers, if known { vec![1, 2] } else { vec![] });
    }
}

#[test]
fn a_session_that_was_given_up_is_not_taken_up_again() {
    let mut gateway = gateway();
    serves(&mut gateway, 1, 1);
    put(&mut gateway, 1);
    let first = hear(&mut gateway, 1, Message::SessionOpened { session: 15 });
    assert_eq!(writes(&first), [RequestId { session: 15, number: 1 }]);
    let given_up = hear(&mut gateway, 1, unknown_session(15));
    assert!(matches!(given_up[..], [Output::Reply { token: 1, reply: Reply::Unknown(_) }]));
    // The next write waits for a session. A late frame names the old one, in which 15.1 may have taken effect.
    put(&mut gateway, 2);
    assert_eq!(writes(&hear(&mut gateway, 1, Message::SessionOpened { session: 15 })), []);
    let fresh = hear(&mut gateway, 1, Message::SessionOpened { session: 20 });
    assert_eq!(writes(&fresh), [RequestId { session: 20, number: 1 }]);
}

#[test]
fn a_primary_of_the_past_does_not_end_a_session() {
    let mut gateway = gateway();
    serves(&mut gateway, 1, 1);
    put(&mut gateway, 1);
    hear(&mut gateway, 1, Message::SessionOpened { session: 15 });
    let again = serves(&mut gateway, 2, 2);
    assert_eq!(
        writes(&again),
        [RequestId { session: 15, number: 1 }],
        "the same request goes to the new primary"
    );
    assert_eq!(hear(&mut gateway, 1, unknown_session(15)), []);
    let (request, result) = (RequestId { session: 15, number: 1 }, WriteResult::Done(Outcome::Written(17)));
    let answer = hear(&mut gateway, 2, Message::Answer { request, result });
    assert_eq!(answer, [Output::Reply { token: 1, reply: Reply::Done(Outcome::Written(17)) }]);
}

#[test]
fn a_full_device_is_a_definite_no() {
    let mut gateway = gateway();
    serves(&mut gateway, 1, 1);
    put(&mut gateway, 1);
    hear(&mut gateway, 1, Message::SessionOpened { session: 15 });
    let (request, result) = (RequestId { session: 15, number: 1 }, WriteResult::Done(Outcome::NoRoom));
    let answer = hear(&mut gateway, 1, Message::Answer { request, result });
    assert!(matches!(answer[..], [Output::Reply { token: 1, reply: Reply::NoRoom }]));
}
