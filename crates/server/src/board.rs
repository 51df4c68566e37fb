//! What each replica of a node last said of itself, for gateways that ask while it works.
//!
//! A sync of the device blocks the replica's thread: for a second, on a slow disk. A probe that waited behind it, or
//! behind megabytes of values, would make a healthy replica look dead, and cost a takeover. So each replica leaves its
//! status here in every round, and the listener's thread, which never touches a device, answers probes from it, over
//! connections that carry nothing else.
//!
//! A status from here may be as old as the sync that is under way. No rule is broken by that: what it says was true, and
//! durable, when it was left here. A replica whose device never returns is found out by its unanswered requests.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use dataplane::{Address, ClusterId, Frame, Message, NodeId, NodeStatus, ShardId, Usage, guard};
use secure::line::Line;
use secure::stream::Stream;
use trace::Mechanisms;

use crate::cut::Cut;
use crate::partial::Share;
use crate::transport::Wire;

/// The status of each replica of this process.
#[derive(Clone)]
pub struct Board(Arc<[Mutex<Option<Said>>]>);

/// What a replica says of itself.
#[derive(Clone)]
pub struct Said {
    /// How it is.
    pub status: NodeStatus,
    /// What it has used.
    pub usage: Usage,
    /// Who belongs to its shard, where that changes.
    pub members: Option<Message>,
}

impl Board {
    /// A board on which nobody has said anything.
    pub fn new(shards: usize) -> Board {
        Board((0..shards).map(|_| Mutex::default()).collect())
    }

    /// Leaves what a replica says of itself.
    pub fn leave(&self, shard: ShardId, said: Said) {
        *self.0[shard as usize].lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }

    /// What every replica last said.
    pub fn all(&self) -> Vec<Option<Said>> {
        (0..self.0.len()).map(|shard| self.read(shard as ShardId)).collect()
    }

    fn read(&self, shard: ShardId) -> Option<Said> {
        self.0.get(shard as usize)?.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers the probes of one connection until it ends. `read` holds what was read of the stream already.
    pub async fn serve(
        self,
        stream: Stream,
        read: BytesMut,
        me: (ClusterId, NodeId),
        cut: Cut,
        share: Share,
    ) {
        let Ok(wire) = Line::new(stream).and_then(|line| Wire::new(line, cut, Some(share))) else { return };
        let (cluster, me) = (me.0, Address::Node(me.1));
        let answer = |frame: Frame| {
            let Message::Probe { attempt } = frame.message else { return };
            if !guard::frame_identity(Mechanisms::all(), &frame, &cluster, frame.shard, me) {
                return;
            }
            if let Some(Said { status, usage, members }) = self.read(frame.shard) {
                let told = [Message::Status { attempt, status }, Message::Usage(usage)];
                for message in told.into_iter().chain(members) {
                    wire.push(&Frame { from: me, to: frame.from, message, ..frame });
                }
                wire.flush();
            }
        };
        let why = wire.run(read, answer).await;
        tracing::debug!("a connection for probes ended: {why}");
    }
}
