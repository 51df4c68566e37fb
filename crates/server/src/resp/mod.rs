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
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use gateway::{Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

use crate::child::{Stop, stopped};
use crate::doors::keep_alive;
use crate::flow::{self, Held};
use crate::gateway_host::Handle;
use command::{Command, Touch};
use reply::Value;

/// A client that has not sent its first command by then is turned out.
const FIRST_PATIENCE: Duration = Duration::from_secs(60);
/// A command whose rest has not come by then never comes. Between commands a client may be silent for as long as it likes.
const REST_PATIENCE: Duration = Duration::from_secs(30);
/// Most requests of one connection under way at a time.
const PIPELINE_MAX: usize = 128;
/// Encoded replies are written once there are this many bytes of them.
const WRITE_BYTES: usize = 64 << 10;
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
    /// It is to make room for others.
    leave: Rc<Notify>,
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
        if core.borrow().resp_clients.open() >= core.borrow().doors.redis {
            let core = core.borrow();
            // Whoever has said nothing makes room for whoever may.
            let silent = core.resp_clients.infos.values().find(|info| info.last_command.get().is_empty());
            match silent {
                Some(silent) => silent.leave.notify_one(),
                None => {
                    let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
                    continue;
                }
            }
        }
        if let Err(e) = keep_alive(&stream) {
            tracing::debug!("a connection is gone before it began: {e}");
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

/// Does this begin like HTTP? `POST` and `Host:` are what Redis looks for; a request line ends in its version.
fn is_http(arguments: &[Bytes]) -> bool {
    let first = arguments[0].to_ascii_lowercase();
    let method = || [&b"get"[..], b"put", b"head", b"delete", b"options", b"patch"].contains(&&first[..]);
    let line = || arguments.len() == 3 && arguments[2].starts_with(b"HTTP/") && method();
    first == b"post"[..] || first.starts_with(b"host:") || line()
}

/// Room did not come about.
struct NoRoom;

/// One request under way.
enum Pending {
    Ready(Value),
    /// With the room that request and reply take.
    Waiting(Command, Vec<oneshot::Receiver<Reply>>, Option<Held>),
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
                leave: Rc::default(),
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
        let leave = self.core.borrow().resp_clients.infos[&self.id].leave.clone();
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
            let begun = !buf.is_empty();
            buf.reserve(16 << 10);
            tokio::select! {
                biased;
                read = stream.read_buf(&mut buf) => if read? == 0 { return Ok(()) },
                () = self.patience(begun) => return Ok(()),
                () = leave.notified() => return Ok(()),
                // What was taken has been answered; nothing more is taken.
                () = stopped.as_mut() => return stream.shutdown().await,
            }
        }
    }

    /// Ends when the client has taken too long: to begin, or to finish a command.
    async fn patience(&self, begun: bool) {
        match (begun, self.last_command.get()) {
            (true, _) => tokio::time::sleep(REST_PATIENCE).await,
            (false, "") => tokio::time::sleep(FIRST_PATIENCE).await,
            (false, _) => std::future::pending().await,
        }
    }

    /// Answers every complete request in `buf`.
    async fn round(&mut self, stream: &mut TcpStream, buf: &mut BytesMut) -> std::io::Result<()> {
        while !self.closing {
            match request::next(buf) {
                Ok(None) => break,
                // A web page can have a browser send anything behind a head that it does not choose, and so write here.
                Ok(Some(arguments)) if is_http(&arguments) => {
                    tracing::warn!(
                        "a redis connection speaks HTTP, as a web page would have a browser do, and is closed"
                    );
                    self.closing = true;
                    self.pending.clear();
                }
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
        self.write(stream).await
    }

    /// Writes the replies that are encoded, as long as the client takes them.
    async fn write(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        if !self.out.is_empty() {
            let budget = self.core.borrow().budget.clone();
            budget.write(stream, &self.out).await?;
            self.out.clear();
            if self.out.capacity() > 2 * WRITE_BYTES {
                self.out = BytesMut::new();
            }
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
            Command::Server(asked) => {
                let value = self.answer(asked);
                let large = value.bytes() > flow::SHORT_BYTES as usize;
                self.pending.push_back(Pending::Ready(value));
                return if large { self.finish(stream).await } else { Ok(()) };
            }
            command => {
                let requests = match command.requests(&self.core.borrow().resp_clients.cursors) {
                    Ok(requests) => requests,
                    Err(why) => {
                        self.pending.push_back(Pending::Ready(Value::Error(why)));
                        return Ok(());
                    }
                };
                let Ok(room) = self.room(stream, &command, &requests).await? else {
                    let why =
                        "UNAVAILABLE it had no effect: other clients' values take all the room there is";
                    self.pending.push_back(Pending::Ready(Value::Error(why.into())));
                    return Ok(());
                };
                let mut core = self.core.borrow_mut();
                let answers = requests.into_iter().map(|request| core.submit(request)).collect();
                Pending::Waiting(command, answers, room)
            }
        };
        self.pending.push_back(pending);
        Ok(())
    }

    /// Room for the values of a command on their way in, and for what its reply takes before anybody reads it. Whoever
    /// has to wait for it first gives back what it holds.
    async fn room(
        &mut self,
        stream: &mut TcpStream,
        command: &Command,
        requests: &[Request],
    ) -> std::io::Result<Result<Option<Held>, NoRoom>> {
        let short = flow::SHORT_BYTES as usize;
        let budget = self.core.borrow().budget.clone();
        let value = |request: &Request| match request {
            Request::Put { value, .. } => value.len(),
            _ => 0,
        };
        let taken: usize = requests.iter().map(value).sum();
        if taken > short {
            if let Some(held) = budget.put_at_once(taken) {
                return Ok(Ok(Some(held)));
            }
            self.finish(stream).await?;
            return Ok(budget.put(taken).await.map(Some).ok_or(NoRoom));
        }
        let given = match command {
            Command::Scan(..) => flow::PAGE_BYTES,
            command => command.values() * flow::short(command.values()) as usize,
        };
        if given > short || !self.pending.is_empty() {
            if let Some(held) = budget.ahead_at_once(given) {
                return Ok(Ok(Some(held)));
            }
            self.finish(stream).await?;
        }
        match given > short {
            true => Ok(budget.ahead(given).await.map(Some).ok_or(NoRoom)),
            false => Ok(Ok(None)),
        }
    }

    /// Waits for everything under way, in order, and encodes the replies.
    async fn finish(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        while let Some(pending) = self.pending.pop_front() {
            let (value, held) = match pending {
                Pending::Ready(value) => (value, None),
                Pending::Waiting(command, receivers, room) => {
                    let mut replies = Vec::with_capacity(receivers.len());
                    for receiver in receivers {
                        let gone = || Reply::Unknown("the gateway is stopping".into());
                        replies.push(receiver.await.unwrap_or_else(|_| gone()));
                    }
                    let long = match command.values() {
                        0 => None,
                        _ => flow::whole(&self.core, &mut replies).await,
                    };
                    let value =
                        command.reply(replies, |after| self.core.borrow_mut().resp_clients.remember(after));
                    (value, long.or(room))
                }
            };
            value.encode(self.version, &mut self.out);
            if self.out.len() >= WRITE_BYTES {
                drop(value);
                self.write(stream).await?;
            }
            drop(held);
        }
        self.writes.clear();
        self.reads.clear();
        Ok(())
    }
}
