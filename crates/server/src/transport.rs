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
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use dataplane::{Frame, wire};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use crate::child::Cut;

/// Most bytes waiting to be sent on one connection; frames beyond are dropped. It holds the largest frame twice.
pub const UNSENT_BYTES_MAX: usize = 2 * wire::FRAME_BYTES_MAX;
/// Bytes asked for in one read.
const READ_BYTES: usize = 256 << 10;
/// A buffer that grew beyond this is given back once it is empty.
const KEPT_BYTES: usize = 1 << 20;
/// Wait between two attempts to connect.
const RECONNECT_AFTER: Duration = Duration::from_millis(50);
/// A connection not established after this long is given up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
#[cfg(target_os = "linux")]
/// Data that the peer has not acknowledged for this long means that the connection is dead.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);

/// Bytes on their way out.
#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
}

impl Unsent {
    fn push(&mut self, frame: &Frame) -> bool {
        let before = self.bytes.len();
        if before - self.sent > UNSENT_BYTES_MAX - wire::FRAME_BYTES_MAX {
            return false;
        }
        wire::encode(frame, &mut self.bytes);
        true
    }

    fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    fn advance(&mut self, written: usize) {
        self.sent += written;
        if self.is_empty() {
            self.sent = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        } else if self.sent > KEPT_BYTES && self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
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
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
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
            match self.outgoing.try_write(&unsent.bytes[unsent.sent..]) {
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
                match self.outgoing.try_write(&unsent.bytes[unsent.sent..]) {
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

/// A connection that this process dials.
pub struct Link {
    to: SocketAddr,
    cut: Cut,
    wire: RefCell<Option<Rc<Wire>>>,
    /// Frames pushed while the connection is being made.
    early: RefCell<Unsent>,
    wanted: Notify,
    /// Dial although nothing is to be sent.
    eager: bool,
    /// Told once per outage.
    silent: Cell<bool>,
}

impl Link {
    /// A link to `to`. An eager one is always connected, so that the end of the connection tells of the peer's end; the
    /// other kind dials when there is something to send.
    pub fn new(to: SocketAddr, eager: bool, cut: Cut) -> Rc<Link> {
        Rc::new(Link {
            to,
            cut,
            wire: RefCell::new(None),
            early: RefCell::default(),
            wanted: Notify::new(),
            eager,
            silent: Cell::new(false),
        })
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

    /// Keeps the link up, for ever. `on_down` hears of every connection that ended or was not made.
    pub async fn run(&self, mut on_frame: impl FnMut(Frame), mut on_down: impl FnMut(&str)) {
        loop {
            if !self.eager && self.early.borrow().is_empty() {
                self.wanted.notified().await;
            }
            let why = self.once(&mut on_frame).await;
            *self.wire.borrow_mut() = None;
            *self.early.borrow_mut() = Unsent::default();
            if !self.silent.replace(true) {
                tracing::info!("{} is not reachable: {why}", self.to);
            }
            on_down(&why);
            tokio::time::sleep(RECONNECT_AFTER).await;
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
        *wire.unsent.borrow_mut() = self.early.take();
        *self.wire.borrow_mut() = Some(wire.clone());
        self.silent.set(false);
        tracing::info!("connected to {}", self.to);
        wire.flush();
        wire.run(BytesMut::new(), on_frame).await
    }
}
