//! One gateway: its rules, its links to every replica, and the clients that wait.
//!
//! All of it lives on one thread. A Redis connection is a task of that thread and calls the rules directly; HTTP handlers
//! come in through a channel. Nothing is sent while a request is being taken: the *pump* wakes once everybody who was
//! ready had a turn, and sends what came together, one write per connection.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use dataplane::{Address, ClusterId, Frame, GatewayId, Message, Micros, NodeId, Op, Query, ShardId, Usage};
use gateway::{Config, Gateway, IN_FLIGHT_MAX, Output, Reply, Request, ShardView, Token};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use trace::{Actor, EventId, Mechanisms, Tracer};

use crate::child::{Cut, Orders, Question, announce, reply, stopped};
use crate::chronicle::OfShards;
use crate::clock::{Clock, sleep_until};
use crate::doors::{self, Doors};
use crate::facts::Facts;
use crate::flow::Budget;
use crate::glass;
use crate::hello::{Hello, NO_SHARD};
use crate::linger::{Lingerer, Peer, Places};
use crate::link::{Change, Link};
use crate::manifest::random;
use crate::metrics::Metrics;
use crate::partial::Partial;
use crate::plan::SHARDS_MAX;
use crate::ring::Ring;
use crate::{http, resp};

/// A deadline missed by more than this, in microseconds, was missed because this process had no time.
const LATE: Micros = 20_000;
/// How soon to look again for requests whose time is over before the cluster is known.
const EARLY_LOOK: Micros = 100_000;
/// After being told to stop, requests under way get this long.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

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
    /// Once the number of shards is known.
    gateway: Option<Gateway>,
    /// What clients wanted before that.
    early: VecDeque<(Token, Request, bool)>,
    /// What the nodes say of the cluster.
    pub facts: Facts,
    /// The events of followed requests.
    pub ring: Ring,
    clock: Clock,
    id: GatewayId,
    /// What this process was told at its start.
    pub options: GatewayOptions,
    links: BTreeMap<(NodeId, ShardId), Rc<Link>>,
    /// Probes and their answers travel apart from requests, so that neither waits for the other.
    probes: BTreeMap<NodeId, Rc<Link>>,
    cut: Cut,
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
    fn record(&mut self, on: bool) {
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
        if let Some(gateway) = &mut self.gateway {
            gateway.handle(self.clock.now(), frame);
            if tells {
                self.chronicle.note(&gateway.view());
            }
        }
        self.wake.notify_one();
    }

    /// From here on there is a gateway, and what came before goes through it.
    fn learned(&mut self, shards: u32) {
        self.options.shards = Some(shards);
        self.probes.values().for_each(|link| link.learned(shards));
        let config = Config {
            id: self.id,
            cluster: self.options.cluster,
            nodes: self.options.nodes.keys().copied().collect(),
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

    fn pump(&mut self) -> Option<Micros> {
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

/// Runs the gateway until it is told to stop. Call it within a `LocalSet` on a current-thread runtime.
pub async fn run(options: GatewayOptions, orders: Orders) -> Result<(), GatewayFailure> {
    let Orders { mut stop, cut, questions } = orders;
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
    let app = {
        let core = core.borrow();
        http::app(calls, &core.options, core.budget.clone(), core.partial.clone())
    };
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
    tokio::task::spawn_local(answer_up(core.clone(), questions));
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
    let doors = Doors::new(
        doors::descriptors(),
        options.nodes.len() * (options.shards.unwrap_or(SHARDS_MAX) as usize + 1),
    );
    let clock = Clock::start();
    let id = GatewayId { gateway: options.gateway, life: u32::from_le_bytes(random()) };
    let ring = Ring::default();
    let core = Rc::new(RefCell::new(Core {
        gateway: None,
        early: VecDeque::new(),
        facts: Facts::new(options.nodes.keys()),
        ring,
        clock,
        id,
        options,
        links: BTreeMap::new(),
        probes: BTreeMap::new(),
        cut,
        waiting: BTreeMap::new(),
        next_token: 1,
        wake: Rc::new(Notify::new()),
        trace_replies: None,
        metrics: Metrics::default(),
        usage: BTreeMap::new(),
        resp_clients: resp::Clients::default(),
        chronicle: OfShards::default(),
        recording: false,
        trace_life: id.life,
        doors,
        budget: Budget::default(),
        partial: Partial::default(),
    }));
    // In the greetings over these links the nodes say how many shards there are.
    dial(&core, NO_SHARD);
    core
}

/// Links the gateway to every node's replica of a shard, or to the nodes themselves.
fn dial(core: &Handle, shard: ShardId) {
    let mut this = core.borrow_mut();
    let Core { options, links, probes, id, cut, .. } = &mut *this;
    for (&node, address) in &options.nodes {
        let hello = Hello {
            cluster: options.cluster,
            images: None,
            from: Address::Gateway(*id),
            to: Address::Node(node),
            shard,
            shards: options.shards,
            members: options.nodes.keys().copied().collect(),
        };
        let link = Link::new(address, hello, true, cut.clone());
        match shard {
            NO_SHARD => probes.insert(node, link.clone()),
            _ => links.insert((node, shard), link.clone()),
        };
        let (arriving, changing) = (core.clone(), core.clone());
        tokio::task::spawn_local(async move {
            let on_frame = |frame| arriving.borrow_mut().arrive(frame);
            let on_change = |change| heard(&changing, node, shard, change);
            link.run(on_frame, on_change).await
        });
    }
}

/// A link came up, or did not.
fn heard(handle: &Handle, node: NodeId, shard: ShardId, change: Change) {
    let mut this = handle.borrow_mut();
    let core = &mut *this;
    core.wake.notify_one();
    if shard != NO_SHARD {
        // A closed or refused connection says more than silence does: the process is gone.
        if let (Some(gateway), Change::Down(_) | Change::Refused(_)) = (&mut core.gateway, change) {
            gateway.unreachable(core.clock.now(), node, shard);
            core.chronicle.note(&gateway.view());
        }
        return;
    }
    core.facts.heard(node, change);
    if let (None, Some(shards)) = (&core.gateway, core.facts.shards()) {
        core.learned(shards);
        drop(this);
        (0..shards).for_each(|shard| dial(handle, shard));
    }
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

/// Answers what `up` asks.
async fn answer_up(core: Handle, mut questions: mpsc::UnboundedReceiver<Question>) {
    while let Some(question) = questions.recv().await {
        let answer = match question {
            Question::Look => glass::gateway(&core.borrow()),
            Question::Trace => core.borrow().ring.text(1),
            Question::Record(on) => {
                core.borrow_mut().record(on);
                serde_json::Value::Null
            }
        };
        reply(question, answer);
    }
}

/// Says `serving` once every shard has a primary that serves.
async fn announce_service(core: Handle) {
    let serves = |view: &[ShardView]| !view.is_empty() && view.iter().all(|shard| shard.primary.is_some());
    while !serves(&core.borrow().view()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let primaries: Vec<_> = core.borrow().view().iter().map(|s| s.primary.map(|p| p.to_string())).collect();
    announce("serving", serde_json::json!({ "primaries": primaries }));
}
