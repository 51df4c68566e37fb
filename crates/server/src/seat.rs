//! The thread of one replica: its sockets, its rules, its device.
//!
//! No request is handed from thread to thread. The sync of the device blocks this one, and that is right: whatever could be
//! done meanwhile belongs to the next batch, and is waiting in the sockets when the sync returns. So group commit needs no
//! timer.
//!
//! One round of a replica:
//! 1. handle every frame that has arrived, and settle: one batch for the backups;
//! 2. send what may leave now (among it those entries, so that the backups sync while we do);
//! 3. if something waits for durability: one write, one sync, and send what that released;
//! 4. one step of a checkpoint, if one is due;
//! 5. wait for frames or for the next deadline.

use std::path::PathBuf;

use bytes::BytesMut;
use dataplane::{Address, Chunk, Frame, Message, Micros, NodeStatus, Proof, ShardId, Usage};
use node::{Config, Node, StopError};
use secure::line::Detached;
use serde_json::Value;
use store::FileDevice;
use tokio::sync::{mpsc, oneshot};
use trace::{Actor, Mechanisms};

use crate::board::{Board, Said};
use crate::child::Question;
use crate::chronicle::OfReplica;
use crate::clock::{Clock, sleep_until};
use crate::cut::Cut;
use crate::fullness::{self, Watch};
use crate::glass;
use crate::node_options::{NodeFailure, NodeOptions};
use crate::partial::Partial;
use crate::ports::Ports;
use crate::ring::Ring;

/// What the listener tells a replica's thread.
pub(crate) enum ToReplica {
    /// A connection from there, after its greeting, with what was read behind that.
    Connection(Detached, Address, BytesMut),
    /// `up` asks.
    Question(Question, oneshot::Sender<Value>),
    /// Finish the round and end.
    Stop,
}

/// What a replica's thread is built from.
pub(crate) struct Seat {
    pub(crate) shard: ShardId,
    pub(crate) image: PathBuf,
    pub(crate) options: NodeOptions,
    pub(crate) clock: Clock,
    pub(crate) cut: Cut,
    pub(crate) board: Board,
    pub(crate) partial: Partial,
}

impl Seat {
    /// Serves until it is told to stop or its device fails; says when the device is open.
    pub(crate) fn sit(
        self,
        inbox: mpsc::UnboundedReceiver<ToReplica>,
        opened: oneshot::Sender<()>,
    ) -> Result<(), NodeFailure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // A task of its own: to wake what `block_on` itself waits for takes a system call, to wake a task a push.
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let replica = tokio::task::spawn_local(self.serve(inbox, opened));
            replica.await.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
        })
    }

    async fn serve(
        self,
        mut inbox: mpsc::UnboundedReceiver<ToReplica>,
        opened: oneshot::Sender<()>,
    ) -> Result<(), NodeFailure> {
        let Seat { shard, image, options, clock, cut, board, partial } = self;
        let config = Config {
            cluster: options.cluster,
            shard,
            shards: options.images.len() as u32,
            rules: dataplane::Config {
                me: options.node,
                members: options.nodes.keys().copied().collect(),
                members_change: options.extensions.changes_members(),
                pid: std::process::id(),
                life: u64::from_le_bytes(crate::manifest::random()),
                mechanisms: Mechanisms::all(),
                timing: dataplane::Timing::default(),
                limits: dataplane::Limits::default(),
            },
        };
        let (ring, actor) = (Ring::default(), Actor::Node { node: options.node.0, shard });
        let mut life = u32::from_le_bytes(crate::manifest::random());
        let t = ring.tracer(actor, life, options.record.clone());
        let mut recording = options.record.is_some();
        let device = FileDevice::open(&image).map_err(|e| NodeFailure::File(image.clone(), e))?;
        let begun = clock.now();
        let (mut replica, report) =
            Node::open(device, config, t).map_err(|e| NodeFailure::Open(image.clone(), e))?;
        replica.extend(options.extensions.start());
        tracing::info!(
            "shard {shard}: {} is open: checkpoint at {}, log up to {}, {} bytes of torn tail discarded{}",
            image.display(),
            report.checkpoint_seq,
            report.last_seq,
            report.discarded_bytes,
            report.damage.map_or(String::new(), |damage| format!(
                "; {damage}; it {} until it is filled again",
                if replica.replica().is_proven() { "votes by what it remembers" } else { "does not vote" }
            )),
        );
        let mut watch = Watch::default();
        let mut leave = |replica: &Node<FileDevice>, status: NodeStatus| {
            let usage = usage(replica);
            if let Some(warning) = watch.look(fullness::percent(&usage)) {
                tracing::warn!("shard {shard}: {warning}");
            }
            let members = replica.replica().told_members();
            board.leave(shard, Said { status, usage, members });
        };
        leave(&replica, replica.status(clock.now()));
        let mut chronicle = OfReplica::new(shard, replica.status(clock.now()));
        // Opening has synced: from the start on the gateways know what a takeover takes on this disk.
        let syncs = replica.engine().device().used().syncs;
        replica.sync_took((clock.now() - begun) / syncs.max(1));
        let _ = opened.send(());

        let ports = Ports::new(&options, shard, cut, partial);
        let stopped = |e: StopError| NodeFailure::Device(image.clone(), e.to_string());
        let mut handled = Vec::new();
        loop {
            // 1. Handle what has arrived. Two lists take turns, so that neither has to grow anew.
            std::mem::swap(&mut *ports.arrived.borrow_mut(), &mut handled);
            node::drop_superseded(&mut handled);
            for frame in handled.drain(..) {
                if let Some(reply) = host_answer(&mut replica, &ring, clock.now(), &frame.message) {
                    ports.push(&Frame { from: frame.to, to: frame.from, message: reply, ..frame });
                    ports.flush();
                } else {
                    replica.handle(clock.now(), frame).map_err(stopped)?;
                    if replica.parked() {
                        // It is about to block in a sync of its own, while the others should do theirs.
                        ports.send_all(&mut replica);
                    }
                }
            }
            if replica.next_deadline().is_some_and(|at| at <= clock.now()) {
                replica.tick(clock.now()).map_err(stopped)?;
            }
            replica.settle(clock.now()).map_err(stopped)?;
            if options.extensions.changes_members() {
                ports.meet(&replica.replica().core().members);
            }
            // 2. Send what may leave now.
            ports.send_all(&mut replica);
            let status = replica.status(clock.now());
            chronicle.note(&status, || replica.engine().damage().map(|damage| damage.to_string()));
            leave(&replica, status);
            // 3. Make the batch durable, and send what waited for that.
            if replica.needs_flush() {
                let begun = clock.now();
                replica.flush(begun).map_err(stopped)?;
                replica.sync_took(clock.now() - begun);
                ports.send_all(&mut replica);
                leave(&replica, replica.status(clock.now()));
            }
            for what in replica.notices() {
                tracing::warn!("shard {shard}: {what}");
            }
            // 4. Work on a checkpoint, now that nobody waits for this replica.
            replica.background(clock.now()).map_err(stopped)?;
            ports.send_all(&mut replica);
            // 5. Wait. Work that is due at once must not keep the sockets from being read.
            if replica.next_deadline().is_some_and(|at| at <= clock.now()) {
                tokio::task::yield_now().await;
            }
            tokio::select! {
                () = ports.wake.notified() => (),
                () = sleep_until(clock, replica.next_deadline()) => (),
                order = inbox.recv() => match order {
                    Some(ToReplica::Connection(stream, from, read)) => ports.serve(stream, from, read),
                    // Whoever asked may wait no longer.
                    Some(ToReplica::Question(Question::Look, tell)) => {
                        drop(tell.send(glass::replica(&replica, &chronicle, clock, recording)));
                    }
                    Some(ToReplica::Question(Question::Trace, tell)) => drop(tell.send(ring.text(options.images.len()))),
                    Some(ToReplica::Question(Question::Record(on), tell)) => {
                        if options.record.is_none() && on != recording {
                            // Later events have greater ids, whoever recorded them.
                            life = life.wrapping_add(1);
                            let few = || ring.tracer(actor, life, None);
                            replica.trace_to(if on { ring.recorder(actor, life) } else { few() });
                            recording = on;
                        }
                        drop(tell.send(Value::Null));
                    }
                    Some(ToReplica::Stop) | None => return Ok(()),
                },
            }
        }
    }
}

/// The answer to what the host answers, and the rules never see.
fn host_answer(replica: &mut Node<FileDevice>, ring: &Ring, now: Micros, asked: &Message) -> Option<Message> {
    match asked {
        Message::TraceRequest => Some(Message::TraceReply { lines: ring.lines() }),
        Message::BackupRequest { id, at_least, since, cursor } => {
            let chunk = replica.backup(now, *at_least, *since, cursor);
            // The sessions in it are of gateways that a copy will never hear of.
            let chunk = chunk.map(|chunk| Chunk { host_state: Vec::new(), ..chunk });
            let status = replica.status(now);
            // One that lost entries and knows how far its log went answers for that.
            let durable = status.durable.max(status.voted_tail.seq);
            let durable = (status.proof == Proof::Proven).then_some(durable);
            let members = &replica.replica().core().members;
            let since = members.rows().values().map(|member| member.since).max().unwrap_or(0);
            let (voters, keys) = ((since, members.voters().collect()), replica.engine().key_count());
            Some(Message::BackupReply { id: *id, durable, voters, keys, chunk })
        }
        _ => None,
    }
}

fn usage(replica: &Node<FileDevice>) -> Usage {
    let used = replica.engine().device().used();
    let space = replica.engine().space();
    let (values_damaged, values_mended, values_missing) = replica.repairs();
    Usage {
        syncs: used.syncs,
        written_bytes: used.bytes,
        claimed_bytes: space.claimed * engine::UNIT,
        claimable_bytes: space.claimable * engine::UNIT,
        values_damaged,
        values_mended,
        values_missing,
    }
}
