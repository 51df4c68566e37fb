//! Everything that could happen next.

use std::collections::BTreeSet;

use dataplane::Message;
use sim::schedule::Peer;

use super::language::{Ask, Setting, Step};
use super::nodes::Nodes;
use super::stage::{Cluster, Stage};
use super::words::Which;

/// All steps that are possible now, in a fixed order: messages first.
pub(crate) fn possible(stage: &mut Stage<Nodes>) -> Vec<Step> {
    let setting = stage.setting;
    let mut steps = moves(stage);
    for node in 1..=setting.nodes {
        steps.extend(at_node(stage, node));
    }
    steps.push(Step::Tick(None));
    for gateway in 1..=setting.gateways {
        steps.extend(at_gateway(gateway));
    }
    steps.extend(links(stage, &setting));
    steps.push(Step::Calm { without: Vec::new() });
    steps
}

/// What can become of each message on its way.
fn moves(stage: &mut Stage<Nodes>) -> Vec<Step> {
    let letters: Vec<_> = stage.cluster.on_the_way().clone();
    let named: BTreeSet<String> = BTreeSet::new();
    let mut seen = named;
    let mut all: Vec<Which> = Vec::new();
    for frame in &letters {
        let (from, to, message): (_, _, &Message) = Nodes::read(frame);
        if let Some(which) = stage.naming(from, to, message)
            && seen.insert(which.to_string())
        {
            all.push(which);
        }
    }
    let deliver = all.iter().cloned().map(Step::Deliver);
    let lose = all.iter().cloned().map(Step::Lose);
    let again = all.iter().cloned().map(Step::Again);
    deliver.chain(lose).chain(again).collect()
}

fn at_node(stage: &Stage<Nodes>, node: u32) -> Vec<Step> {
    let mut steps = Vec::new();
    if stage.cluster.needs_sync(node) {
        steps.push(Step::Sync(node));
    }
    let numbers = stage.cluster.history().answered.keys().map(|request| request.number);
    let number = numbers.max().unwrap_or(0) + 1;
    steps.extend([
        Step::Write { number, key: None, to: node },
        Step::Read { key: None, from: node },
        Step::TakeOver { to: node, above: 0 },
        Step::Tick(Some(Peer::Node(node))),
        Step::Crash { at: node, keep: 0 },
    ]);
    if let Some(keep) = stage.cluster.unsynced(node).filter(|unsynced| *unsynced > 0) {
        steps.push(Step::Crash { at: node, keep });
    }
    steps.push(Step::Wipe(node));
    steps
}

fn at_gateway(via: u32) -> Vec<Step> {
    let key = || "k".to_string();
    vec![
        Step::Ask { what: Ask::Put(key(), "v".into()), via },
        Step::Ask { what: Ask::Get(key()), via },
        Step::Ask { what: Ask::Delete(key()), via },
        Step::Tick(Some(Peer::Gateway(via))),
        Step::CrashGateway(via),
    ]
}

fn links(stage: &Stage<Nodes>, setting: &Setting) -> Vec<Step> {
    let nodes = (1..=setting.nodes).map(Peer::Node);
    let peers: Vec<Peer> = nodes.chain((1..=setting.gateways).map(Peer::Gateway)).collect();
    let mut steps = Vec::new();
    for (at, one) in peers.iter().enumerate() {
        for other in &peers[at + 1..] {
            let is_cut = stage.cut.contains(&(*one.min(other), *one.max(other)));
            steps.push(if is_cut { Step::Heal(*one, *other) } else { Step::Cut(*one, *other) });
        }
    }
    steps
}
