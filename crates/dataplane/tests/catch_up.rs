//! What a backup says to whoever leads, driven without a device: every effect succeeds at once.

mod common;

use dataplane::{
    Address, Appended, Chunk, Config, Effect, Entry, Epoch, Event, Fits, GatewayId, Held, Message, Micros,
    NodeId, Op, Origin, Outcome, Proof, Released, Replica, Restored, Tail, Timing, guard, wire,
};
use trace::Mechanisms;

use common::Synced;

struct Backup {
    replica: Replica,
    now: Micros,
    sent: Vec<Message>,
    /// Effects other than messages.
    done: Vec<Effect>,
}

impl Backup {
    /// n2 of three, with a log of entries of these epochs behind a checkpoint.
    fn with(checkpoint: u64, epochs: &[u64], proven: bool) -> Backup {
        Backup::life(checkpoint, epochs, proven, 7)
    }

    fn life(checkpoint: u64, epochs: &[u64], proven: bool, life: u64) -> Backup {
        let config = Config {
            me: NodeId(2),
            members: [1, 2, 3].map(NodeId).to_vec(),
            members_change: false,
            mechanisms: Mechanisms::all(),
            timing: Timing::default(),
            limits: Default::default(),
            pid: 7,
            life,
        };
        let restored = Restored {
            promised: Epoch(0),
            proven,
            owed: Tail::default(),
            damaged: false,
            checkpoint,
            host_state: Vec::new(),
            entries: epochs.iter().map(|epoch| (Epoch(*epoch), Origin::Marker)).collect(),
        };
        let replica = Replica::restore(config, restored).unwrap();
        Backup { replica, now: 1_000, sent: Vec::new(), done: Vec::new() }
    }

    /// What its n-th transfer is called.
    fn transfer(&self, n: u64) -> u64 {
        self.replica.core().config.life ^ n
    }

    fn step(&mut self, event: Event) -> Vec<Message> {
        self.sent.clear();
        self.done.clear();
        self.replica.step(self.now, event);
        while let Some(effect) = self.replica.next_effect() {
            match effect {
                Effect::Apply { seq, .. } => {
                    let applied = Event::Applied(seq, Outcome::Nothing);
                    self.replica.step(self.now, applied);
                }
                Effect::Send(_, message) | Effect::Hold(_, message) => self.sent.push(message),
                other => self.done.push(other),
            }
        }
        self.sent.clone()
    }

    fn hears(&mut self, from: u32, message: Message) -> Vec<Message> {
        self.step(Event::Message(Address::Node(NodeId(from)), message, Fits::ALL))
    }

    fn tail(&self) -> (u64, u64) {
        let Tail { epoch, seq } = self.replica.status(self.now).tail;
        (epoch.0, seq)
    }
}

fn prepare(epoch: u64, prev: (u64, u64), epochs: &[u64], commit: u64) -> Message {
    let prev = Tail { epoch: Epoch(prev.0), seq: prev.1 };
    let entry =
        |(epoch, seq): (&u64, u64)| Entry { seq, epoch: Epoch(*epoch), origin: Origin::Marker, op: Op::Nop };
    let entries = epochs.iter().zip(prev.seq + 1..).map(entry).collect();
    Message::Prepare { epoch: Epoch(epoch), prev, entries, commit }
}

#[test]
fn an_entry_of_another_epoch_puts_its_whole_run_in_doubt_and_nothing_that_is_committed() {
    let mut b = Backup::with(0, &[1, 1, 2, 2, 2], true);
    let refused = |last| [Message::PrepareRefused { epoch: Epoch(3), prev: 5, last, lost: false }];
    assert_eq!(b.hears(1, prepare(3, (1, 5), &[], 0)), refused(2));
    // The two agree up to 4, and the primary has committed that much.
    let matched = 4;
    assert_eq!(b.hears(1, prepare(3, (2, 4), &[], 4)), [Message::PrepareOk { epoch: Epoch(3), matched }]);
    assert_eq!(b.hears(1, prepare(3, (1, 5), &[], 4)), refused(4));
    // A hole is no doubt: what is here may all be right.
    let hole = Message::PrepareRefused { epoch: Epoch(3), prev: 9, last: 5, lost: false };
    assert_eq!(b.hears(1, prepare(3, (3, 9), &[3], 4)), [hole]);
    assert_eq!(b.tail(), (2, 5));
}

#[test]
fn an_empty_prepare_is_told_apart_from_one_with_entries() {
    assert_eq!(prepare(3, (1, 5), &[], 0).name(), "Prepare(empty)");
    assert_eq!(prepare(3, (1, 5), &[3], 0).name(), "Prepare");
}

#[test]
fn acknowledgements_become_one_only_within_an_epoch_and_towards_one_primary() {
    let held = |needs, to, epoch, matched| {
        let message = Message::PrepareOk { epoch: Epoch(epoch), matched };
        Held::until(needs, Released { to: Address::Node(NodeId(to)), message, cause: None })
    };
    let mut all = Vec::new();
    held(512, 1, 3, 5).join(&mut all);
    held(1024, 1, 3, 7).join(&mut all);
    assert_eq!(all, [held(1024, 1, 3, 7)]);
    let others = [held(1536, 1, 4, 9), held(1536, 3, 3, 9)];
    others.iter().for_each(|other| other.clone().join(&mut all));
    assert_eq!(all[1..], others, "epoch and primary are both the same, or it stays");
    let proof = |position, seq| {
        let appended = Appended { position, seq };
        guard::durable_ack(Mechanisms::all(), Some(&Synced(appended)), appended).unwrap()
    };
    let first = all.remove(0).release(&proof(1023, 6)).expect_err("the later one is not durable yet");
    let released = first.release(&proof(1024, 7)).unwrap();
    assert_eq!(released.to, Address::Node(NodeId(1)));
    assert_eq!(released.message, Message::PrepareOk { epoch: Epoch(3), matched: 7 });
}

#[test]
fn a_piece_of_a_state_that_does_not_come_is_asked_for_again() {
    let mut b = Backup::with(0, &[], false);
    let pulls = |messages: Vec<Message>| -> Vec<(u64, Vec<u8>)> {
        let pull = |message: Message| match message {
            Message::Pull { transfer, cursor, unproven: true, .. } => Some((transfer, cursor)),
            _ => None,
        };
        messages.into_iter().filter_map(pull).collect()
    };
    assert_eq!(b.replica.next_deadline(), None);
    let first = b.transfer(1);
    assert_eq!(pulls(b.hears(1, prepare(3, (0, 0), &[3], 0))), [(first, vec![])]);
    assert_eq!(b.replica.status(b.now).proof, Proof::Transferring);
    let wait = Timing::default().resend_after;
    assert_eq!(b.replica.next_deadline(), Some(1_000 + wait));
    b.now += wait - 1;
    assert_eq!(pulls(b.step(Event::Tick)), []);
    b.now += 1;
    assert_eq!(pulls(b.step(Event::Tick)), [(first, vec![])], "under the name that the transfer has");
    assert_eq!(b.replica.next_deadline(), Some(b.now + 2 * wait), "what was asked in vain gets more time");
    // A piece comes, and the next one is asked for.
    let chunk = Chunk { seq: 8, items: Vec::new(), next: Some(vec![9]), host_state: Vec::new() };
    let (epoch, transfer, cursor) = (Epoch(3), first, Vec::new());
    b.now += 10;
    assert_eq!(pulls(b.hears(1, Message::Chunk { epoch, transfer, cursor, chunk })), [(first, vec![9])]);
    assert_eq!(b.replica.next_deadline(), Some(b.now + wait));
    // A greater epoch is promised elsewhere: its primary is heard, and the transfer begins anew from there.
    assert_eq!(pulls(b.hears(3, prepare(4, (0, 0), &[4], 0))), [(b.transfer(2), vec![])]);
}

#[test]
fn a_backup_is_behind_only_if_the_next_entry_that_it_needs_is_gone() {
    let mut b = Backup::with(5, &[], true);
    let behind = |retained_from| Message::Behind { epoch: Epoch(3), retained_from };
    assert_eq!(b.hears(1, behind(6)), [Message::PrepareOk { epoch: Epoch(3), matched: 5 }]);
    assert!(matches!(b.hears(1, behind(7))[..], [Message::Pull { unproven: false, .. }]));
}

/// A state as of `seq`, whose last entry is of `epoch`, comes whole in one piece to a backup that asked for it.
fn state_comes(b: &mut Backup, seq: u64, epoch: u64) -> Vec<Message> {
    b.hears(1, Message::Behind { epoch: Epoch(3), retained_from: 7 });
    let host_state = wire::encode_value(&(Epoch(epoch), 0_u32));
    let chunk = Chunk { seq, items: Vec::new(), next: None, host_state };
    let (epoch, transfer, cursor) = (Epoch(3), b.transfer(1), Vec::new());
    b.hears(1, Message::Chunk { epoch, transfer, cursor, chunk })
}

#[test]
fn a_state_that_tells_nothing_new_does_not_replace_a_log_that_has_more() {
    let installs = |b: &Backup| b.done.iter().any(|effect| matches!(effect, Effect::InstallFinish { .. }));
    // Its last entry is in the log: so much of the log is committed, and the rest is kept.
    let mut b = Backup::with(0, &[1, 1, 1, 1], true);
    assert_eq!(state_comes(&mut b, 3, 1), [Message::PrepareOk { epoch: Epoch(3), matched: 3 }]);
    assert_eq!((installs(&b), b.tail(), b.replica.status(b.now).committed), (false, (1, 4), 3));
    // It ends before what is committed here.
    let mut b = Backup::with(5, &[], true);
    assert_eq!(state_comes(&mut b, 4, 1), [Message::PrepareOk { epoch: Epoch(3), matched: 4 }]);
    assert_eq!((installs(&b), b.tail().1), (false, 5));
    // It has what the log has not.
    let mut b = Backup::with(0, &[1, 1, 1, 1], true);
    assert_eq!(state_comes(&mut b, 4, 2), []);
    assert!(installs(&b), "{:?}", b.done);
}

/// The clocks of both processes begin anew, and show the same when their transfers begin. The primary would take the second
/// for the first, and send a checkpoint from before what was acknowledged in between.
#[test]
fn a_disk_replaced_twice_is_filled_by_two_transfers_with_two_names() {
    let name = |life: u64| {
        let mut b = Backup::life(0, &[], false, life);
        match b.hears(1, prepare(3, (0, 0), &[3], 0))[..] {
            [Message::Pull { transfer, .. }] => transfer,
            _ => panic!("it asks for a state"),
        }
    };
    assert_ne!(name(0x1234_5678_9abc_def0), name(0x0fed_cba9_8765_4321));
}

/// A last record that has rotted is taken for a torn tail: nothing on the device tells the difference. The primary knows.
#[test]
fn a_backup_that_lost_what_it_acknowledged_stops_voting_and_asks_for_a_state() {
    let mut b = Backup::with(0, &[3, 3, 3], true);
    let prepared = b.hears(1, prepare(3, (3, 4), &[3], 4));
    assert_eq!(prepared, [Message::PrepareRefused { epoch: Epoch(3), prev: 4, last: 3, lost: false }]);
    // A late frame tells of no more than the log has.
    assert_eq!(b.hears(1, Message::Contradicted { epoch: Epoch(3), acknowledged: 3 }), []);
    assert!(b.replica.is_proven());
    b.hears(1, Message::Contradicted { epoch: Epoch(3), acknowledged: 4 });
    assert_eq!(b.done, [Effect::Unprove]);
    assert!(matches!(b.hears(1, prepare(3, (3, 4), &[3], 4))[..], [Message::Pull { unproven: true, .. }]));
}

/// One frame would be the last that the cluster ever heeds: no epoch is greater than the greatest.
#[test]
fn an_epoch_that_cannot_be_is_no_epoch() {
    let greatest = Epoch(u64::MAX);
    for (from, message) in [
        (
            Address::Gateway(GatewayId { gateway: 1, life: 1 }),
            Message::TakeOver { above: greatest, patience: 0 },
        ),
        (Address::Node(NodeId(1)), Message::PromiseRequest { epoch: greatest }),
        (Address::Node(NodeId(1)), Message::Fenced { promised: greatest }),
        (Address::Node(NodeId(1)), Message::Confirm { epoch: greatest, round: 1 }),
        (Address::Node(NodeId(1)), prepare(u64::MAX, (3, 1), &[], 0)),
    ] {
        let mut b = Backup::with(0, &[3], true);
        assert_eq!(b.step(Event::Message(from, message.clone(), Fits::ALL)), [], "{}", message.name());
        assert_eq!((b.done.len(), b.replica.status(b.now).promised), (0, Epoch(3)), "{}", message.name());
        // And somebody may still lead.
        let call = Message::TakeOver { above: Epoch(3), patience: 0 };
        b.step(Event::Message(Address::Gateway(GatewayId { gateway: 1, life: 1 }), call, Fits::ALL));
        assert_eq!(b.replica.status(b.now).promised, Epoch(4), "{}", message.name());
    }
}

/// (1) An unproven replica hears n1 in epoch 1; (2) n1 is deposed, and leads again in epoch 3; (3) its state makes the
/// replica a voter, in epoch 3. A candidacy for an epoch below that would be one for an epoch that others may have promised.
#[test]
fn a_replica_that_was_filled_stands_only_above_the_epoch_in_which_it_was() {
    let mut b = Backup::with(0, &[], false);
    b.hears(1, prepare(1, (0, 0), &[1], 0));
    b.hears(1, prepare(3, (0, 0), &[3], 0));
    let chunk =
        Chunk { seq: 8, items: Vec::new(), next: None, host_state: wire::encode_value(&(Epoch(3), 0_u32)) };
    let (epoch, transfer, cursor) = (Epoch(3), b.transfer(2), Vec::new());
    b.hears(1, Message::Chunk { epoch, transfer, cursor, chunk });
    b.step(Event::Installed(true));
    assert_eq!(b.replica.status(b.now).promised, Epoch(3));
    let gateway = Address::Gateway(GatewayId { gateway: 1, life: 1 });
    let asked =
        b.step(Event::Message(gateway, Message::TakeOver { above: Epoch(0), patience: 0 }, Fits::ALL));
    assert_eq!(asked[0], Message::PromiseRequest { epoch: Epoch(4) });
}
