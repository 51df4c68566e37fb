//! Who a node is, and why it does not start, or stops.

use std::fmt;

use dataplane::{ClusterId, ShardId, wire};

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster.
    pub cluster: ClusterId,
    /// The shard whose replica this is.
    pub shard: ShardId,
    /// How many shards the cluster has.
    pub shards: u32,
    /// Who its replica is, and how patient.
    pub rules: dataplane::Config,
}

impl Config {
    /// The device that belongs to it: one that says otherwise is refused, whatever the command line says.
    pub fn identity(&self) -> engine::Identity {
        let Config { cluster, shard, shards, .. } = *self;
        // A node that was added belongs to the cluster of those who founded it.
        let me = std::iter::once(self.rules.me);
        let members = engine::members(self.rules.members.iter().copied().chain(me).map(|member| member.0));
        engine::Identity { cluster, node: self.rules.me.0, shard, shards, members }
    }
}

/// Why a node cannot start on its device.
#[derive(Debug)]
pub enum OpenError {
    /// The engine cannot open it.
    Engine(engine::OpenError),
    /// A log entry carries a tag that is not of this format: written by another program.
    Tag {
        /// The entry.
        seq: u64,
        /// What is wrong with it.
        why: wire::WireError,
    },
    /// The state in the checkpoint is not of this format.
    HostState(wire::WireError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Engine(e) => e.fmt(f),
            OpenError::Tag { seq, why } => write!(f, "log entry {seq} has a tag that does not decode: {why}"),
            OpenError::HostState(why) => write!(f, "the checkpoint's host state does not decode: {why}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why a node must stop: the device failed, or refuses after a failure; or the engine did not take what it had room for. The
/// cluster goes on without it; reopened, it recovers from what is durable.
#[derive(Debug)]
pub struct StopError(pub(crate) engine::WriteError);

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for StopError {}
