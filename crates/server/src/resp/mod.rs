//! The Redis protocol, so that every Redis client is a client of Cutaway.
//!
//! | file | job |
//! |---|---|
//! | `request` | bytes to arguments |
//! | `command` | arguments to what is asked of the gateway, and its answer back to a reply |
//! | `server` | the commands that ask about the server itself |
//! | `reply` | replies to bytes |
//! | `glob` | patterns |
//!
//! A connection takes whatever requests have arrived (a pipeline) and answers them in order. They run side by side, so
//! that they share syncs, as far as nobody can tell: a request that touches a key which an earlier one of the same
//! pipeline writes waits for that one. What has no equivalent here is refused, never ignored: an expiry that silently did
//! not happen would be a lie.

mod command;
mod glob;
mod reply;
mod request;
mod server;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use gateway::Reply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::child::{Stop, stopped};
use crate::gateway_host::Handle;
use command::{Command, Touch};
use reply::Value;

/// Most connections at a time.
const CONNECTIONS_MAX: usize = 10_000;
/// Most requests of one connection under way at a time.
const PIPELINE_MAX: usize = 128;
/// Encoded replies are written once there are this many bytes of them.
const WRITE_BYTES: usize = 256 << 10;
/// Most scans that are remembered between two `SCAN` calls; the oldest is forgotten first.
const CURSORS_MAX: usize = 4096;

/// The connections of this gateway, and the scans under way.
#[derive(Default)]
pub struct Clients {
    next_id: u64,
    infos: BTreeMap<u64, Info>,
    busy: usize,
    cursors: BTreeMap<u64, Arc<[u8]>>,
    next_cursor: u64,
}

impl Clients {
    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.infos.len()
    }

    /// How many are working on requests.
    pub fn busy(&self) -> usize {
        self.busy
    }

    /// Remembers where a scan goes on. The number is all that a client holds, and a scan may go on over any of its
    /// connections.
    fn remember(&mut self, after: Arc<[u8]>) -> u64 {
        if self.cursors.len() == CURSORS_MAX {
            self.cursors.pop_first();
        }
        self.next_cursor += 1;
        self.cursors.insert(self.next_cursor, after);
        self.next_cursor
    }
}

/// What `CLIENT LIST` tells of a connection.
struct Info {
    from: Option<SocketAddr>,
    to: Option<SocketAddr>,
    since: Instant,
    version: u8,
    name: String,
    library: String,
    library_version: String,
    last_command: Rc<Cell<&'static str>>,
}

/// Accepts connections until it is told to stop.
pub async fn listen(core: Handle, listener: TcpListener, mut stop: Stop) {
    loop {
        let stream = tokio::select! {
            () = stopped(&mut stop) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    tracing::warn!("cannot accept a connection: {e}");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        if core.borrow().resp_clients.open() >= CONNECTIONS_MAX {
            let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
            continue;
        }
        let connection = Connection::new(core.clone(), &stream);
        let stop = stop.clone();
        tokio::task::spawn_local(async move {
            let id = connection.id;
            if let Err(e) = connection.serve(stream, stop).await {
                tracing::debug!("redis connection {id}: {e}");
            }
        });
    }
}

/// One request under way.
enum Pending {
    Ready(Value),
    Waiting(Command, Vec<oneshot::Receiver<Reply>>),
}

/// One client.
struct Connection {
    core: Handle,
    id: u64,
    last_command: Rc<Cell<&'static str>>,
    /// 2 or 3.
    version: u8,
    pending: VecDeque<Pending>,
    /// The keys that pending requests write, and those that they read.
    writes: BTreeSet<Bytes>,
    reads: BTreeSet<Bytes>,
    out: BytesMut,
    closing: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.core.borrow_mut().resp_clients.infos.remove(&self.id);
    }
}

impl Connection {
    fn new(core: Handle, stream: &TcpStream) -> Connection {
        let last_command = Rc::new(Cell::new(""));
        let id = {
            let clients = &mut core.borrow_mut().resp_clients;
            clients.next_id += 1;
            let info = Info {
                from: stream.peer_addr().ok(),
                to: stream.local_addr().ok(),
                since: Instant::now(),
                version: 2,
                name: String::new(),
                library: String::new(),
                library_version: String::new(),
                last_command: last_command.clone(),
            };
            clients.infos.insert(clients.next_id, info);
            clients.next_id
        };
        Connection {
            core,
            id,
            last_command,
            version: 2,
            pending: VecDeque::new(),
            writes: BTreeSet::new(),
            reads: BTreeSet::new(),
            out: BytesMut::new(),
            closing: false,
        }
    }

    async fn serve(mut self, mut stream: TcpStream, mut stop: Stop) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buf = BytesMut::new();
        let mut stopped = std::pin::pin!(stopped(&mut stop));
        loop {
            self.core.borrow_mut().resp_clients.busy += 1;
            let result = self.round(&mut stream, &mut buf).await;
            self.core.borrow_mut().resp_clients.busy -= 1;
            result?;
            if self.closing {
                return stream.shutdown().await;
            }
            buf.reserve(16 << 10);
            tokio::select! {
                biased;
                read = stream.read_buf(&mut buf) => if read? == 0 { return Ok(()) },
                // What was taken has been answered; nothing more is taken.
                () = stopped.as_mut() => return stream.shutdown().await,
            }
        }
    }

    /// Answers every complete request in `buf`.
    async fn round(&mut self, stream: &mut TcpStream, buf: &mut BytesMut) -> std::io::Result<()> {
        while !self.closing {
            match request::next(buf) {
                Ok(None) => break,
                Ok(Some(arguments)) => self.take(stream, arguments, !buf.is_empty()).await?,
                Err(request::Malformed(why)) => {
                    self.pending
                        .push_back(Pending::Ready(Value::Error(format!("ERR Protocol error: {why}"))));
                    self.closing = true;
                }
            }
            if self.pending.len() >= PIPELINE_MAX {
                self.finish(stream).await?;
            }
        }
        self.finish(stream).await?;
        if !self.out.is_empty() {
            stream.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Takes a request, behind which there are others or (not `more`) none.
    async fn take(
        &mut self,
        stream: &mut TcpStream,
        arguments: Vec<Bytes>,
        more: bool,
    ) -> std::io::Result<()> {
        let (name, command) = match Command::parse(&arguments) {
            Ok(command) => command,
            Err(why) => {
                self.pending.push_back(Pending::Ready(Value::Error(why)));
                return Ok(());
            }
        };
        self.last_command.set(name);
        let conflict = match command.touches() {
            Touch::Nothing => false,
            Touch::Reads(keys) => keys.iter().any(|key| self.writes.contains(key)),
            Touch::Writes(keys) => keys.iter().any(|k| self.writes.contains(k) || self.reads.contains(k)),
            Touch::ReadsAll => !self.writes.is_empty(),
            Touch::Connection => true,
        };
        if conflict {
            self.finish(stream).await?;
        }
        match command.touches() {
            Touch::Reads(keys) if more => self.reads.extend(keys.iter().cloned()),
            Touch::Writes(keys) if more => self.writes.extend(keys.iter().cloned()),
            _ => (),
        }
        let pending = match command {
            Command::Server(asked) => Pending::Ready(self.answer(asked)),
            command => {
                let requests = match command.requests(&self.core.borrow().resp_clients.cursors) {
                    Ok(requests) => requests,
                    Err(why) => {
                        self.pending.push_back(Pending::Ready(Value::Error(why)));
                        return Ok(());
                    }
                };
                let mut core = self.core.borrow_mut();
                Pending::Waiting(command, requests.into_iter().map(|request| core.submit(request)).collect())
            }
        };
        self.pending.push_back(pending);
        Ok(())
    }

    /// Waits for everything under way, in order, and encodes the replies.
    async fn finish(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        while let Some(pending) = self.pending.pop_front() {
            let value = match pending {
                Pending::Ready(value) => value,
                Pending::Waiting(command, receivers) => {
                    let mut replies = Vec::with_capacity(receivers.len());
                    for receiver in receivers {
                        let gone = || Reply::Unknown("the gateway is stopping".into());
                        replies.push(receiver.await.unwrap_or_else(|_| gone()));
                    }
                    command.reply(replies, |after| self.core.borrow_mut().resp_clients.remember(after))
                }
            };
            value.encode(self.version, &mut self.out);
            if self.out.len() >= WRITE_BYTES {
                stream.write_all(&self.out).await?;
                self.out.clear();
            }
        }
        self.writes.clear();
        self.reads.clear();
        Ok(())
    }
}
