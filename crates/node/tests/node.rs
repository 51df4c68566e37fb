//! A node on a small simulated disk: what a full one takes, when it makes checkpoints, and when it stops.

use std::sync::{Arc, Mutex};

use dataplane::{
    Address, Condition, Entry, Epoch, Frame, GatewayId, Message, Micros, NodeId, Op, Origin, Outcome, Query,
    Refusal, RequestId, Tail, Timing, WriteResult,
};
use disk::{Disk, Unwritten};
use engine::{Layout, Standing};
use node::{Config, Node};
use trace::{Actor, Event, EventId, Kind, Mechanisms, Tracer};

const GATEWAY: GatewayId = GatewayId { gateway: 1, life: 1 };
const CLUSTER: [u8; 16] = [7; 16];

/// n1 of so many, with a device of 256 KiB of which 16 are the log.
struct Host {
    node: Node<Disk>,
    device: Disk,
    now: Micros,
}

impl Host {
    fn new(members: u32) -> Host {
        Host::with(members, Timing::default())
    }

    fn with(members: u32, timing: Timing) -> Host {
        let device = Disk::new(256 << 10);
        let identity = config(1, members).identity();
        engine::format(&device, &identity, Standing::Member, Layout { wal_bytes: 16 << 10 }).unwrap();
        let (node, _) = Node::open(
            device.share(),
            Config { rules: dataplane::Config { timing, ..config(1, members).rules }, ..config(1, members) },
            Tracer::off(),
        )
        .unwrap();
        Host { node, device, now: 1_000 }
    }

    /// Leads and serves: alone, or with what n2 promises and acknowledges.
    fn serving(members: u32) -> Host {
        Host::new(members).serves()
    }

    fn serves(self) -> Host {
        let mut host = self;
        host.gateway(Message::TakeOver { above: Epoch(0), patience: 0 });
        host.batch();
        let epoch = host.epoch();
        host.peer(2, Message::Promised { epoch, tail: Tail::default() });
        host.batch();
        assert!(host.node.status(host.now).serving);
        host
    }

    fn epoch(&self) -> Epoch {
        self.node.status(self.now).promised
    }

    fn hear(&mut self, from: Address, message: Message, cause: Option<EventId>) {
        let to = Address::Node(NodeId(1));
        let frame = Frame { cluster: CLUSTER, shard: 0, from, to, cause, message };
        self.node.handle(self.now, frame).unwrap();
    }

    fn gateway(&mut self, message: Message) {
        self.hear(Address::Gateway(GATEWAY), message, None);
    }

    fn peer(&mut self, node: u32, message: Message) {
        self.hear(Address::Node(NodeId(node)), message, None);
    }

    fn said(&mut self) -> Vec<Message> {
        self.node.outbox().map(|frame| frame.message).collect()
    }

    /// The rest of the host's loop; n2 acknowledges what it is sent.
    fn batch(&mut self) -> Vec<Message> {
        self.node.settle(self.now).unwrap();
        self.node.flush(self.now).unwrap();
        self.node.background(self.now).unwrap();
        let mut said = self.said();
        if self.node.replica().is_primary() && self.node.replica().core().config.members.len() > 1 {
            let matched = self.node.engine().last_seq();
            self.peer(2, Message::PrepareOk { epoch: self.epoch(), matched });
            said.extend(self.said());
        }
        said
    }

    fn session(&mut self) -> u64 {
        self.gateway(Message::OpenSession);
        let opened = |message: &Message| match message {
            Message::SessionOpened { session } => Some(*session),
            _ => None,
        };
        self.batch().iter().find_map(opened).expect("a session")
    }

    fn write(&mut self, session: u64, number: u64, op: Op) -> Option<WriteResult> {
        self.gateway(Message::Write { request: RequestId { session, number }, op });
        let answer = |message: Message| match message {
            Message::Answer { result, .. } => Some(result),
            _ => None,
        };
        self.batch().into_iter().find_map(answer)
    }
}

fn config(node: u32, members: u32) -> Config {
    Config {
        cluster: CLUSTER,
        shard: 0,
        shards: 1,
        rules: dataplane::Config {
            me: NodeId(node),
            members: (1..=members).map(NodeId).collect(),
            members_change: false,
            pid: 1,
            life: 1,
            mechanisms: Mechanisms::all(),
            timing: Timing::default(),
            limits: dataplane::Limits::default(),
        },
    }
}

fn put(key: u64, bytes: usize) -> Op {
    Op::Put { key: key.to_le_bytes().into(), value: vec![0; bytes].into(), condition: Condition::Always }
}

fn delete(key: u64) -> Op {
    Op::Delete { key: key.to_le_bytes().into(), condition: Condition::Always }
}

#[test]
fn a_full_primary_gives_a_put_a_place_in_the_log_and_nothing_in_it_and_still_deletes() {
    let mut host = Host::serving(1);
    let session = host.session();
    let done = |outcome| Some(WriteResult::Done(outcome));
    let mut puts = 0;
    let refused = loop {
        let result = host.write(session, puts + 1, put(puts, 20_000));
        if !matches!(result, Some(WriteResult::Done(Outcome::Written(_)))) {
            break result;
        }
        puts += 1;
    };
    assert!(puts > 5, "{puts}");
    assert_eq!(refused, done(Outcome::NoRoom));
    assert_eq!(host.write(session, puts + 1, put(puts, 20_000)), refused, "asked again, it is the same");
    for key in 0..puts {
        let deleted = done(Outcome::Deleted { existed: true });
        assert_eq!(host.write(session, puts + 2 + key, delete(key)), deleted);
    }
    // A checkpoint gives back what was deleted.
    for _ in 0..10 {
        host.batch();
    }
    let written = host.write(session, 2 * puts + 2, put(0, 20_000));
    assert!(matches!(written, Some(WriteResult::Done(Outcome::Written(_)))), "{written:?}");
}

#[test]
fn a_copy_is_of_a_checkpoint_that_reaches_far_enough_and_one_is_made_for_it() {
    let mut host = Host::serving(1);
    let session = host.session();
    (0..5).for_each(|n| _ = host.write(session, n + 1, put(n, 100)));
    let last = host.node.engine().last_seq();
    // Nothing is sent that does not reach that far, and nothing can be made of what is not there yet.
    assert_eq!(host.node.backup(host.now, last + 1, 0, &[]), None);
    host.batch();
    assert_eq!(host.node.engine().checkpoint_seq(), 0, "for that no checkpoint is made");
    assert_eq!(host.node.backup(host.now, last, 0, &[]), None);
    (0..5).for_each(|_| drop(host.batch()));
    let piece = host.node.backup(host.now, last, last, &[]).expect("by now there is one");
    assert_eq!((piece.seq, piece.items.len(), piece.next), (last, 5, None));
    assert!(piece.items.iter().all(|(.., value)| value.is_empty()), "the values are known");
}

/// Asks again until it is no longer too early.
fn write_patiently(host: &mut Host, session: u64, number: u64, op: Op) -> Option<WriteResult> {
    for _ in 0..100 {
        let result = host.write(session, number, op.clone());
        if result.is_some() {
            return result;
        }
        host.batch();
    }
    None
}

/// Puts keys of one size until there is no room for another one; says how many there are, and the number of the last
/// request.
fn fill(host: &mut Host, session: u64, bytes: usize) -> (u64, u64) {
    for key in 0.. {
        let result = write_patiently(host, session, key + 1, put(key, bytes));
        if result == Some(WriteResult::Done(Outcome::NoRoom)) {
            return (key, key + 1);
        }
        assert!(matches!(result, Some(WriteResult::Done(Outcome::Written(_)))), "{result:?}");
    }
    unreachable!()
}

#[test]
fn on_a_full_device_keys_go_on_being_overwritten_and_none_is_added() {
    let mut host = Host::serving(1);
    let session = host.session();
    let (keys, mut number) = fill(&mut host, session, 2_000);
    assert!(keys > 20, "{keys}");
    for round in 0..5 {
        for key in 0..keys {
            number += 1;
            let bytes = if round % 2 == 0 { 2_000 } else { 1_950 };
            let result = write_patiently(&mut host, session, number, put(key, bytes));
            assert!(
                matches!(result, Some(WriteResult::Done(Outcome::Written(_)))),
                "{round}, {key}: {result:?}"
            );
        }
        number += 1;
        let another = write_patiently(&mut host, session, number, put(keys + round, 20_000));
        assert_eq!(another, Some(WriteResult::Done(Outcome::NoRoom)));
        number += 1;
        let longer = write_patiently(&mut host, session, number, put(round, 20_000));
        assert_eq!(longer, Some(WriteResult::Done(Outcome::NoRoom)));
    }
}

#[test]
fn what_no_checkpoint_makes_room_for_is_refused_while_one_runs() {
    let mut host = Host::serving(1);
    let session = host.session();
    let (keys, mut number) = fill(&mut host, session, 2_000);
    for key in 0..keys {
        number += 1;
        host.write(session, number, put(key, 2_000));
        if host.node.engine().checkpoint_running() {
            break;
        }
    }
    assert!(host.node.engine().checkpoint_running(), "what was replaced is reason for one");
    let request = RequestId { session, number: number + 1 };
    host.gateway(Message::Write { request, op: put(1 << 32, 20_000) });
    let said = host.said();
    assert!(!said.iter().any(|message| matches!(message, Message::Refused { .. })), "{said:?}");
    let said = host.batch();
    let refused = Message::Answer { request, result: WriteResult::Done(Outcome::NoRoom) };
    assert!(said.contains(&refused), "{said:?}");
}

#[test]
fn a_primary_whose_log_is_full_of_what_is_not_durable_is_busy() {
    let mut host = Host::serving(1);
    let session = host.session();
    for number in 1.. {
        let request = RequestId { session, number };
        host.gateway(Message::Write { request, op: delete(1) });
        let busy = |message: &Message| matches!(message, Message::Refused { why: Refusal::Busy, .. });
        if host.said().iter().any(busy) {
            assert!(number > 50, "{number}");
            break;
        }
        assert!(number < 500, "16 KiB have room for no more");
    }
    // Nothing is lost by it.
    assert!(host.node.needs_flush());
    host.batch();
    assert!(!host.node.needs_flush());
}

#[test]
fn a_backup_takes_the_entries_for_which_it_has_room_and_acknowledges_no_more() {
    let acknowledged = |bytes: usize| {
        let mut host = Host::new(3);
        let entry = |seq| Entry { seq, epoch: Epoch(1), origin: Origin::Marker, op: put(seq, bytes) };
        let entries = (1..=4).map(entry).collect();
        host.peer(2, Message::Prepare { epoch: Epoch(1), prev: Tail::default(), entries, commit: 0 });
        let matched = |message: Message| match message {
            Message::PrepareOk { matched, .. } => Some(matched),
            _ => None,
        };
        assert_eq!(host.said().into_iter().find_map(matched), None, "nothing is durable yet");
        host.batch().into_iter().find_map(matched)
    };
    assert_eq!(acknowledged(1_000), Some(4));
    assert_eq!(acknowledged(90_000), Some(2));
}

#[test]
fn a_checkpoint_is_put_off_for_a_receiver_until_that_is_silent_or_the_log_is_three_quarters_full() {
    // In 16 KiB, with one write a sector.
    let prepared = || {
        let mut host = Host::serving(3);
        let session = host.session();
        let (epoch, transfer, cursor) = (host.epoch(), 1, Vec::new());
        host.peer(2, Message::Pull { epoch, transfer, unproven: false, cursor });
        assert!(host.said().iter().any(|message| matches!(message, Message::Chunk { .. })));
        let mut number = 0;
        while !host.node.engine().checkpoint_due() {
            number += 1;
            host.write(session, number, delete(1));
            assert!(number < 100, "a checkpoint is due when the log is half full");
        }
        (host, session, number)
    };
    let (mut host, ..) = prepared();
    let sent_at = host.now;
    host.now = sent_at + 999_999;
    host.batch();
    assert!(!host.node.engine().checkpoint_running() && host.node.engine().checkpoint_seq() == 0);
    host.now = sent_at + 1_000_000;
    host.node.background(host.now).unwrap();
    assert!(host.node.engine().checkpoint_running());
    assert_eq!(host.node.next_deadline(), Some(0), "there is more to do at once");

    let (mut host, session, mut number) = prepared();
    while host.node.engine().space().wal_used < 12 << 10 {
        host.node.background(host.now).unwrap();
        let engine = host.node.engine();
        assert!(!engine.checkpoint_running(), "{} bytes are used", engine.space().wal_used);
        number += 1;
        let request = RequestId { session, number };
        host.gateway(Message::Write { request, op: delete(1) });
        host.node.flush(host.now).unwrap();
        host.peer(2, Message::PrepareOk { epoch: host.epoch(), matched: host.node.engine().last_seq() });
    }
    assert_eq!(host.node.engine().space().wal_used, 12 << 10);
    host.node.background(host.now).unwrap();
    assert!(host.node.engine().checkpoint_running());
}

#[test]
#[should_panic(expected = "a node that failed is not used again")]
fn a_node_whose_sync_failed_is_not_used_again() {
    let mut host = Host::serving(1);
    host.gateway(Message::OpenSession);
    host.device.fail_sync(Unwritten::Clean);
    let failed = host.node.flush(host.now).unwrap_err();
    assert!(failed.to_string().contains("the sync failed"), "{failed}");
    let _ = host.node.tick(host.now);
}

#[test]
fn a_device_of_another_node_is_refused_with_a_reason() {
    let device = Host::new(3).device;
    let refused = Node::open(device, config(2, 3), Tracer::off()).expect_err("it is n1's");
    assert!(refused.to_string().contains("node 1"), "{refused}");
}

#[test]
fn a_sync_names_all_followed_requests_of_its_batch_and_none_of_an_earlier_one() {
    let told = Arc::new(Mutex::new(Vec::<Event>::new()));
    let sink = told.clone();
    let sink = move |event: Event| sink.lock().unwrap().push(event);
    let mut host = Host::serving(1);
    let session = host.session();
    host.node.trace_to(Tracer::followed(Actor::Node { node: 1, shard: 0 }, 1, || 0, Box::new(sink)));
    let cause = |n| EventId { actor: Actor::Gateway(1), life: 1, n };
    // The requests from which the sync's event follows, event by event.
    let synced = |told: &[Event]| -> Vec<u64> {
        let sync = told.iter().position(|event| matches!(event.kind, Kind::DeviceSynced { .. }));
        let mut from: Vec<u64> = Vec::new();
        let mut open: Vec<EventId> = sync.map_or(Vec::new(), |at| told[at].parents.clone());
        while let Some(id) = open.pop() {
            match told.iter().find(|event| event.id == id) {
                Some(event) => open.extend(&event.parents),
                None => from.push(id.n),
            }
        }
        from.sort();
        from.dedup();
        from
    };
    let write = |host: &mut Host, number, cause| {
        let message = Message::Write { request: RequestId { session, number }, op: delete(1) };
        host.hear(Address::Gateway(GATEWAY), message, cause);
    };
    write(&mut host, 1, Some(cause(101)));
    write(&mut host, 2, None);
    write(&mut host, 3, Some(cause(103)));
    host.batch();
    assert_eq!(synced(&std::mem::take(&mut *told.lock().unwrap())), [101, 103]);
    write(&mut host, 4, Some(cause(104)));
    host.batch();
    assert_eq!(synced(&std::mem::take(&mut *told.lock().unwrap())), [104]);
    // A read needs no sync, and so the next one is not for it.
    let read = Message::Read { id: 1, query: Query::Count };
    host.hear(Address::Gateway(GATEWAY), read, Some(cause(105)));
    host.batch();
    told.lock().unwrap().clear();
    write(&mut host, 5, None);
    host.batch();
    assert!(synced(&told.lock().unwrap()).is_empty());
}

#[test]
fn a_frame_of_entries_takes_no_more_than_the_window_and_one_entry_at_least() {
    // Each entry counts 64 bytes, its key's 8 and its value's.
    let frames = |window_bytes: u64, bytes: usize| -> Vec<usize> {
        let mut host = Host::with(3, Timing { window_bytes, ..Timing::default() }).serves();
        let session = host.session();
        for number in 1..=3 {
            host.gateway(Message::Write { request: RequestId { session, number }, op: put(number, bytes) });
        }
        host.node.settle(host.now).unwrap();
        let entries = |frame: Frame| match frame.message {
            Message::Prepare { entries, .. } if frame.to == Address::Node(NodeId(2)) => Some(entries.len()),
            _ => None,
        };
        host.node.outbox().filter_map(entries).collect()
    };
    assert_eq!(frames(2 * 4072, 4000), [2], "two fill the window to its last byte");
    assert_eq!(frames(2 * 4072 - 1, 4000), [1, 1], "what does not fit the first frame does not count for it");
    assert_eq!(frames(3 * 4072, 4000), [3]);
    assert_eq!(frames(100, 4000), [1]);
    assert_eq!(frames(2 * 72, 0), [2]);
}

#[test]
fn one_write_is_no_reason_for_a_checkpoint() {
    let mut host = Host::serving(1);
    let session = host.session();
    host.write(session, 1, put(1, 100));
    host.batch();
    let engine = host.node.engine();
    assert!(
        !engine.checkpoint_running() && engine.checkpoint_seq() == 0 && host.node.next_deadline() != Some(0)
    );
}

#[test]
fn what_a_read_came_to_is_in_the_trace_in_words() {
    let told = Arc::new(Mutex::new(Vec::<String>::new()));
    let sink = told.clone();
    let sink = move |event: Event| {
        if let Kind::ReadAnswered { reply, .. } = event.kind {
            sink.lock().unwrap().push(reply);
        }
    };
    let mut host = Host::serving(1);
    let session = host.session();
    host.write(session, 1, put(1, 100));
    host.node.trace_to(Tracer::always(Actor::Node { node: 1, shard: 0 }, 1, Box::new(sink)));
    let key = |key: u64| Query::Get(key.to_le_bytes().into());
    let list = Query::Scan { prefix: [].into(), after: None, limit: 9 };
    for (id, query) in (1..).zip([key(1), key(2), list, Query::Count]) {
        host.gateway(Message::Read { id, query });
        host.batch();
    }
    let version = host.node.engine().last_seq();
    let value = format!("version {version}, 100 bytes");
    assert_eq!(*told.lock().unwrap(), [&value, "no such key", "1 keys", "1 keys in all"]);
}

#[test]
fn a_put_for_which_a_checkpoint_makes_room_has_to_wait_for_it_and_is_not_refused_for_good() {
    let mut host = Host::serving(1);
    let session = host.session();
    host.write(session, 1, put(0, 100_000));
    host.write(session, 2, put(0, 10));
    let later = |host: &Host| host.node.engine().checkpoint_due() || host.node.engine().checkpoint_running();
    assert!(later(&host), "it gives the large value back");
    let large = Message::Write { request: RequestId { session, number: 3 }, op: put(1, 120_000) };
    host.gateway(large.clone());
    let said = host.said();
    assert!(matches!(said[..], [Message::Refused { why: Refusal::Busy, .. }]), "{said:?}");
    while later(&host) {
        host.batch();
    }
    let written = host.write(session, 3, put(1, 120_000));
    assert!(matches!(written, Some(WriteResult::Done(Outcome::Written(_)))), "{written:?}");
}

/// The others sync while the candidate does: one after the other, a takeover would take twice as long.
#[test]
fn a_candidate_asks_for_promises_before_it_syncs_its_own() {
    let mut host = Host::new(3);
    host.gateway(Message::TakeOver { above: Epoch(0), patience: 0 });
    let asked = |message: &Message| matches!(message, Message::PromiseRequest { epoch: Epoch(1) });
    assert!(host.node.parked() && host.node.needs_flush());
    assert_eq!(host.node.engine().promised(), 0, "nothing is durable yet");
    assert_eq!(host.said().iter().filter(|said| asked(said)).count(), 2);
    host.node.flush(host.now).unwrap();
    assert_eq!((host.node.engine().promised(), host.node.parked()), (1, false));
}

/// Whoever was slow finds one request of each attempt, and each would cost it two syncs.
#[test]
fn of_several_requests_for_a_promise_only_the_last_of_each_candidate_is_heeded() {
    let frame = |from: u32, epoch: u64| Frame {
        cluster: [1; 16],
        shard: 0,
        from: Address::Node(NodeId(from)),
        to: Address::Node(NodeId(1)),
        cause: None,
        message: Message::PromiseRequest { epoch: Epoch(epoch) },
    };
    let mut frames = vec![frame(2, 4), frame(3, 5), frame(2, 6), frame(2, 5)];
    node::drop_superseded(&mut frames);
    assert_eq!(frames, [frame(3, 5), frame(2, 6)]);
}
