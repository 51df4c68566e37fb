//! Frames over TCP.
//!
//! | part | job |
//! |---|---|
//! | [`Wire`] | one connection: frames in, frames out, on one thread |
//! | [`Link`] | a connection that this process dials, and dials again whenever it breaks |
//!
//! Both live on one thread with one current-thread runtime, so nothing here locks or hands work to another thread.
//! Frames are pushed into a buffer, and a round's worth of them leaves in one write: [`Wire::flush`] writes at once what
//! the kernel takes, because the caller is about to block in a sync and the other replicas should be syncing meanwhile.
//! What the kernel does not take follows from a task.
//!
//! A frame that cannot be sent is dropped: the peer is unreachable, the buffer is full, or this process is cut off. The
//! protocol above expects loss, and retries what still matters; keeping old frames for later would only add stale ones.
//! What was left out: encryption and authentication of peers. A real deployment needs both.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use dataplane::{Address, Epoch, Frame, Message, RequestId, Seq, wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Notify;

use crate::board::NO_SHARD;
use crate::child::Cut;
use crate::doors::keep_alive;
use crate::hello::{Greeting, Hello};

/// Most bytes waiting to be sent on one connection; frames beyond are dropped. It holds the largest frame twice.
pub const UNSENT_BYTES_MAX: usize = 2 * wire::FRAME_BYTES_MAX;
/// Bytes asked for in one read.
const READ_BYTES: usize = 256 << 10;
/// A buffer that grew beyond this is given back once it is empty.
const KEPT_BYTES: usize = 1 << 20;
/// With more than this on its way out, a connection has a backlog, and control overtakes it.
const BACKLOG_BYTES: usize = 64 << 10;
/// Wait between two attempts to connect.
const RECONNECT_AFTER: Duration = Duration::from_millis(50);
/// A connection that lasted for this long was none that comes and goes: its end is told.
const STEADY_AFTER: Duration = Duration::from_secs(2);
/// The same where nothing is likely to change soon: the peer refuses, or its name does not resolve yet.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A connection not established after this long is given up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Whoever accepts a connection and does not answer a hello for this long is given up.
const HELLO_PATIENCE: Duration = Duration::from_secs(3);
#[cfg(target_os = "linux")]
/// Data that the peer has not acknowledged for this long means that the connection is dead.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);
#[cfg(target_os = "linux")]
/// Unsent bytes that the kernel takes over. What it has taken, nothing can overtake; what it has not, waits while this thread
/// is in a sync. A frame of entries is not longer.
const KERNEL_UNSENT_BYTES: u32 = 1 << 20;

/// Bytes on their way out: a queue of frames, and a short one beside it that overtakes a backlog.
///
/// Without the second, (1) a backup is sent four megabytes of entries over a slow line, (2) the question that confirms a
/// read waits behind them, (3) nobody answers in time, and a healthy primary is given up. What the queue holds is not
/// queued again: a sender that repeats a frame because no answer came would only make the line slower.
#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
    /// Where the frame begins that `sent` is in, or at the start of.
    frame: usize,
    urgent: Vec<u8>,
    urgent_sent: usize,
    /// The bulky frames in `bytes`: where each ends, and what it is.
    bulky: VecDeque<(usize, Bulky)>,
}

/// What makes two bulky frames the same one, sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bulky {
    Write(RequestId),
    Prepare(Epoch, Seq),
    Other,
}

impl Unsent {
    fn push(&mut self, frame: &Frame) -> bool {
        let waiting = self.bytes.len() - self.sent;
        let bulky = match &frame.message {
            Message::Write { request, .. } => Some(Bulky::Write(*request)),
            Message::Prepare { epoch, prev, entries, .. } if !entries.is_empty() => {
                Some(Bulky::Prepare(*epoch, prev.seq))
            }
            Message::Prepare { .. }
            | Message::Chunk { .. }
            | Message::Fetched { .. }
            | Message::ReadAnswer { .. } => Some(Bulky::Other),
            _ => None,
        };
        match bulky {
            None if waiting > BACKLOG_BYTES && self.urgent.len() < BACKLOG_BYTES => {
                wire::encode(frame, &mut self.urgent);
                return true;
            }
            Some(what) if what != Bulky::Other && self.bulky.iter().any(|(_, queued)| *queued == what) => {
                return true;
            }
            _ if waiting > UNSENT_BYTES_MAX - wire::FRAME_BYTES_MAX => return false,
            _ => (),
        }
        let start = self.bytes.len();
        wire::encode(frame, &mut self.bytes);
        if let Some(what) = bulky.filter(|_| self.bytes.len() - start > BACKLOG_BYTES) {
            self.bulky.push_back((self.bytes.len(), what));
        }
        true
    }

    fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.urgent.is_empty()
    }

    /// What is to be written next.
    fn next(&self) -> &[u8] {
        if self.urgent.is_empty() {
            return &self.bytes[self.sent..];
        }
        // Never into the middle of a frame.
        match self.sent > self.frame {
            true => &self.bytes[self.sent..self.end_of_frame()],
            false => &self.urgent[self.urgent_sent..],
        }
    }

    fn end_of_frame(&self) -> usize {
        let length = wire::frame_bytes(&self.bytes[self.frame..]);
        self.frame + length.ok().flatten().expect("only whole frames are queued")
    }

    fn advance(&mut self, written: usize) {
        if !self.urgent.is_empty() && self.sent == self.frame {
            self.urgent_sent += written;
            if self.urgent_sent == self.urgent.len() {
                self.urgent_sent = 0;
                self.urgent.clear();
            }
            return;
        }
        self.sent += written;
        while self.frame < self.sent && self.end_of_frame() <= self.sent {
            self.frame = self.end_of_frame();
        }
        while self.bulky.front().is_some_and(|(end, _)| *end <= self.sent) {
            self.bulky.pop_front();
        }
        if self.sent == self.bytes.len() {
            (self.sent, self.frame) = (0, 0);
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        } else if self.frame > KEPT_BYTES && self.frame > self.bytes.len() / 2 {
            self.bytes.drain(..self.frame);
            self.bulky.iter_mut().for_each(|(end, _)| *end -= self.frame);
            self.sent -= self.frame;
            self.frame = 0;
        }
    }
}

/// One connection.
pub struct Wire {
    incoming: RefCell<Option<OwnedReadHalf>>,
    outgoing: OwnedWriteHalf,
    unsent: RefCell<Unsent>,
    /// The kernel took less than everything.
    stuck: Notify,
    cut: Cut,
}

impl Wire {
    /// Takes over a connected stream.
    pub fn new(stream: TcpStream, cut: Cut) -> io::Result<Rc<Wire>> {
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        #[cfg(target_os = "linux")]
        {
            let socket = socket2::SockRef::from(&stream);
            socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
            socket.set_tcp_notsent_lowat(KERNEL_UNSENT_BYTES)?;
        }
        let (incoming, outgoing) = stream.into_split();
        let (incoming, unsent) = (RefCell::new(Some(incoming)), RefCell::default());
        Ok(Rc::new(Wire { incoming, outgoing, unsent, stuck: Notify::new(), cut }))
    }

    /// Queues a frame.
    pub fn push(&self, frame: &Frame) {
        if !self.cut.is_on() && !self.unsent.borrow_mut().push(frame) {
            tracing::debug!("a {} is dropped: too much is waiting to be sent", frame.message.name());
        }
    }

    /// Writes what the kernel takes at once; [`Wire::run`] sends the rest.
    pub fn flush(&self) {
        let mut unsent = self.unsent.borrow_mut();
        while !unsent.is_empty() {
            match self.outgoing.try_write(unsent.next()) {
                Ok(written) => unsent.advance(written),
                // An error shows in the reader as well, which ends the connection.
                Err(_) => {
                    self.stuck.notify_one();
                    return;
                }
            }
        }
    }

    /// Serves the connection until it ends, and says why it did. Each frame that arrives goes to `on_frame`; `buf` holds
    /// what was read of the stream already.
    pub async fn run(&self, buf: BytesMut, on_frame: impl FnMut(Frame)) -> String {
        tokio::select! {
            why = self.read(buf, on_frame) => why,
            e = self.drain() => e.to_string(),
        }
    }

    async fn read(&self, mut buf: BytesMut, mut on_frame: impl FnMut(Frame)) -> String {
        let Some(mut incoming) = self.incoming.take() else { return "it is served already".into() };
        loop {
            loop {
                match take_frame(&mut buf) {
                    Ok(Some(frame)) if self.cut.is_on() => drop(frame),
                    Ok(Some(frame)) => on_frame(frame),
                    Ok(None) => break,
                    Err(why) => return why,
                }
            }
            buf.reserve(READ_BYTES);
            let room = buf.capacity() - buf.len();
            match incoming.read_buf(&mut buf).await {
                Ok(0) => return "connection closed".into(),
                // There may be more. First everybody else's turn: frames never pile up faster than they are handled.
                Ok(read) if read == room => tokio::task::yield_now().await,
                Ok(_) => (),
                Err(e) => return e.to_string(),
            }
        }
    }

    async fn drain(&self) -> io::Error {
        loop {
            self.stuck.notified().await;
            loop {
                if let Err(e) = self.outgoing.writable().await {
                    return e;
                }
                let mut unsent = self.unsent.borrow_mut();
                if unsent.is_empty() {
                    break;
                }
                match self.outgoing.try_write(unsent.next()) {
                    Ok(written) => unsent.advance(written),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => (),
                    Err(e) => return e,
                }
            }
        }
    }
}

/// Takes out the first frame, if it is complete. The announced length is checked before it is waited for, and memory grows
/// only with the bytes that really arrive.
fn take_frame(buf: &mut BytesMut) -> Result<Option<Frame>, String> {
    let wrong = |e: wire::WireError| format!("a frame cannot be read: {e}");
    let Some(bytes) = wire::frame_bytes(buf).map_err(wrong)?.filter(|bytes| *bytes <= buf.len()) else {
        return Ok(None);
    };
    let frame = wire::decode(&buf[..bytes]).map_err(wrong)?;
    buf.advance(bytes);
    Ok(Some(frame))
}

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

/// A connection that this process dials.
pub struct Link {
    /// HOST:PORT. A name is resolved anew at each attempt, so it may begin to exist, or move, at any time.
    to: String,
    hello: RefCell<Hello>,
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
    pub fn new(to: &str, hello: Hello, eager: bool, cut: Cut) -> Rc<Link> {
        Rc::new(Link {
            to: to.to_owned(),
            hello: RefCell::new(hello),
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
            None if self.cut.is_on() => (),
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

    /// Finds the peer and says hello. The peer's own hello is one that this process agrees with; with it comes what was
    /// read behind it. Or why there is no connection, and after how long the next attempt makes sense.
    async fn connect(&self) -> Result<(TcpStream, Hello, BytesMut), (Change, Duration)> {
        let down = |why: String| (Change::Down(why), RECONNECT_AFTER);
        let refused = |why: String| (Change::Refused(why), ASK_AGAIN_AFTER);
        // Without a deadline: an attempt that is given up would go on in its thread, and the next one be a further thread.
        let unknown = |e: io::Error| (Change::Down(format!("its name has no address: {e}")), ASK_AGAIN_AFTER);
        let addresses: Vec<_> = lookup_host(&self.to).await.map_err(unknown)?.collect();
        let mut stream =
            match tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(&addresses[..])).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(e)) => return Err(down(e.to_string())),
                Err(_) => return Err(down("no answer to the attempt to connect".into())),
            };
        self.cut.wait_for_end().await;
        let own = self.hello.borrow().clone();
        let mut read = BytesMut::new();
        let greet = async {
            let bytes = Greeting::Hello(own.clone()).encode();
            stream.write_all(&bytes).await?;
            Greeting::read(&mut stream, &mut read).await
        };
        match tokio::time::timeout(HELLO_PATIENCE, greet).await {
            Err(_) => Err(down("no answer to the greeting".into())),
            Ok(Err(e)) => Err(down(e.to_string())),
            Ok(Ok(Err(foreign))) => Err(refused(foreign.to_string())),
            Ok(Ok(Ok(Greeting::Refused(why)))) => Err(refused(why)),
            Ok(Ok(Ok(Greeting::Hello(peer)))) => match own.disagreement(&peer) {
                Some(why) => Err(refused(why)),
                None => Ok((stream, peer, read)),
            },
        }
    }

    async fn serve(
        &self,
        stream: TcpStream,
        peer: Hello,
        read: BytesMut,
        on_frame: &mut impl FnMut(Frame),
        on_change: &mut impl FnMut(Change),
    ) -> Change {
        let wire = match Wire::new(stream, self.cut.clone()) {
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

#[cfg(test)]
mod tests {
    use dataplane::{Address, Condition, GatewayId, NodeId, Op, Tail};

    use super::*;

    fn frame(message: Message) -> Frame {
        let from = Address::Gateway(GatewayId { gateway: 1, life: 1 });
        Frame { cluster: [1; 16], shard: 0, from, to: Address::Node(NodeId(1)), cause: None, message }
    }

    fn write(number: u64, bytes: usize) -> Frame {
        let op = Op::Put { key: [1].into(), value: vec![7; bytes].into(), condition: Condition::Always };
        frame(Message::Write { request: RequestId { session: 1, number }, op })
    }

    /// Takes everything, so many bytes at a time, as a peer would read it.
    fn drain(unsent: &mut Unsent, step: usize) -> Vec<Frame> {
        let (mut stream, mut frames) = (BytesMut::new(), Vec::new());
        while !unsent.is_empty() {
            let some = unsent.next().len().min(step);
            stream.extend_from_slice(&unsent.next()[..some]);
            unsent.advance(some);
            frames.extend(std::iter::from_fn(|| take_frame(&mut stream).unwrap()));
        }
        assert!(stream.is_empty());
        frames
    }

    #[test]
    fn control_overtakes_a_backlog_at_the_next_end_of_a_frame() {
        let bulk: Vec<_> = (1..6).map(|number| write(number, 100_000)).collect();
        let probes: Vec<_> = (1..4).map(|attempt| frame(Message::Probe { attempt })).collect();
        for step in [1 << 20, 4096, 777] {
            let mut unsent = Unsent::default();
            bulk.iter().for_each(|frame| assert!(unsent.push(frame)));
            // In the middle of the first frame.
            unsent.advance(50_000);
            let mut begun = BytesMut::from(&unsent.bytes[..50_000]);
            probes.iter().for_each(|frame| assert!(unsent.push(frame)));
            let mut stream = begun.split();
            let mut frames = Vec::new();
            while !unsent.is_empty() {
                let some = unsent.next().len().min(step);
                stream.extend_from_slice(&unsent.next()[..some]);
                unsent.advance(some);
                frames.extend(std::iter::from_fn(|| take_frame(&mut stream).unwrap()));
            }
            let mut due = bulk.clone();
            due.splice(1..1, probes.clone());
            assert!(frames == due, "{:?}", frames.iter().map(|f| f.message.name()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn without_a_backlog_everything_leaves_in_order() {
        let frames = [write(1, 100), frame(Message::Probe { attempt: 1 }), write(2, 100)];
        let mut unsent = Unsent::default();
        frames.iter().for_each(|frame| assert!(unsent.push(frame)));
        assert!(drain(&mut unsent, 7) == frames);
    }

    #[test]
    fn what_is_queued_is_not_queued_again_and_once_sent_it_may_be() {
        let entries = Message::Prepare {
            epoch: Epoch(1),
            prev: Tail::default(),
            entries: vec![dataplane::Entry {
                seq: 1,
                epoch: Epoch(1),
                origin: dataplane::Origin::Marker,
                op: Op::Put { key: [1].into(), value: vec![0; 100_000].into(), condition: Condition::Always },
            }],
            commit: 0,
        };
        for large in [write(1, 100_000), frame(entries)] {
            let mut unsent = Unsent::default();
            (0..9).for_each(|_| assert!(unsent.push(&large)));
            assert_eq!(drain(&mut unsent, 4096).len(), 1);
            assert!(unsent.push(&large));
            assert_eq!(drain(&mut unsent, 4096).len(), 1);
        }
    }

    #[test]
    fn a_long_queue_is_given_back_as_it_shrinks() {
        let mut unsent = Unsent::default();
        let frames: Vec<_> = (1..40).map(|number| write(number, 500_000)).collect();
        let taken = frames.iter().filter(|frame| unsent.push(frame)).count();
        assert!(taken > 20 && unsent.bytes.len() <= UNSENT_BYTES_MAX);
        assert!(drain(&mut unsent, 300_000)[..] == frames[..taken]);
        assert!(unsent.bytes.capacity() <= KEPT_BYTES);
    }
}
