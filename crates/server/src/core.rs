//! The rules of one gateway and everything around them, without tasks and sockets of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dataplane::{
    Address, ClusterId, Frame, GatewayId, Member, Message, Micros, NodeId, Op, Query, Seq, ShardId, Usage,
};
use gateway::{Config, Gateway, IN_FLIGHT_MAX, Output, Reply, Request, ShardView, Token};
use secure::identity::{Door, Identity, Watched};
use secure::token::Tokens;
use tokio::sync::{Notify, mpsc, oneshot};
use trace::{Actor, EventId, Mechanisms, Tracer};

use crate::budget::Budget;
use crate::chronicle::OfShards;
use crate::clock::Clock;
use crate::doors::{self, Doors};
use crate::facts::Facts;
use crate::hello::{Hello, NO_SHARD, program};
use crate::link::{Change, Link};
use crate::manifest::random;
use crate::metrics::Metrics;
use crate::partial::Partial;
use crate::place;
use crate::plan::SHARDS_MAX;
use crate::resp::Clients;
use crate::ring::Ring;

/// How soon to look again for requests whose time is over before the cluster is known.
const EARLY_LOOK: Micros = 100_000;
/// What a gateway process is told at its start.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// The cluster.
    pub cluster: ClusterId,
    /// Which gateway this is, from 1.
    pub gateway: u32,
    /// All storage nodes with their addresses, HOST:PORT.
    pub nodes: BTreeMap<NodeId, String>,
    /// How many shards there must be; `None`: as many as the nodes say.
    pub shards: Option<u32>,
    /// Where the Redis protocol is served.
    pub redis: SocketAddr,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// The newest version of the protocol that it speaks.
    pub protocol: u32,
    /// Its certificate and those it believes; without, connections to nodes are not encrypted.
    pub identity: Option<Arc<Identity>>,
    /// The certificate that clients are shown; without, their connections are not encrypted.
    pub door: Option<Arc<Door>>,
    /// The tokens that clients show.
    pub tokens: Arc<Watched<Tokens>>,
    /// Host names, besides IP addresses and `localhost`, that HTTP requests may be addressed to.
    pub host_names: Vec<String>,
    /// The data directory, told to loopback clients so that they find `up`.
    pub dir: Option<PathBuf>,
}

/// A client that waits.
struct Waiting {
    reply: oneshot::Sender<Reply>,
    since: Micros,
    kind: &'static str,
}

/// The rules and everything around them.
pub struct Core {
    /// Once the number of shards is known.
    gateway: Option<Gateway>,
    /// What clients wanted before that.
    early: VecDeque<(Token, Request, bool)>,
    /// What the nodes say of the cluster.
    pub facts: Facts,
    /// The events of followed requests.
    pub ring: Ring,
    clock: Clock,
    /// Which gateway this is, in which life.
    pub id: GatewayId,
    /// What this process was told at its start.
    pub options: GatewayOptions,
    /// The nodes that it was told of at its start.
    founders: Vec<NodeId>,
    links: BTreeMap<(NodeId, ShardId), Rc<Link>>,
    /// Probes and their answers travel apart from requests, so that neither waits for the other.
    probes: BTreeMap<NodeId, Rc<Link>>,
    waiting: BTreeMap<Token, Waiting>,
    next_token: Token,
    /// Something is to be sent, or a deadline has changed.
    pub wake: Rc<Notify>,
    /// Collects the answers to trace requests while an explanation is being put together.
    pub trace_replies: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// Who waits for a piece of a state from there, by the number of the question.
    backups: BTreeMap<u64, oneshot::Sender<Frame>>,
    /// Who asked for a change of the members, by the number of the question, and which shards have not answered.
    changes: BTreeMap<u64, mpsc::UnboundedSender<(ShardId, membership::Reply)>>,
    /// Members of which somebody told, and that are to be dialled.
    pub unmet: Vec<(NodeId, String)>,
    /// There are some.
    pub met: Rc<Notify>,
    /// What each shard's primary last said of who belongs to it.
    pub members: BTreeMap<ShardId, Vec<(NodeId, Member)>>,
    /// What Prometheus reads.
    pub metrics: Metrics,
    /// What each replica last said that it has used.
    pub usage: BTreeMap<(ShardId, NodeId), Usage>,
    /// Redis connections now open.
    pub resp_clients: Clients,
    /// What was told of the primaries.
    pub chronicle: OfShards,
    recording: bool,
    trace_life: u32,
    /// Most connections of clients.
    pub doors: Doors,
    /// The memory that clients may hold.
    pub budget: Budget,
    /// The memory of requests that have not come whole.
    pub partial: Partial,
}

/// How the tasks of the gateway's thread share the core. No borrow is ever held over an await.
pub type Handle = Rc<RefCell<Core>>;

impl Core {
    /// A gateway that knows of the cluster what it was told at its start.
    pub fn new(options: GatewayOptions) -> Core {
        let links = options.nodes.len() * (options.shards.unwrap_or(SHARDS_MAX) as usize + 1);
        let id = GatewayId { gateway: options.gateway, life: u32::from_le_bytes(random()) };
        Core {
            gateway: None,
            early: VecDeque::new(),
            facts: Facts::new(options.nodes.keys()),
            ring: Ring::default(),
            clock: Clock::start(),
            id,
            founders: options.nodes.keys().copied().collect(),
            options,
            links: BTreeMap::new(),
            probes: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_token: 1,
            wake: Rc::new(Notify::new()),
            trace_replies: None,
            backups: BTreeMap::new(),
            changes: BTreeMap::new(),
            unmet: Vec::new(),
            met: Rc::new(Notify::new()),
            members: BTreeMap::new(),
            metrics: Metrics::default(),
            usage: BTreeMap::new(),
            resp_clients: Clients::default(),
            chronicle: OfShards::default(),
            recording: false,
            trace_life: id.life,
            doors: Doors::new(doors::descriptors(), links),
            budget: Budget::default(),
            partial: Partial::default(),
        }
    }

    /// Takes a request. The receiver hears the reply; it fails only when the process is about to end.
    pub fn submit(&mut self, request: Request) -> oneshot::Receiver<Reply> {
        self.submit_as(request, false).0
    }

    /// Takes a request whose story is to be told; the event it starts with is returned as well.
    pub fn submit_explained(&mut self, request: Request) -> (oneshot::Receiver<Reply>, Option<EventId>) {
        let before = self.ring.latest();
        let (reply, _) = self.submit_as(request, true);
        // The first event of this step is the root of everything that follows from it.
        let root =
            self.ring.events().into_iter().map(|event| event.id).find(|id| before.is_none_or(|b| *id > b));
        (reply, root)
    }

    fn submit_as(&mut self, request: Request, explain: bool) -> (oneshot::Receiver<Reply>, Token) {
        let token = self.next_token;
        self.next_token += 1;
        let (tx, rx) = oneshot::channel();
        let kind = match &request {
            Request::Write(Op::Put { .. }) => "put",
            Request::Write(Op::Delete { .. } | Op::Nop) => "delete",
            Request::Read(Query::Get(_)) | Request::Read(Query::GetUpTo(..)) => "get",
            Request::Read(Query::Scan { .. }) => "scan",
            Request::Read(Query::Count) => "count",
        };
        self.metrics.taken(&request);
        let now = self.clock.now();
        self.waiting.insert(token, Waiting { reply: tx, since: now, kind });
        match (&mut self.gateway, self.facts.refused()) {
            (Some(gateway), None) => gateway.submit(now, token, request, explain),
            (None, None) if self.early.len() < IN_FLIGHT_MAX => {
                self.early.push_back((token, request, explain))
            }
            (_, why) => {
                let why = why.unwrap_or_else(|| self.facts.missing());
                answer(&mut self.waiting, &self.metrics, now, token, Reply::Unavailable(why));
            }
        }
        self.wake.notify_one();
        (rx, token)
    }

    /// Gives up what came too early: at once if the nodes do not want this gateway, else when its time is over.
    fn give_up_early(&mut self, now: Micros) {
        let (refused, deadline) = (self.facts.refused(), gateway::Timing::default().deadline);
        while let Some((token, ..)) = self.early.front() {
            let since = self.waiting.get(token).map_or(0, |waiting| waiting.since);
            if refused.is_none() && now < since + deadline {
                return;
            }
            let why = refused.clone().unwrap_or_else(|| self.facts.missing());
            let (token, ..) = self.early.pop_front().expect("it was there a moment ago");
            answer(&mut self.waiting, &self.metrics, now, token, Reply::Unavailable(why));
        }
    }

    /// What the gateway knows of the cluster.
    pub fn view(&self) -> Vec<ShardView> {
        self.gateway.as_ref().map_or(Vec::new(), Gateway::view)
    }

    /// The clock that the view's times are read from.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// From now on every event is recorded, or only those of followed requests.
    pub fn record(&mut self, on: bool) {
        self.recording = on;
        // Later events have greater ids, whoever recorded them.
        self.trace_life = self.trace_life.wrapping_add(1);
        let tracer = self.tracer();
        if let Some(gateway) = &mut self.gateway {
            gateway.trace_to(tracer);
        }
    }

    fn tracer(&self) -> Tracer {
        let (actor, life) = (Actor::Gateway(self.id.gateway), self.trace_life);
        if self.recording { self.ring.recorder(actor, life) } else { self.ring.tracer(actor, life, None) }
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// What this host says to a node beside what its gateway says.
    fn frame(&self, node: NodeId, shard: ShardId, message: Message) -> Frame {
        let (cluster, from, to) = (self.options.cluster, Address::Gateway(self.id), Address::Node(node));
        Frame { cluster, shard, from, to, cause: None, message }
    }

    /// Asks every replica for the events it recorded.
    pub fn ask_for_traces(&mut self) -> usize {
        for (&(node, shard), link) in &self.links {
            link.push(&self.frame(node, shard, Message::TraceRequest));
        }
        self.wake.notify_one();
        self.links.len()
    }

    /// Asks a node for a piece of its state of a shard. `None`: there is no such replica.
    pub fn ask_for_backup(
        &mut self,
        (node, shard): (NodeId, ShardId),
        (at_least, since): (Seq, Seq),
        cursor: Vec<u8>,
    ) -> Option<oneshot::Receiver<Frame>> {
        let link = self.links.get(&(node, shard))?;
        let id = self.next_token;
        self.next_token += 1;
        link.push(&self.frame(node, shard, Message::BackupRequest { id, at_least, since, cursor }));
        let (tx, rx) = oneshot::channel();
        // Those who waited and went away were not answered, and will not be.
        self.backups.retain(|_, waiting| !waiting.is_closed());
        self.backups.insert(id, tx);
        self.wake.notify_one();
        Some(rx)
    }

    /// What the gateway says of itself when it dials a node's replica of a shard, or the node itself.
    pub fn hello(&self, node: NodeId, shard: ShardId) -> Hello {
        Hello {
            version: self.options.protocol,
            program: program(),
            cluster: self.options.cluster,
            images: None,
            from: Address::Gateway(self.id),
            to: Address::Node(node),
            shard,
            shards: self.options.shards,
            members: self.founders.clone(),
            extensions: None,
        }
    }

    /// What is sent to this replica, or probes of this node, go over this link.
    pub fn attach(&mut self, node: NodeId, shard: ShardId, link: Rc<Link>) {
        match shard {
            NO_SHARD => self.probes.insert(node, link),
            _ => self.links.insert((node, shard), link),
        };
    }

    /// A link came up, or did not. Once the number of shards is known by it, that number: their links are due.
    pub fn heard(&mut self, node: NodeId, shard: ShardId, change: Change) -> Option<u32> {
        self.wake.notify_one();
        if shard != NO_SHARD {
            // A closed or refused connection says more than silence does: the process is gone.
            if let (Some(gateway), Change::Down(_) | Change::Refused(_)) = (&mut self.gateway, change) {
                gateway.unreachable(self.clock.now(), node, shard);
                self.chronicle.note(&gateway.view());
            }
            return None;
        }
        self.facts.heard(node, change);
        let shards = self.facts.shards().filter(|_| self.gateway.is_none())?;
        self.learned(shards);
        Some(shards)
    }

    /// A frame came.
    pub fn arrive(&mut self, frame: Frame) {
        if let (Message::Usage(usage), Address::Node(node)) = (&frame.message, frame.from) {
            self.metrics.used(frame.shard, node, usage);
            self.usage.insert((frame.shard, node), *usage);
            return;
        }
        if let Message::TraceReply { lines } = frame.message {
            // Nobody may be waiting any more; then the answer came too late.
            let _ = self.trace_replies.as_ref().map(|waiting| waiting.send(lines));
            return;
        }
        if let Message::BackupReply { id, .. } = frame.message {
            if let Some(waiting) = self.backups.remove(&id) {
                drop(waiting.send(frame));
            }
            return;
        }
        if let Message::Extension { extension: membership::NUMBER, words, .. } = &frame.message {
            // Nobody may be waiting any more.
            if let Ok((number, reply)) = membership::Reply::decode(words)
                && let Some(waiting) = self.changes.get(&number)
            {
                let _ = waiting.send((frame.shard, reply));
            }
            return;
        }
        if let Message::Members { serves, rows } = &frame.message {
            self.meet(frame.shard, serves.is_some(), rows);
        }
        let tells = matches!(frame.message, Message::Status { .. } | Message::Refused { .. });
        if let Some(gateway) = &mut self.gateway {
            gateway.handle(self.clock.now(), frame);
            if tells {
                self.chronicle.note(&gateway.view());
            }
        }
        self.wake.notify_one();
    }

    /// A replica says who belongs to its shard: whoever is new is to be dialled.
    fn meet(&mut self, shard: ShardId, serves: bool, rows: &[(NodeId, Member)]) {
        let known = |node| self.options.nodes.contains_key(&node);
        let new = place::new_ones(rows.iter().map(|(node, member)| (node, member)), known);
        for (node, address) in new {
            self.options.nodes.insert(node, address.clone());
            self.unmet.push((node, address));
            self.met.notify_one();
        }
        if serves {
            self.members.insert(shard, rows.to_vec());
        }
    }

    /// Asks the primary of each shard for a change of the members. Each answers once, or not.
    pub fn ask_for(
        &mut self,
        change: dataplane::Change,
    ) -> (u64, mpsc::UnboundedReceiver<(ShardId, membership::Reply)>) {
        let (tell, told) = mpsc::unbounded_channel();
        let number = u64::from_le_bytes(random());
        self.changes.insert(number, tell);
        let words = membership::Asked { number, change }.encode();
        for view in self.view() {
            let link = view.primary.and_then(|node| self.links.get(&(node, view.shard)));
            let (Some(link), Some(node)) = (link, view.primary) else { continue };
            let (extension, epoch, words) = (membership::NUMBER, dataplane::Epoch(0), words.clone());
            link.push(&self.frame(node, view.shard, Message::Extension { extension, epoch, words }));
        }
        self.wake.notify_one();
        (number, told)
    }

    /// Nobody waits for an answer to this question any more.
    pub fn forget(&mut self, number: u64) {
        self.changes.remove(&number);
    }

    /// From here on there is a gateway, and what came before goes through it.
    fn learned(&mut self, shards: u32) {
        self.options.shards = Some(shards);
        self.probes.values().for_each(|link| link.learned(shards));
        let config = Config {
            id: self.id,
            cluster: self.options.cluster,
            nodes: self.founders.clone(),
            shards,
            seed: u64::from_le_bytes(random()),
            mechanisms: Mechanisms::all(),
            timing: gateway::Timing::default(),
            limits: dataplane::Limits::default(),
            in_flight_max: gateway::IN_FLIGHT_MAX,
        };
        let now = self.clock.now();
        let tracer = self.tracer();
        let gateway = self.gateway.insert(Gateway::new(config, now));
        gateway.trace_to(tracer);
        for (token, request, explain) in self.early.drain(..) {
            gateway.submit(now, token, request, explain);
        }
    }

    /// Sends and answers what there is to; returns when to look again at the latest.
    pub fn pump(&mut self) -> Option<Micros> {
        let now = self.clock.now();
        self.give_up_early(now);
        let Some(gateway) = &mut self.gateway else {
            return (!self.early.is_empty()).then_some(now + EARLY_LOOK);
        };
        if gateway.next_deadline().is_some_and(|at| at <= now) {
            gateway.tick(now);
            self.chronicle.note(&gateway.view());
        }
        for output in gateway.outputs() {
            match output {
                Output::Send(frame) => {
                    let Address::Node(node) = frame.to else { continue };
                    let link = match frame.message {
                        Message::Probe { .. } => self.probes.get(&node),
                        _ => self.links.get(&(node, frame.shard)),
                    };
                    if let Some(link) = link {
                        link.push(&frame);
                    }
                }
                Output::Reply { token, reply } => answer(&mut self.waiting, &self.metrics, now, token, reply),
            }
        }
        self.links.values().chain(self.probes.values()).for_each(|link| link.flush());
        gateway.next_deadline()
    }
}

/// Answers a client.
fn answer(
    waiting: &mut BTreeMap<Token, Waiting>,
    metrics: &Metrics,
    now: Micros,
    token: Token,
    reply: Reply,
) {
    let Some(waiting) = waiting.remove(&token) else { return };
    let took = Duration::from_micros(now.saturating_sub(waiting.since));
    metrics.answered(waiting.kind, &reply, took);
    // The client may have gone; the reply is of no further use then.
    let _ = waiting.reply.send(reply);
}
