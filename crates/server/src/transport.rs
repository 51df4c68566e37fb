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
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use dataplane::{Address, ClusterId, Epoch, Frame, Message, NodeId, RequestId, Seq, ShardId, Usage, wire};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use crate::board::NO_SHARD;
use crate::child::Cut;
use crate::doors::keep_alive;

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
/// A connection not established after this long is given up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
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

/// The first frame in `bytes`, if it is complete. The announced length is checked before it is waited for, and memory
/// grows only with the bytes that really arrive.
pub fn first_frame(bytes: &[u8]) -> Result<Option<Frame>, String> {
    let wrong = |e: wire::WireError| format!("a frame cannot be read: {e}");
    match wire::frame_bytes(bytes).map_err(wrong)?.and_then(|len| bytes.get(..len)) {
        Some(frame) => wire::decode(frame).map(Some).map_err(wrong),
        None => Ok(None),
    }
}

fn take_frame(buf: &mut BytesMut) -> Result<Option<Frame>, String> {
    let frame = first_frame(buf)?;
    if let (Some(_), Ok(Some(bytes))) = (&frame, wire::frame_bytes(buf)) {
        buf.advance(bytes);
    }
    Ok(frame)
}

/// The first frame of every connection: it says at once who speaks, to whom and about which shard, so that whoever says
/// nothing can be told from a member and turned out. It has no other content.
pub fn greeting(cluster: ClusterId, shard: ShardId, from: Address, to: NodeId) -> Frame {
    let message = Message::Usage(Usage::default());
    Frame { cluster, shard, from, to: Address::Node(to), cause: None, message }
}

/// A connection that this process dials.
pub struct Link {
    to: SocketAddr,
    greeting: Frame,
    cut: Cut,
    wire: RefCell<Option<Rc<Wire>>>,
    /// Frames pushed while the connection is being made.
    early: RefCell<Unsent>,
    wanted: Notify,
    /// Dial although nothing is to be sent.
    eager: bool,
    /// The loss of a connection has been told, and that there is one.
    told: Cell<(bool, bool)>,
}

impl Link {
    /// A link to `to`. An eager one is always connected, so that the end of the connection tells of the peer's end; the
    /// other kind dials when there is something to send.
    pub fn new(to: SocketAddr, eager: bool, cut: Cut, greeting: Frame) -> Rc<Link> {
        Rc::new(Link {
            to,
            greeting,
            cut,
            wire: RefCell::new(None),
            early: RefCell::default(),
            wanted: Notify::new(),
            eager,
            told: Cell::default(),
        })
    }

    /// Queues a frame.
    pub fn push(&self, frame: &Frame) {
        match &*self.wire.borrow() {
            Some(wire) => wire.push(frame),
            None if self.cut.is_on() => (),
            None => {
                let mut early = self.early.borrow_mut();
                if early.is_empty() {
                    early.push(&self.greeting);
                }
                early.push(frame);
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

    /// Keeps the link up, for ever. `on_down` hears of every connection that ended or was not made.
    pub async fn run(&self, mut on_frame: impl FnMut(Frame), mut on_down: impl FnMut(&str)) {
        loop {
            if !self.eager && self.early.borrow().is_empty() {
                self.wanted.notified().await;
            }
            let begun = Instant::now();
            let why = self.once(&mut on_frame).await;
            if begun.elapsed() > STEADY_AFTER {
                self.told.set((false, false));
            }
            *self.wire.borrow_mut() = None;
            *self.early.borrow_mut() = Unsent::default();
            if !self.told.get().0 {
                self.told.set((true, self.told.get().1));
                self.tell(format!("{} at {} is not reachable: {why}", self.greeting.to, self.to));
            }
            on_down(&why);
            tokio::time::sleep(RECONNECT_AFTER).await;
        }
    }

    /// A gateway has many links to a node, which come and go together: one of them tells.
    fn tell(&self, line: String) {
        match self.greeting.from {
            Address::Gateway(_) if self.greeting.shard != NO_SHARD => tracing::debug!("{line}"),
            _ => tracing::info!("{line}"),
        }
    }

    async fn once(&self, on_frame: &mut impl FnMut(Frame)) -> String {
        let stream = match tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(self.to)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => return e.to_string(),
            Err(_) => return "no answer to the attempt to connect".into(),
        };
        let wire = match Wire::new(stream, self.cut.clone()) {
            Ok(wire) => wire,
            Err(e) => return e.to_string(),
        };
        let mut early = self.early.take();
        if early.is_empty() {
            early.push(&self.greeting);
        }
        *wire.unsent.borrow_mut() = early;
        *self.wire.borrow_mut() = Some(wire.clone());
        if !self.told.get().1 {
            self.told.set((self.told.get().0, true));
            self.tell(format!("connected to {} at {}", self.greeting.to, self.to));
        }
        wire.flush();
        wire.run(BytesMut::new(), on_frame).await
    }
}

#[cfg(test)]
mod tests {
    use dataplane::{Condition, GatewayId, Op, Tail};

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
