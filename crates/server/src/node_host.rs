//! One storage node: a thread per replica, and a listener that hands connections to them.
//!
//! ```text
//!               listener ── handshake names the shard ────┐
//!                  ⇅ probes                               ▼
//!   peers, gateways ⇄ connections of shard 0 ⇄ [thread: Node on shard-0.img]
//!                     connections of shard 1 ⇄ [thread: Node on shard-1.img]
//! ```
//!
//! Everything about one replica happens on one thread ([`crate::seat`]): its sockets, its rules, its device. Only probes are
//! answered while that thread syncs, by the listener's, from what the replica last said of itself ([`Board`]).

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use dataplane::ShardId;
use secure::line::Detached;
use secure::refusal;
use secure::stream::Stream;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::board::Board;
use crate::child::{Orders, Question, announce, reply, stopped};
use crate::clock::Clock;
use crate::cut::Cut;
use crate::doors;
use crate::hello::{Greeting, Hello, NO_SHARD};
use crate::http::of_node;
use crate::identity::{certified, watch};
use crate::linger::{Lingerer, Places};
pub use crate::node_options::{NodeFailure, NodeOptions, Tells};
use crate::partial::Partial;
use crate::seat::{Seat, ToReplica};

/// Most connections that have not sent their first frame yet. One more, and the oldest of them is closed: whoever says
/// nothing never keeps out a member, which speaks at once.
const NAMELESS_MAX: usize = 256;
/// Most connections that ask how this node is.
const ASKING_MAX: usize = 32;
/// A connection that has not greeted by then is closed.
const NAMELESS_PATIENCE: Duration = Duration::from_secs(5);
/// A replica that does not answer a question of `up` by then is in the middle of a sync.
const LOOK_PATIENCE: Duration = Duration::from_millis(300);
/// Reasons for sending callers away that are remembered.
const TOLD_MAX: usize = 256;

/// Runs the node until it is told to stop or a device fails. Call it within a `LocalSet` on a current-thread runtime.
pub async fn run(options: NodeOptions, orders: Orders) -> Result<(), NodeFailure> {
    let Orders { mut stop, cut, mut questions } = orders;
    doors::descriptors();
    // The port comes first: a second start of the same node fails here and never comes near the devices.
    let listener =
        TcpListener::bind(options.listen).await.map_err(|e| NodeFailure::Listen(options.listen, e))?;
    let about = match &options.tells {
        None => None,
        Some(Tells { listen, .. }) => {
            Some(TcpListener::bind(*listen).await.map_err(|e| NodeFailure::Listen(*listen, e))?)
        }
    };
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
    let tells = options.tells.clone();
    watch(
        options.identity.clone(),
        tells.as_ref().and_then(|tells| tells.door.clone()),
        tells.as_ref().map(|tells| tells.tokens.clone()),
    );
    if let Some((told, Tells { door, tokens, host_names, .. })) = about.zip(tells) {
        let places = Places::new(ASKING_MAX);
        let app = of_node::app(board.clone(), tokens, host_names);
        let serve = axum::serve(Lingerer { listener: told, places, door }, app);
        tokio::task::spawn(async move { serve.await });
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
    async fn greet(&self, stream: TcpStream) -> Result<(), String> {
        let config = self.options.identity.as_ref().map(|identity| identity.now().server.clone());
        let mut stream = Stream::accepted(stream, config);
        let mut read = BytesMut::with_capacity(4096);
        let late = |_| format!("no greeting within {NAMELESS_PATIENCE:?}");
        let newest = self.options.protocol;
        let greeting =
            tokio::time::timeout(NAMELESS_PATIENCE, Greeting::read(&mut stream, &mut read, newest));
        let greeting =
            greeting.await.map_err(late)?.map_err(|e| refusal::of_io(&e).unwrap_or_else(|| e.to_string()))?;
        self.cut.wait_for_end().await;
        let hello = match greeting {
            Ok(Greeting::Hello(hello)) => hello,
            Ok(Greeting::Refused(_, why)) => return Err(why),
            Err(foreign) => return refuse(stream, newest, foreign.to_string()).await,
        };
        let own = Hello { version: hello.version, ..self.options.hello(hello.from, hello.shard) };
        if let Err(found) = stream.shows(&certified(&own.cluster, hello.from)) {
            return refuse(stream, newest, pretends(&own, &hello, &found)).await;
        }
        if let Some(why) = own.disagreement(&hello) {
            return refuse(stream, newest, why).await;
        }
        stream.write_all(&Greeting::Hello(own).encode()).await.map_err(|e| e.to_string())?;
        stream.flush().await.map_err(|e| e.to_string())?;
        if hello.shard == NO_SHARD {
            let (board, cut, share) = (self.board.clone(), self.cut.clone(), self.partial.share());
            let me = (self.options.cluster, self.options.node);
            tokio::task::spawn_local(board.serve(stream, read, me, cut, share));
            return Ok(());
        }
        let replica = self.replicas.get(hello.shard as usize).ok_or("there is no such shard")?;
        let stream = Detached::new(stream).map_err(|e| e.to_string())?;
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

/// Why whoever says hello is not who it says it is.
fn pretends(own: &Hello, hello: &Hello, found: &[String]) -> String {
    format!(
        "it says that it is {}, and shows the certificate of {}; give it that of {}",
        hello.from,
        found.join(", "),
        certified(&own.cluster, hello.from),
    )
}

/// Tells a caller why it is not wanted.
async fn refuse(mut stream: Stream, newest: u32, why: String) -> Result<(), String> {
    // One that does not even wait for the answer is refused all the same.
    let _ = stream.write_all(&Greeting::Refused(newest, why.clone()).encode()).await;
    let _ = stream.shutdown().await;
    Err(why)
}
