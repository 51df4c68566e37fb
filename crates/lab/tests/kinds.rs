//! Every kind of event is shown by something: a seed of the simulator, a counterexample, a story. A kind that nothing
//! emits would be a line of the schema that nobody can have tried.

use std::collections::BTreeMap;
use std::path::Path;

use dataplane::{
    Address, Config, Effect, Epoch, Event, Fits, Message, NodeId, Origin, Replica, Restored, Tail, Timing,
};
use engine::{Engine, Identity, Layout, Standing};
use extensions::{Chosen, Name};
use lab::why::registry;
use lab::{Play, Schedule};
use sim::Options;
use trace::{Kind, Mechanism, Mechanisms};

/// Which schedule shows each kind first.
#[derive(Default)]
struct Shown(BTreeMap<&'static str, String>);

impl Shown {
    fn kind(&mut self, kind: &Kind, by: &str) {
        self.0.entry(kind.name()).or_insert_with(|| by.to_string());
    }

    fn play(&mut self, play: &Play, by: &str) {
        let events = play.acts.iter().flat_map(|act| &act.events);
        events.for_each(|event| self.kind(&event.kind, by));
    }
}

/// What is outside the fault model is noticed all the same: a backup hears that it acknowledged more than its log has, and
/// its device is marked as one whose log is not to be relied on.
fn loses_its_log() -> Vec<Kind> {
    let rules = Config {
        me: NodeId(2),
        members: [1, 2, 3].map(NodeId).to_vec(),
        members_change: false,
        mechanisms: Mechanisms::all(),
        timing: Timing::default(),
        limits: Default::default(),
        pid: 1,
        life: 1,
    };
    let restored = Restored {
        promised: Epoch(3),
        proven: true,
        owed: Tail::default(),
        damaged: false,
        checkpoint: 0,
        host_state: Vec::new(),
        entries: vec![(Epoch(3), Origin::Marker)],
    };
    let mut replica = Replica::restore(rules, restored).expect("a log that can be");
    replica.listen(true);
    let contradicted = Message::Contradicted { epoch: Epoch(3), acknowledged: 2 };
    replica.step(1, Event::Message(Address::Node(NodeId(1)), contradicted, Fits::ALL));
    let mut kinds = Vec::new();
    while let Some(effect) = replica.next_effect() {
        kinds.extend(if let Effect::Tell(told) = effect { Some(told.kind) } else { None });
    }
    let disk = disk::Disk::new(256 << 10);
    let members = engine::members(1..=3);
    let identity = Identity { cluster: *b"lost a log batch", node: 2, shard: 0, shards: 1, members };
    engine::format(&disk, &identity, Standing::Member, Layout { wal_bytes: 32 << 10 }).expect("a blank disk");
    let (mut device, _) = Engine::open(disk, &identity, Mechanisms::all()).expect("it was formatted");
    device.listen(true);
    device.set_standing(Standing::Joining).expect("the disk works");
    kinds.extend(device.notes().map(|(kind, _)| kind));
    kinds
}

#[test]
fn every_kind_of_event_is_shown_by_a_schedule() {
    let mut shown = Shown::default();
    for entry in registry::entries() {
        let Some(text) = entry.counterexample else { continue };
        let schedule: Schedule = text.parse().expect("a stored schedule");
        let by = |how: &str| format!("the counterexample of {} {how}", entry.mechanism);
        for (on, how) in
            [(Mechanisms::all(), "with it"), (Mechanisms::all().without(entry.mechanism), "without it")]
        {
            shown.play(&schedule.play(on).expect("it plays"), &by(how));
        }
    }
    let stories = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stories");
    for story in std::fs::read_dir(stories).expect("stories").map(|entry| entry.expect("a story").path()) {
        let text = std::fs::read_to_string(&story).expect("a story");
        let Ok(schedule) = text.parse::<Schedule>() else { continue };
        let by = story.file_name().unwrap_or_default().to_string_lossy().into_owned();
        shown.play(&schedule.play(Mechanisms::all()).expect("it plays"), &by);
    }
    let mut seed = |seed: u64, with: Chosen, without: Vec<Mechanism>| {
        let by = format!("seed {seed} with {with}, without {without:?}");
        let nodes = if with.changes_members() { 5 } else { 3 };
        let report = sim::run(seed, &Options { nodes, trace: true, with, without, ..Options::default() });
        report.events().expect("its own trace").iter().for_each(|event| shown.kind(&event.kind, &by));
    };
    (0..60).for_each(|n| seed(n, Chosen::NONE, Vec::new()));
    seed(0, Chosen::NONE, vec![Mechanism::MajorityCommit]);
    (0..5).for_each(|n| seed(n, Chosen::of(Name::ALL), Vec::new()));
    for kind in loses_its_log() {
        shown.kind(&kind, "a device that lost its log's last batch");
    }
    shown.0.iter().for_each(|(kind, by)| println!("{kind:<22} {by}"));
    let never: Vec<_> = Kind::NAMES.iter().filter(|name| !shown.0.contains_key(*name)).collect();
    assert!(never.is_empty(), "shown by nothing: {never:?}");
}
