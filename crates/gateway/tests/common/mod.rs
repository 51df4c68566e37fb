//! A gateway to talk to.

#![allow(dead_code)]

use dataplane::{
    Address, Condition, Epoch, Frame, GatewayId, Message, Micros, NodeId, NodeStatus, Op, Proof, RequestId,
    RoleName, ShardId, Tail,
};
use gateway::{Config, Gateway, Output, Reply, Request, Timing, Token};
use trace::Mechanisms;

pub const ME: GatewayId = GatewayId { gateway: 1, life: 1 };

/// Three nodes, one shard.
pub fn gateway() -> Gateway {
    gateway_of(1)
}

pub fn gateway_of(shards: u32) -> Gateway {
    let config = Config {
        id: ME,
        cluster: [1; 16],
        nodes: [1, 2, 3].map(NodeId).to_vec(),
        shards,
        seed: 1,
        mechanisms: Mechanisms::all(),
        timing: Timing::default(),
        limits: dataplane::Limits::default(),
        in_flight_max: gateway::IN_FLIGHT_MAX,
    };
    Gateway::new(config, 0)
}

/// A node says something; gives what the gateway then sends and answers.
pub fn hear(gateway: &mut Gateway, from: u32, message: Message) -> Vec<Output> {
    hear_at(gateway, 1_000, 0, from, message)
}

pub fn hear_at(
    gateway: &mut Gateway,
    now: Micros,
    shard: ShardId,
    from: u32,
    message: Message,
) -> Vec<Output> {
    let (from, to) = (Address::Node(NodeId(from)), Address::Gateway(ME));
    let frame = Frame { cluster: [1; 16], shard, from, to, cause: None, message };
    gateway.handle(now, frame);
    gateway.outputs().collect::<Vec<_>>()
}

pub fn tick(gateway: &mut Gateway, now: Micros) -> Vec<Output> {
    gateway.tick(now);
    gateway.outputs().collect::<Vec<_>>()
}

/// What a backup says whose log ends at `seq` of epoch 1.
pub fn backup(promised: u64, seq: u64) -> NodeStatus {
    NodeStatus {
        pid: 1,
        role: RoleName::Backup,
        serving: false,
        proof: Proof::Proven,
        promised: Epoch(promised),
        primary: None,
        tail: Tail { epoch: Epoch(1), seq },
        voted_tail: Tail { epoch: Epoch(1), seq },
        durable: seq,
        committed: 0,
        cut_off_micros: 0,
        sync_micros: 0,
    }
}

pub fn primary(node: u32, epoch: u64) -> NodeStatus {
    let (role, primary) = (RoleName::Primary, Some(NodeId(node)));
    NodeStatus { role, serving: true, primary, ..backup(epoch, 0) }
}

pub fn serves(gateway: &mut Gateway, node: u32, epoch: u64) -> Vec<Output> {
    hear(gateway, node, Message::Status { attempt: 0, status: primary(node, epoch) })
}

pub fn ask(gateway: &mut Gateway, token: Token, request: Request) -> Vec<Output> {
    gateway.submit(1_000, token, request, false);
    gateway.outputs().collect::<Vec<_>>()
}

pub fn put(gateway: &mut Gateway, token: Token) -> Vec<Output> {
    let (key, value) = (b"k".as_slice().into(), b"v".as_slice().into());
    ask(gateway, token, Request::Write(Op::Put { key, value, condition: Condition::Always }))
}

pub fn writes(outputs: &[Output]) -> Vec<RequestId> {
    let request = |output: &Output| match output {
        Output::Send(Frame { message: Message::Write { request, .. }, .. }) => Some(*request),
        _ => None,
    };
    outputs.iter().filter_map(request).collect()
}

/// Who is called to take over, of which shard, above which epoch.
pub fn called(outputs: &[Output]) -> Vec<(ShardId, u32, u64)> {
    let call = |output: &Output| match output {
        Output::Send(Frame {
            message: Message::TakeOver { above, .. },
            to: Address::Node(to),
            shard,
            ..
        }) => Some((*shard, to.0, above.0)),
        _ => None,
    };
    outputs.iter().filter_map(call).collect()
}

/// How long those who are called may take.
pub fn patiences(outputs: &[Output]) -> Vec<Micros> {
    let patience = |output: &Output| match output {
        Output::Send(Frame { message: Message::TakeOver { patience, .. }, .. }) => Some(*patience),
        _ => None,
    };
    outputs.iter().filter_map(patience).collect()
}

/// How many nodes are asked how they are.
pub fn probes(outputs: &[Output]) -> usize {
    let probe =
        |output: &&Output| matches!(output, Output::Send(Frame { message: Message::Probe { .. }, .. }));
    outputs.iter().filter(probe).count()
}

pub fn replies(outputs: &[Output]) -> Vec<(Token, Reply)> {
    let reply = |output: &Output| match output {
        Output::Reply { token, reply } => Some((*token, reply.clone())),
        Output::Send(_) => None,
    };
    outputs.iter().filter_map(reply).collect()
}
