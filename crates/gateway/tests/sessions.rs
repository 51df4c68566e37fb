//! What a gateway does with sessions when frames come late, told as stories.

use dataplane::{
    Address, Condition, Epoch, Frame, GatewayId, Message, NodeId, NodeStatus, Outcome, Proof, RequestId,
    RoleName, Seq, Tail, WriteResult,
};
use gateway::{Config, Gateway, Output, Reply, Request, Timing};
use trace::{Mechanisms, Tracer};

const ME: GatewayId = GatewayId { gateway: 1, life: 1 };

fn gateway() -> Gateway {
    let config = Config {
        id: ME,
        cluster: [1; 16],
        nodes: [1, 2, 3].map(NodeId).to_vec(),
        shards: 1,
        seed: 1,
        mechanisms: Mechanisms::all(),
        timing: Timing::default(),
    };
    Gateway::new(config, 0)
}

/// A node says something; gives what the gateway then sends and answers.
fn hear(gateway: &mut Gateway, from: u32, message: Message) -> Vec<Output> {
    let (from, to) = (Address::Node(NodeId(from)), Address::Gateway(ME));
    gateway.handle(
        1_000,
        Frame { cluster: [1; 16], shard: 0, from, to, cause: None, message },
        &mut Tracer::off(),
    );
    gateway.take_outputs()
}

fn serves(gateway: &mut Gateway, node: u32, epoch: u64) -> Vec<Output> {
    let status = NodeStatus {
        pid: 1,
        role: RoleName::Primary,
        serving: true,
        proof: Proof::Proven,
        promised: Epoch(epoch),
        primary: Some(NodeId(node)),
        tail: Tail::default(),
        durable: 0,
        committed: 0,
        cut_off_micros: 0,
    };
    hear(gateway, node, Message::Status { attempt: 0, status })
}

fn put(gateway: &mut Gateway, token: u64) -> Vec<Output> {
    let (key, value) = (b"k".as_slice().into(), b"v".as_slice().into());
    gateway.submit(
        1_000,
        token,
        Request::Put { key, value, condition: Condition::Always },
        false,
        &mut Tracer::off(),
    );
    gateway.take_outputs()
}

fn writes(outputs: &[Output]) -> Vec<RequestId> {
    let request = |output: &Output| match output {
        Output::Send(Frame { message: Message::Write { request, .. }, .. }) => Some(*request),
        _ => None,
    };
    outputs.iter().filter_map(request).collect()
}

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
