//! What a primary says to those who ask it, driven without a device: every effect succeeds at once.

use dataplane::{
    Address, Condition, Config, Effect, Epoch, Event, GatewayId, Message, Micros, NodeId, Op, Outcome, Query,
    ReadResult, Refusable, Refusal, Replica, RequestId, Restored, Tail, Timing, guard,
};
use trace::{Mechanisms, Tracer};

const GATEWAY: GatewayId = GatewayId { gateway: 1, life: 1 };

struct Host {
    replica: Replica,
    last: u64,
    now: Micros,
    sent: Vec<(Address, Message)>,
    /// The last entry of each frame of entries, and whom it went to.
    entries: Vec<(NodeId, u64)>,
}

/// What each entry is said to take.
const ENTRY_BYTES: u64 = 100;

impl Host {
    fn new(members: u32) -> Host {
        Host::with(members, Timing::default())
    }

    fn with(members: u32, timing: Timing) -> Host {
        let config = Config {
            me: NodeId(1),
            members: (1..=members).map(NodeId).collect(),
            mechanisms: Mechanisms::all(),
            timing,
            pid: 7,
        };
        let restored = Restored {
            promised: Epoch(0),
            proven: true,
            checkpoint: 0,
            host_state: Vec::new(),
            entries: Vec::new(),
        };
        let replica = Replica::restore(config, restored).unwrap();
        Host { replica, last: 0, now: 1_000, sent: Vec::new(), entries: Vec::new() }
    }

    fn step(&mut self, event: Event) {
        self.replica.step(self.now, event, &mut Tracer::off());
        while let Some(effect) = self.replica.next_effect() {
            match effect {
                Effect::Append(entry) => self.last = entry.seq,
                Effect::Apply { seq, .. } => {
                    let applied = Event::Applied(seq, Outcome::Written(seq));
                    self.replica.step(self.now, applied, &mut Tracer::off());
                }
                Effect::SendEntries { to, prev, upto, .. } => {
                    self.entries.push((to, upto));
                    let sent = Event::Sent(to, upto, ENTRY_BYTES * (upto - prev.seq));
                    self.replica.step(self.now, sent, &mut Tracer::off());
                }
                Effect::Send(to, message) | Effect::Hold(to, message) => self.sent.push((to, message)),
                Effect::Read { gateway, id, .. } => {
                    let result = ReadResult::Missing;
                    self.sent.push((Address::Gateway(gateway), Message::ReadAnswer { id, result }));
                }
                _ => {}
            }
        }
    }

    /// All that is appended becomes durable.
    fn sync(&mut self) {
        let at = (self.last * 512, self.last);
        let proof = guard::durable_ack(Mechanisms::all(), Some(at), at).unwrap();
        self.step(Event::Durable(proof));
    }

    fn asks(&mut self, message: Message) -> Vec<Message> {
        self.hears(Address::Gateway(GATEWAY), message)
    }

    fn hears(&mut self, from: Address, message: Message) -> Vec<Message> {
        self.sent.clear();
        self.step(Event::Message(from, message));
        self.step(Event::Settle);
        self.sent.iter().map(|(_, message)| message.clone()).collect()
    }

    fn peer(&mut self, node: u32, message: Message) -> Vec<Message> {
        self.hears(Address::Node(NodeId(node)), message)
    }

    /// Stands for an epoch, and leads in it with n2's promise.
    fn lead(&mut self) {
        self.asks(Message::TakeOver { above: Epoch(0) });
        let epoch = self.replica.status(self.now).promised;
        self.peer(2, Message::Promised { epoch, tail: Tail::default() });
        assert!(self.replica.is_primary());
    }

    /// And serves, once its marker is committed.
    fn serve(&mut self) {
        self.lead();
        self.sync();
        let epoch = self.replica.status(self.now).promised;
        self.peer(2, Message::PrepareOk { epoch, matched: self.last });
        assert!(self.replica.status(self.now).serving);
    }
}

fn write(key: usize, value: usize) -> Message {
    let op = Op::Put { key: vec![1; key].into(), value: vec![0; value].into(), condition: Condition::Always };
    Message::Write { request: RequestId { session: 1, number: 1 }, op }
}

fn read(id: u64) -> Message {
    Message::Read { id, query: Query::Count }
}

fn refusal(messages: &[Message]) -> Option<Refusal> {
    messages.iter().find_map(|message| match message {
        Message::Refused { why, .. } => Some(*why),
        _ => None,
    })
}

#[test]
fn a_request_out_of_bounds_is_refused_and_leaves_no_trace() {
    let mut host = Host::new(3);
    host.serve();
    let before = host.last;
    for (key, value) in [(0, 1), (1025, 1), (1, (16 << 20) + 1)] {
        assert_eq!(refusal(&host.asks(write(key, value))), Some(Refusal::Invalid), "{key} and {value} bytes");
    }
    assert_eq!(host.last, before);
    for (key, value) in [(1, 0), (1024, 16 << 20)] {
        assert_eq!(refusal(&host.asks(write(key, value))), None, "{key} and {value} bytes");
    }
}

#[test]
fn a_primary_whose_marker_is_not_committed_answers_no_reads() {
    let mut host = Host::new(3);
    assert!(matches!(refusal(&host.asks(read(1))), Some(Refusal::NotPrimary { .. })));
    host.lead();
    assert_eq!(refusal(&host.asks(read(2))), Some(Refusal::NotServing));
}

#[test]
fn a_read_waits_for_a_confirmation_and_is_told_when_none_can_come() {
    let mut host = Host::new(3);
    host.serve();
    let asked = host.asks(read(5));
    let confirm = asked.iter().find_map(|message| match message {
        Message::Confirm { epoch, round } => Some((*epoch, *round)),
        _ => None,
    });
    let (epoch, round) = confirm.expect("the others are asked whether it still leads");
    assert!(!asked.iter().any(|message| matches!(message, Message::ReadAnswer { .. })));
    // A confirmation of an earlier round, from before the read, says nothing about it.
    let early = host.peer(2, Message::Confirmed { epoch, round: round - 1 });
    assert!(!early.iter().any(|message| matches!(message, Message::ReadAnswer { .. })));
    let answered = host.peer(2, Message::Confirmed { epoch, round });
    assert!(answered.contains(&Message::ReadAnswer { id: 5, result: ReadResult::Missing }));
    // Another one waits when a newer epoch shows up.
    host.asks(read(6));
    let told = host.peer(3, Message::Fenced { promised: Epoch(epoch.0 + 1) });
    let refused = |message: &Message| matches!(message, Message::Refused { what: Refusable::Read(6), .. });
    assert!(told.iter().any(refused), "{told:?}");
    assert!(!host.replica.is_primary());
}

#[test]
fn a_primary_says_for_how_long_it_has_heard_no_majority() {
    let mut host = Host::new(3);
    host.serve();
    assert_eq!(host.replica.status(host.now).cut_off_micros, 0);
    assert_eq!(host.replica.status(host.now).primary, Some(NodeId(1)));
    host.now += 300_000;
    assert_eq!(host.replica.status(host.now).cut_off_micros, 300_000);
    let epoch = host.replica.status(host.now).promised;
    host.peer(3, Message::PrepareOk { epoch, matched: 0 });
    assert_eq!(host.replica.status(host.now).cut_off_micros, 0, "one other is a majority of three");
}

#[test]
fn an_acknowledgement_counts_only_in_its_epoch_and_only_for_what_there_is() {
    let mut host = Host::new(3);
    host.lead();
    host.sync();
    let epoch = host.replica.status(host.now).promised;
    for (epoch, matched) in [(Epoch(epoch.0 - 1), host.last), (epoch, host.last + 1)] {
        host.peer(2, Message::PrepareOk { epoch, matched });
        assert!(!host.replica.status(host.now).serving, "{matched} in epoch {}", epoch.0);
    }
    host.peer(2, Message::PrepareOk { epoch, matched: host.last });
    assert!(host.replica.status(host.now).serving);
}

#[test]
fn a_confirmation_of_another_epoch_or_of_a_round_not_begun_counts_for_nothing() {
    let mut host = Host::new(3);
    host.serve();
    let asked = host.asks(read(5));
    let confirm = asked.iter().find_map(|message| match message {
        Message::Confirm { epoch, round } => Some((*epoch, *round)),
        _ => None,
    });
    let (epoch, round) = confirm.expect("the others are asked whether it still leads");
    for (epoch, round) in [(Epoch(epoch.0 - 1), round), (epoch, round + 1)] {
        let heard = host.peer(2, Message::Confirmed { epoch, round });
        assert!(!heard.iter().any(|message| matches!(message, Message::ReadAnswer { .. })), "{heard:?}");
    }
}

#[test]
fn who_is_no_member_is_not_listened_to_and_nobody_votes_for_himself_twice() {
    let mut host = Host::new(3);
    host.asks(Message::TakeOver { above: Epoch(0) });
    let epoch = host.replica.status(host.now).promised;
    for stranger in [1, 9] {
        host.peer(stranger, Message::Promised { epoch, tail: Tail::default() });
        assert!(!host.replica.is_primary(), "n{stranger}");
    }
}

#[test]
fn a_backup_that_does_not_answer_is_sent_no_more_than_a_window() {
    let mut host = Host::with(3, Timing { window_bytes: 3 * ENTRY_BYTES, ..Timing::default() });
    host.serve();
    let epoch = host.replica.status(host.now).promised;
    host.asks(Message::OpenSession);
    let session = host.last;
    host.sync();
    for node in [2, 3] {
        host.peer(node, Message::PrepareOk { epoch, matched: session });
    }
    let matched = session;
    host.entries.clear();
    for number in 1..=6 {
        let op = Op::Delete { key: [1].into(), condition: Condition::Always };
        host.asks(Message::Write { request: RequestId { session, number }, op });
        host.sync();
        let newest = host.last;
        host.peer(2, Message::PrepareOk { epoch, matched: newest });
    }
    let sent_to = |host: &Host, node| -> Vec<u64> {
        host.entries.iter().filter(|(to, _)| *to == NodeId(node)).map(|(_, upto)| upto - matched).collect()
    };
    assert_eq!(sent_to(&host, 2), [1, 2, 3, 4, 5, 6], "who answers is sent everything");
    assert_eq!(sent_to(&host, 3), [1, 2, 3], "who does not, no more than a window");
    // It answers, and gets the rest.
    host.peer(3, Message::PrepareOk { epoch, matched: matched + 3 });
    assert_eq!(sent_to(&host, 3).last(), Some(&6));
}
