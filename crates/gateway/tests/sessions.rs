//! What a gateway does with sessions when frames come late, told as stories.

mod common;

use common::*;
use dataplane::{Message, Outcome, RequestId, Seq, WriteResult};
use gateway::{Output, Reply};

fn unknown_session(session: Seq) -> Message {
    let request = RequestId { session, number: 1 };
    Message::Answer { request, result: WriteResult::SessionUnknown }
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
    let (request, result) = (RequestId { session: 15, number: 1 }, WriteResult::Done(Outcome::Nothing));
    let answer = hear(&mut gateway, 1, Message::Answer { request, result });
    assert!(matches!(answer[..], [Output::Reply { token: 1, reply: Reply::Unavailable(_) }]));
}
