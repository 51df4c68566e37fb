//! The Debug Adapter Protocol's messages: JSON behind a header that says how long it is. Both lengths are bounded, so that
//! whatever is on the other side, little memory is taken.

use std::io::{self, BufRead, Read, Write};

use serde_json::{Value, json};

/// Longest header, and longest body.
pub const HEADER_BYTES_MAX: u64 = 8 << 10;
pub const BODY_BYTES_MAX: usize = 4 << 20;

/// Reads the body of the next message; `None`: there is no more. After an error nobody knows where the next one begins.
pub fn read(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, String> {
    let cannot = |error: io::Error| format!("standard input cannot be read: {error}");
    let Some(length) = read_header(input)? else { return Ok(None) };
    let mut body = Vec::new();
    input.take(length as u64).read_to_end(&mut body).map_err(cannot)?;
    if body.len() < length {
        return Err(format!("the input ends after {} of the {length} bytes of a message", body.len()));
    }
    Ok(Some(body))
}

/// The length of the body that follows.
fn read_header(input: &mut impl BufRead) -> Result<Option<usize>, String> {
    let mut header = input.take(HEADER_BYTES_MAX);
    let mut length = None;
    for at in 0.. {
        let mut line = Vec::new();
        header
            .read_until(b'\n', &mut line)
            .map_err(|error| format!("standard input cannot be read: {error}"))?;
        if line.is_empty() && at == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            return Err(match header.limit() {
                0 => format!("the header of a message has at most {HEADER_BYTES_MAX} bytes"),
                _ => "the input ends within the header of a message".to_string(),
            });
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            break;
        }
        let shown: String = line.chars().take(60).collect();
        let (name, value) = line.split_once(':').ok_or_else(|| {
            format!("`{shown}` is no header of the Debug Adapter Protocol, such as `Content-Length: 119`")
        })?;
        if name.eq_ignore_ascii_case("Content-Length") {
            let bytes = value.trim().parse::<u64>().map_err(|_| format!("`{shown}` names no length"))?;
            if bytes > BODY_BYTES_MAX as u64 {
                return Err(format!("a message of {bytes} bytes is refused; {BODY_BYTES_MAX} are the most"));
            }
            length = Some(bytes as usize);
        }
    }
    length.map(Some).ok_or_else(|| "the header of a message has no Content-Length".to_string())
}

/// What an editor asks for.
#[derive(Debug)]
pub struct Request {
    seq: i64,
    pub command: String,
    pub arguments: Value,
}

impl Request {
    /// An error says what else the message is.
    pub fn parse(body: &[u8]) -> Result<Request, String> {
        let mut message: Value =
            serde_json::from_slice(body).map_err(|error| format!("a message is not JSON: {error}"))?;
        if message["type"] != "request" {
            return Err("a message that is no request was passed over".to_string());
        }
        let command = message["command"].as_str().ok_or("a request without a command was passed over")?;
        let (seq, command) = (message["seq"].as_i64().unwrap_or(0), command.to_string());
        Ok(Request { seq, command, arguments: message["arguments"].take() })
    }
}

/// What is said to the editor, each message with its number.
pub struct Outbox<W> {
    output: W,
    seq: i64,
}

impl<W: Write> Outbox<W> {
    pub fn new(output: W) -> Outbox<W> {
        Outbox { output, seq: 0 }
    }

    /// Answers a request.
    pub fn respond(&mut self, to: &Request, result: Result<Value, String>) -> io::Result<()> {
        let success = result.is_ok();
        let mut message = json!({
            "type": "response", "request_seq": to.seq, "command": to.command, "success": success
        });
        match result {
            Ok(body) => message["body"] = body,
            Err(why) => {
                message["message"] = json!(why);
                message["body"] = json!({ "error": { "id": 1, "format": braces(&why) } });
            }
        }
        self.send(message)
    }

    /// Tells of an event.
    pub fn event(&mut self, name: &str, body: Value) -> io::Result<()> {
        self.send(json!({ "type": "event", "event": name, "body": body }))
    }

    fn send(&mut self, mut message: Value) -> io::Result<()> {
        self.seq += 1;
        message["seq"] = json!(self.seq);
        let body = message.to_string();
        write!(self.output, "Content-Length: {}\r\n\r\n{body}", body.len())?;
        self.output.flush()
    }
}

/// In the format of an error, braces name variables.
fn braces(text: &str) -> String {
    text.replace('{', "(").replace('}', ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(mut input: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        std::iter::from_fn(|| read(&mut input).transpose()).collect()
    }

    #[test]
    fn messages_follow_each_other_and_what_is_none_is_refused() {
        let two = b"Content-Length: 2\r\n\r\n{}content-length:3\nContent-Type: x\n\nabc";
        assert_eq!(read_all(two).unwrap(), [&b"{}"[..], b"abc"]);
        assert_eq!(read_all(b"").unwrap(), [] as [&[u8]; 0]);
        for (input, why) in [
            ("GET / HTTP/1.1\r\n\r\n", "is no header"),
            ("Content-Length: -1\r\n\r\n", "names no length"),
            ("Content-Length: 99999999999999999999\r\n\r\n", "names no length"),
            ("Content-Length: 5000000\r\n\r\n", "4194304 are the most"),
            ("Content-Type: x\r\n\r\n{}", "no Content-Length"),
            ("Content-Length: 9\r\n\r\n{}", "2 of the 9 bytes"),
            ("Content-Length: 9", "ends within the header"),
        ] {
            let told = read_all(input.as_bytes()).unwrap_err();
            assert!(told.contains(why), "{input:?}: {told}");
        }
        let endless = format!("X: {}", "y".repeat(1 << 20));
        assert!(read_all(endless.as_bytes()).unwrap_err().contains("at most 8192 bytes"));
    }

    #[test]
    fn what_is_no_request_says_so() {
        assert!(Request::parse(b"{").unwrap_err().contains("not JSON"));
        assert!(Request::parse(br#"{"type":"response"}"#).unwrap_err().contains("no request"));
        assert!(Request::parse(br#"{"type":"request","seq":1}"#).unwrap_err().contains("command"));
        let deep = "[".repeat(100_000);
        assert!(Request::parse(deep.as_bytes()).unwrap_err().contains("not JSON"));
        let request = Request::parse(br#"{"type":"request","seq":7,"command":"next"}"#).unwrap();
        assert_eq!((request.seq, request.arguments), (7, Value::Null));
    }
}
