//! A stream, plain or TLS. The handshake happens at the first read or write, so whoever accepts connections never waits for
//! one, and the patience that a caller has for the first words covers it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, Connection, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream, client, server};

use crate::{files, names};

/// Whoever is refused has this long to read why.
const LINGER: Duration = Duration::from_secs(1);
/// And may say so much meanwhile.
const LINGER_BYTES: usize = 64 << 10;

/// A connection.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted, and both sides know who the other is, as far as they asked.
    Tls(Box<Tls>),
}

/// The state of an encrypted one.
pub enum Tls {
    #[doc(hidden)]
    Accepting(server::FallibleAccept<TcpStream>),
    #[doc(hidden)]
    Connecting(client::FallibleConnect<TcpStream>),
    #[doc(hidden)]
    Up(TlsStream<TcpStream>),
    #[doc(hidden)]
    Refusing(Refusing),
}

/// The handshake failed. The other side is told by an alert, and given the time to read it: closed at once, with bytes of
/// its on the way, the connection is reset, and the alert is lost.
pub struct Refusing {
    stream: TcpStream,
    why: Option<io::Error>,
    said: bool,
    read: usize,
    until: Pin<Box<Sleep>>,
}

impl Stream {
    /// One that somebody dialled.
    pub fn accepted(stream: TcpStream, config: Option<Arc<ServerConfig>>) -> Stream {
        match config {
            None => Stream::Plain(stream),
            Some(config) => {
                let accept = TlsAcceptor::from(config).accept(stream).into_fallible();
                Stream::Tls(Box::new(Tls::Accepting(accept)))
            }
        }
    }

    /// One that was dialled to reach the member of this name.
    pub fn dialled(stream: TcpStream, config: Option<Arc<ClientConfig>>, name: &str) -> io::Result<Stream> {
        let Some(config) = config else { return Ok(Stream::Plain(stream)) };
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is no name for TLS"));
        let name = names::server(name).ok_or_else(wrong)?;
        let connect = TlsConnector::from(config).connect(name, stream).into_fallible();
        Ok(Stream::Tls(Box::new(Tls::Connecting(connect))))
    }

    /// Does the other side show the certificate of `name`? If not, of whom it is. A plain stream shows nothing, and is asked
    /// for nothing. Ask after the first read.
    pub fn shows(&self, name: &str) -> Result<(), Vec<String>> {
        let Stream::Tls(tls) = self else { return Ok(()) };
        let Tls::Up(stream) = &**tls else { return Err(Vec::new()) };
        let chain: Option<&[CertificateDer<'_>]> = stream.get_ref().1.peer_certificates();
        files::is_of(chain.and_then(<[_]>::first).ok_or_else(Vec::new)?, name)
    }

    /// Takes it apart, after its first words: what the kernel holds, and what TLS does.
    pub(crate) fn parts(self) -> io::Result<(TcpStream, Option<Box<Connection>>)> {
        Ok(match self {
            Stream::Plain(stream) => (stream, None),
            Stream::Tls(tls) => match *tls {
                Tls::Up(TlsStream::Client(stream)) => {
                    let (stream, tls) = stream.into_inner();
                    (stream, Some(Box::new(tls.into())))
                }
                Tls::Up(TlsStream::Server(stream)) => {
                    let (stream, tls) = stream.into_inner();
                    (stream, Some(Box::new(tls.into())))
                }
                _ => return Err(io::Error::other("the handshake is not done")),
            },
        })
    }
}

impl Tls {
    /// Goes on with the handshake until it is done.
    fn up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut TlsStream<TcpStream>>> {
        loop {
            let failed = match self {
                Tls::Accepting(accept) => match ready!(Pin::new(accept).poll(cx)) {
                    Ok(stream) => {
                        *self = Tls::Up(stream.into());
                        continue;
                    }
                    Err(failed) => failed,
                },
                Tls::Connecting(connect) => match ready!(Pin::new(connect).poll(cx)) {
                    Ok(stream) => {
                        *self = Tls::Up(stream.into());
                        continue;
                    }
                    Err(failed) => failed,
                },
                Tls::Refusing(refusing) => return refusing.over(cx).map(Err),
                Tls::Up(_) => break,
            };
            let (why, stream) = failed;
            let until = Box::pin(tokio::time::sleep(LINGER));
            *self = Tls::Refusing(Refusing { stream, why: Some(why), said: false, read: 0, until });
        }
        match self {
            Tls::Up(stream) => Poll::Ready(Ok(stream)),
            _ => Poll::Ready(Err(io::Error::other("the handshake is not done"))),
        }
    }
}

impl Refusing {
    /// Waits until the other side has gone, or its time is up.
    fn over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let why =
            |me: &mut Refusing| me.why.take().unwrap_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        if self.why.is_none() || self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(why(self));
        }
        if !self.said {
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
            self.said = true;
        }
        let mut waste = [0; 4096];
        while self.read < LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.read += buf.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(why(self))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(tls) => {
                let stream = ready!(tls.up(cx))?;
                // What the kernel did not take of the last write. Nobody above knows that there is such a thing: it goes on
                // its way while the answer is waited for.
                if let Poll::Ready(flushed) = Pin::new(&mut *stream).poll_flush(cx) {
                    flushed?;
                }
                Pin::new(stream).poll_read(cx, buf)
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(ready!(tls.up(cx))?).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            tls => {
                let first = bytes.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
                Pin::new(tls).poll_write(cx, first)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self, Stream::Plain(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(ready!(tls.up(cx))?).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(ready!(tls.up(cx))?).poll_shutdown(cx),
        }
    }
}
