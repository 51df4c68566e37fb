//! One storage node: a thread per replica, and a listener that hands connections to them.
//!
//! ```text
//!               listener ── handshake names the shard ────┐
//!                  ⇅ probes                               ▼
//!   peers, gateways ⇄ connections of shard 0 ⇄ [thread: Node on shard-0.img]
//!                     connections of shard 1 ⇄ [thread: Node on shard-1.img]
//! ```
//!
//! Everything about one replica happens on one thread: its sockets, its rules, its device. No request is handed from
//! thread to thread. The sync of the device blocks that thread, and that is right: whatever could be done meanwhile
//! belongs to the next batch, and is waiting in the sockets when the sync returns. So group commit needs no timer. Only
//! probes are answered meanwhile, by the listener's thread, from what the replica last said of itself ([`Board`]).
//!
//! One round of a replica:
//! 1. handle every frame that has arrived, and settle: one batch for the backups;
//! 2. send what may leave now (among it those entries, so that the backups sync while we do);
//! 3. if something waits for durability: one write, one sync, and send what that released;
//! 4. one step of a checkpoint, if one is due;
//! 5. wait for frames or for the next deadline.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use dataplane::{Address, ClusterId, Frame, GatewayId, Message, NodeId, NodeStatus, ShardId, Usage};
use node::{Config, Node, OpenError, StopError};
use serde_json::{Value, json};
use store::{FileDevice, FileError};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use trace::{Actor, Mechanisms};

use crate::board::Board;
use crate::child::{Cut, Orders, Question, announce, reply, stopped};
use crate::chronicle::OfReplica;
use crate::clock::{Clock, sleep_until};
use crate::doors;
use crate::fullness::{self, Watch};
use crate::glass;
use crate::hello::{Greeting, Hello, IMAGE_VERSION, NO_SHARD};
use crate::link::Link;
use crate::partial::Partial;
use crate::ring::{Record, Ring};
use crate::transport::Wire;

/// Most connections that have not sent their first frame yet. One more, and the oldest of them is closed: whoever says
/// nothing never keeps out a member, which speaks at once.
const NAMELESS_MAX: usize = 256;
/// Most connections of one replica that have greeted.
const NAMED_MAX: usize = 1024;
/// A connection that has not greeted by then is closed.
const NAMELESS_PATIENCE: Duration = Duration::from_secs(5);
/// A replica that does not answer a question of `up` by then is in the middle of a sync.
const LOOK_PATIENCE: Duration = Duration::from_millis(300);
/// Reasons for sending callers away that are remembered.
const TOLD_MAX: usize = 256;

/// What a node process is told at its start.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The cluster.
    pub cluster: ClusterId,
    /// Which node this is.
    pub node: NodeId,
    /// All storage nodes with their addresses, HOST:PORT, this one included.
    pub nodes: BTreeMap<NodeId, String>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The device of each shard; its place in the list is the shard's number.
    pub images: Vec<PathBuf>,
    /// Where every event is recorded; `None`: only followed requests are, in memory.
    pub record: Option<Record>,
}

impl NodeOptions {
    /// What this node says to `to` before anything else.
    fn hello(&self, to: Address, shard: ShardId) -> Hello {
        Hello {
            cluster: self.cluster,
            images: Some(IMAGE_VERSION),
            from: Address::Node(self.node),
            to,
            shard,
            shards: Some(self.images.len() as u32),
            members: self.nodes.keys().copied().collect(),
        }
    }
}

/// Why a node process ended, or never began.
#[derive(Debug)]
pub enum NodeFailure {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// A device file cannot be opened.
    File(PathBuf, FileError),
    /// What is on a device is not usable.
    Open(PathBuf, OpenError),
    /// A device failed; it must not be used before it was opened again.
    Device(PathBuf, String),
    /// The operating system refused something the process needs.
    System(io::Error),
}

impl std::fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NodeFailure::Listen(address, e) => write!(f, "cannot listen on {address}: {e}"),
            NodeFailure::File(path, e) => write!(f, "{}: {e}", path.display()),
            NodeFailure::Open(path, e) => write!(f, "{}: {e}", path.display()),
            NodeFailure::Device(path, e) => write!(f, "{}: {e}; this node has stopped", path.display()),
            NodeFailure::System(e) => write!(f, "{e}"),
        }
    }
}

impl From<io::Error> for NodeFailure {
    fn from(e: io::Error) -> NodeFailure {
        NodeFailure::System(e)
    }
}

/// What the listener tells a replica's thread.
enum ToReplica {
    /// A connection from there, after its greeting, with what was read behind that.
    Connection(std::net::TcpStream, Address, BytesMut),
    /// `up` asks.
    Question(Question, oneshot::Sender<Value>),
    /// Finish the round and end.
    Stop,
}

/// Runs the node until it is told to stop or a device fails. Call it within a `LocalSet` on a current-thread runtime.
pub async fn run(options: NodeOptions, orders: Orders) -> Result<(), NodeFailure> {
    let Orders { mut stop, cut, mut questions } = orders;
    doors::descriptors();
    // The port comes first: a second start of the same node fails here and never comes near the devices.
    let listener =
        TcpListener::bind(options.listen).await.map_err(|e| NodeFailure::Listen(options.listen, e))?;
    let board = Board::new(options.images.len());
    let partial = Partial::default();
    let (over, mut any_over) = mpsc::unbounded_channel();
    let mut replicas = Vec::new();
    let mut openings = Vec::new();
    for (shard, image) in options.images.iter().enumerate() {
        let (to_replica, inbox) = mpsc::unbounded_channel();
        let (opened, opening) = oneshot::channel();
        let seat = Seat {
            shard: shard as ShardId,
            image: image.clone(),
            options: options.clone(),
            clock: Clock::start(),
            cut: cut.clone(),
            board: board.clone(),
            partial: partial.clone(),
        };
        let over = over.clone();
        std::thread::Builder::new().name(format!("shard-{shard}")).spawn(move || {
            // The listener may be gone already; then nobody needs to hear how this ended.
            let _ = over.send(seat.sit(inbox, opened));
        })?;
        replicas.push(to_replica);
        openings.push(opening);
    }
    for opening in openings {
        if opening.await.is_err() {
            // It ended before it was open. Why, it says in its very last step, which may be yet to come.
            match any_over.recv().await {
                Some(Err(failure)) => return Err(failure),
                _ => return Err(NodeFailure::System(io::Error::other("a replica ended before it was open"))),
            }
        }
    }
    announce("ready", json!({ "node": options.node.to_string(), "pid": std::process::id() }));

    let told = RefCell::default();
    let options = Arc::new(options);
    let doors = Rc::new(Doors { replicas: replicas.clone(), board, options, cut, told, partial });
    let mut nameless: VecDeque<AbortHandle> = VecDeque::new();
    let result = loop {
        tokio::select! {
            () = stopped(&mut stop) => break Ok(()),
            Some(Err(failure)) = any_over.recv() => break Err(failure),
            Some(question) = questions.recv() => {
                tokio::task::spawn_local(answer(question, replicas.clone()));
            }
            connection = listener.accept() => match connection {
                Ok((stream, from)) => {
                    nameless.retain(|task| !task.is_finished());
                    if nameless.len() == NAMELESS_MAX {
                        nameless.pop_front().expect("it is not empty").abort();
                    }
                    let doors = doors.clone();
                    let greeted = tokio::task::spawn_local(async move {
                        if let Err(why) = doors.greet(stream).await {
                            doors.tell(from, why);
                        }
                    });
                    nameless.push_back(greeted.abort_handle());
                }
                Err(e) => {
                    // Out of file descriptors, most likely: others must close first.
                    tracing::warn!("cannot accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    for replica in &replicas {
        let _ = replica.send(ToReplica::Stop);
    }
    drop(over);
    while any_over.recv().await.is_some() {}
    result
}

/// Has each replica answer a question of `up`. One whose device is at work for longer than that gives no answer this time.
async fn answer(question: Question, replicas: Vec<mpsc::UnboundedSender<ToReplica>>) {
    let ask = |replica: &mpsc::UnboundedSender<ToReplica>| {
        let (tell, told) = oneshot::channel();
        let _ = replica.send(ToReplica::Question(question, tell));
        told
    };
    let asked: Vec<_> = replicas.iter().map(ask).collect();
    let until = tokio::time::Instant::now() + LOOK_PATIENCE;
    let mut answers = Vec::new();
    for told in asked {
        answers.push(tokio::time::timeout_at(until, told).await.ok().and_then(Result::ok));
    }
    reply(question, json!(answers));
}

/// Where connections are led.
struct Doors {
    replicas: Vec<mpsc::UnboundedSender<ToReplica>>,
    board: Board,
    options: Arc<NodeOptions>,
    cut: Cut,
    /// What was told of callers that were sent away.
    told: RefCell<BTreeSet<String>>,
    partial: Partial,
}

impl Doors {
    /// Answers the greeting, and gives the connection to the thread of the shard that it names, or to the board.
    async fn greet(&self, mut stream: TcpStream) -> Result<(), String> {
        let mut read = BytesMut::with_capacity(4096);
        let late = |_| format!("no greeting within {NAMELESS_PATIENCE:?}");
        let greeting = tokio::time::timeout(NAMELESS_PATIENCE, Greeting::read(&mut stream, &mut read));
        let greeting = greeting.await.map_err(late)?.map_err(|e| e.to_string())?;
        self.cut.wait_for_end().await;
        let hello = match greeting {
            Ok(Greeting::Hello(hello)) => hello,
            Ok(Greeting::Refused(why)) => return Err(why),
            Err(foreign) => return refuse(stream, foreign.to_string()).await,
        };
        let own = self.options.hello(hello.from, hello.shard);
        if let Some(why) = own.disagreement(&hello) {
            return refuse(stream, why).await;
        }
        stream.write_all(&Greeting::Hello(own).encode()).await.map_err(|e| e.to_string())?;
        if hello.shard == NO_SHARD {
            let (board, cut, share) = (self.board.clone(), self.cut.clone(), self.partial.share());
            let me = (self.options.cluster, self.options.node);
            tokio::task::spawn_local(board.serve(stream, read, me, cut, share));
            return Ok(());
        }
        let replica = self.replicas.get(hello.shard as usize).ok_or("there is no such shard")?;
        let stream = stream.into_std().map_err(|e| e.to_string())?;
        let connection = ToReplica::Connection(stream, hello.from, read);
        replica.send(connection).map_err(|_| "the replica has ended".to_string())
    }

    /// Logs why a caller was sent away: once for each reason, however often it comes again.
    fn tell(&self, from: SocketAddr, why: String) {
        let mut told = self.told.borrow_mut();
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        if told.insert(format!("{} {why}", from.ip())) {
            tracing::warn!("a connection from {from} is refused: {why}");
        }
    }
}

/// Tells a caller why it is not wanted.
async fn refuse(mut stream: TcpStream, why: String) -> Result<(), String> {
    // One that does not even wait for the answer is refused all the same.
    let _ = stream.write_all(&Greeting::Refused(why.clone()).encode()).await;
    Err(why)
}

/// What a replica's thread is built from.
struct Seat {
    shard: ShardId,
    image: PathBuf,
    options: NodeOptions,
    clock: Clock,
    cut: Cut,
    board: Board,
    partial: Partial,
}

impl Seat {
    fn sit(
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
            board.leave(shard, status, usage);
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
                if frame.message == Message::TraceRequest {
                    let reply = Message::TraceReply { lines: ring.lines() };
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

/// The connections of one replica.
struct Ports {
    peers: BTreeMap<NodeId, Rc<Link>>,
    /// Answers go back over the connection that the gateway opened.
    gateways: RefCell<BTreeMap<GatewayId, Rc<Wire>>>,
    arrived: RefCell<Vec<Frame>>,
    wake: Notify,
    open: Cell<usize>,
    cut: Cut,
    partial: Partial,
}

impl Ports {
    fn new(options: &NodeOptions, shard: ShardId, cut: Cut, partial: Partial) -> Rc<Ports> {
        let mut peers = BTreeMap::new();
        for (&node, address) in options.nodes.iter().filter(|(node, _)| **node != options.node) {
            let hello = options.hello(Address::Node(node), shard);
            peers.insert(node, Link::new(address, hello, false, cut.clone()));
        }
        let ports = Rc::new(Ports {
            peers,
            gateways: RefCell::default(),
            arrived: RefCell::default(),
            wake: Notify::new(),
            open: Cell::new(0),
            cut,
            partial,
        });
        for link in ports.peers.values() {
            let (ports, link) = (ports.clone(), link.clone());
            tokio::task::spawn_local(async move { link.run(|frame| ports.arrive(frame), |_| ()).await });
        }
        ports
    }

    fn arrive(&self, frame: Frame) {
        self.arrived.borrow_mut().push(frame);
        self.wake.notify_one();
    }

    fn serve(self: &Rc<Ports>, stream: std::net::TcpStream, from: Address, read: BytesMut) {
        if self.open.get() == NAMED_MAX {
            return tracing::warn!("a connection is closed: {NAMED_MAX} are open already");
        }
        self.open.set(self.open.get() + 1);
        let ports = self.clone();
        tokio::task::spawn_local(async move {
            ports.serve_one(stream, from, read).await;
            ports.open.set(ports.open.get() - 1);
        });
    }

    async fn serve_one(self: &Rc<Ports>, stream: std::net::TcpStream, from: Address, read: BytesMut) {
        let ports = self;
        let share = Some(ports.partial.share());
        let wire = TcpStream::from_std(stream).and_then(|stream| Wire::new(stream, ports.cut.clone(), share));
        let wire = match wire {
            Ok(wire) => wire,
            Err(e) => return tracing::warn!("a connection cannot be used: {e}"),
        };
        if let Address::Gateway(id) = from {
            ports.gateways.borrow_mut().insert(id, wire.clone());
        }
        let why = wire.run(read, |frame| ports.arrive(frame)).await;
        tracing::debug!("a connection of {from} ended: {why}");
        if let Address::Gateway(id) = from {
            let mut gateways = ports.gateways.borrow_mut();
            if gateways.get(&id).is_some_and(|current| Rc::ptr_eq(current, &wire)) {
                gateways.remove(&id);
            }
        }
    }

    /// All frames of a round, one write per connection.
    fn send_all(&self, replica: &mut Node<FileDevice>) {
        let mut any = false;
        for frame in replica.outbox() {
            self.push(&frame);
            any = true;
        }
        if any {
            self.flush();
        }
    }

    fn push(&self, frame: &Frame) {
        match frame.to {
            Address::Node(node) => self.peers.get(&node).into_iter().for_each(|link| link.push(frame)),
            Address::Gateway(id) => {
                self.gateways.borrow().get(&id).into_iter().for_each(|wire| wire.push(frame));
            }
        }
    }

    fn flush(&self) {
        self.peers.values().for_each(|link| link.flush());
        self.gateways.borrow().values().for_each(|wire| wire.flush());
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
