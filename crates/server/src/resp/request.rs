//! Reading requests of the Redis protocol: arrays of bulk strings, and inline commands.
//!
//! ```text
//! *2\r\n $3\r\nGET\r\n $1\r\nk\r\n      GET k\r\n
//! ```
//!
//! A request is flat, so no general decoder is used: those follow nested arrays, and `*1\r\n*1\r\n…` makes them recurse as
//! deep as a hostile client likes. Every announced length is checked here *before* anything is allocated or waited for.
//! And every byte is looked at once, however slowly they come: what is understood is taken off, so that a request of a
//! thousand arguments that arrives byte by byte is not read a thousand times from its beginning.

use bytes::{Buf, Bytes, BytesMut};

/// Most arguments of one request.
pub const ARGUMENTS_MAX: usize = 65_536;
/// Longest argument in bytes: the longest value.
pub const ARGUMENT_BYTES_MAX: usize = dataplane::VALUE_BYTES_MAX;
/// Longest request in bytes: one longest value, and room for some ten thousand longest keys.
pub const REQUEST_BYTES_MAX: usize = ARGUMENT_BYTES_MAX + (16 << 20);
/// Longest inline command in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Longest line with a number. No number worth reading has more than 20 digits.
const NUMBER_BYTES_MAX: usize = 32;
/// What an argument takes in memory beside its bytes.
const ARGUMENT_OVERHEAD: usize = size_of::<Bytes>();

/// Why the stream cannot be read on. The connection is closed after saying so.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

fn malformed<T>(why: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(why.into()))
}

/// What has come over a connection and is not answered yet.
#[derive(Debug, Default)]
pub struct Reader {
    buf: BytesMut,
    /// No line ends in this part of `buf`.
    looked: usize,
    /// The arguments that are complete, of a request that is not.
    arguments: Vec<Bytes>,
    /// How many bytes they have.
    taken: usize,
    /// How many arguments are still to come.
    missing: usize,
    /// How long the next of them is.
    length: Option<usize>,
}

impl Reader {
    /// Where to put the bytes that come next.
    pub fn room(&mut self) -> &mut BytesMut {
        if self.buf.is_empty() && self.buf.capacity() > LINE_BYTES_MAX {
            // A connection that sent something large once does not keep the room for it for ever.
            self.buf = BytesMut::new();
        }
        self.buf.reserve(16 << 10);
        &mut self.buf
    }

    /// Has anything come behind the last request that was taken?
    pub fn has_more(&self) -> bool {
        !self.buf.is_empty()
    }

    /// About how much memory the request takes that is not complete; 0 if none has begun. A buffer that grows has up to
    /// twice as much room as bytes.
    pub fn held(&self) -> usize {
        if self.buf.is_empty() && self.missing == 0 {
            return 0;
        }
        self.buf.capacity() + self.taken + self.arguments.len() * ARGUMENT_OVERHEAD
    }

    /// Takes the next complete request; `None` while it is incomplete. An empty request (an empty line, an empty array)
    /// says nothing, and is skipped as Redis does.
    pub fn next(&mut self) -> Result<Option<Vec<Bytes>>, Malformed> {
        loop {
            let complete = match self.buf.first() {
                None => return Ok(None),
                _ if self.missing > 0 => self.argument()?,
                Some(b'*') => self.count()?,
                Some(_) => self.inline()?,
            };
            if !complete {
                return Ok(None);
            }
            if self.missing == 0 && !self.arguments.is_empty() {
                self.taken = 0;
                return Ok(Some(std::mem::take(&mut self.arguments)));
            }
        }
    }

    /// Takes the head of an array; `false` while it is incomplete.
    fn count(&mut self) -> Result<bool, Malformed> {
        let Some(count) = self.number("too big mbulk count string", "invalid multibulk length")? else {
            return Ok(false);
        };
        self.missing = usize::try_from(count).unwrap_or(0); // A null array says nothing.
        if self.missing > ARGUMENTS_MAX {
            return malformed(format!("invalid multibulk length: at most {ARGUMENTS_MAX} arguments"));
        }
        Ok(true)
    }

    /// Takes an argument.
    fn argument(&mut self) -> Result<bool, Malformed> {
        let length = match self.length {
            Some(length) => length,
            None => {
                if self.buf[0] != b'$' {
                    return malformed(format!("expected '$', got '{}'", self.buf[0].escape_ascii()));
                }
                let Some(length) = self.number("too big bulk count string", "invalid bulk length")? else {
                    return Ok(false);
                };
                let Ok(length) = usize::try_from(length) else { return malformed("invalid bulk length") };
                if length > ARGUMENT_BYTES_MAX {
                    return malformed(format!(
                        "invalid bulk length: an argument has at most {ARGUMENT_BYTES_MAX} bytes"
                    ));
                }
                if self.taken + length > REQUEST_BYTES_MAX {
                    return malformed(format!("a request has at most {REQUEST_BYTES_MAX} bytes"));
                }
                *self.length.insert(length)
            }
        };
        if self.buf.len() < length + 2 {
            return Ok(false);
        }
        if &self.buf[length..length + 2] != b"\r\n" {
            return malformed("expected the end of an argument");
        }
        self.arguments.push(self.buf.split_to(length).freeze());
        self.buf.advance(2);
        (self.length, self.taken, self.missing) = (None, self.taken + length, self.missing - 1);
        Ok(true)
    }

    /// Takes a line with a number behind its first byte.
    fn number(&mut self, long: &str, wrong: &str) -> Result<Option<i64>, Malformed> {
        let Some(line) = self.line(NUMBER_BYTES_MAX, long)? else { return Ok(None) };
        let digits = line[1..].strip_suffix(b"\r").and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => malformed(wrong),
        }
    }

    /// Takes a line of fewer than `max` bytes, and leaves its end out.
    fn line(&mut self, max: usize, long: &str) -> Result<Option<BytesMut>, Malformed> {
        let window = &self.buf[..self.buf.len().min(max)];
        match window[self.looked..].iter().position(|&b| b == b'\n') {
            Some(end) => {
                let line = self.buf.split_to(self.looked + end);
                self.buf.advance(1);
                self.looked = 0;
                Ok(Some(line))
            }
            None if window.len() == max => malformed(long),
            None => {
                self.looked = window.len();
                Ok(None)
            }
        }
    }

    fn inline(&mut self) -> Result<bool, Malformed> {
        let Some(line) = self.line(LINE_BYTES_MAX, "too big inline request")? else { return Ok(false) };
        match split(&line) {
            Some(words) => self.arguments = words,
            None => return malformed("unbalanced quotes in request"),
        }
        Ok(true)
    }
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

    fn reader(bytes: &[u8]) -> Reader {
        Reader { buf: BytesMut::from(bytes), ..Reader::default() }
    }

    fn read(bytes: &[u8]) -> Result<Option<Vec<Bytes>>, Malformed> {
        reader(bytes).next()
    }

    const WHOLE: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n";

    #[test]
    fn a_request_that_arrives_byte_by_byte_is_read_once_it_is_whole() {
        let mut reader = Reader::default();
        for (n, byte) in WHOLE.iter().enumerate() {
            assert_eq!(reader.next(), Ok(None), "after {n} bytes");
            reader.room().extend_from_slice(&[*byte]);
        }
        assert_eq!(reader.next().unwrap().unwrap(), ["SET", "k", "\r\n"]);
        assert_eq!((reader.held(), reader.has_more()), (0, false));
    }

    #[test]
    fn what_was_understood_is_not_looked_at_again() {
        let mut reader = Reader::default();
        let argument = b"$1\r\nk\r\n";
        reader.room().extend_from_slice(b"*1000\r\n");
        for n in 1..=1000 {
            for byte in argument {
                assert_eq!(reader.next(), Ok(None));
                assert!(reader.buf.len() < argument.len(), "{} bytes are kept", reader.buf.len());
                reader.room().extend_from_slice(&[*byte]);
            }
            assert!(
                reader.held() >= n.max(reader.buf.capacity()),
                "what is held is counted, with its room to grow"
            );
        }
        assert_eq!(reader.next().unwrap().unwrap().len(), 1000);
        // An inline command is not taken apart before its end is there.
        for _ in 0..1000 {
            reader.room().extend_from_slice(b"a");
            assert_eq!(reader.next(), Ok(None));
            assert_eq!(reader.looked, reader.buf.len());
        }
    }

    #[test]
    fn a_pipeline_is_taken_apart_request_by_request() {
        let mut reader = reader(b"\r\n*0\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nQU");
        assert_eq!(reader.next().unwrap().unwrap(), ["PING"]);
        assert_eq!(reader.next().unwrap().unwrap(), ["QUIT"]);
        assert_eq!(reader.next().unwrap(), None);
        assert_eq!(&reader.buf[..], b"QU");
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
        for (hostile, why) in [
            (&b"*2147483647\r\n"[..], "invalid multibulk length"),
            (b"*99999999999999999999\r\n", "invalid multibulk length"),
            (b"*x\r\n", "invalid multibulk length"),
            (b"*1\r\n$2147483647\r\n", "invalid bulk length"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$18446744073709551615\r\n", "invalid bulk length"),
            (b"*1\r\n*1\r\n*1\r\n", "expected '$', got '*'"),
            (b"*1\r\n$1\r\nabc", "expected the end"),
            (b"*000000000000000000000000000000000000000001\r\n", "too big mbulk count string"),
            (b"*1\r\n$000000000000000000000000000000000000000001\r\n", "too big bulk count string"),
        ] {
            let Err(Malformed(said)) = read(hostile) else { panic!("{}", hostile.escape_ascii()) };
            assert!(said.contains(why), "{}: {said}", hostile.escape_ascii());
        }
        assert!(read(&[b'a'; LINE_BYTES_MAX]).is_err());
        let mut many = reader(b"*65536\r\n");
        let argument = [b"$1048576\r\n", &[0; 1 << 20][..], b"\r\n"].concat();
        let refused = (0..64).find_map(|_| {
            many.room().extend_from_slice(&argument);
            many.next().err()
        });
        assert!(refused.is_some(), "arguments that are each short enough make a request that is too long");
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
