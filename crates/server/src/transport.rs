//! One connection of frames over TCP: frames in, frames out, on one thread.
//!
//! It lives on one thread with one current-thread runtime, so nothing here locks or hands work to another thread. Frames are
//! pushed into a buffer ([`crate::unsent`]), and a round's worth of them leaves in one write: [`Wire::flush`] writes at once
//! what the kernel takes, because the caller is about to block in a sync and the other replicas should be syncing
//! meanwhile. What the kernel does not take follows from a task.
//!
//! A frame that cannot be sent is dropped: the peer is unreachable, the buffer is full, or this process is cut off. The
//! protocol above expects loss, and retries what still matters; keeping old frames for later would only add stale ones.
//! Encryption is [`secure`]'s, and nothing here knows who the peer is.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
#[cfg(target_os = "linux")]
use std::time::Duration;

use bytes::{Buf, BytesMut};
use dataplane::{Frame, wire};
use secure::line::{Line, Secured};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use crate::cut::{Cut, Late};
use crate::doors::keep_alive;
use crate::partial::Share;
use crate::unsent::Unsent;

/// Bytes asked for in one read.
const READ_BYTES: usize = 256 << 10;
#[cfg(target_os = "linux")]
/// Data that the peer has not acknowledged for this long means that the connection is dead.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);
#[cfg(target_os = "linux")]
/// Unsent bytes that the kernel takes over. What it has taken, nothing can overtake; what it has not, waits while this thread
/// is in a sync. A frame of entries is not longer.
const KERNEL_UNSENT_BYTES: u32 = 1 << 20;

/// The two directions of a connection.
enum Ways {
    Plain(RefCell<Option<OwnedReadHalf>>, OwnedWriteHalf),
    Tls(Secured),
}

impl Ways {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Ways::Plain(_, outgoing) => outgoing.try_write(bytes),
            Ways::Tls(secured) => secured.try_write(bytes),
        }
    }

    /// Gives the kernel what was written and is not its yet.
    fn try_flush(&self) -> io::Result<()> {
        match self {
            Ways::Plain(..) => Ok(()),
            Ways::Tls(secured) => secured.try_flush(),
        }
    }

    async fn writable(&self) -> io::Result<()> {
        match self {
            Ways::Plain(_, outgoing) => outgoing.writable().await,
            Ways::Tls(secured) => secured.writable().await,
        }
    }
}

/// One connection.
pub struct Wire {
    ways: Ways,
    pub(crate) unsent: RefCell<Unsent>,
    /// The kernel took less than everything.
    stuck: Notify,
    cut: Cut,
    /// Of the memory for frames that have not come whole.
    share: Option<Share>,
}

impl Wire {
    /// Takes over a connection. Of connections that others make there may be many; so they have a share of the memory
    /// for frames that have not come whole.
    pub fn new(line: Line, cut: Cut, share: Option<Share>) -> io::Result<Rc<Wire>> {
        line.socket().set_nodelay(true)?;
        keep_alive(line.socket())?;
        #[cfg(target_os = "linux")]
        {
            let socket = socket2::SockRef::from(line.socket());
            socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
            socket.set_tcp_notsent_lowat(KERNEL_UNSENT_BYTES)?;
        }
        let ways = match line {
            Line::Plain(incoming, outgoing) => Ways::Plain(RefCell::new(Some(incoming)), outgoing),
            Line::Tls(secured) => Ways::Tls(secured),
        };
        Ok(Rc::new(Wire { ways, unsent: RefCell::default(), stuck: Notify::new(), cut, share }))
    }

    /// Queues a frame.
    pub fn push(&self, frame: &Frame) {
        if !self.cut.is_mute() && !self.unsent.borrow_mut().push(frame) {
            tracing::debug!("a {} is dropped: too much is waiting to be sent", frame.message.name());
        }
    }

    /// Writes what the kernel takes at once; [`Wire::run`] sends the rest.
    pub fn flush(&self) {
        let mut unsent = self.unsent.borrow_mut();
        while !unsent.is_empty() {
            match self.ways.try_write(unsent.next()) {
                Ok(written) => unsent.advance(written),
                // An error shows in the reader as well, which ends the connection.
                Err(_) => {
                    self.stuck.notify_one();
                    return;
                }
            }
        }
        if self.ways.try_flush().is_err() {
            self.stuck.notify_one();
        }
    }

    /// Serves the connection until it ends, and says why it did. Each frame that arrives goes to `on_frame`; `buf` holds
    /// what was read of the stream already.
    pub async fn run(&self, buf: BytesMut, on_frame: impl FnMut(Frame)) -> String {
        tokio::select! {
            why = self.read(buf, on_frame) => why,
            () = self.make_room() => "the rest of a frame did not come, and others need its room".into(),
            e = self.drain() => e.to_string(),
        }
    }

    async fn make_room(&self) {
        match &self.share {
            Some(share) => share.make_room().await,
            None => std::future::pending().await,
        }
    }

    async fn read(&self, mut buf: BytesMut, mut on_frame: impl FnMut(Frame)) -> String {
        let mut incoming = match &self.ways {
            Ways::Plain(incoming, _) => incoming.take(),
            Ways::Tls(_) => None,
        };
        let mut late = Late::default();
        loop {
            loop {
                let before = buf.len();
                match take_frame(&mut buf) {
                    Ok(Some(frame)) => {
                        late.arrive(frame, before - buf.len(), &self.cut).into_iter().for_each(&mut on_frame)
                    }
                    Ok(None) => break,
                    Err(why) => return why,
                }
            }
            if let Some(share) = &self.share {
                share.hold(buf.len());
            }
            buf.reserve(READ_BYTES);
            let room = buf.capacity() - buf.len();
            let more = async {
                match (&mut incoming, &self.ways) {
                    (Some(incoming), _) => incoming.read_buf(&mut buf).await,
                    (None, Ways::Tls(secured)) => secured.read_buf(&mut buf).await,
                    (None, Ways::Plain(..)) => Err(io::Error::other("it is served already")),
                }
            };
            let read = tokio::select! {
                biased;
                frame = late.next() => {
                    on_frame(frame);
                    continue;
                }
                read = more => read,
            };
            match read {
                Ok(0) => return "connection closed".into(),
                // There may be more. First everybody else's turn: frames never pile up faster than they are handled.
                Ok(read) if read == room => tokio::task::yield_now().await,
                Ok(_) => (),
                Err(e) => return secure::refusal::of_io(&e).unwrap_or_else(|| e.to_string()),
            }
        }
    }

    async fn drain(&self) -> io::Error {
        loop {
            self.stuck.notified().await;
            loop {
                if let Err(e) = self.ways.writable().await {
                    return e;
                }
                let mut unsent = self.unsent.borrow_mut();
                let written = match unsent.is_empty() {
                    true => self.ways.try_flush().map(|()| None),
                    false => self.ways.try_write(unsent.next()).map(Some),
                };
                match written {
                    Ok(None) => break,
                    Ok(Some(written)) => unsent.advance(written),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => (),
                    Err(e) => return e,
                }
            }
        }
    }
}

/// Takes out the first frame, if it is complete. The announced length is checked before it is waited for, and memory grows
/// only with the bytes that really arrive.
pub(crate) fn take_frame(buf: &mut BytesMut) -> Result<Option<Frame>, String> {
    let wrong = |e: wire::WireError| format!("a frame cannot be read: {e}");
    let Some(bytes) = wire::frame_bytes(buf).map_err(wrong)?.filter(|bytes| *bytes <= buf.len()) else {
        return Ok(None);
    };
    let frame = wire::decode(&buf[..bytes]).map_err(wrong)?;
    buf.advance(bytes);
    Ok(Some(frame))
}
