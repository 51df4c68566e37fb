//! The least that a replicated durable put can cost: a gateway, a primary and two backups, each a process, with one
//! append and one sync on each of the three for all that arrived during the last, and one majority. Nothing else: no
//! epochs, no checksums, no reclamation, no recovery, no way to replace who fails; gets are answered unconfirmed.
//!
//! ```text
//!   client ⇄ gateway ⇄ primary ⇄ backup, backup
//!      RESP      requests   batches of requests
//! ```
//!
//! Every message begins with the length of the rest: 4 bytes, little-endian, as are all numbers.
//!
//! | message | from → to | the rest |
//! |---|---|---|
//! | request | gateway → primary | number (8), length of the key (4), key, value; a get has no key length but `u32::MAX` |
//! | answer | primary → gateway | number (8), value of a get |
//! | batch | primary → backup | number (8), requests |
//! | acknowledgement | backup → primary | number (8) |

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local, yield_now};

use crate::floor::Appender;

/// In the place of a key's length: a get.
const GET: u32 = u32::MAX;

/// Where what is to be sent waits; what came together goes out in one write.
type Out = mpsc::UnboundedSender<Vec<u8>>;

fn on_one_thread(run: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run)
}

fn halves(stream: TcpStream) -> io::Result<(OwnedReadHalf, Out)> {
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    let (out, waiting) = mpsc::unbounded_channel();
    spawn_local(send(write, waiting));
    Ok((read, out))
}

async fn send(mut stream: OwnedWriteHalf, mut waiting: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(mut bytes) = waiting.recv().await {
        while let Ok(more) = waiting.try_recv() {
            bytes.extend_from_slice(&more);
        }
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn connect(port: u16) -> io::Result<(OwnedReadHalf, Out)> {
    // The other process may be about to start.
    for _ in 0..600 {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
            return halves(stream);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Err(io::Error::other(format!("nobody listens on port {port}")))
}

/// Hands on what follows each length. Ends with the connection.
async fn receive(mut stream: OwnedReadHalf, mut message: impl FnMut(&[u8])) {
    let mut bytes = BytesMut::with_capacity(256 << 10);
    loop {
        while bytes.len() >= 4 && bytes.len() - 4 >= number(&bytes[..4]) as usize {
            let length = bytes.get_u32_le() as usize;
            message(&bytes[..length]);
            bytes.advance(length);
        }
        bytes.reserve(64 << 10);
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>() as u32;
    let mut out = Vec::with_capacity(length as usize + 4);
    out.extend_from_slice(&length.to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// Serves the Redis protocol on `listen`, for a primary on the port `primary`. Runs until it is killed.
pub fn gateway(listen: u16, primary: u16) -> io::Result<()> {
    on_one_thread(async {
        let (answers, requests) = connect(primary).await?;
        let waiting: Rc<RefCell<BTreeMap<u64, oneshot::Sender<Vec<u8>>>>> = Rc::default();
        let next = Rc::new(Cell::new(0));
        let answered = waiting.clone();
        spawn_local(receive(answers, move |answer| {
            let client = answered.borrow_mut().remove(&number(&answer[..8]));
            // Who asked may have gone.
            client.map(|client| client.send(answer[8..].to_vec()));
        }));
        let clients = TcpListener::bind(("127.0.0.1", listen)).await?;
        loop {
            let (stream, _) = clients.accept().await?;
            spawn_local(client(stream, requests.clone(), waiting.clone(), next.clone()));
        }
    })
}

async fn client(
    mut stream: TcpStream,
    requests: Out,
    waiting: Rc<RefCell<BTreeMap<u64, oneshot::Sender<Vec<u8>>>>>,
    next: Rc<Cell<u64>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = BytesMut::with_capacity(16 << 10);
    let (mut asked, mut replies) = (Vec::new(), Vec::new());
    while stream.read_buf(&mut bytes).await? > 0 {
        // Whatever came together goes on together, and is answered together.
        while let Some(words) = command(&mut bytes) {
            let (get, key, value) = match words.as_slice() {
                [_, key, value] => (false, key, value.as_slice()),
                [_, key] => (true, key, [].as_slice()),
                _ => return Err(io::Error::other("only SET and GET are known")),
            };
            let number = next.replace(next.get() + 1);
            let (tell, answer) = oneshot::channel();
            waiting.borrow_mut().insert(number, tell);
            let length = if get { GET } else { key.len() as u32 };
            let request = framed(&[&number.to_le_bytes(), &length.to_le_bytes(), key, value]);
            requests.send(request).map_err(io::Error::other)?;
            asked.push((get, answer));
        }
        for (get, answer) in asked.drain(..) {
            let value = answer.await.map_err(io::Error::other)?;
            if get {
                replies.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
                replies.extend_from_slice(&value);
                replies.extend_from_slice(b"\r\n");
            } else {
                replies.extend_from_slice(b"+OK\r\n");
            }
        }
        stream.write_all(&replies).await?;
        replies.clear();
    }
    Ok(())
}

/// Takes a whole command: an array of strings.
fn command(bytes: &mut BytesMut) -> Option<Vec<Vec<u8>>> {
    let line = |at: usize| -> Option<(usize, usize)> {
        let end = at + bytes.get(at..)?.iter().position(|byte| *byte == b'\n')?;
        Some((str::from_utf8(&bytes[at + 1..end]).ok()?.trim_end().parse().ok()?, end + 1))
    };
    let (count, mut at) = line(0)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, begin) = line(at)?;
        words.push(bytes.get(begin..begin + length)?.to_vec());
        at = begin + length + 2;
    }
    (bytes.len() >= at).then(|| bytes.advance(at))?;
    Some(words)
}

/// A replica, on a new file at `path` of `file_bytes`. With `backups` it is the primary. Runs until it is killed.
pub fn node(listen: u16, path: &Path, file_bytes: u64, backups: &[u16]) -> io::Result<()> {
    let mut appender = Appender::create(path, file_bytes)?;
    on_one_thread(async {
        let listener = TcpListener::bind(("127.0.0.1", listen)).await?;
        let arrived: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
        let (wake, acknowledged) = (Rc::new(Notify::new()), Rc::new(Cell::new(0)));
        let mut to_backups = Vec::new();
        for &port in backups {
            let (acknowledgements, out) = connect(port).await?;
            let (acknowledged, wake) = (acknowledged.clone(), wake.clone());
            spawn_local(receive(acknowledgements, move |upto| {
                // Two of three have it: the first backup to say so and this one.
                acknowledged.set(number(upto).max(acknowledged.get()));
                wake.notify_one();
            }));
            to_backups.push(out);
        }
        // One connection: the gateway's, or the primary's.
        let (messages, answer) = halves(listener.accept().await?.0)?;
        let (inbox, woken) = (arrived.clone(), wake.clone());
        spawn_local(receive(messages, move |message| {
            inbox.borrow_mut().push(message.to_vec());
            woken.notify_one();
        }));
        let mut values: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let (mut batch, mut undecided) = (0, VecDeque::new());
        loop {
            let (mut append, mut puts, mut answers) = (Vec::new(), Vec::new(), Vec::new());
            for message in arrived.take() {
                if backups.is_empty() {
                    batch = number(&message[..8]);
                    append.extend_from_slice(&message[8..]);
                } else if number(&message[8..12]) == u64::from(GET) {
                    let value = values.get(&message[12..]).map_or(&[][..], Vec::as_slice);
                    answers.extend(framed(&[&message[..8], value]));
                } else {
                    append.extend(framed(&[&message]));
                    puts.extend(framed(&[&message[..8]]));
                }
            }
            if !append.is_empty() {
                if !backups.is_empty() {
                    batch += 1;
                    let message = framed(&[&u64::to_le_bytes(batch), &append]);
                    to_backups.iter().for_each(|out| drop(out.send(message.clone())));
                    undecided.push_back((batch, puts));
                    // The backups sync while this one does.
                    yield_now().await;
                }
                appender.append(&append)?;
                let mut rest = append.as_slice();
                while !rest.is_empty() {
                    let length = rest.get_u32_le() as usize;
                    let (key, value) = rest[12..length].split_at(number(&rest[8..12]) as usize);
                    values.insert(key.to_vec(), value.to_vec());
                    rest.advance(length);
                }
                if backups.is_empty() {
                    answers.extend(framed(&[&batch.to_le_bytes()]));
                }
            }
            while undecided.front().is_some_and(|(batch, _)| *batch <= acknowledged.get()) {
                answers.extend(undecided.pop_front().into_iter().flat_map(|(_, puts)| puts));
            }
            if !answers.is_empty() {
                answer.send(answers).map_err(io::Error::other)?;
            }
            yield_now().await;
            wake.notified().await;
        }
    })
}
