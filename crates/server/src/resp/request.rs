//! Reading requests of the Redis protocol: arrays of bulk strings, and inline commands.
//!
//! ```text
//! *2\r\n $3\r\nGET\r\n $1\r\nk\r\n      GET k\r\n
//! ```
//!
//! A request is flat, so no general decoder is used: those follow nested arrays, and `*1\r\n*1\r\n…` makes them recurse as
//! deep as a hostile client likes. Every announced length is checked here *before* anything is allocated or waited for.

use bytes::{Buf, Bytes, BytesMut};

/// Most arguments of one request.
pub const ARGUMENTS_MAX: usize = 65_536;
/// Longest argument in bytes: the longest value.
pub const ARGUMENT_BYTES_MAX: usize = dataplane::VALUE_BYTES_MAX;
/// Longest request in bytes: one longest value, and room for the rest.
pub const REQUEST_BYTES_MAX: usize = ARGUMENT_BYTES_MAX + (1 << 20);
/// Longest line (a header, or an inline command) in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Why the stream cannot be read on. The connection is closed after saying so.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Takes the next complete request off `buf`; `None` while it is incomplete. An empty request (an empty line, an empty
/// array) says nothing, and is skipped as Redis does.
pub fn next(buf: &mut BytesMut) -> Result<Option<Vec<Bytes>>, Malformed> {
    loop {
        let taken = match buf.first() {
            None => return Ok(None),
            Some(b'*') => array(buf)?,
            Some(_) => inline(buf)?,
        };
        match taken {
            Some(arguments) if arguments.is_empty() => continue,
            other => return Ok(other),
        }
    }
}

fn array(buf: &mut BytesMut) -> Result<Option<Vec<Bytes>>, Malformed> {
    let Some((count, mut at)) = header(buf, 0, "invalid multibulk length")? else { return Ok(None) };
    let count = usize::try_from(count).unwrap_or(0); // A null array says nothing.
    if count > ARGUMENTS_MAX {
        return Err(Malformed("too many arguments"));
    }
    // First only ranges: nothing is taken off before the request is complete.
    let mut ranges = Vec::new();
    for _ in 0..count {
        match buf.get(at) {
            None => return Ok(None),
            Some(b'$') => (),
            Some(_) => return Err(Malformed("expected '$'")),
        }
        let Some((bytes, start)) = header(buf, at, "invalid bulk length")? else { return Ok(None) };
        let bytes = usize::try_from(bytes).map_err(|_| Malformed("invalid bulk length"))?;
        if bytes > ARGUMENT_BYTES_MAX {
            return Err(Malformed("argument longer than 1 MiB"));
        }
        let end = start + bytes;
        if end + 2 > REQUEST_BYTES_MAX {
            return Err(Malformed("request longer than 2 MiB"));
        }
        if buf.len() < end + 2 {
            return Ok(None);
        }
        if &buf[end..end + 2] != b"\r\n" {
            return Err(Malformed("expected the end of an argument"));
        }
        ranges.push(start..end);
        at = end + 2;
    }
    let request = buf.split_to(at).freeze();
    Ok(Some(ranges.into_iter().map(|range| request.slice(range)).collect()))
}

/// The number in the line at `at`, behind its first byte, and where the next line begins.
fn header(buf: &[u8], at: usize, wrong: &'static str) -> Result<Option<(i64, usize)>, Malformed> {
    // No number worth reading has more than 20 digits.
    let window = &buf[at + 1..buf.len().min(at + 32)];
    match window.iter().position(|&b| b == b'\n') {
        Some(end) if end > 0 && window[end - 1] == b'\r' => {
            let number = std::str::from_utf8(&window[..end - 1]).ok().and_then(|n| n.parse().ok());
            Ok(Some((number.ok_or(Malformed(wrong))?, at + 1 + end + 1)))
        }
        None if window.len() < 31 => Ok(None),
        _ => Err(Malformed(wrong)),
    }
}

fn inline(buf: &mut BytesMut) -> Result<Option<Vec<Bytes>>, Malformed> {
    let Some(end) = buf.iter().take(LINE_BYTES_MAX).position(|&b| b == b'\n') else {
        return if buf.len() >= LINE_BYTES_MAX { Err(Malformed("too big inline request")) } else { Ok(None) };
    };
    let line = buf.split_to(end);
    buf.advance(1);
    split(&line).map(Some).ok_or(Malformed("unbalanced quotes in request"))
}

/// Splits a line as a Redis server does: by blanks, with "double" (escapes) and 'single' quotes.
fn split(line: &[u8]) -> Option<Vec<Bytes>> {
    let mut words = Vec::new();
    let mut rest = line.iter().copied().peekable();
    loop {
        while rest.next_if(u8::is_ascii_whitespace).is_some() {}
        let Some(&first) = rest.peek() else { return Some(words) };
        let mut word = Vec::new();
        if first == b'"' || first == b'\'' {
            rest.next();
            loop {
                match rest.next()? {
                    quote if quote == first => break,
                    b'\\' if first == b'"' => word.push(match rest.next()? {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'x' => {
                            let digit = |b: u8| (b as char).to_digit(16);
                            (digit(rest.next()?)? * 16 + digit(rest.next()?)?) as u8
                        }
                        other => other,
                    }),
                    b'\\' if rest.peek() == Some(&b'\'') => word.extend(rest.next()),
                    other => word.push(other),
                }
            }
            // A closing quote ends the word.
            if rest.peek().is_some_and(|b| !b.is_ascii_whitespace()) {
                return None;
            }
        } else {
            while let Some(byte) = rest.next_if(|b| !b.is_ascii_whitespace()) {
                word.push(byte);
            }
        }
        words.push(Bytes::from(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Vec<Bytes>>, Malformed> {
        next(&mut BytesMut::from(bytes))
    }

    #[test]
    fn a_request_that_arrives_byte_by_byte_is_read_once_it_is_whole() {
        let whole = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), Ok(None), "after {cut} bytes");
        }
        assert_eq!(read(whole).unwrap().unwrap(), ["SET", "k", "\r\n"]);
    }

    #[test]
    fn a_pipeline_is_taken_apart_request_by_request() {
        let mut buf = BytesMut::from(&b"\r\n*0\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nQU"[..]);
        assert_eq!(next(&mut buf).unwrap().unwrap(), ["PING"]);
        assert_eq!(next(&mut buf).unwrap().unwrap(), ["QUIT"]);
        assert_eq!(next(&mut buf).unwrap(), None);
        assert_eq!(&buf[..], b"*1\r\n$4\r\nQU");
    }

    #[test]
    fn inline_commands_may_quote() {
        let words = read(b"SET 'a b' \"\\x41\\n\\\"\"\r\n").unwrap().unwrap();
        assert_eq!(words, ["SET", "a b", "A\n\""]);
        assert!(read(b"SET \"a\r\n").is_err());
        assert!(read(b"SET \"a\"b\r\n").is_err());
    }

    #[test]
    fn hostile_lengths_are_refused_before_anything_is_allocated() {
        for hostile in [
            &b"*2147483647\r\n"[..],
            b"*99999999999999999999\r\n",
            b"*x\r\n",
            b"*1\r\n$2147483647\r\n",
            b"*1\r\n$-1\r\n",
            b"*1\r\n$18446744073709551615\r\n",
            b"*1\r\n*1\r\n*1\r\n",
            b"*1\r\n$1\r\nabc",
            b"*000000000000000000000000000000000000000001\r\n",
        ] {
            assert!(read(hostile).is_err(), "{}", hostile.escape_ascii());
        }
        assert!(read(&[b'a'; LINE_BYTES_MAX]).is_err());
    }

    #[test]
    fn any_bytes_are_answered_and_nothing_panics() {
        // Every string of up to 6 bytes over the alphabet that the grammar turns on.
        let alphabet = b"*$-19\r\n\"'\\x ";
        let mut index = [0usize; 6];
        loop {
            let text: Vec<u8> = index.iter().map(|&i| alphabet[i]).collect();
            let _ = read(&text);
            let Some(place) = index.iter().rposition(|&i| i + 1 < alphabet.len()) else { break };
            index[place] += 1;
            index[place + 1..].fill(0);
        }
    }
}
