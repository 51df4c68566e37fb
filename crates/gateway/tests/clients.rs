//! What a gateway owes its clients: an answer to every request, and never a guess.

mod common;

use std::sync::{Arc, Mutex};

use common::*;
use dataplane::{
    Address, Condition, Frame, Message, NodeId, Op, Outcome, Query, ReadResult, Refusable, Refusal,
    RequestId, WriteResult,
};
use gateway::{Gateway, Output, Reply, Request, SCAN_LIMIT_MAX, Timing, shard_of};
use trace::{Actor, Kind, Tracer};

/// How long a gateway leaves a busy primary alone.
const BUSY_PAUSE: u64 = 20_000;

fn bytes(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

fn put_of(key: usize, value: usize) -> Request {
    Request::Write(Op::Put {
        key: vec![1; key].into(),
        value: vec![0; value].into(),
        condition: Condition::Always,
    })
}

fn scan(limit: u32) -> Request {
    Request::Read(Query::Scan { prefix: bytes("k"), after: None, limit })
}

fn reads(outputs: &[Output]) -> Vec<(u32, u64)> {
    let read = |output: &Output| match output {
        Output::Send(Frame { message: Message::Read { id, .. }, shard, .. }) => Some((*shard, *id)),
        _ => None,
    };
    outputs.iter().filter_map(read).collect()
}

#[test]
fn a_key_has_the_shard_that_fnv_1a_gives_it() {
    // Published test vectors of the hash.
    for (key, hash) in [("a", 0xaf63_dc4c_8601_ec8c_u64), ("foobar", 0x8594_4171_f739_67e8)] {
        for shards in [1, 2, 7, 1024] {
            assert_eq!(u64::from(shard_of(key.as_bytes(), shards)), hash % u64::from(shards));
        }
    }
}

#[test]
fn what_is_out_of_bounds_is_refused_at_once_and_the_bounds_themselves_are_not() {
    let mut g = gateway();
    let max = dataplane::VALUE_BYTES_MAX;
    let refused = [put_of(0, 1), put_of(1025, 1), put_of(1, max + 1), scan(0), scan(SCAN_LIMIT_MAX + 1)];
    for (token, request) in (1..).zip(refused) {
        let answer = replies(&ask(&mut g, token, request));
        assert!(matches!(&answer[..], [(told, Reply::Invalid(_))] if *told == token), "{answer:?}");
    }
    assert_eq!(g.in_flight(), 0);
    for (token, request) in (10..).zip([put_of(1, 0), put_of(1024, max), scan(1), scan(SCAN_LIMIT_MAX)]) {
        assert_eq!(replies(&ask(&mut g, token, request)), []);
    }
    assert_eq!(g.in_flight(), 4);
}

#[test]
fn a_list_over_many_shards_is_one_list_in_order_and_no_longer_than_asked_for() {
    let mut g = gateway_of(2);
    for shard in 0..2 {
        hear_at(&mut g, 1_000, shard, 1, Message::Status { attempt: 0, status: primary(1, 1) });
    }
    let asked = reads(&ask(&mut g, 1, scan(3)));
    assert_eq!(asked.len(), 2);
    let keys = |names: &[&str]| {
        ReadResult::Keys(names.iter().zip(1..).map(|(name, version)| (bytes(name), version, 5)).collect())
    };
    let answer = |g: &mut Gateway, (shard, id), result| {
        replies(&hear_at(g, 1_100, shard, 1, Message::ReadAnswer { id, result }))
    };
    assert_eq!(answer(&mut g, asked[0], keys(&["k2", "k4"])), []);
    let all = answer(&mut g, asked[1], keys(&["k1", "k3", "k5"]));
    let [(1, Reply::Keys(found))] = &all[..] else { panic!("{all:?}") };
    let names: Vec<&[u8]> = found.iter().map(|(key, ..)| &key[..]).collect();
    assert_eq!(names, [b"k1", b"k2", b"k3"]);

    let asked = reads(&ask(&mut g, 2, Request::Read(Query::Count)));
    assert_eq!(answer(&mut g, asked[1], ReadResult::Count(4)), []);
    assert_eq!(answer(&mut g, asked[0], ReadResult::Count(3)), [(2, Reply::Count(7))]);
}

#[test]
fn at_the_deadline_a_write_that_was_sent_is_unknown_and_everything_else_had_no_effect() {
    let deadline = 1_000 + Timing::default().deadline;
    // Nobody leads: nothing is ever sent.
    let mut g = gateway();
    put(&mut g, 1);
    ask(&mut g, 2, Request::Read(Query::Get(bytes("k"))));
    assert_eq!(replies(&tick(&mut g, deadline - 1)), []);
    let ended = replies(&tick(&mut g, deadline));
    let said = "no primary answered within 10 s".to_string();
    assert_eq!(ended, [(1, Reply::Unavailable(said.clone())), (2, Reply::Unavailable(said.clone()))]);
    assert_eq!(g.in_flight(), 0);

    // A write that was sent may have taken effect, and may yet.
    let mut g = gateway();
    serves(&mut g, 1, 1);
    put(&mut g, 1);
    hear(&mut g, 1, Message::SessionOpened { session: 5 });
    ask(&mut g, 2, Request::Read(Query::Get(bytes("k"))));
    let ended = replies(&tick(&mut g, deadline));
    let unknown = Reply::Unknown("no answer within 10 s, although it was sent".into());
    assert_eq!(ended, [(1, unknown), (2, Reply::Unavailable(said))]);
    // It is forgotten: a late answer finds nobody, and nothing is sent again.
    let (request, result) = (RequestId { session: 5, number: 1 }, WriteResult::Done(Outcome::Written(9)));
    assert_eq!(replies(&hear(&mut g, 1, Message::Answer { request, result })), []);
    assert_eq!(writes(&tick(&mut g, deadline + 400_000)), []);
}

#[test]
fn only_the_write_whose_time_is_up_is_given_up() {
    let mut g = gateway();
    serves(&mut g, 1, 1);
    hear(&mut g, 1, Message::SessionOpened { session: 5 });
    put(&mut g, 1);
    g.submit(5_000, 2, put_of(1, 1), false);
    g.outputs().for_each(drop);
    let ended = replies(&tick(&mut g, 1_000 + Timing::default().deadline));
    assert!(matches!(&ended[..], [(1, Reply::Unknown(_))]), "{ended:?}");
    let (request, result) = (RequestId { session: 5, number: 2 }, WriteResult::Done(Outcome::Written(9)));
    let answer = replies(&hear(&mut g, 1, Message::Answer { request, result }));
    assert_eq!(answer, [(2, Reply::Done(Outcome::Written(9)))]);
}

#[test]
fn a_node_that_calls_a_request_invalid_ends_it_unless_it_speaks_of_another_session() {
    let mut g = gateway();
    serves(&mut g, 1, 1);
    hear(&mut g, 1, Message::SessionOpened { session: 5 });
    put(&mut g, 1);
    let asked = reads(&ask(&mut g, 2, Request::Read(Query::Get(bytes("k")))));
    let refused = |what| Message::Refused { what, why: Refusal::Invalid };
    let write = |session| Refusable::Write(RequestId { session, number: 1 });
    assert_eq!(replies(&hear(&mut g, 1, refused(write(4)))), []);
    assert_eq!(replies(&hear(&mut g, 1, refused(Refusable::OpenSession))), []);
    let ended = replies(&hear(&mut g, 1, refused(write(5))));
    assert!(matches!(&ended[..], [(1, Reply::Invalid(_))]), "{ended:?}");
    let ended = replies(&hear(&mut g, 1, refused(Refusable::Read(asked[0].1))));
    assert!(matches!(&ended[..], [(2, Reply::Invalid(_))]), "{ended:?}");
}

#[test]
fn a_busy_primary_is_asked_again_soon_and_a_silent_one_after_the_usual_wait() {
    let mut g = gateway();
    serves(&mut g, 1, 1);
    hear(&mut g, 1, Message::SessionOpened { session: 5 });
    let first = RequestId { session: 5, number: 1 };
    assert_eq!(writes(&put(&mut g, 1)), [first]);
    let again = 1_000 + Timing::default().retry_after;
    assert_eq!(writes(&tick(&mut g, again - 1)), []);
    assert_eq!(writes(&tick(&mut g, again)), [first], "the same identity");
    let busy = Message::Refused { what: Refusable::Write(first), why: Refusal::Busy };
    hear_at(&mut g, again + 100, 0, 1, busy);
    let soon = again + 100 + BUSY_PAUSE;
    assert_eq!(g.next_deadline(), Some(soon));
    assert_eq!(writes(&tick(&mut g, soon - 1)), []);
    assert_eq!(writes(&tick(&mut g, soon)), [first]);
}

#[test]
fn a_session_is_asked_for_once_at_a_time() {
    let asks = |outputs: &[Output]| {
        let asks =
            |output: &&Output| matches!(output, Output::Send(Frame { message: Message::OpenSession, .. }));
        outputs.iter().filter(asks).count()
    };
    let mut g = gateway();
    serves(&mut g, 1, 1);
    assert_eq!(asks(&put(&mut g, 1)), 1);
    assert_eq!(asks(&put(&mut g, 2)), 0);
    let again = 1_000 + Timing::default().retry_after;
    assert_eq!(asks(&tick(&mut g, again - 1)), 0);
    assert_eq!(asks(&tick(&mut g, again)), 1);
}

#[test]
fn no_more_than_a_window_of_writes_is_under_way() {
    let window = dataplane::Limits::default().window;
    let mut g = gateway();
    serves(&mut g, 1, 1);
    hear(&mut g, 1, Message::SessionOpened { session: 5 });
    let sent: usize = (1..=window + 2).map(|token| writes(&put(&mut g, token)).len()).sum();
    assert_eq!(sent as u64, window);
    let answer = |number| Message::Answer {
        request: RequestId { session: 5, number },
        result: WriteResult::Done(Outcome::Written(number)),
    };
    // The second is answered, the first is not: the window does not move.
    assert_eq!(writes(&hear(&mut g, 1, answer(2))), []);
    let numbers: Vec<u64> = writes(&hear(&mut g, 1, answer(1))).iter().map(|id| id.number).collect();
    assert_eq!(numbers, [window + 1, window + 2]);
}

#[test]
fn what_a_client_asked_and_heard_is_in_the_trace_in_words() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let sink = move |event: trace::Event| match event.kind {
        Kind::CallTaken { request, .. } => sink.lock().unwrap().push(request),
        Kind::RequestEnded { request, reply, .. } => sink.lock().unwrap().push(format!("{request}: {reply}")),
        _ => {}
    };
    let mut g = gateway();
    g.trace_to(Tracer::always(Actor::Gateway(1), 0, Box::new(sink)));
    serves(&mut g, 1, 1);
    let (key, prefix, after) = (bytes("k"), bytes("p"), None);
    let get = Request::Read(Query::Get(key.clone()));
    let delete = Request::Write(Op::Delete { key, condition: Condition::Always });
    let mut asks = |request, result: Option<ReadResult>| {
        g.submit(1_000, 1, request, false);
        let asked = reads(&g.outputs().collect::<Vec<_>>());
        if let (Some(result), [(_, id)]) = (result, &asked[..]) {
            let (from, to) = (Address::Node(NodeId(1)), Address::Gateway(ME));
            let message = Message::ReadAnswer { id: *id, result };
            g.handle(1_000, Frame { cluster: [1; 16], shard: 0, from, to, cause: None, message });
            g.outputs().for_each(drop);
        }
        std::mem::take(&mut *told.lock().unwrap())
    };
    assert_eq!(asks(put_of(1, 5), None), ["put \\x01 (5 bytes)"]);
    assert_eq!(asks(delete, None), ["delete k"]);
    let value = ReadResult::Value(7, bytes("abc"));
    assert_eq!(asks(get.clone(), Some(value)), ["get k", "get k: version 7, 3 bytes"]);
    assert_eq!(asks(get.clone(), Some(ReadResult::Missing)), ["get k", "get k: no such key"]);
    assert_eq!(asks(get, Some(ReadResult::Damaged)), ["get k", "get k: the value is damaged"]);
    let list = Request::Read(Query::Scan { prefix, after, limit: 3 });
    let keys = ReadResult::Keys(vec![(bytes("p1"), 1, 1)]);
    assert_eq!(asks(list, Some(keys)), ["list p*", "list p*: 1 keys"]);
    assert_eq!(
        asks(Request::Read(Query::Count), Some(ReadResult::Count(4))),
        ["count", "count: 4 keys in all"]
    );
}

#[test]
fn what_is_sent_again_is_said_to_be_sent_again() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let sink = move |event: trace::Event| match event.kind {
        Kind::RequestRouted { number, .. } => sink.lock().unwrap().push(("write", number, 1)),
        Kind::RequestRetried { number, attempt, .. } => {
            sink.lock().unwrap().push(("write", number, attempt));
        }
        Kind::ReadRouted { id, attempt, .. } => sink.lock().unwrap().push(("read", id, attempt)),
        _ => {}
    };
    let mut g = gateway();
    g.trace_to(Tracer::always(Actor::Gateway(1), 0, Box::new(sink)));
    serves(&mut g, 1, 1);
    hear(&mut g, 1, Message::SessionOpened { session: 5 });
    let mut now = 1_000;
    g.submit(now, 1, put_of(1, 1), false);
    g.submit(now, 2, Request::Read(Query::Count), false);
    for attempt in 1..3 {
        assert_eq!(std::mem::take(&mut *told.lock().unwrap()), [("write", 1, attempt), ("read", 1, attempt)]);
        now += Timing::default().retry_after;
        g.tick(now);
    }
}

#[test]
fn a_write_that_waits_for_a_primary_was_not_sent_because_another_one_was() {
    let mut g = gateway_of(2);
    let key =
        |shard| (0..).map(|n: u32| n.to_string()).find(|key| shard_of(key.as_bytes(), 2) == shard).unwrap();
    let put_to = |g: &mut Gateway, now, token, shard| {
        let (key, value) = (bytes(&key(shard)), bytes("v"));
        let put = Request::Write(Op::Put { key, value, condition: Condition::Always });
        g.submit(now, token, put, false);
        g.outputs().collect::<Vec<_>>()
    };
    serves(&mut g, 1, 1);
    hear(&mut g, 1, Message::SessionOpened { session: 5 });
    // Of the two that wait for the other shard's primary, the first one's time is up.
    assert_eq!(writes(&put_to(&mut g, 1_000, 1, 1)), []);
    assert_eq!(writes(&put_to(&mut g, 5_000, 2, 1)), []);
    assert_eq!(writes(&put_to(&mut g, 5_000, 3, 0)).len(), 1);
    let now = 1_000 + Timing::default().deadline;
    let ended = replies(&tick(&mut g, now));
    assert!(matches!(&ended[..], [(1, Reply::Unavailable(_))]), "{ended:?}");
    hear_at(&mut g, now, 1, 2, Message::Status { attempt: 0, status: primary(2, 1) });
    let sent = writes(&hear_at(&mut g, now, 1, 2, Message::SessionOpened { session: 8 }));
    assert_eq!(sent, [RequestId { session: 8, number: 1 }], "the second one");
    let (request, result) = (sent[0], WriteResult::Done(Outcome::Written(9)));
    let ended = replies(&hear_at(&mut g, now, 1, 2, Message::Answer { request, result }));
    assert_eq!(ended, [(2, Reply::Done(Outcome::Written(9)))]);
}

#[test]
fn a_gateway_wants_to_be_woken_when_a_call_has_waited_for_long_enough() {
    let every = Timing::default().retry_after;
    for request in [put_of(1, 1), Request::Read(Query::Count)] {
        let mut g = gateway();
        serves(&mut g, 1, 1);
        hear(&mut g, 1, Message::SessionOpened { session: 5 });
        ask(&mut g, 1, request);
        let due = 1_000 + every;
        // It is woken for probes as well, and the primary answers them.
        let mut asked_at = Vec::new();
        while asked_at.len() < 2 {
            let now = g.next_deadline().unwrap();
            let outputs = tick(&mut g, now);
            if writes(&outputs).len() + reads(&outputs).len() > 0 {
                asked_at.push(now);
            }
            let status = Message::Status { attempt: now, status: primary(1, 1) };
            hear_at(&mut g, now, 0, 1, status);
        }
        assert_eq!(asked_at, [due, due + 2 * every], "each wait is twice the one before");
    }
}

#[test]
fn only_the_read_whose_time_is_up_is_given_up() {
    let mut g = gateway();
    serves(&mut g, 1, 1);
    ask(&mut g, 1, Request::Read(Query::Count));
    g.submit(5_000, 2, Request::Read(Query::Count), false);
    let second = reads(&g.outputs().collect::<Vec<_>>())[0].1;
    let ended = replies(&tick(&mut g, 1_000 + Timing::default().deadline));
    assert!(matches!(&ended[..], [(1, Reply::Unavailable(_))]), "{ended:?}");
    let answer = Message::ReadAnswer { id: second, result: ReadResult::Count(3) };
    assert_eq!(replies(&hear(&mut g, 1, answer)), [(2, Reply::Count(3))]);
}

#[test]
fn a_request_that_is_followed_is_followed_also_when_something_else_lets_it_go() {
    let mut g = gateway();
    g.trace_to(Tracer::followed(Actor::Gateway(1), 0, || 0, Box::new(|_| {})));
    g.submit(1_000, 1, Request::Read(Query::Count), true);
    assert_eq!(g.outputs().collect::<Vec<_>>(), []);
    // Nobody follows the frame from which a primary is learned.
    let (from, to) = (Address::Node(NodeId(1)), Address::Gateway(ME));
    let message = Message::Status { attempt: 0, status: primary(1, 1) };
    g.handle(2_000, Frame { cluster: [1; 16], shard: 0, from, to, cause: None, message });
    let cause = g.outputs().find_map(|output| match output {
        Output::Send(Frame { message: Message::Read { .. }, cause, .. }) => Some(cause),
        _ => None,
    });
    assert!(cause.expect("the read is sent").is_some());
}
