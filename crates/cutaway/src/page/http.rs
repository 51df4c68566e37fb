//! As much HTTP/1.1 as a page needs: `GET` of a document, `POST` of a question. A site says which there are.
//!
//! A page of another site can make a browser send requests here, and can let its own name resolve to 127.0.0.1. So `Host`
//! must be this very address, `Origin` too where there is one, and a question must bring the token, which only the printed
//! address holds. Heads, bodies, times and connections are bounded; every answer closes its connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longest head and body of a request.
const HEAD_BYTES_MAX: usize = 8 << 10;
const BODY_BYTES_MAX: usize = 256 << 10;
/// A request that has not arrived by then is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections at a time; further ones are closed at once.
const CONNECTIONS_MAX: usize = 32;

/// Answers a question with JSON.
pub type Answer = Box<dyn Fn(&str) -> String + Send + Sync>;

/// What is served.
pub struct Site {
    /// Documents by path; `NONCE` in them is replaced in every answer.
    pub pages: Vec<(&'static str, String)>,
    /// Questions by path.
    pub asks: Vec<(&'static str, Answer)>,
    /// The command that prints the address with the token.
    pub command: &'static str,
}

impl Site {
    fn page(&self, path: &str) -> Option<&str> {
        self.pages.iter().find(|(own, _)| *own == path).map(|(_, page)| page.as_str())
    }

    fn ask(&self, path: &str) -> Option<&Answer> {
        self.asks.iter().find(|(own, _)| *own == path).map(|(_, answer)| answer)
    }
}

/// Who may ask.
pub struct Door {
    hosts: [String; 2],
    token: String,
}

impl Door {
    /// With a new token. An error if the system has no random bytes.
    pub fn new(port: u16) -> Result<Door, String> {
        let hosts = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}"));
        Ok(Door { hosts, token: random()? })
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    fn is_own_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }

    /// Takes as long for every token of the right length.
    fn is_own_token(&self, token: &str) -> bool {
        let differs = |(a, b): (u8, u8)| a ^ b;
        token.len() == self.token.len()
            && token.bytes().zip(self.token.bytes()).map(differs).fold(0, |all, one| all | one) == 0
    }
}

/// 128 bits in hex.
pub fn random() -> Result<String, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A request's head.
struct Head {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

/// Why a request is refused: status and words.
type Refusal = (u16, String);

fn refusal<T>(status: u16, why: impl Into<String>) -> Result<T, Refusal> {
    Err((status, why.into()))
}

impl Head {
    fn read(text: &str) -> Result<Head, Refusal> {
        let bad = || (400, "not a request that this page sends".to_string());
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(path), Some("HTTP/1.1"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            let plain = !name.is_empty() && name.bytes().all(is_name);
            plain.then(|| (name.to_ascii_lowercase(), value.trim().to_string()))
        };
        let headers: Option<Vec<_>> = lines.map(header).collect();
        Ok(Head { method: method.into(), path: path.into(), headers: headers.ok_or_else(bad)? })
    }

    /// The value of a header that occurs once. An error: it occurs more often, and readers could differ in which counts.
    fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut all = self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        match (all.next(), all.next()) {
            (value, None) => Ok(value),
            _ => refusal(400, "a header occurs twice"),
        }
    }

    /// How many bytes follow.
    fn body_bytes(&self) -> Result<usize, Refusal> {
        if self.one("transfer-encoding")?.is_some() {
            return refusal(411, "a body comes with its length");
        }
        let Some(length) = self.one("content-length")? else { return Ok(0) };
        if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
            return refusal(400, "the length is no number");
        }
        let length = length.parse().ok().filter(|bytes| *bytes <= BODY_BYTES_MAX);
        length.map_or_else(|| refusal(413, "the question is too long"), Ok)
    }

    /// May whoever sent this be answered?
    fn admit(&self, door: &Door, site: &Site) -> Result<(), Refusal> {
        if !self.one("host")?.is_some_and(|host| door.is_own_host(host)) {
            return refusal(421, "Host is not this page's address");
        }
        let own = |origin: &str| origin.strip_prefix("http://").is_some_and(|host| door.is_own_host(host));
        if !self.one("origin")?.is_none_or(own) {
            return refusal(403, "Origin is another site");
        }
        match (self.method.as_str(), site.page(&self.path), site.ask(&self.path)) {
            ("GET", Some(_), _) => Ok(()),
            ("POST", _, Some(_)) => {
                if !self.one("x-cutaway-token")?.is_some_and(|token| door.is_own_token(token)) {
                    let command = site.command;
                    return refusal(
                        403,
                        format!("the token is missing: open the address that `{command}` printed"),
                    );
                }
                let json = self.one("content-type")? == Some("application/json");
                if json { Ok(()) } else { refusal(415, "a question is application/json") }
            }
            (_, Some(_), _) => refusal(405, "this page answers GET"),
            (_, _, Some(_)) => refusal(405, "a question is asked with POST"),
            (_, None, None) => refusal(404, "there is nothing here but the page"),
        }
    }
}

/// Answers until the process ends.
pub fn serve(listener: &TcpListener, door: &Arc<Door>, site: &Arc<Site>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        // Out of descriptors: those under way give theirs back.
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (door, site, still) = (door.clone(), site.clone(), open.clone());
        let answers = move || {
            converse(stream, &door, &site);
            still.fetch_sub(1, Ordering::SeqCst);
        };
        if std::thread::Builder::new().spawn(answers).is_err() {
            open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// One request and its answer. A peer that goes away midway is nobody's failure.
fn converse(mut stream: TcpStream, door: &Door, site: &Site) {
    let answer = match request(&mut stream, door, site) {
        Ok((head, body)) => match (head.method.as_str(), site.ask(&head.path), site.page(&head.path)) {
            ("POST", Some(answer), _) => reply(200, "application/json", "default-src 'none'", &answer(&body)),
            (_, _, document) => page(document.unwrap_or_default()),
        },
        Err((status, why)) => {
            reply(status, "text/plain; charset=utf-8", "default-src 'none'", &format!("{why}\n"))
        }
    };
    let _ = stream.set_write_timeout(Some(PATIENCE));
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.shutdown(std::net::Shutdown::Write);
    // What is still arriving is read away for a moment: a close with bytes unread would take the answer back.
    let until = Instant::now() + Duration::from_millis(500);
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    while Instant::now() < until && stream.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {}
}

/// Reads a request that may be answered. What may not is refused before its body is read.
fn request(stream: &mut TcpStream, door: &Door, site: &Site) -> Result<(Head, String), Refusal> {
    let until = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return refusal(431, "the head is too long");
        }
        more(stream, &mut bytes, until)?;
    };
    let text = std::str::from_utf8(&bytes[..end]).or_else(|_| refusal(400, "the head is no text"))?;
    let head = Head::read(text)?;
    head.admit(door, site)?;
    let length = head.body_bytes()?;
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        more(stream, &mut body, until)?;
    }
    body.truncate(length);
    let body = String::from_utf8(body).or_else(|_| refusal(400, "the question is no text"))?;
    Ok((head, body))
}

/// Reads what is there, and waits for it no longer than until then.
fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>, until: Instant) -> Result<(), Refusal> {
    const LATE: &str = "the request took too long";
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
        return refusal(408, LATE);
    }
    let mut piece = [0; 4096];
    match stream.read(&mut piece) {
        Ok(0) => refusal(400, "the request ends in the middle"),
        Ok(read) => {
            bytes.extend_from_slice(&piece[..read]);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        Err(_) => refusal(408, LATE),
    }
}

fn page(document: &str) -> String {
    let Ok(nonce) = random() else {
        return reply(500, "text/plain", "default-src 'none'", "no random bytes\n");
    };
    // Nothing is loaded but what the document holds, and questions go nowhere but here.
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    reply(200, "text/html; charset=utf-8", &policy, &document.replace("NONCE", &nonce))
}

fn reply(status: u16, kind: &str, policy: &str, body: &str) -> String {
    let reason = match status {
        200 => "OK",
        400..500 => "Refused",
        _ => "Error",
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nContent-Security-Policy: {policy}\r\nX-Content-Type-Options: nosniff\r\n\
         Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\
         Cross-Origin-Opener-Policy: same-origin\r\n\r\n{body}",
        body.len()
    )
}
