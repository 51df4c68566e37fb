//! What a backup makes of entries for which its device has no room, driven without a device.

use dataplane::{
    Address, Config, Effect, Entry, Epoch, Event, Fits, Message, NodeId, Op, Origin, Replica, Restored, Tail,
    Timing,
};
use trace::Mechanisms;

fn backup() -> Replica {
    let (me, members, mechanisms) = (NodeId(2), [1, 2, 3].map(NodeId).to_vec(), Mechanisms::all());
    let config = Config {
        me,
        members,
        members_change: false,
        mechanisms,
        timing: Timing::default(),
        limits: Default::default(),
        pid: 7,
        life: 7,
    };
    let (promised, host_state, entries) = (Epoch(0), Vec::new(), Vec::new());
    let restored = Restored {
        promised,
        proven: true,
        owed: Tail::default(),
        damaged: false,
        checkpoint: 0,
        host_state,
        entries,
    };
    Replica::restore(config, restored).unwrap()
}

fn entry(seq: u64, epoch: u64) -> Entry {
    Entry { seq, epoch: Epoch(epoch), origin: Origin::Marker, op: Op::Nop }
}

/// Sends entries behind `prev`, of which so many have room; what is appended, cut off and acknowledged.
fn prepare(
    replica: &mut Replica,
    epoch: u64,
    prev: Tail,
    entries: &[Entry],
    room: Option<usize>,
) -> (Vec<u64>, Option<u64>, Option<u64>) {
    let fits = room.map_or(Fits::ALL, |entries| Fits { entries, never: false });
    let message = Message::Prepare { epoch: Epoch(epoch), prev, entries: entries.to_vec(), commit: 0 };
    replica.step(1, Event::Message(Address::Node(NodeId(1)), message, fits));
    let (mut appended, mut cut, mut matched) = (Vec::new(), None, None);
    while let Some(effect) = replica.next_effect() {
        match effect {
            Effect::Append(entry) => appended.push(entry.seq),
            Effect::Truncate(from) => cut = Some(from),
            Effect::Hold(_, Message::PrepareOk { matched: upto, .. }) => matched = Some(upto),
            _ => {}
        }
    }
    (appended, cut, matched)
}

#[test]
fn a_backup_takes_the_entries_that_fit_and_acknowledges_no_more() {
    let mut replica = backup();
    let entries = [entry(1, 1), entry(2, 1), entry(3, 1)];
    let start = Tail::default();
    assert_eq!(prepare(&mut replica, 1, start, &entries, Some(2)), (vec![1, 2], None, Some(2)));
    assert_eq!(prepare(&mut replica, 1, start, &entries, Some(2)), (vec![], None, Some(2)));
    // It counts once: the next frame may have room for all.
    assert_eq!(prepare(&mut replica, 1, start, &entries, None), (vec![3], None, Some(3)));
}

/// 1. A backup is full with entries of epoch 1 that were never committed.
/// 2. The primary of epoch 2 sends others in their place. There is no room for them beside the old ones.
/// 3. If the old ones stayed for that reason, there would never be.
#[test]
fn what_is_contradicted_goes_even_if_there_is_no_room_for_what_comes_in_its_place() {
    let mut replica = backup();
    prepare(&mut replica, 1, Tail::default(), &[entry(1, 1), entry(2, 1), entry(3, 1)], None);
    let (prev, others) = (Tail { epoch: Epoch(1), seq: 1 }, [entry(2, 2), entry(3, 2)]);
    assert!(others.iter().all(|entry| !replica.core().has(entry)) && replica.core().has(&entry(2, 1)));
    assert_eq!(prepare(&mut replica, 2, prev, &others, Some(0)), (vec![], Some(2), Some(1)));
    assert_eq!(prepare(&mut replica, 2, prev, &others, None), (vec![2, 3], None, Some(3)));
}
