//! Closing a connection so that the other side hears the last words.
//!
//! Without it: (1) a client sends more than we take; (2) we answer why, and close; (3) what of it still arrives finds
//! nobody, and the kernel answers with a reset; (4) the reset makes the client's kernel throw away our answer, unread.
//! So after the last word we say that there is no more, and go on reading, into nothing, until the other side is done
//! too, or its time is up.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use secure::identity::Door;
use secure::stream::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::Sleep;

/// How long a connection outlives its last word at most.
const LINGER: Duration = Duration::from_secs(5);

/// A connection that has been given nothing for this long is closed: it is idle, or its request does not come on.
const UNANSWERED_MAX: Duration = Duration::from_secs(60);

/// A stream whose shutdown waits for the other side's.
pub struct Lingering<S> {
    stream: S,
    place: Place,
    /// Runs since something was last written.
    unanswered: Pin<Box<Sleep>>,
    /// Running since the own side was shut down.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Lingering<S> {
    /// Wraps a stream.
    pub fn new(stream: S, place: Place) -> Lingering<S> {
        Lingering { stream, place, unanswered: Box::pin(tokio::time::sleep(UNANSWERED_MAX)), until: None }
    }

    /// Is its time up, or its place needed?
    fn over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let late = self.until.is_none() && self.unanswered.as_mut().poll(cx).is_ready();
        if late || self.place.is_needed(cx) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "others need its place"));
        }
        Ok(())
    }

    fn given<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.unanswered.as_mut().reset(tokio::time::Instant::now() + UNANSWERED_MAX);
            self.place.moved();
        }
        written
    }
}

/// The places that connections take. When there is none left, the connection on which nothing has moved for the longest
/// time makes room: whoever stalls never keeps others out.
#[derive(Clone)]
pub struct Places(Arc<Mutex<Taken>>);

struct Taken {
    most: usize,
    next: u64,
    places: BTreeMap<u64, Seat>,
}

struct Seat {
    moved: Instant,
    needed: bool,
    waker: Option<Waker>,
}

/// A place, until it is dropped.
pub struct Place {
    places: Places,
    id: u64,
}

impl Places {
    /// So many places.
    pub fn new(most: usize) -> Places {
        Places(Arc::new(Mutex::new(Taken { most, next: 0, places: BTreeMap::new() })))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one.
    pub fn take(&self) -> Place {
        let mut taken = self.taken();
        if taken.places.len() >= taken.most
            && let Some(seat) =
                taken.places.values_mut().filter(|seat| !seat.needed).min_by_key(|seat| seat.moved)
        {
            seat.needed = true;
            seat.waker.take().into_iter().for_each(Waker::wake);
        }
        let id = taken.next;
        taken.next += 1;
        taken.places.insert(id, Seat { moved: Instant::now(), needed: false, waker: None });
        Place { places: self.clone(), id }
    }
}

impl Place {
    fn moved(&self) {
        self.places.taken().places.get_mut(&self.id).into_iter().for_each(|seat| seat.moved = Instant::now());
    }

    fn is_needed(&self, cx: &mut Context<'_>) -> bool {
        let mut taken = self.places.taken();
        let Some(seat) = taken.places.get_mut(&self.id) else { return true };
        seat.waker = Some(cx.waker().clone());
        seat.needed
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().places.remove(&self.id);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.over(cx)?;
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.place.moved();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.over(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.given(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.over(cx)?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.given(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.until.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.until = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        let Lingering { stream, until, .. } = &mut *self;
        let mut waste = [0; 16 << 10];
        loop {
            if until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                // It is done, or gone.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// A listener whose connections linger, and of which there are so many.
pub struct Lingerer {
    /// Where clients knock.
    pub listener: TcpListener,
    /// The places that they take.
    pub places: Places,
    /// The certificate that they are shown; without, connections are not encrypted.
    pub door: Option<Arc<Door>>,
}

impl Listener for Lingerer {
    type Io = Lingering<Stream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, from) = Listener::accept(&mut self.listener).await;
        // It is gone already if this fails; then reading says so.
        let _ = crate::doors::keep_alive(&stream);
        let config = self.door.as_ref().map(|door| (*door.now()).clone());
        (Lingering::new(Stream::accepted(stream, config), self.places.take()), from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Lingerer>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Lingerer>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_on_which_nothing_moved_for_the_longest_time_makes_room() {
        let places = Places::new(2);
        let mut cx = Context::from_waker(Waker::noop());
        let (first, second) = (places.take(), places.take());
        std::thread::sleep(Duration::from_millis(1));
        first.moved();
        let third = places.take();
        assert!(second.is_needed(&mut cx), "it was there before the first moved");
        assert!(!first.is_needed(&mut cx) && !third.is_needed(&mut cx));
        drop(second);
        drop(third);
        let _third = places.take();
        assert!(!first.is_needed(&mut cx), "there is room");
    }
}
