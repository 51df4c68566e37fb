//! What a primary says to those who ask it, driven without a device: every effect succeeds at once.

mod common;

use dataplane::{
    Address, Appended, Condition, Config, Effect, Epoch, Event, Fits, GatewayId, Message, Micros, NodeId, Op,
    Origin, Outcome, Query, ReadResult, Refusable, Refusal, Replica, RequestId, Restored, RoleName, Tail,
    Timing, VALUE_BYTES_MAX, guard,
};
use trace::Mechanisms;

use common::Synced;

const GATEWAY: GatewayId = GatewayId { gateway: 1, life: 1 };

struct Host {
    replica: Replica,
    last: u64,
    now: Micros,
    sent: Vec<(Address, Message)>,
    /// The last entry of each frame of entries, and whom it went to.
    entries: Vec<(NodeId, u64)>,
    /// The entry before the first one of each such frame.
    prevs: Vec<(NodeId, u64)>,
    /// Most entries that fit one frame.
    frame_max: u64,
}

/// What each entry is said to take.
const ENTRY_BYTES: u64 = 100;

impl Host {
    fn new(members: u32) -> Host {
        Host::with(members, Timing::default())
    }

    fn with(members: u32, timing: Timing) -> Host {
        Host::with_log(members, timing, &[])
    }

    /// With a log of entries of these epochs, none of them in a checkpoint.
    fn with_log(members: u32, timing: Timing, epochs: &[u64]) -> Host {
        let config = Config {
            me: NodeId(1),
            members: (1..=members).map(NodeId).collect(),
            members_change: false,
            mechanisms: Mechanisms::all(),
            timing,
            limits: Default::default(),
            pid: 7,
            life: 7,
        };
        let restored = Restored {
            promised: Epoch(0),
            proven: true,
            owed: Tail::default(),
            damaged: false,
            checkpoint: 0,
            host_state: Vec::new(),
            entries: epochs.iter().map(|epoch| (Epoch(*epoch), Origin::Marker)).collect(),
        };
        let (last, frame_max) = (epochs.len() as u64, u64::MAX);
        let replica = Replica::restore(config, restored).unwrap();
        Host { replica, last, now: 1_000, sent: vec![], entries: vec![], prevs: vec![], frame_max }
    }

    fn step(&mut self, event: Event) {
        self.replica.step(self.now, event);
        while let Some(effect) = self.replica.next_effect() {
            match effect {
                Effect::Append(entry) => self.last = entry.seq,
                Effect::Apply { seq, .. } => {
                    let applied = Event::Applied(seq, Outcome::Written(seq));
                    self.replica.step(self.now, applied);
                }
                Effect::SendEntries { to, prev, upto, .. } => {
                    let upto = upto.min(prev.seq.saturating_add(self.frame_max));
                    self.entries.push((to, upto));
                    self.prevs.push((to, prev.seq));
                    let sent = Event::Sent(to, upto, ENTRY_BYTES * (upto - prev.seq));
                    self.replica.step(self.now, sent);
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
        let at = Appended { position: self.last * 512, seq: self.last };
        let proof = guard::durable_ack(Mechanisms::all(), Some(&Synced(at)), at).unwrap();
        self.step(Event::Durable(proof));
    }

    fn asks(&mut self, message: Message) -> Vec<Message> {
        self.hears(Address::Gateway(GATEWAY), message)
    }

    fn hears(&mut self, from: Address, message: Message) -> Vec<Message> {
        self.sent.clear();
        self.step(Event::Message(from, message, Fits::ALL));
        self.step(Event::Settle);
        self.sent.iter().map(|(_, message)| message.clone()).collect()
    }

    fn peer(&mut self, node: u32, message: Message) -> Vec<Message> {
        self.hears(Address::Node(NodeId(node)), message)
    }

    /// Stands for an epoch, and leads in it with n2's promise.
    fn lead(&mut self) {
        self.asks(Message::TakeOver { above: Epoch(0), patience: 0 });
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
    for (key, value) in [(0, 1), (1025, 1), (1, VALUE_BYTES_MAX + 1)] {
        assert_eq!(refusal(&host.asks(write(key, value))), Some(Refusal::Invalid), "{key} and {value} bytes");
    }
    assert_eq!(host.last, before);
    for (key, value) in [(1, 0), (1024, VALUE_BYTES_MAX)] {
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
    host.asks(Message::TakeOver { above: Epoch(0), patience: 0 });
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

#[test]
fn a_primary_takes_on_no_more_than_it_may_keep_and_more_once_that_is_applied() {
    let mut host = Host::with(3, Timing { waiting_max: 2, ..Timing::default() });
    host.serve();
    let epoch = host.replica.status(host.now).promised;
    for want in [None, None, Some(Refusal::Busy)] {
        assert_eq!(refusal(&host.asks(Message::OpenSession)), want);
    }
    host.sync();
    host.peer(2, Message::PrepareOk { epoch, matched: host.last });
    assert_eq!(refusal(&host.asks(Message::OpenSession)), None);
    for (id, want) in [(1, None), (2, None), (3, Some(Refusal::Busy))] {
        assert_eq!(refusal(&host.asks(read(id))), want, "reads that wait are kept as well");
    }
}

#[test]
fn a_confirmation_is_a_sign_of_life() {
    let mut host = Host::new(3);
    host.serve();
    let epoch = host.replica.status(host.now).promised;
    host.asks(read(5));
    host.now += 300_000;
    host.peer(3, Message::Confirmed { epoch, round: 1 });
    assert_eq!(host.replica.status(host.now).cut_off_micros, 0);
}

#[test]
fn a_primary_wants_to_be_woken_for_its_next_heartbeat_or_for_a_read_that_nobody_confirmed() {
    let timing = Timing { heartbeat_every: 50_000, resend_after: 200_000, ..Timing::default() };
    let mut host = Host::with(3, timing.clone());
    host.serve();
    host.now += 10;
    let heartbeats = |host: &mut Host| {
        host.entries.clear();
        host.step(Event::Tick);
        host.entries.len()
    };
    // What the backup has acknowledged leaves nothing to send but a sign of life, from the last frame on.
    let due = host.replica.next_deadline().unwrap();
    assert_eq!(due, 1_000 + timing.heartbeat_every);
    host.now = due - 1;
    assert_eq!(heartbeats(&mut host), 0);
    host.now = due;
    assert_eq!(heartbeats(&mut host), 2, "one for each backup");
    assert_eq!(host.replica.next_deadline(), Some(due + timing.heartbeat_every));

    let mut host = Host::with(3, Timing { heartbeat_every: 1_000_000, ..timing.clone() });
    host.serve();
    host.now += 10;
    let asked_at = host.now;
    host.asks(read(5));
    let confirms = |host: &mut Host| {
        host.sent.clear();
        host.step(Event::Tick);
        host.sent.iter().filter(|(_, message)| matches!(message, Message::Confirm { .. })).count()
    };
    assert_eq!(host.replica.next_deadline(), Some(asked_at + timing.resend_after));
    host.now = asked_at + timing.resend_after - 1;
    assert_eq!(confirms(&mut host), 0);
    host.now += 1;
    assert_eq!(confirms(&mut host), 2, "both are asked again");
    assert_eq!(host.replica.next_deadline(), Some(host.now + timing.resend_after));
}

#[test]
fn a_candidate_that_nobody_supports_gives_up_when_its_patience_ends() {
    let mut host = Host::new(3);
    host.asks(Message::TakeOver { above: Epoch(0), patience: 0 });
    let due = host.now + Timing::default().candidate_patience;
    assert_eq!(host.replica.next_deadline(), Some(due));
    let role = |host: &mut Host, now| {
        host.now = now;
        host.step(Event::Tick);
        host.replica.status(now).role
    };
    assert_eq!(role(&mut host, due - 1), RoleName::Candidate);
    host.sent.clear();
    assert_eq!(role(&mut host, due), RoleName::Backup);
    let told = |(to, message): &(Address, Message)| {
        *to == Address::Gateway(GATEWAY) && matches!(message, Message::Status { .. })
    };
    assert!(host.sent.iter().any(told), "who asked learns it: {:?}", host.sent);
    assert_eq!(host.replica.next_deadline(), None);
}

/// What was sent to a backup since the last time: the entry before the first one of each frame.
fn sent_to(host: &mut Host, node: u32) -> Vec<u64> {
    let prevs = std::mem::take(&mut host.prevs);
    prevs.into_iter().filter(|(to, _)| *to == NodeId(node)).map(|(_, prev)| prev).collect()
}

#[test]
fn what_does_not_fit_one_frame_goes_out_in_the_next_while_the_window_has_room() {
    let mut host = Host::with(2, Timing { window_bytes: 4 * ENTRY_BYTES, ..Timing::default() });
    host.serve();
    host.frame_max = 2;
    let (epoch, matched) = (host.replica.status(host.now).promised, host.last);
    sent_to(&mut host, 2);
    for _ in 0..6 {
        host.step(Event::Message(Address::Gateway(GATEWAY), Message::OpenSession, Fits::ALL));
    }
    host.step(Event::Settle);
    assert_eq!(sent_to(&mut host, 2), [matched, matched + 2], "two frames fill the window");
    host.peer(2, Message::PrepareOk { epoch, matched: matched + 2 });
    assert_eq!(sent_to(&mut host, 2), [matched + 4]);
}

#[test]
fn entries_for_several_frames_go_to_each_backup_once() {
    let mut host = Host::new(3);
    host.serve();
    host.frame_max = 2;
    let (epoch, matched) = (host.replica.status(host.now).promised, host.last);
    host.peer(3, Message::PrepareOk { epoch, matched });
    host.prevs.clear();
    for _ in 0..6 {
        host.step(Event::Message(Address::Gateway(GATEWAY), Message::OpenSession, Fits::ALL));
    }
    host.step(Event::Settle);
    let mut prevs = std::mem::take(&mut host.prevs);
    prevs.sort();
    let once = [2, 3].map(|node| [0, 2, 4].map(|sent| (NodeId(node), matched + sent)));
    assert_eq!(prevs, once.concat());
}

#[test]
fn a_refusal_says_where_to_go_on_and_the_beginning_of_the_log_is_tried_before_a_transfer() {
    let mut host = Host::with_log(3, Timing::default(), &[1; 8]);
    host.serve();
    let epoch = host.replica.status(host.now).promised;
    assert_eq!(sent_to(&mut host, 3), [8]);
    host.peer(3, Message::PrepareRefused { epoch, prev: 8, last: 6, lost: false });
    assert_eq!(sent_to(&mut host, 3), [6], "its log ends there");
    // A checkpoint has the first five.
    host.step(Event::Compacted(5));
    host.peer(3, Message::PrepareRefused { epoch, prev: 6, last: 2, lost: false });
    assert_eq!(sent_to(&mut host, 3), [5]);
    host.peer(3, Message::PrepareRefused { epoch, prev: 5, last: 2, lost: false });
    host.sent.clear();
    host.now += Timing::default().heartbeat_every;
    host.step(Event::Tick);
    assert!(sent_to(&mut host, 3).is_empty());
    assert!(host.sent.contains(&(Address::Node(NodeId(3)), Message::Behind { epoch, retained_from: 6 })));
}

#[test]
fn of_several_frames_that_are_refused_only_the_first_refusal_says_something_new() {
    let mut host = Host::with_log(3, Timing::default(), &[1, 1, 1]);
    host.serve();
    let (epoch, marker) = (host.replica.status(host.now).promised, host.last);
    host.peer(3, Message::PrepareOk { epoch, matched: 1 });
    for _ in 0..2 {
        host.asks(Message::OpenSession);
    }
    sent_to(&mut host, 3);
    let mut refuses = |refusals: &[(u64, u64)]| {
        for &(prev, last) in refusals {
            let refused = Message::PrepareRefused { epoch, prev, last, lost: false };
            host.step(Event::Message(Address::Node(NodeId(3)), refused, Fits::ALL));
        }
        host.step(Event::Settle);
        sent_to(&mut host, 3)
    };
    // It doubts the run from 2 on; and behind its end, which is 4, there is nothing to doubt.
    assert_eq!(refuses(&[(marker, 2), (marker + 1, 4)]), [2]);
    assert!(refuses(&[(0, 0)]).is_empty(), "a late one, of what it has acknowledged since");
    assert_eq!(refuses(&[(1, 0)]), [1], "what it has acknowledged is not sent again, all else is");
}

fn answers(messages: &[Message]) -> usize {
    messages.iter().filter(|message| matches!(message, Message::ReadAnswer { .. })).count()
}

#[test]
fn a_replica_that_is_alone_is_its_own_majority() {
    let mut host = Host::new(1);
    host.asks(Message::TakeOver { above: Epoch(0), patience: 0 });
    host.sync();
    assert!(host.replica.status(host.now).serving);
    host.now += 1_000_000;
    assert_eq!(host.replica.status(host.now).cut_off_micros, 0);
    assert_eq!(answers(&host.asks(read(5))), 1);
}

#[test]
fn of_two_candidates_of_one_epoch_one_is_elected_and_the_other_follows() {
    let mut host = Host::new(3);
    host.asks(Message::TakeOver { above: Epoch(0), patience: 0 });
    let epoch = host.replica.status(host.now).promised;
    let prev = Tail::default();
    let said = host.peer(3, Message::Prepare { epoch, prev, entries: Vec::new(), commit: 0 });
    assert_eq!(said, [Message::PrepareOk { epoch, matched: 0 }]);
    let status = host.replica.status(host.now);
    assert_eq!((status.role, status.primary), (RoleName::Backup, Some(NodeId(3))));
}

#[test]
fn who_leads_has_nothing_to_take_over_unless_a_greater_epoch_was_heard_of() {
    let mut host = Host::new(3);
    host.serve();
    let epoch = host.replica.status(host.now).promised;
    let said = host.asks(Message::TakeOver { above: epoch, patience: 0 });
    assert!(host.replica.is_primary());
    let status = host.replica.status(host.now);
    assert!(said.contains(&Message::Status { attempt: 0, status }), "{said:?}");
    host.asks(Message::TakeOver { above: Epoch(epoch.0 + 4), patience: 0 });
    let status = host.replica.status(host.now);
    assert_eq!((status.role, status.promised), (RoleName::Candidate, Epoch(epoch.0 + 5)));
}

#[test]
fn a_candidate_gives_up_when_too_many_logs_are_more_complete_for_a_majority_to_remain() {
    let mut host = Host::new(5);
    host.asks(Message::TakeOver { above: Epoch(0), patience: 0 });
    let epoch = host.replica.status(host.now).promised;
    let tail = Tail { epoch: Epoch(0), seq: 7 };
    for (node, role) in [(2, RoleName::Candidate), (3, RoleName::Candidate), (4, RoleName::Backup)] {
        host.peer(node, Message::Promised { epoch, tail });
        assert_eq!(host.replica.status(host.now).role, role, "after the promise of n{node}");
    }
}
