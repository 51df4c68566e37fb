//! Where a simulation begins, in words. What is as usual is left out.
//!
//! | setting | means |
//! |---|---|
//! | `simulation N` | a schedule of the simulator; N seeds the dice that remain |
//! | `nodes N gateways N shards N with NAME,… passive` | the cluster: 3, 2 and 1; the extensions that it was founded with; its gateways never ask a node to take over |
//! | `network loses P duplicates P misdelivers P delays T..T stragglers P latest T reorders encodes` | what befalls messages: lost, doubled, given to somebody else as well; how long they take; how many are late, and at most how late these and doubles are; whether they overtake one another; whether each goes through its encoding |
//! | `syncs take T..T` | what a sync takes |
//! | `bounds sessions N window N waiting N frames N in-flight N` | what replicas remember of requests, entries that a primary takes on before they are applied, bytes on their way to one backup, requests that a gateway takes on |
//! | `clients N operations N keys N think T reads P scans P deletes P conditional P key-bytes N value-bytes N large floods` | who asks, and what: with `operations` the dice choose, without it the steps name each |
//! | `heals at T` | all faults end |

use std::fmt;

use super::words::{Cluster, Read, Words, list, show_share, show_time};
use crate::options::Options;
use crate::schedule::{Bounds, Load, Weather};

/// Clients remember a version of each key.
pub(super) const KEYS_MAX: u64 = 32;
/// The longest value.
pub(super) const VALUE_MAX: u64 = 1 << 20;
/// The longest key, but for the number in it.
const KEY_BYTES_MAX: u64 = 1_024;
/// Most operations of a run.
const OPERATIONS_MAX: u32 = 100_000;
/// Bounds of bounds.
const MANY: u64 = 1 << 20;

/// The words of a line: each is given once, in any order.
fn each<const N: usize>(
    words: &mut Words,
    names: [&str; N],
    mut read: impl FnMut(&mut Words, &str) -> Read<()>,
) -> Read<()> {
    let mut open = names.to_vec();
    while !words.is_over() {
        let Some(at) = open.iter().position(|name| words.take(name)) else {
            return words.wrong(if open.is_empty() { "nothing".into() } else { list(open.into_iter()) });
        };
        read(words, open.remove(at))?;
    }
    Ok(())
}

/// What a line about the cluster may name.
pub(super) const CLUSTER: [&str; 5] = ["nodes", "gateways", "shards", "with", "passive"];

pub(super) fn cluster(words: &mut Words) -> Read<Cluster> {
    let mut cluster = usual_cluster();
    let largest = Cluster::LARGEST;
    each(words, CLUSTER, |words, name| {
        match name {
            "nodes" => cluster.nodes = words.count(1..=largest.nodes)?,
            "gateways" => cluster.gateways = words.count(1..=largest.gateways)?,
            "shards" => cluster.shards = words.count(1..=largest.shards)?,
            "with" => cluster.with = words.understood("names of extensions", |names| names.parse().ok())?,
            _ => cluster.passive = true,
        }
        Ok(())
    })?;
    Ok(cluster)
}

pub(super) fn usual_cluster() -> Cluster {
    let Options { nodes, gateways, shards, clients, with, passive_gateways, .. } = Options::default();
    Cluster { nodes, gateways, shards, clients, with, passive: passive_gateways }
}

pub(super) fn show_cluster(cluster: &Cluster) -> String {
    let usual = usual_cluster();
    let mut words = Vec::new();
    let mut say = |name: &str, value: u32, usual: u32| {
        words.extend((value != usual).then(|| format!("{name} {value}")));
    };
    say("nodes", cluster.nodes, usual.nodes);
    say("gateways", cluster.gateways, usual.gateways);
    say("shards", cluster.shards, usual.shards);
    words.extend((cluster.with != usual.with).then(|| format!("with {}", cluster.with)));
    words.extend(cluster.passive.then(|| "passive".to_string()));
    words.join(" ")
}

const NETWORK: [&str; 8] =
    ["loses", "duplicates", "misdelivers", "delays", "stragglers", "latest", "reorders", "encodes"];

pub(super) fn network(words: &mut Words, weather: &mut Weather) -> Read<()> {
    each(words, NETWORK, |words, name| {
        match name {
            "loses" => weather.loss = words.share()?,
            "duplicates" => weather.duplication = words.share()?,
            "misdelivers" => weather.misdelivery = words.share()?,
            "delays" => (weather.delay_min, weather.delay_max) = words.times()?,
            "stragglers" => weather.stragglers = words.share()?,
            "latest" => weather.straggle_max = words.time()?,
            "reorders" => weather.reorders = true,
            _ => weather.encodes = true,
        }
        Ok(())
    })
}

/// The network; what syncs take has a line of its own.
impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fair = Weather::fair();
        let mut words = Vec::new();
        let mut share = |name: &str, value: u64| {
            words.extend((value > 0).then(|| format!("{name} {}", show_share(value))));
        };
        share("loses", self.loss);
        share("duplicates", self.duplication);
        share("misdelivers", self.misdelivery);
        share("stragglers", self.stragglers);
        if (self.delay_min, self.delay_max) != (fair.delay_min, fair.delay_max) {
            words.push(format!("delays {}..{}", show_time(self.delay_min), show_time(self.delay_max)));
        }
        if self.straggle_max != fair.straggle_max {
            words.push(format!("latest {}", show_time(self.straggle_max)));
        }
        words.extend(self.reorders.then(|| "reorders".to_string()));
        words.extend(self.encodes.then(|| "encodes".to_string()));
        f.write_str(&words.join(" "))
    }
}

pub(super) fn show_syncs(weather: &Weather) -> String {
    let (least, most) = weather.sync;
    match weather.sync == Weather::fair().sync {
        true => String::new(),
        false => format!("{}..{}", show_time(least), show_time(most)),
    }
}

pub(super) fn bounds(words: &mut Words, bounds: &mut Bounds) -> Read<()> {
    each(words, ["sessions", "window", "waiting", "frames", "in-flight"], |words, name| {
        match name {
            "sessions" => bounds.limits.sessions = words.number(1..=MANY)? as usize,
            "window" => bounds.limits.window = words.number(1..=MANY)?,
            "waiting" => bounds.waiting_max = words.number(1..=MANY)?,
            "frames" => bounds.window_bytes = words.number(1..=MANY)?,
            _ => bounds.in_flight_max = words.number(1..=MANY)? as usize,
        }
        Ok(())
    })
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Bounds::usual();
        let mut words = Vec::new();
        let mut say = |name: &str, value: u64, usual: u64| {
            words.extend((value != usual).then(|| format!("{name} {value}")));
        };
        say("sessions", self.limits.sessions as u64, usual.limits.sessions as u64);
        say("window", self.limits.window, usual.limits.window);
        say("waiting", self.waiting_max, usual.waiting_max);
        say("frames", self.window_bytes, usual.window_bytes);
        say("in-flight", self.in_flight_max as u64, usual.in_flight_max as u64);
        f.write_str(&words.join(" "))
    }
}

const LOAD: [&str; 11] = [
    "operations",
    "keys",
    "think",
    "reads",
    "scans",
    "deletes",
    "conditional",
    "key-bytes",
    "value-bytes",
    "large",
    "floods",
];

/// What clients do; true if the dice choose it.
pub(super) fn load(words: &mut Words, load: &mut Load) -> Read<bool> {
    let mut drawn = false;
    each(words, LOAD, |words, name| {
        match name {
            "operations" => (drawn, load.operations) = (true, words.count(0..=OPERATIONS_MAX)?),
            "keys" => load.keys = words.number(1..=KEYS_MAX)?,
            "think" => load.think_max = words.time()?,
            "reads" => load.reads = words.percent()?,
            "scans" => load.scans = words.percent()?,
            "deletes" => load.deletes = words.percent()?,
            "conditional" => load.conditional = words.percent()?,
            "key-bytes" => load.key_length = words.number(0..=KEY_BYTES_MAX)?,
            "value-bytes" => load.value_max = words.number(0..=VALUE_MAX)?,
            "large" => load.large = true,
            _ => load.floods = true,
        }
        Ok(())
    })?;
    Ok(drawn)
}

/// All but the operations: whether they are drawn the load does not know.
impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Load::usual();
        let mut words = Vec::new();
        let mut say = |name: &str, value: String, usual: String| {
            words.extend((value != usual).then(|| format!("{name} {value}")));
        };
        let percent = |value: u64| format!("{value}%");
        say("keys", self.keys.to_string(), usual.keys.to_string());
        say("think", show_time(self.think_max), show_time(usual.think_max));
        say("reads", percent(self.reads), percent(usual.reads));
        say("scans", percent(self.scans), percent(usual.scans));
        say("deletes", percent(self.deletes), percent(usual.deletes));
        say("conditional", percent(self.conditional), percent(usual.conditional));
        say("key-bytes", self.key_length.to_string(), usual.key_length.to_string());
        say("value-bytes", self.value_max.to_string(), usual.value_max.to_string());
        words.extend(self.large.then(|| "large".to_string()));
        words.extend(self.floods.then(|| "floods".to_string()));
        f.write_str(&words.join(" "))
    }
}
