//! Schedules as text: what is written is read back as the same, what is wrong is named, and nothing makes a reader panic.

use sim::schedule::{Bounds, Fault, Load, Schedule, Weather};
use sim::{Options, Script, execute, text};

/// Seeds of three nodes and one shard, and of larger clusters.
fn generated(seeds: u64) -> impl Iterator<Item = Script> {
    (0..seeds).map(|seed| {
        let (nodes, shards) = [(3, 1), (3, 2), (5, 1)][seed as usize % 3];
        let options = Options { nodes, shards, ..Options::default() };
        Script::new(Schedule::generate(seed, &options), &options)
    })
}

#[test]
fn every_generated_schedule_is_read_back_as_it_was() {
    for script in generated(2_100) {
        let text = script.to_string();
        let read = text::parse(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
        assert_eq!(read, script, "{text}");
        assert!(text::is_simulation(&text));
        let Schedule { weather, bounds, load, .. } = &script.schedule;
        assert_eq!(
            weather.to_string().parse(),
            Ok(Weather { sync: Weather::fair().sync, ..weather.clone() })
        );
        assert_eq!(bounds.to_string().parse().as_ref(), Ok(bounds));
        assert_eq!(load.to_string().parse(), Ok(Load { operations: 0, ..load.clone() }));
    }
}

/// Each kind of fault, with and without what may be left out.
const FAULTS: [&str; 39] = [
    "kill n1 for 300ms",
    "kill n1 during a sync for 1.5s",
    "power-cut n2 for 300us",
    "power-cut n2 during a sync for 300ms",
    "kill n3 after 12 ios for 20ms",
    "power-cut n3/1 after 0 ios for 20ms",
    "power-cut all for 100ms",
    "power-cut all during a sync for 100ms",
    "pause n1 for 200ms",
    "pause g2 for 200ms",
    "kill g1 for 200ms",
    "clock n1 ahead 2.5s",
    "clock g1 back 12.345ms",
    "cut n1 to g2 for 200ms",
    "isolate n1 for 200ms",
    "isolate n1 inward for 200ms",
    "isolate g1 outward for 200ms",
    "isolate n1 outward from nodes for 200ms",
    "isolate n1 nowhere for 200ms",
    "split n1 g2 for 200ms",
    "split nobody for 200ms",
    "storm loses 12.3456% delays 20ms for 200ms",
    "wipe n1 for 20ms",
    "wipe n1/3 for 20ms again after 100ms",
    "swap-disks n1 n2 for 20ms",
    "fail-sync n1/1",
    "fail-reads n1 3",
    "rot n1 superblock",
    "rot n1 log and restart",
    "rot n1/1 data",
    "misdirect n2 log",
    "misdirect n2 log and restart",
    "rot-values",
    "rot-values shard 1",
    "takeover n3",
    "slow n1 syncs 100ms for 200ms",
    "slow n1 syncs 1s for good",
    "stall n1 for 4s",
    "stall all for 1.5s",
];

/// The name of a fault's variant.
fn variant(fault: &Fault) -> String {
    format!("{fault:?}").split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_string()
}

#[test]
fn every_kind_of_fault_is_said_in_words() {
    let mut said = std::collections::BTreeSet::new();
    for words in FAULTS {
        let fault: Fault = words.parse().unwrap_or_else(|wrong| panic!("`{words}`: {wrong}"));
        assert_eq!(fault.to_string(), words);
        said.insert(variant(&fault));
    }
    // Whatever a seed can draw is among them.
    for script in generated(500) {
        script
            .schedule
            .steps
            .iter()
            .for_each(|step| assert!(said.contains(&variant(&step.fault)), "{step:?}"));
    }
    assert_eq!(said.len(), 21, "{said:?}");
}

#[test]
fn operations_of_clients_are_steps_like_any_other() {
    let text = "\
# Found by hand.
> simulation 7
> nodes 5 shards 2
> network loses 2.5% duplicates 1% misdelivers 0.01% stragglers 3% delays 50us..2ms latest 20ms reorders encodes
> syncs take 1ms..2.5ms
> bounds sessions 1 window 8 waiting 4 frames 512 in-flight 3
> clients 2 keys 4 think 10ms reads 50% scans 5% deletes 1% conditional 2% key-bytes 300 value-bytes 40 large floods
> heals at 1.9s
> at 200ms c1 put k0 v1
> at 210ms c1 put k1 v2 300 bytes if absent via g2
> at 220ms c2 put k0 v3 if unchanged
> at 230ms c2 delete k0
> at 240ms c2 delete k0 if present
> at 245ms takeover n3/1
> at 250ms c1 get k0
> at 260ms c1 get k0 up to 12 bytes via g2
> at 270ms c1 scan
> at 280ms c1 scan after k1 limit 2
> at 1.29s c1 count
";
    let script = text::parse(text).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(script.to_string(), text);
    assert_eq!(script.steps(), 11);
    assert_eq!((script.cluster.nodes, script.cluster.gateways, script.options().clients), (5, 2, 2));
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_what_could_stand_there() {
    let begin = "> simulation 1\n> clients 2 keys 3\n";
    let wrong = |text: &str| text::parse(text).expect_err(text).to_string();
    for (line, why) in [
        ("> at 1s isolat n1 for 3ms", "line 3: `isolat` cannot stand there; what can: `kill`, `power-cut`"),
        ("> at 1s isolate n4 for 3ms", "line 3: `n4` cannot stand there; what can: n1 to n3, or g1 to g2"),
        ("> at 1s wipe n1/1 for 3ms", "line 3: `n1/1` cannot stand there; what can: n1 to n3"),
        ("> at 1s pause n1 for", "line 3: the line ends too early; what can: a time such as 300us"),
        ("> at 1s pause n1 for 3", "line 3: `3` cannot stand there; what can: a time such as 300us"),
        ("> at 1s pause n1 for 3ms 4", "line 3: `4` cannot stand there; what can: nothing"),
        ("> at 1s pause n1 for 9999s", "line 3: `9999s` cannot stand there; what can: a time"),
        ("> at 1s c3 get k0", "line 3: `c3` cannot stand there; what can: `kill`"),
        ("> at 1s c1 get k3", "line 3: `k3` cannot stand there; what can: a key, k0 to k2"),
        ("> at 1s c1 put k0 7", "line 3: `7` cannot stand there; what can: the name of a value, such as v7"),
        (
            "> at 1s c1 got k0",
            "line 3: `got` cannot stand there; what can: `put`, `delete`, `get`, `scan`, `count`",
        ),
        ("> clients 3", "line 3: `clients` cannot stand there; what can: `nodes`"),
        ("> network loses 101%", "line 3: `101%` cannot stand there; what can: a share"),
        ("> network delays 2ms..1ms", "line 3: `2ms..1ms` cannot stand there; what can: a shortest"),
        ("> network loses 1% loses 1%", "line 3: `loses` cannot stand there; what can: `duplicates`"),
        (
            "> nodes 99999999999999999999",
            "line 3: `99999999999999999999` cannot stand there; what can: a number from 1 to 9",
        ),
        ("> bounds window 0", "line 3: `0` cannot stand there; what can: a number from 1 to"),
        ("deliver n1 n3", "line 3: `deliver` cannot stand there; what can: `> ` and a setting or a step"),
    ] {
        let told = wrong(&format!("{begin}{line}\n"));
        assert!(told.starts_with(why), "{line}\n{told}\n{why}");
    }
    assert!(wrong("").contains("`> simulation N`"), "{}", wrong(""));
    assert!(
        wrong("> at 1s takeover n1\n").starts_with("line 1: `at` cannot stand there; what can: `simulation`")
    );
    assert!(wrong("> simulation 1\n> at 1s takeover n1\n> nodes 5\n").starts_with("line 3: `nodes` cannot"));
    let drawn = wrong("> simulation 1\n> clients 2 operations 20\n> at 1s c1 get k0\n");
    assert!(drawn.starts_with("line 3: `c1` cannot"), "{drawn}");
}

/// Words of schedules, shuffled, cut and with absurd numbers: an error or a schedule that runs, never a panic.
#[test]
fn no_text_makes_the_reader_panic() {
    let mut rng = sim::rng::Rng::stream(1, "texts", 0);
    let (mut good, mut bad) = (0, 0);
    let absurd = [
        "",
        "0",
        "-1",
        "18446744073709551616",
        "99999999999999999s",
        "n0",
        "n",
        "k",
        "v",
        "..",
        "%",
        "é",
        "1.2.3ms",
    ];
    for script in generated(300) {
        let mut lines: Vec<String> = script.to_string().lines().map(String::from).collect();
        let line = rng.below(lines.len() as u64) as usize;
        let mut words: Vec<&str> = lines[line].split(' ').collect();
        let word = rng.below(words.len() as u64) as usize;
        match rng.below(4) {
            0 => words[word] = absurd[rng.below(absurd.len() as u64) as usize],
            1 => words.truncate(word),
            2 => words.swap(0, word),
            _ => words.insert(word, "n1"),
        }
        lines[line] = words.join(" ");
        match text::parse(&lines.join("\n")) {
            Ok(_) => good += 1,
            Err(wrong) => {
                assert!(wrong.line > 0 && !wrong.could.is_empty(), "{wrong:?}");
                bad += 1;
            }
        }
    }
    assert!(bad > 100, "{good} and {bad}");
}

/// What is at the edge of what can be written runs, and ends.
#[test]
fn odd_settings_run() {
    for setting in [
        "network duplicates 100% stragglers 100%",
        "network loses 100%",
        "nodes 1 gateways 1",
        "nodes 9 gateways 9 shards 4",
        "bounds sessions 1 window 1 waiting 1 frames 1 in-flight 1",
        "syncs take 0us..0us",
        "heals at 0us",
    ] {
        let text = format!(
            "> simulation 1\n> {setting}\n> at 0us split n1 for 10ms\n> at 1ms c1 put k0 v1 1048576 bytes\n> at 1ms c4 scan\n"
        );
        let script = text::parse(&text).unwrap_or_else(|wrong| panic!("{wrong}"));
        let report = execute(&script.schedule, &script.options());
        let panics = report.violation.filter(|violation| violation.checker == "assertion");
        assert_eq!(panics, None, "{setting}");
    }
}

/// A run with its operations written down is the same run: the list is what the dice chose.
#[test]
fn a_run_is_the_same_when_its_operations_are_listed() {
    let options = Options::default();
    for seed in 0..25 {
        let mut schedule = Schedule::generate(seed, &options);
        let drawn = execute(&schedule, &Options { trace: true, ..options.clone() });
        assert_eq!(drawn.asks.len(), 200, "seed {seed}");
        schedule.asks = Some(drawn.asks.clone());
        let text = Script::new(schedule, &options).to_string();
        let script = text::parse(&text).unwrap_or_else(|wrong| panic!("{wrong}"));
        let listed = execute(&script.schedule, &Options { trace: true, ..script.options() });
        assert_eq!(listed.history, drawn.history, "seed {seed}");
        assert!(listed.trace == drawn.trace, "seed {seed}");
    }
}

#[test]
fn usual_values_are_left_out() {
    assert_eq!(Weather::fair().to_string(), "");
    assert_eq!(Bounds::usual().to_string(), "");
    assert_eq!(Load::usual().to_string(), "");
    let script = text::parse("> simulation 3\n").expect("a schedule in which nothing happens");
    assert_eq!(script.to_string(), "> simulation 3\n> clients 4\n> heals at 3s\n");
}
