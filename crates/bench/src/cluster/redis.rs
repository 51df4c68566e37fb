//! As much of the Redis protocol as two commands need.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

/// One client's own connection to a Redis server, or to a gateway.
pub struct Connection {
    answers: Answers<TcpStream>,
    wait: u32,
    out: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(port: u16, wait: u32) -> io::Result<Connection> {
        let stream = connect(port).await?;
        Ok(Connection { answers: Answers::new(stream), wait, out: Vec::new() })
    }

    pub(super) async fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.out.clear();
        command(&mut self.out, &[b"SET", key, value]);
        if self.wait > 0 {
            wait_command(&mut self.out, self.wait);
        }
        self.answers.stream.get_mut().write_all(&self.out).await?;
        self.answers.ok().await?;
        if self.wait > 0 { self.answers.copies(self.wait).await } else { Ok(()) }
    }

    pub(super) async fn get(&mut self, key: &[u8]) -> io::Result<Option<&[u8]>> {
        self.out.clear();
        command(&mut self.out, &[b"GET", key]);
        self.answers.stream.get_mut().write_all(&self.out).await?;
        self.answers.value().await
    }
}

/// A connection that several clients share. What they ask while the last of it is being sent goes out together, and one
/// `WAIT` is for all of it.
#[derive(Clone)]
pub struct Shared {
    calls: mpsc::UnboundedSender<Call>,
}

/// What one of the clients asks.
struct Call {
    command: Vec<u8>,
    reads: bool,
    answer: oneshot::Sender<io::Result<Option<Vec<u8>>>>,
}

impl Shared {
    pub(super) async fn open(port: u16, wait: u32) -> io::Result<Shared> {
        let (read, write) = connect(port).await?.into_split();
        let (calls, to_ask) = mpsc::unbounded_channel();
        let (asked, to_answer) = mpsc::unbounded_channel();
        // Both end with the last client.
        tokio::task::spawn_local(ask(write, to_ask, asked, wait));
        tokio::task::spawn_local(answer(Answers::new(read), to_answer, wait));
        Ok(Shared { calls })
    }

    pub(super) async fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.call(&[b"SET", key, value], false).await.map(drop)
    }

    pub(super) async fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.call(&[b"GET", key], true).await
    }

    async fn call(&self, words: &[&[u8]], reads: bool) -> io::Result<Option<Vec<u8>>> {
        let (mut bytes, (answer, answered)) = (Vec::new(), oneshot::channel());
        command(&mut bytes, words);
        let ended = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.calls.send(Call { command: bytes, reads, answer }).map_err(|_| ended(()))?;
        answered.await.map_err(|_| ended(()))?
    }
}

async fn ask(
    mut stream: OwnedWriteHalf,
    mut calls: mpsc::UnboundedReceiver<Call>,
    asked: mpsc::UnboundedSender<Vec<Call>>,
    wait: u32,
) {
    let mut out = Vec::new();
    while let Some(first) = calls.recv().await {
        let mut together = vec![first];
        while let Ok(more) = calls.try_recv() {
            together.push(more);
        }
        out.clear();
        together.iter().for_each(|call| out.extend_from_slice(&call.command));
        if waits(wait, &together) {
            wait_command(&mut out, wait);
        }
        // Who reads the answers has ended if the connection has.
        if asked.send(together).is_err() || stream.write_all(&out).await.is_err() {
            return;
        }
    }
}

async fn answer(
    mut answers: Answers<OwnedReadHalf>,
    mut asked: mpsc::UnboundedReceiver<Vec<Call>>,
    wait: u32,
) {
    while let Some(together) = asked.recv().await {
        let answered = answer_all(&mut answers, &together, wait).await;
        let failed = answered.is_err();
        let results = match answered {
            Ok(values) => values.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        for (call, result) in together.into_iter().zip(results) {
            // A client whose time was over has gone.
            let _ = call.answer.send(result);
        }
        if failed {
            return;
        }
    }
}

async fn answer_all(
    answers: &mut Answers<OwnedReadHalf>,
    together: &[Call],
    wait: u32,
) -> io::Result<Vec<Option<Vec<u8>>>> {
    let mut values = Vec::with_capacity(together.len());
    for call in together {
        values.push(if call.reads {
            answers.value().await?.map(<[u8]>::to_vec)
        } else {
            answers.ok().await?;
            None
        });
    }
    if waits(wait, together) {
        answers.copies(wait).await?;
    }
    Ok(values)
}

fn waits(wait: u32, together: &[Call]) -> bool {
    wait > 0 && together.iter().any(|call| !call.reads)
}

/// What comes back.
struct Answers<R> {
    stream: BufReader<R>,
    line: Vec<u8>,
    value: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Answers<R> {
    fn new(stream: R) -> Answers<R> {
        Answers { stream: BufReader::with_capacity(16 << 10, stream), line: Vec::new(), value: Vec::new() }
    }

    /// Of a `SET`.
    async fn ok(&mut self) -> io::Result<()> {
        let reply = self.line().await?;
        if reply == b"+OK" {
            Ok(())
        } else {
            Err(io::Error::other(String::from_utf8_lossy(reply).into_owned()))
        }
    }

    /// Of a `WAIT`.
    async fn copies(&mut self, least: u32) -> io::Result<()> {
        let reply = self.line().await?;
        let copies = reply.strip_prefix(b":").and_then(|n| str::from_utf8(n).ok()?.parse::<u32>().ok());
        if copies.is_none_or(|copies| copies < least) {
            return Err(io::Error::other("WAIT was answered with too few replicas"));
        }
        Ok(())
    }

    /// Of a `GET`.
    async fn value(&mut self) -> io::Result<Option<&[u8]>> {
        let reply = self.line().await?;
        let length = reply.strip_prefix(b"$").and_then(|n| str::from_utf8(n).ok()?.parse::<i64>().ok());
        match length {
            Some(length @ 0..) => {
                self.value.resize(length as usize + 2, 0);
                self.stream.read_exact(&mut self.value).await?;
                Ok(Some(&self.value[..length as usize]))
            }
            Some(_) => Ok(None),
            None => Err(io::Error::other(String::from_utf8_lossy(&self.line).into_owned())),
        }
    }

    /// Without its end.
    async fn line(&mut self) -> io::Result<&[u8]> {
        self.line.clear();
        if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.line.trim_ascii_end())
    }
}

async fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn wait_command(out: &mut Vec<u8>, wait: u32) {
    command(out, &[b"WAIT", wait.to_string().as_bytes(), b"0"]);
}

fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;
    use tokio::task::{JoinHandle, LocalSet};

    /// Gives each key back as its value, refuses the key `bad`, and counts one replica. Returns the names of all commands
    /// that it was sent.
    async fn serve(listener: TcpListener) -> Vec<String> {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let (mut names, mut line) = (Vec::new(), String::new());
        let mut next = async |stream: &mut BufReader<TcpStream>| {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            line.trim_end().to_string()
        };
        loop {
            let Some(words) = next(&mut stream).await.strip_prefix('*').map(|n| n.parse().unwrap()) else {
                return names;
            };
            let mut command = Vec::new();
            for _ in 0..words {
                next(&mut stream).await;
                command.push(next(&mut stream).await);
            }
            let reply = match (command[0].as_str(), command[1].as_str()) {
                (_, "bad") => "-ERR no\r\n".into(),
                ("SET", _) => "+OK\r\n".into(),
                ("GET", key) => format!("${}\r\n{key}\r\n", key.len()),
                _ => ":1\r\n".into(),
            };
            names.push(command.swap_remove(0));
            stream.get_mut().write_all(reply.as_bytes()).await.unwrap();
        }
    }

    /// A shared connection, and what its server was sent once it has ended.
    async fn shared(wait: u32) -> (Shared, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::task::spawn_local(serve(listener));
        (Shared::open(port, wait).await.unwrap(), server)
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn clients_that_share_a_connection_get_each_their_own_answer_and_wait_together() {
        run(async {
            let (shared, server) = shared(1).await;
            let (put, a, b) =
                tokio::join!(shared.put(b"x", b"1"), shared.get(b"a key"), shared.get(b"another"));
            put.unwrap();
            assert_eq!(a.unwrap().unwrap(), b"a key");
            assert_eq!(b.unwrap().unwrap(), b"another");
            assert_eq!(shared.get(b"c").await.unwrap().unwrap(), b"c", "a read waits for no replica");
            drop(shared);
            assert_eq!(server.await.unwrap(), ["SET", "GET", "GET", "WAIT", "GET"]);
        });
    }

    #[test]
    fn a_refusal_ends_a_shared_connection_and_says_why() {
        run(async {
            let (shared, _server) = shared(0).await;
            let refused = shared.put(b"bad", b"1").await.unwrap_err();
            assert!(refused.to_string().contains("ERR no"), "{refused}");
            assert!(shared.put(b"good", b"1").await.is_err(), "nobody reads its answers any more");
        });
    }
}
