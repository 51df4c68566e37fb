//! One connection of a client: takes what has arrived, answers in order, and holds no more than its share.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use secure::stream::Stream;
use secure::token::Known;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::clients::Info;
use super::command::{Command, Touch};
use super::info;
use super::job::{Job, Pending};
use super::reply::Value;
use super::request::{Malformed, Reader};
use super::table;
use crate::budget::{self, Held};
use crate::child::{Stop, stopped};
use crate::core::Handle;
use crate::partial::Share;

/// A client that has not sent its first command by then is turned out.
const FIRST_PATIENCE: Duration = Duration::from_secs(60);
/// A command whose rest has not come by then never comes. Between commands a client may be silent for as long as it likes.
const REST_PATIENCE: Duration = Duration::from_secs(30);
/// Most requests of one connection under way at a time.
const PIPELINE_MAX: usize = 128;
/// Encoded replies are written once there are this many bytes of them.
const WRITE_BYTES: usize = 64 << 10;
/// A client that is told why its connection ends has this long to take it, and to say so much more.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 32 << 20);

/// Does this begin like HTTP? `POST` and `Host:` are what Redis looks for; a request line ends in its version.
fn is_http(arguments: &[Bytes]) -> bool {
    let first = arguments[0].to_ascii_lowercase();
    let method = || [&b"get"[..], b"put", b"head", b"delete", b"options", b"patch"].contains(&&first[..]);
    let line = || arguments.len() == 3 && arguments[2].starts_with(b"HTTP/") && method();
    first == b"post"[..] || first.starts_with(b"host:") || line()
}

/// Room did not come about.
struct NoRoom;

/// One client.
pub(super) struct Connection {
    pub(super) core: Handle,
    pub(super) id: u64,
    last: Rc<Cell<(&'static str, Instant)>>,
    /// 2 or 3.
    pub(super) version: u8,
    pending: VecDeque<Pending>,
    /// The keys that pending requests write, and those that they read.
    writes: BTreeSet<Bytes>,
    reads: BTreeSet<Bytes>,
    /// Does a pending request read all keys?
    reads_all: bool,
    /// The token that was shown. What it allows is asked anew each time: it may have been taken out of the file.
    pub(super) token: Option<Known>,
    /// A `MULTI` was refused, and what belongs to it is still coming.
    aborted: bool,
    /// Of the memory for requests that have not come whole.
    share: Share,
    out: BytesMut,
    pub(super) closing: bool,
    /// It is told why, and may still be sending.
    lingering: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.core.borrow_mut().resp_clients.infos.remove(&self.id);
    }
}

impl Connection {
    pub(super) fn new(core: Handle, stream: &TcpStream) -> Connection {
        let last = Rc::new(Cell::new(("", Instant::now())));
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
                last: last.clone(),
                leave: Rc::default(),
            };
            clients.infos.insert(clients.next_id, info);
            clients.next_id
        };
        let share = core.borrow().partial.share();
        Connection {
            core,
            share,
            id,
            last,
            version: 2,
            pending: VecDeque::new(),
            writes: BTreeSet::new(),
            reads: BTreeSet::new(),
            reads_all: false,
            token: None,
            aborted: false,
            out: BytesMut::new(),
            closing: false,
            lingering: false,
        }
    }

    pub(super) async fn serve(mut self, mut stream: Stream, mut stop: Stop) -> std::io::Result<()> {
        let leave = self.core.borrow().resp_clients.infos[&self.id].leave.clone();
        let mut reader = Reader::default();
        let mut stopped = std::pin::pin!(stopped(&mut stop));
        loop {
            self.core.borrow_mut().resp_clients.busy += 1;
            let result = self.round(&mut stream, &mut reader).await;
            self.core.borrow_mut().resp_clients.busy -= 1;
            result?;
            if self.closing {
                stream.shutdown().await?;
                return if self.lingering { linger(stream).await } else { Ok(()) };
            }
            self.share.hold(reader.held());
            let begun = reader.held() > 0;
            tokio::select! {
                biased;
                read = stream.read_buf(reader.room()) => if read? == 0 { return Ok(()) },
                () = self.patience(begun) => return Ok(()),
                () = leave.notified() => return Ok(()),
                // What was taken has been answered; nothing more is taken.
                () = stopped.as_mut() => return stream.shutdown().await,
                () = self.share.make_room() => {
                    // The room is for others from now on, not when the client has read why.
                    drop(reader);
                    let why = "UNAVAILABLE it had no effect: the rest of the request did not come, and others need its room";
                    Value::Error(why.into()).encode(self.version, &mut self.out);
                    self.write(&mut stream).await?;
                    stream.shutdown().await?;
                    return linger(stream).await;
                }
            }
        }
    }

    /// Ends when the client has taken too long: to begin, or to finish a command.
    async fn patience(&self, begun: bool) {
        match (begun, self.last.get().0) {
            (true, _) => tokio::time::sleep(REST_PATIENCE).await,
            (false, "") => tokio::time::sleep(FIRST_PATIENCE).await,
            (false, _) => std::future::pending().await,
        }
    }

    /// Answers every complete request that has come.
    async fn round(&mut self, stream: &mut Stream, reader: &mut Reader) -> std::io::Result<()> {
        while !self.closing {
            match reader.next() {
                Ok(None) => break,
                // A web page can have a browser send anything behind a head that it does not choose, and so write here.
                Ok(Some(arguments)) if is_http(&arguments) => {
                    tracing::warn!(
                        "a redis connection speaks HTTP, as a web page would have a browser do, and is closed"
                    );
                    self.closing = true;
                    self.pending.clear();
                }
                Ok(Some(arguments)) => self.take(stream, arguments, reader.has_more()).await?,
                Err(Malformed(why)) => {
                    self.pending
                        .push_back(Pending::Ready(Value::Error(format!("ERR Protocol error: {why}"))));
                    (self.closing, self.lingering) = (true, true);
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
    async fn write(&mut self, stream: &mut Stream) -> std::io::Result<()> {
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
    async fn take(&mut self, stream: &mut Stream, arguments: Vec<Bytes>, more: bool) -> std::io::Result<()> {
        self.core.borrow_mut().resp_clients.commands += 1;
        self.last.set(("unknown", Instant::now()));
        if let Some(value) = self.transaction(&arguments[0]) {
            self.pending.push_back(Pending::Ready(value));
            return Ok(());
        }
        let (name, command) = match Command::parse(&arguments) {
            Ok(command) => command,
            Err(why) => {
                self.pending.push_back(Pending::Ready(Value::Error(why)));
                return Ok(());
            }
        };
        self.last.set((name, Instant::now()));
        if let Err(why) = self.allowed(&command) {
            self.pending.push_back(Pending::Ready(Value::Error(why)));
            return Ok(());
        }
        let conflict = match command.touches() {
            Touch::Nothing => false,
            Touch::Reads(keys) => keys.iter().any(|key| self.writes.contains(key)),
            Touch::Writes(keys) => {
                self.reads_all || keys.iter().any(|k| self.writes.contains(k) || self.reads.contains(k))
            }
            Touch::ReadsAll => !self.writes.is_empty(),
            Touch::Connection => true,
        };
        if conflict {
            self.finish(stream).await?;
        }
        if let Command::Server(asked) = command {
            let value = self.answer(asked);
            let large = value.bytes() > budget::SHORT_BYTES as usize;
            self.pending.push_back(Pending::Ready(value));
            return if large { self.finish(stream).await } else { Ok(()) };
        }
        let Ok(room) = self.room(stream, &command).await? else {
            let why = "UNAVAILABLE it had no effect: other clients' values take all the room there is";
            self.pending.push_back(Pending::Ready(Value::Error(why.into())));
            return Ok(());
        };
        // Not before room was made: that may have answered everything under way, and forgotten what it touched.
        match command.touches() {
            Touch::Reads(keys) if more => self.reads.extend(keys.iter().cloned()),
            Touch::Writes(keys) if more => self.writes.extend(keys.iter().cloned()),
            Touch::ReadsAll => self.reads_all = true,
            _ => (),
        }
        let pending = match command {
            Command::Info(sections) => {
                Pending::Later(Box::pin(info::info(self.core.clone(), &sections)), None)
            }
            Command::Walk(walk) => {
                let core = self.core.clone();
                Pending::Later(Box::pin(async move { walk.run(&core).await }), room)
            }
            command => Pending::Waiting(Job::begin(&self.core, command), room),
        };
        self.pending.push_back(pending);
        Ok(())
    }

    /// Room for the value of a command on its way in, and for what its reply takes before anybody reads it. Whoever has to
    /// wait for it first gives back what it holds.
    async fn room(
        &mut self,
        stream: &mut Stream,
        command: &Command,
    ) -> std::io::Result<Result<Option<Held>, NoRoom>> {
        let short = budget::SHORT_BYTES as usize;
        let budget = self.core.borrow().budget.clone();
        let taken = command.value_bytes();
        if taken > short {
            if let Some(held) = budget.put_at_once(taken) {
                return Ok(Ok(Some(held)));
            }
            self.finish(stream).await?;
            return Ok(budget.put(taken, &self.share).await.map(Some).ok_or(NoRoom));
        }
        let given = command.reply_bytes();
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

    /// `MULTI` is refused, and so is everything that a client sends behind it in the belief that it is collected and not
    /// done: its writes would stand, one by one, after it was told that the transaction failed.
    fn transaction(&mut self, name: &[u8]) -> Option<Value> {
        let name = name.to_ascii_uppercase();
        let error = |text: &str| Some(Value::Error(text.into()));
        match (&name[..], self.aborted) {
            (b"MULTI", false) => {
                self.aborted = true;
                error(&table::refusal(&[Bytes::from_static(b"MULTI")]))
            }
            (b"EXEC" | b"DISCARD", true) => {
                self.aborted = false;
                match &name[..] {
                    b"EXEC" => error("EXECABORT Transaction discarded because of previous errors."),
                    _ => Some(Value::OK),
                }
            }
            (b"EXEC", false) => error("ERR EXEC without MULTI"),
            (b"DISCARD", false) => error("ERR DISCARD without MULTI"),
            (b"QUIT" | b"RESET", true) => {
                self.aborted = false;
                None
            }
            (_, true) => error(
                "ERR not done: it is part of a transaction, and MULTI was refused; EXEC, DISCARD or RESET ends it",
            ),
            (_, false) => None,
        }
    }

    /// Waits for everything under way, in order, and encodes the replies.
    async fn finish(&mut self, stream: &mut Stream) -> std::io::Result<()> {
        while let Some(pending) = self.pending.pop_front() {
            let (value, held) = match pending {
                Pending::Ready(value) => (value, None),
                Pending::Waiting(job, room) => {
                    let (value, long) = job.finish(&self.core).await;
                    (value, long.or(room))
                }
                Pending::Later(value, room) => (value.await, room),
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
        self.reads_all = false;
        Ok(())
    }
}

/// Lets a client read why its connection ended. Closed at once, with bytes of its request on the way, the connection is
/// reset, and what it was told is lost with it.
async fn linger(mut stream: Stream) -> std::io::Result<()> {
    let (patience, mut bytes) = LINGER;
    let mut rest = vec![0; 16 << 10];
    let read_on = async {
        while bytes > 0 {
            match stream.read(&mut rest).await? {
                0 => break,
                n => bytes = bytes.saturating_sub(n),
            }
        }
        Ok(())
    };
    tokio::time::timeout(patience, read_on).await.unwrap_or(Ok(()))
}
