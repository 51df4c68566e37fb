//! As much of the Redis protocol as two commands need.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::refused;

/// A connection to a Redis server, or to a gateway.
pub struct Connection {
    stream: BufReader<TcpStream>,
    wait: u32,
    out: Vec<u8>,
    line: Vec<u8>,
    value: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(port: u16, wait: u32) -> io::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let stream = BufReader::with_capacity(16 << 10, stream);
        Ok(Connection { stream, wait, out: Vec::new(), line: Vec::new(), value: Vec::new() })
    }

    pub(super) async fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.out.clear();
        command(&mut self.out, &[b"SET", key, value]);
        if self.wait > 0 {
            command(&mut self.out, &[b"WAIT", self.wait.to_string().as_bytes(), b"0"]);
        }
        self.stream.get_mut().write_all(&self.out).await?;
        let reply = self.reply().await?;
        if reply != b"+OK" {
            return Err(refused(String::from_utf8_lossy(reply)));
        }
        if self.wait > 0 {
            let least = self.wait;
            let reply = self.reply().await?;
            let copies = reply.strip_prefix(b":").and_then(|n| str::from_utf8(n).ok()?.parse::<u32>().ok());
            if copies.is_none_or(|copies| copies < least) {
                return Err(refused("WAIT was answered with too few replicas"));
            }
        }
        Ok(())
    }

    pub(super) async fn get(&mut self, key: &[u8]) -> io::Result<Option<&[u8]>> {
        self.out.clear();
        command(&mut self.out, &[b"GET", key]);
        self.stream.get_mut().write_all(&self.out).await?;
        let reply = self.reply().await?;
        let length = reply.strip_prefix(b"$").and_then(|n| str::from_utf8(n).ok()?.parse::<i64>().ok());
        match length {
            Some(length @ 0..) => {
                self.value.resize(length as usize + 2, 0);
                self.stream.read_exact(&mut self.value).await?;
                Ok(Some(&self.value[..length as usize]))
            }
            Some(_) => Ok(None),
            None => Err(refused(String::from_utf8_lossy(&self.line))),
        }
    }

    /// One line, without its end.
    async fn reply(&mut self) -> io::Result<&[u8]> {
        self.line.clear();
        if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.line.trim_ascii_end())
    }
}

fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}
