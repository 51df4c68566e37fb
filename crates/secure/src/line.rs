//! TLS for whoever writes what the kernel takes at once, without waiting: the links between members do.
//!
//! Both directions live on one thread, and share the state of the encryption. Bytes that were taken are encrypted, and wait
//! here if the kernel is full; no more than [`BUFFER_BYTES`] of them, so that what is urgent does not queue behind much.

use std::cell::RefCell;
use std::io::{self, Read, Write};

use bytes::{BufMut, BytesMut};
use rustls::Connection;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::stream::Stream;

/// Encrypted bytes that wait for the kernel.
const BUFFER_BYTES: usize = 64 << 10;

/// A connection of this thread.
pub enum Line {
    /// As it is.
    Plain(OwnedReadHalf, OwnedWriteHalf),
    /// Encrypted.
    Tls(Secured),
}

/// An encrypted one.
pub struct Secured {
    stream: TcpStream,
    tls: RefCell<Box<Connection>>,
}

/// A connection on its way to another thread.
pub struct Detached {
    stream: std::net::TcpStream,
    tls: Option<Box<Connection>>,
}

impl Detached {
    /// Takes a stream off this thread, after its first words.
    pub fn new(stream: Stream) -> io::Result<Detached> {
        let (stream, tls) = stream.parts()?;
        Ok(Detached { stream: stream.into_std()?, tls })
    }

    /// Takes it over, on the thread that will serve it.
    pub fn attach(self) -> io::Result<Line> {
        Ok(Line::of(TcpStream::from_std(self.stream)?, self.tls))
    }
}

impl Line {
    /// Of a stream of this thread, after its first words.
    pub fn new(stream: Stream) -> io::Result<Line> {
        let (stream, tls) = stream.parts()?;
        Ok(Line::of(stream, tls))
    }

    fn of(stream: TcpStream, tls: Option<Box<Connection>>) -> Line {
        match tls {
            None => {
                let (incoming, outgoing) = stream.into_split();
                Line::Plain(incoming, outgoing)
            }
            Some(mut tls) => {
                tls.set_buffer_limit(Some(BUFFER_BYTES));
                Line::Tls(Secured { stream, tls: RefCell::new(tls) })
            }
        }
    }

    /// The socket, for its options.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Line::Plain(incoming, _) => incoming.as_ref(),
            Line::Tls(secured) => &secured.stream,
        }
    }
}

/// The socket, as rustls writes to it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Secured {
    /// Takes as many bytes as there is room for. They may wait here: [`Secured::try_flush`] says.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        // First what waits, so that there is room.
        match self.try_flush() {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
            _ => (),
        }
        match self.tls.borrow_mut().writer().write(bytes)? {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    /// Gives the kernel what waits; `WouldBlock` if it does not take all of it.
    pub fn try_flush(&self) -> io::Result<()> {
        let mut tls = self.tls.borrow_mut();
        while tls.wants_write() {
            tls.write_tls(&mut Socket(&self.stream))?;
        }
        Ok(())
    }

    /// Waits until the kernel takes more.
    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Reads into the room that `buf` has; 0 at the end.
    pub async fn read_buf(&self, buf: &mut BytesMut) -> io::Result<usize> {
        loop {
            if let Some(read) = self.decrypted(buf)? {
                return Ok(read);
            }
            self.stream.readable().await?;
            let mut tls = self.tls.borrow_mut();
            match tls.read_tls(&mut Socket(&self.stream)) {
                Ok(0) => return Ok(0),
                Ok(_) => {
                    tls.process_new_packets().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => (),
                Err(e) => return Err(e),
            }
            drop(tls);
            // An answer of TLS itself, to a change of keys; if it has to wait, it goes with the next frame.
            match self.try_flush() {
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                _ => (),
            }
        }
    }

    /// What has come and is decrypted; `None` if there is nothing yet.
    fn decrypted(&self, buf: &mut BytesMut) -> io::Result<Option<usize>> {
        let mut tls = self.tls.borrow_mut();
        let mut reader = tls.reader();
        let mut read = 0;
        loop {
            use io::BufRead;
            match reader.fill_buf() {
                Ok([]) => return Ok(Some(read)),
                Ok(some) if buf.capacity() > buf.len() => {
                    let some = &some[..some.len().min(buf.capacity() - buf.len())];
                    buf.put_slice(some);
                    let taken = some.len();
                    reader.consume(taken);
                    read += taken;
                }
                Ok(_) => return Ok(Some(read)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok((read > 0).then_some(read)),
                // The frames say themselves where they end: an end without a farewell cuts none in two unnoticed.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(read)),
                Err(e) => return Err(e),
            }
        }
    }
}
