//! One gateway: its rules, its links to every replica, and the clients that wait.
//!
//! All of it lives on one thread. A Redis connection is a task of that thread and calls the rules directly; HTTP handlers
//! come in through a channel. Nothing is sent while a request is being taken: the *pump* wakes once everybody who was
//! ready had a turn, and sends what came together, one write per connection.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use dataplane::{Address, ClusterId, Frame, GatewayId, Message, Micros, NodeId, ShardId, Usage};
use gateway::{Config, Gateway, Output, Reply, Request, ShardView, Token};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use trace::{Actor, EventId, Mechanisms, Tracer};

use crate::board::NO_SHARD;
use crate::child::{Cut, Stop, announce, stopped};
use crate::chronicle::OfShards;
use crate::clock::{Clock, sleep_until};
use crate::doors::{self, Doors};
use crate::flow::Budget;
use crate::linger::{Lingerer, Peer, Places};
use crate::manifest::random;
use crate::metrics::Metrics;
use crate::partial::Partial;
use crate::ring::Ring;
use crate::transport::{Link, greeting};
use crate::{http, resp};

/// A deadline missed by more than this, in microseconds, was missed because this process had no time.
const LATE: Micros = 20_000;
/// After being told to stop, requests under way get this long.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// What a gateway process is told at its start.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// The cluster.
    pub cluster: ClusterId,
    /// Which gateway this is, from 1.
    pub gateway: u32,
    /// All storage nodes with their addresses.
    pub nodes: BTreeMap<NodeId, SocketAddr>,
    /// How many shards there are.
    pub shards: u32,
    /// Where the Redis protocol is served.
    pub redis: SocketAddr,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Host names, besides IP addresses and `localhost`, that HTTP requests may be addressed to.
    pub host_names: Vec<String>,
    /// The data directory, told to loopback clients so that they find `up`.
    pub dir: Option<PathBuf>,
}

/// Why a gateway process ended, or never began.
#[derive(Debug)]
pub enum GatewayFailure {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
}

impl std::fmt::Display for GatewayFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let GatewayFailure::Listen(address, e) = self;
        write!(f, "cannot listen on {address}: {e}")
    }
}

/// A client that waits.
struct Waiting {
    reply: oneshot::Sender<Reply>,
    since: Micros,
    kind: &'static str,
}

/// The rules and everything around them.
pub struct Core {
    gateway: Gateway,
    tracer: Tracer,
    /// The events of followed requests.
    pub ring: Ring,
    clock: Clock,
    id: GatewayId,
    /// What this process was told at its start.
    pub options: GatewayOptions,
    links: BTreeMap<(NodeId, ShardId), Rc<Link>>,
    /// Probes and their answers travel apart from requests, so that neither waits for the other.
    probes: BTreeMap<NodeId, Rc<Link>>,
    waiting: BTreeMap<Token, Waiting>,
    next_token: Token,
    wake: Rc<Notify>,
    /// Collects the answers to trace requests while an explanation is being put together.
    pub trace_replies: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// What Prometheus reads.
    pub metrics: Metrics,
    /// What each replica last said that it has used.
    pub usage: BTreeMap<(ShardId, NodeId), Usage>,
    /// Redis connections now open.
    pub resp_clients: resp::Clients,
    chronicle: OfShards,
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
            Request::Put { .. } => "put",
            Request::Delete { .. } => "delete",
            Request::Get { .. } | Request::GetUpTo { .. } => "get",
            Request::Scan { .. } => "scan",
            Request::Count => "count",
        };
        self.metrics.taken(&request);
        let now = self.clock.now();
        self.waiting.insert(token, Waiting { reply: tx, since: now, kind });
        self.gateway.submit(now, token, request, explain, &mut self.tracer);
        self.wake.notify_one();
        (rx, token)
    }

    /// What the gateway knows of the cluster.
    pub fn view(&self) -> Vec<ShardView> {
        self.gateway.view()
    }

    /// The clock that the view's times are read from.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// Asks every replica for the events it recorded.
    pub fn ask_for_traces(&mut self) -> usize {
        for (&(node, shard), link) in &self.links {
            link.push(&Frame {
                cluster: self.options.cluster,
                shard,
                from: Address::Gateway(self.id),
                to: Address::Node(node),
                cause: None,
                message: Message::TraceRequest,
            });
        }
        self.wake.notify_one();
        self.links.len()
    }

    fn arrive(&mut self, frame: Frame) {
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
        let tells = matches!(frame.message, Message::Status { .. } | Message::Refused { .. });
        self.gateway.handle(self.clock.now(), frame, &mut self.tracer);
        if tells {
            self.chronicle.note(&self.gateway.view());
        }
        self.wake.notify_one();
    }

    fn pump(&mut self) -> Option<Micros> {
        let now = self.clock.now();
        if self.gateway.next_deadline().is_some_and(|at| at <= now) {
            self.gateway.tick(now, &mut self.tracer);
            self.chronicle.note(&self.gateway.view());
        }
        for output in self.gateway.outputs() {
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
                Output::Reply { token, reply } => {
                    let Some(waiting) = self.waiting.remove(&token) else { continue };
                    let took = Duration::from_micros(now.saturating_sub(waiting.since));
                    self.metrics.answered(waiting.kind, &reply, took);
                    // The client may have gone; the reply is of no further use then.
                    let _ = waiting.reply.send(reply);
                }
            }
        }
        self.links.values().chain(self.probes.values()).for_each(|link| link.flush());
        self.gateway.next_deadline()
    }
}

/// Runs the gateway until it is told to stop. Call it within a `LocalSet` on a current-thread runtime.
pub async fn run(options: GatewayOptions, mut stop: Stop, cut: Cut) -> Result<(), GatewayFailure> {
    let listen =
        async |address| TcpListener::bind(address).await.map_err(|e| GatewayFailure::Listen(address, e));
    let redis = listen(options.redis).await?;
    let web = listen(options.http).await?;
    let core = found(options, cut);
    announce(
        "ready",
        serde_json::json!({
            "gateway": core.borrow().id.gateway, "pid": std::process::id(),
            "redis": redis.local_addr().ok(), "http": web.local_addr().ok(),
        }),
    );

    let (calls, inbox) = mpsc::channel(1024);
    tokio::task::spawn_local(http::answer(core.clone(), inbox));
    let app = http::app(calls, &core.borrow().options, core.borrow().budget.clone());
    let until_stop = {
        let mut stop = stop.clone();
        async move { stopped(&mut stop).await }
    };
    let serve = axum::serve(
        Lingerer(web, Places::new(core.borrow().doors.http)),
        app.into_make_service_with_connect_info::<Peer>(),
    );
    let web = tokio::spawn(async move { serve.with_graceful_shutdown(until_stop).await });
    tokio::task::spawn_local(resp::listen(core.clone(), redis, stop.clone()));
    tokio::task::spawn_local(announce_service(core.clone()));
    let pump = tokio::task::spawn_local(pump(core.clone()));

    stopped(&mut stop).await;
    let drained = async {
        while core.borrow().in_flight() > 0 || core.borrow().resp_clients.busy() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The answers are written; HTTP connections close once idle.
        let _ = web.await;
    };
    if tokio::time::timeout(DRAIN_PATIENCE, drained).await.is_err() {
        tracing::warn!("{} requests were still under way at the end", core.borrow().in_flight());
    }
    pump.abort();
    Ok(())
}

fn found(options: GatewayOptions, cut: Cut) -> Handle {
    let doors = Doors::new(doors::descriptors(), options.nodes.len() * (options.shards as usize + 1));
    let clock = Clock::start();
    let id = GatewayId { gateway: options.gateway, life: u32::from_le_bytes(random()) };
    let config = Config {
        id,
        cluster: options.cluster,
        nodes: options.nodes.keys().copied().collect(),
        shards: options.shards,
        seed: u64::from_le_bytes(random()),
        mechanisms: Mechanisms::all(),
        timing: gateway::Timing::default(),
    };
    let ring = Ring::default();
    let tracer = ring.tracer(Actor::Gateway(id.gateway), id.life);
    let (mut links, mut probes) = (BTreeMap::new(), BTreeMap::new());
    for (&node, &address) in &options.nodes {
        let dial = |shard| {
            let greeting = greeting(options.cluster, shard, Address::Gateway(id), node);
            Link::new(address, true, cut.clone(), greeting)
        };
        probes.insert(node, dial(NO_SHARD));
        links.extend((0..options.shards).map(|shard| ((node, shard), dial(shard))));
    }
    let core = Rc::new(RefCell::new(Core {
        gateway: Gateway::new(config, clock.now()),
        tracer,
        ring,
        clock,
        id,
        options,
        links,
        probes,
        waiting: BTreeMap::new(),
        next_token: 1,
        wake: Rc::new(Notify::new()),
        trace_replies: None,
        metrics: Metrics::default(),
        usage: BTreeMap::new(),
        resp_clients: resp::Clients::default(),
        chronicle: OfShards::default(),
        doors,
        budget: Budget::default(),
        partial: Partial::default(),
    }));
    for (&(node, shard), link) in &core.borrow().links {
        let (link, arriving, down) = (link.clone(), core.clone(), core.clone());
        tokio::task::spawn_local(async move {
            let on_frame = |frame| arriving.borrow_mut().arrive(frame);
            // A closed or refused connection says more than silence does: the process is gone.
            let on_down = |_: &str| {
                let core = &mut *down.borrow_mut();
                core.gateway.unreachable(core.clock.now(), node, shard, &mut core.tracer);
                core.chronicle.note(&core.gateway.view());
                core.wake.notify_one();
            };
            link.run(on_frame, on_down).await
        });
    }
    for link in core.borrow().probes.values() {
        let (link, arriving) = (link.clone(), core.clone());
        tokio::task::spawn_local(async move {
            link.run(|frame| arriving.borrow_mut().arrive(frame), |_| ()).await
        });
    }
    core
}

async fn pump(core: Handle) {
    let (wake, clock) = (core.borrow().wake.clone(), core.borrow().clock);
    loop {
        let deadline = core.borrow_mut().pump();
        tokio::select! {
            () = wake.notified() => (),
            () = sleep_until(clock, deadline) => (),
        }
        // Whoever comes late himself does not call others silent before he has heard what they said meanwhile.
        if deadline.is_some_and(|at| clock.now() > at + LATE) {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
    }
}

/// Says `serving` once every shard has a primary that serves.
async fn announce_service(core: Handle) {
    while core.borrow().view().iter().any(|shard| shard.primary.is_none()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let primaries: Vec<_> = core.borrow().view().iter().map(|s| s.primary.map(|p| p.to_string())).collect();
    announce("serving", serde_json::json!({ "primaries": primaries }));
}
