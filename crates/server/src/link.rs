//! A connection that this process dials, and dials again whenever it breaks.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use dataplane::{Address, Frame};
use secure::identity::Identity;
use secure::line::Line;
use secure::refusal;
use secure::stream::Stream;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Notify;

use crate::cut::Cut;
use crate::hello::{Greeting, Hello, NO_SHARD, VERSION_MIN};
use crate::identity::certified;
use crate::transport::Wire;
use crate::unsent::Unsent;

/// Wait between two attempts to connect.
const RECONNECT_AFTER: Duration = Duration::from_millis(50);
/// The same where nothing is likely to change soon: the peer refuses, or its name does not resolve yet.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A connection that lasted for this long was none that comes and goes: its end is told.
const STEADY_AFTER: Duration = Duration::from_secs(2);
/// A connection not established after this long is given up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Whoever accepts a connection and does not answer a hello for this long is given up.
const HELLO_PATIENCE: Duration = Duration::from_secs(3);

/// What became of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is connected, and the peer said this.
    Up(Hello),
    /// It is not, and this is why.
    Down(String),
    /// The peer, or this process, does not want it as long as one of them says what it says.
    Refused(String),
}

/// What became of a greeting.
enum Met {
    /// The peer said this, and that was read behind it.
    Agreed(Stream, Hello, BytesMut),
    /// The peer knows no newer version than this.
    Older(u32),
}

/// A connection that this process dials.
pub struct Link {
    /// HOST:PORT. A name is resolved anew at each attempt, so it may begin to exist, or move, at any time.
    to: String,
    hello: RefCell<Hello>,
    /// What this process shows, if connections are encrypted.
    identity: Option<Arc<Identity>>,
    cut: Cut,
    wire: RefCell<Option<Rc<Wire>>>,
    /// Frames pushed while the connection is being made.
    early: RefCell<Unsent>,
    wanted: Notify,
    /// Dial although nothing is to be sent.
    eager: bool,
    /// The loss of a connection has been told, and that there is one.
    told: Cell<(bool, bool)>,
    /// The last refusal that was told.
    refusal: RefCell<String>,
    /// What the peer said, while connected.
    peer: RefCell<Option<Hello>>,
    over: Notify,
}

impl Link {
    /// A link to `to` that begins with this hello. An eager one is always connected, so that the end of the connection
    /// tells of the peer's end; the other kind dials when there is something to send.
    pub fn new(to: &str, hello: Hello, identity: Option<Arc<Identity>>, eager: bool, cut: Cut) -> Rc<Link> {
        Rc::new(Link {
            to: to.to_owned(),
            hello: RefCell::new(hello),
            identity,
            cut,
            wire: RefCell::new(None),
            early: RefCell::default(),
            wanted: Notify::new(),
            eager,
            told: Cell::default(),
            refusal: RefCell::default(),
            peer: RefCell::default(),
            over: Notify::new(),
        })
    }

    /// This process now knows how many shards there are. A peer that said otherwise is not listened to any more.
    pub fn learned(&self, shards: u32) {
        self.hello.borrow_mut().shards = Some(shards);
        let peer = self.peer.borrow();
        if peer.as_ref().is_some_and(|peer| self.hello.borrow().disagreement(peer).is_some()) {
            self.over.notify_one();
        }
    }

    /// Queues a frame.
    pub fn push(&self, frame: &Frame) {
        match &*self.wire.borrow() {
            Some(wire) => wire.push(frame),
            None if self.cut.is_mute() => (),
            None => {
                self.early.borrow_mut().push(frame);
                self.wanted.notify_one();
            }
        }
    }

    /// Writes what the kernel takes at once.
    pub fn flush(&self) {
        if let Some(wire) = &*self.wire.borrow() {
            wire.flush();
        }
    }

    /// Keeps the link up, for ever. `on_change` hears of every connection that was made, ended, or was not made.
    pub async fn run(&self, mut on_frame: impl FnMut(Frame), mut on_change: impl FnMut(Change)) {
        loop {
            if !self.eager && self.early.borrow().is_empty() {
                self.wanted.notified().await;
            }
            let (change, pause) = match self.connect().await {
                Ok((stream, peer, read)) => {
                    let begun = Instant::now();
                    let change = self.serve(stream, peer, read, &mut on_frame, &mut on_change).await;
                    if begun.elapsed() > STEADY_AFTER {
                        self.told.set((false, false));
                    }
                    (change, RECONNECT_AFTER)
                }
                Err(failed) => failed,
            };
            *self.wire.borrow_mut() = None;
            *self.early.borrow_mut() = Unsent::default();
            let to = self.hello.borrow().to;
            match &change {
                Change::Refused(why) if self.refusal.replace(why.clone()) != *why => {
                    tracing::warn!("no connection to {to} at {}: {why}", self.to);
                }
                Change::Down(why) if !self.told.get().0 => {
                    self.told.set((true, self.told.get().1));
                    self.tell(format!("{to} at {} is not reachable: {why}", self.to));
                }
                _ => (),
            }
            on_change(change);
            tokio::time::sleep(pause).await;
        }
    }

    /// A gateway has many links to a node, which come and go together: one of them tells.
    fn tell(&self, line: String) {
        match self.hello.borrow().from {
            Address::Gateway(_) if self.hello.borrow().shard != NO_SHARD => tracing::debug!("{line}"),
            _ => tracing::info!("{line}"),
        }
    }

    /// Finds the peer and says hello, in an older version if the peer knows no newer one. The peer's own hello is one that
    /// this process agrees with; with it comes what was read behind it. Or why there is no connection, and after how long
    /// the next attempt makes sense.
    async fn connect(&self) -> Result<(Stream, Hello, BytesMut), (Change, Duration)> {
        let mut own = self.hello.borrow().clone();
        loop {
            match self.greet(&own).await? {
                Met::Agreed(stream, peer, read) => return Ok((stream, peer, read)),
                Met::Older(version) => own.version = version,
            }
        }
    }

    async fn greet(&self, own: &Hello) -> Result<Met, (Change, Duration)> {
        let down = |why: String| (Change::Down(why), RECONNECT_AFTER);
        let refused = |why: String| (Change::Refused(why), ASK_AGAIN_AFTER);
        // Without a deadline: an attempt that is given up would go on in its thread, and the next one be a further thread.
        let unknown = |e: io::Error| (Change::Down(format!("its name has no address: {e}")), ASK_AGAIN_AFTER);
        let addresses: Vec<_> = lookup_host(&self.to).await.map_err(unknown)?.collect();
        let stream = match tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(&addresses[..])).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => return Err(down(e.to_string())),
            Err(_) => return Err(down("no answer to the attempt to connect".into())),
        };
        self.cut.wait_for_end().await;
        let mut stream = self.secured(stream, own).map_err(|e| refused(e.to_string()))?;
        let mut read = BytesMut::new();
        let greet = async {
            let bytes = Greeting::Hello(own.clone()).encode();
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            Greeting::read(&mut stream, &mut read, own.version).await
        };
        match tokio::time::timeout(HELLO_PATIENCE, greet).await {
            Err(_) => Err(down("no answer to the greeting".into())),
            Ok(Err(e)) => Err(refusal::of_io(&e).map_or_else(|| down(e.to_string()), refused)),
            Ok(Ok(Err(foreign))) => Err(refused(foreign.to_string())),
            Ok(Ok(Ok(Greeting::Refused(version, _)))) if (VERSION_MIN..own.version).contains(&version) => {
                Ok(Met::Older(version))
            }
            Ok(Ok(Ok(Greeting::Refused(_, why)))) => Err(refused(why)),
            Ok(Ok(Ok(Greeting::Hello(peer)))) => match own.disagreement(&peer) {
                Some(why) => Err(refused(why)),
                None => Ok(Met::Agreed(stream, peer, read)),
            },
        }
    }

    /// Encrypted, with a certificate of the one it is meant for at the other end; or as it is.
    fn secured(&self, stream: TcpStream, own: &Hello) -> io::Result<Stream> {
        let config = self.identity.as_ref().map(|identity| identity.now().client.clone());
        Stream::dialled(stream, config, &certified(&own.cluster, own.to))
    }

    async fn serve(
        &self,
        stream: Stream,
        peer: Hello,
        read: BytesMut,
        on_frame: &mut impl FnMut(Frame),
        on_change: &mut impl FnMut(Change),
    ) -> Change {
        let wire = match Line::new(stream).and_then(|line| Wire::new(line, self.cut.clone(), None)) {
            Ok(wire) => wire,
            Err(e) => return Change::Down(e.to_string()),
        };
        *wire.unsent.borrow_mut() = self.early.take();
        *self.wire.borrow_mut() = Some(wire.clone());
        *self.peer.borrow_mut() = Some(peer.clone());
        self.refusal.take();
        if !self.told.get().1 {
            self.told.set((self.told.get().0, true));
            self.tell(format!("connected to {} at {}", peer.from, self.to));
        }
        on_change(Change::Up(peer));
        wire.flush();
        let change = tokio::select! {
            why = wire.run(read, on_frame) => Change::Down(why),
            () = self.over.notified() => {
                let peer = self.peer.borrow();
                let why = peer.as_ref().and_then(|peer| self.hello.borrow().disagreement(peer));
                why.map_or_else(|| Change::Down("it disagreed before".into()), Change::Refused)
            }
        };
        *self.peer.borrow_mut() = None;
        change
    }
}
