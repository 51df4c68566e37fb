//! A client of the Redis protocol: what it takes to put, get and delete, and to hear how it went.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use dataplane::Condition;
use sim::history::{Call, Told};

use super::cluster::PATIENCE;
use super::value::number;

/// A reply is a value of at most 1 MiB.
const BYTES_MAX: usize = 2 << 20;
/// Replies within a reply.
const ITEMS_MAX: usize = 16;

/// A reply.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Nothing,
    List(Vec<Reply>),
}

/// Connections to gateways. One that failed is not used again: an answer that comes late would be taken for the next one.
#[derive(Default)]
pub struct Redis(BTreeMap<String, BufReader<TcpStream>>);

impl Redis {
    /// Asks, and says what was told; `None`: nothing for sure.
    pub fn tell(&mut self, gateway: &str, key: &str, call: Call, value: &[u8]) -> Option<Told> {
        let key = key.as_bytes();
        let words: Vec<&[u8]> = match call {
            Call::Put(_, Condition::Absent) => vec![b"SET", key, value, b"NX"],
            Call::Put(..) => vec![b"SET", key, value],
            Call::Delete(_) => vec![b"DEL", key],
            _ => vec![b"GETVER", key],
        };
        let reply = self.call(gateway, &words);
        if reply.is_err() {
            self.0.remove(gateway);
        }
        heard(reply.ok()?, call)
    }

    fn call(&mut self, gateway: &str, words: &[&[u8]]) -> io::Result<Reply> {
        if !self.0.contains_key(gateway) {
            let stream = TcpStream::connect(gateway)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            self.0.insert(gateway.to_owned(), BufReader::new(stream));
        }
        let stream = self.0.get_mut(gateway).expect("it was put there");
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        stream.get_mut().write_all(&request)?;
        read(stream, 0)
    }
}

fn read(stream: &mut impl BufRead, depth: usize) -> io::Result<Reply> {
    let wrong = || io::Error::from(ErrorKind::InvalidData);
    let mut line = String::new();
    stream.take(BYTES_MAX as u64).read_line(&mut line)?;
    let line = line.strip_suffix("\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let (mark, rest) = line.split_at_checked(1).ok_or_else(wrong)?;
    let length = |most: usize| rest.parse::<usize>().ok().filter(|n| *n <= most).ok_or_else(wrong);
    Ok(match mark {
        "+" => Reply::Simple(rest.into()),
        "-" => Reply::Error(rest.into()),
        ":" => Reply::Integer(rest.parse().map_err(|_| wrong())?),
        "$" | "*" if rest == "-1" => Reply::Nothing,
        "$" => {
            let mut bytes = vec![0; length(BYTES_MAX)? + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Reply::Bulk(bytes)
        }
        "*" if depth == 0 => {
            Reply::List((0..length(ITEMS_MAX)?).map(|_| read(stream, 1)).collect::<io::Result<_>>()?)
        }
        _ => return Err(wrong()),
    })
}

/// What a reply says; `None`: nothing for sure.
fn heard(reply: Reply, call: Call) -> Option<Told> {
    Some(match (call, reply) {
        (_, Reply::Error(why)) => match why.split(' ').next() {
            Some("UNAVAILABLE") => Told::Nothing,
            Some("UNKNOWN") => Told::Unknown,
            // The value is damaged, and the reader is told so.
            Some("CORRUPT") if matches!(call, Call::Get) => Told::Nothing,
            _ => return None,
        },
        (Call::Put(..), Reply::Simple(ok)) if ok == "OK" => Told::Stored,
        (Call::Put(_, Condition::Absent), Reply::Nothing) => Told::Refused,
        (Call::Delete(_), Reply::Integer(count)) => Told::Deleted(count == 1),
        (Call::Get, Reply::Nothing) => Told::Missing,
        (Call::Get, Reply::List(items)) => match &items[..] {
            [Reply::Integer(version), Reply::Bulk(value)] => {
                Told::Value(u64::try_from(*version).ok()?, number(value).unwrap_or(0))
            }
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8], call: Call) -> Option<Told> {
        heard(read(&mut io::Cursor::new(bytes), 0).ok()?, call)
    }

    #[test]
    fn each_reply_says_what_became_of_the_request() {
        let (put, absent) = (Call::Put(7, Condition::Always), Call::Put(7, Condition::Absent));
        let delete = Call::Delete(Condition::Always);
        assert_eq!(told(b"+OK\r\n", put), Some(Told::Stored));
        assert_eq!(told(b"$-1\r\n", absent), Some(Told::Refused));
        assert_eq!(told(b":0\r\n", delete), Some(Told::Deleted(false)));
        assert_eq!(told(b"*2\r\n:12\r\n$4\r\n7 ..\r\n", Call::Get), Some(Told::Value(12, 7)));
        assert_eq!(
            told(b"*2\r\n:12\r\n$4\r\n7 .x\r\n", Call::Get),
            Some(Told::Value(12, 0)),
            "nobody stored that"
        );
        assert_eq!(told(b"*-1\r\n", Call::Get), Some(Told::Missing));
        assert_eq!(told(b"-UNAVAILABLE no primary\r\n", put), Some(Told::Nothing));
        assert_eq!(told(b"-UNKNOWN it was sent\r\n", put), Some(Told::Unknown));
        // What is not understood says nothing for sure.
        for reply in [
            &b"-ERR what\r\n"[..],
            b"$-1\r\n",
            b"+QUEUED\r\n",
            b"",
            b"+O",
            b"\r\n",
            b"$99999999\r\n",
            b"$5\r\nab",
        ] {
            assert_eq!(told(reply, put), None, "{reply:?}");
        }
    }
}
