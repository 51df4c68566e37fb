//! One gateway: its rules, its links to every replica, and the clients that wait.
//!
//! All of it lives on one thread. A Redis connection is a task of that thread and calls the rules directly; HTTP handlers
//! come in through a channel. Nothing is sent while a request is being taken: the *pump* wakes once everybody who was
//! ready had a turn, and sends what came together, one write per connection.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use dataplane::{Micros, NodeId, ShardId};
use gateway::ShardView;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::child::{Orders, Question, announce, reply, stopped};
use crate::clock::sleep_until;
pub use crate::core::GatewayOptions;
use crate::core::{Core, Handle};
use crate::cut::Cut;
use crate::glass;
use crate::hello::NO_SHARD;
use crate::identity::watch;
use crate::linger::{Lingerer, Peer, Places};
use crate::link::Link;
use crate::{http, resp};

/// A deadline missed by more than this, in microseconds, was missed because this process had no time.
const LATE: Micros = 20_000;
/// After being told to stop, requests under way get this long.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

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

/// Runs the gateway until it is told to stop. Call it within a `LocalSet` on a current-thread runtime.
pub async fn run(options: GatewayOptions, orders: Orders) -> Result<(), GatewayFailure> {
    let Orders { mut stop, cut, questions } = orders;
    let listen =
        async |address| TcpListener::bind(address).await.map_err(|e| GatewayFailure::Listen(address, e));
    let redis = listen(options.redis).await?;
    let web = listen(options.http).await?;
    let core = Rc::new(RefCell::new(Core::new(options)));
    // In the greetings over these links the nodes say how many shards there are.
    dial(&core, NO_SHARD, &cut);
    let GatewayOptions { identity, door, tokens, .. } = core.borrow().options.clone();
    watch(identity, door.clone(), Some(tokens));
    tokio::task::spawn_local(meet(core.clone(), cut.clone()));
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
        Lingerer { listener: web, places: Places::new(core.borrow().doors.http), door },
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

/// Links the gateway to every node's replica of a shard, or to the nodes themselves.
fn dial(core: &Handle, shard: ShardId, cut: &Cut) {
    let nodes = core.borrow().options.nodes.clone();
    dial_these(core, shard, cut, nodes);
}

/// Links it to the members that were added.
async fn meet(core: Handle, cut: Cut) {
    loop {
        let met = core.borrow().met.clone();
        met.notified().await;
        let (new, shards) = {
            let mut core = core.borrow_mut();
            (std::mem::take(&mut core.unmet), core.options.shards.unwrap_or(0))
        };
        for shard in (0..shards).chain([NO_SHARD]) {
            dial_these(&core, shard, &cut, new.clone());
        }
    }
}

fn dial_these(core: &Handle, shard: ShardId, cut: &Cut, nodes: impl IntoIterator<Item = (NodeId, String)>) {
    for (node, address) in nodes {
        let identity = core.borrow().options.identity.clone();
        let link = Link::new(&address, core.borrow().hello(node, shard), identity, true, cut.clone());
        core.borrow_mut().attach(node, shard, link.clone());
        let (arriving, changing, cut) = (core.clone(), core.clone(), cut.clone());
        tokio::task::spawn_local(async move {
            let on_frame = |frame| arriving.borrow_mut().arrive(frame);
            let on_change = |change| {
                let learned = changing.borrow_mut().heard(node, shard, change);
                (0..learned.unwrap_or(0)).for_each(|shard| dial(&changing, shard, &cut));
            };
            link.run(on_frame, on_change).await
        });
    }
}

async fn pump(core: Handle) {
    let (wake, clock) = (core.borrow().wake.clone(), core.borrow().clock());
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
