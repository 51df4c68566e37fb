//! The HTTP interface as a reader of RFC 9110 and a machine that knows only its OpenAPI description would try it: over
//! real sockets, one line of a table for each thing that a request can say. What it says is understood or refused, never
//! ignored.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use common::{Cluster, PATIENCE};
use dataplane::VALUE_BYTES_MAX;
use serde_json::Value;

/// Situation; request line and headers, as they are sent but for `Host`, a missing version and the length of the body;
/// body; status; what else the answer must hold, between bars: `name: value` a header, `=…` the whole body, `…` a part
/// of it, `100` that the body was asked for.
///
/// `{v}` is the version of the key `one`, whose value is `1` and stays it; `{w}` that of `two`, before the first row that
/// writes it; `{max+1}` a length of one more than a value may have. There is no key `none`.
type Row = (&'static str, &'static str, &'static str, u16, &'static str);

const READS: &[Row] = &[
    ("a value", "GET /v1/kv/one", "", 200, "=1|etag: \"{v}\"|content-type: application/octet-stream"),
    ("no value", "GET /v1/kv/none", "", 404, "\"outcome\":\"missing\""),
    ("only the head of a value", "HEAD /v1/kv/one", "", 200, "=|etag: \"{v}\"|content-length: 1"),
    ("only the head of no value", "HEAD /v1/kv/none", "", 404, "="),
    ("the version is known", "GET /v1/kv/one\nIf-None-Match: \"{v}\"", "", 304, "=|etag: \"{v}\""),
    ("the same of the head", "HEAD /v1/kv/one\nIf-None-Match: \"{v}\"", "", 304, "="),
    ("another one is known", "GET /v1/kv/one\nIf-None-Match: \"1\"", "", 200, "=1"),
    ("one of several is known", "GET /v1/kv/one\nIf-None-Match: \"1\", \"{v}\"", "", 304, ""),
    ("none of several is", "GET /v1/kv/one\nIf-None-Match: \"1\", \"2\"", "", 200, "=1"),
    ("one on the second line", "GET /v1/kv/one\nIf-None-Match: \"1\"\nIf-None-Match: \"{v}\"", "", 304, ""),
    ("a weak tag is as good to a cache", "GET /v1/kv/one\nIf-None-Match: W/\"{v}\"", "", 304, ""),
    ("a comma inside of a tag", "GET /v1/kv/one\nIf-None-Match: \"a,b\",\"{v}\"", "", 304, ""),
    ("empty elements of a list", "GET /v1/kv/one\nIf-None-Match: , \"{v}\" ,,", "", 304, ""),
    ("any version is known", "GET /v1/kv/one\nIf-None-Match: *", "", 304, ""),
    ("any, of none", "GET /v1/kv/none\nIf-None-Match: *", "", 404, ""),
    ("0 before a version is another tag", "GET /v1/kv/one\nIf-None-Match: \"0{v}\"", "", 200, "=1"),
    ("a version without quotes", "GET /v1/kv/one\nIf-None-Match: {v}", "", 400, "quotes"),
    ("an open quote", "GET /v1/kv/one\nIf-None-Match: \"{v}", "", 400, ""),
    ("two tags without a comma", "GET /v1/kv/one\nIf-None-Match: \"1\" \"{v}\"", "", 400, ""),
    ("a list of nothing", "GET /v1/kv/one\nIf-None-Match:", "", 400, ""),
    ("any and one more", "GET /v1/kv/one\nIf-None-Match: *, \"1\"", "", 400, ""),
    ("it must be this version, and is", "GET /v1/kv/one\nIf-Match: \"{v}\"", "", 200, "=1"),
    ("it must be another one", "GET /v1/kv/one\nIf-Match: \"1\"", "", 412, "\"version\":{v}"),
    ("the head of another one", "HEAD /v1/kv/one\nIf-Match: \"1\"", "", 412, "="),
    ("it must be one of several, and is", "GET /v1/kv/one\nIf-Match: \"1\", \"{v}\"", "", 200, "=1"),
    ("a weak tag is not good enough", "GET /v1/kv/one\nIf-Match: W/\"{v}\"", "", 412, ""),
    ("it must be there, and is", "GET /v1/kv/one\nIf-Match: *", "", 200, "=1"),
    ("it must be there, and is not", "GET /v1/kv/none\nIf-Match: *", "", 404, ""),
    ("no tags at all", "GET /v1/kv/one\nIf-Match: one", "", 400, ""),
    (
        "what must be goes before what is known",
        "GET /v1/kv/one\nIf-Match: \"1\"\nIf-None-Match: \"{v}\"",
        "",
        412,
        "",
    ),
    ("both hold", "GET /v1/kv/one\nIf-Match: \"{v}\"\nIf-None-Match: \"{v}\"", "", 304, ""),
    (
        "there are no dates to compare",
        "GET /v1/kv/one\nIf-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT",
        "",
        400,
        "",
    ),
    (
        "a cache may ask by date",
        "GET /v1/kv/one\nIf-Modified-Since: Sat, 29 Oct 2094 19:43:31 GMT",
        "",
        200,
        "=1",
    ),
    (
        "a part is answered with the whole",
        "GET /v1/kv/one\nRange: bytes=0-0",
        "",
        200,
        "=1|accept-ranges: none",
    ),
    ("a part, if it is still that", "GET /v1/kv/one\nRange: bytes=5-\nIf-Range: \"1\"", "", 200, "=1"),
    ("a query that no key has", "GET /v1/kv/one?version=1", "", 400, "%3F"),
    ("an empty one", "GET /v1/kv/one?", "", 400, ""),
    ("a body", "GET /v1/kv/one", "x", 400, "body"),
    ("a body in chunks", "GET /v1/kv/one\nTransfer-Encoding: chunked", "0\r\n\r\n", 400, "body"),
    ("a body of no bytes", "GET /v1/kv/one\nContent-Length: 0", "", 200, "=1"),
    ("its story", "GET /v1/kv/one\nX-Cutaway-Explain: 1", "", 200, "\"events\":"),
    (
        "its story, if it is news",
        "GET /v1/kv/one\nX-Cutaway-Explain: 1\nIf-None-Match: \"1\"",
        "",
        400,
        "conditions",
    ),
    ("the story of no value", "GET /v1/kv/none\nX-Cutaway-Explain: 1", "", 404, "\"events\":"),
    ("half of its story", "GET /v1/kv/one\nX-Cutaway-Explain: half", "", 400, ""),
];

const WRITES: &[Row] = &[
    ("a value", "PUT /v1/kv/new", "x", 200, "\"outcome\":\"written\"|etag: \""),
    ("an empty one", "PUT /v1/kv/empty\nContent-Length: 0", "", 200, ""),
    ("is empty", "GET /v1/kv/empty", "", 200, "="),
    ("one of unknown length, which may be none", "PUT /v1/kv/one", "", 411, "Content-Length"),
    ("in chunks", "PUT /v1/kv/chunks\nTransfer-Encoding: chunked", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", 200, ""),
    ("comes in one", "GET /v1/kv/chunks", "", 200, "=abc"),
    ("in chunks, and compressed", "PUT /v1/kv/one\nTransfer-Encoding: gzip, chunked", "0\r\n\r\n", 501, ""),
    ("two lengths that agree", "PUT /v1/kv/new\nContent-Length: 1\nContent-Length: 1", "x", 200, ""),
    ("a type", "PUT /v1/kv/page\nContent-Type: text/html", "<b>", 200, ""),
    (
        "is not kept, and no browser guesses one",
        "GET /v1/kv/page",
        "",
        200,
        "=<b>|x-content-type-options: nosniff|content-type: application/octet-stream",
    ),
    ("a part of a value", "PUT /v1/kv/one\nContent-Range: bytes 0-0/2", "x", 400, "Content-Range"),
    ("a compressed value", "PUT /v1/kv/one\nContent-Encoding: gzip", "x", 415, "accept-encoding: identity"),
    ("one that says it is not", "PUT /v1/kv/new\nContent-Encoding: identity", "x", 200, ""),
    ("too long, and said before", "PUT /v1/kv/one\nContent-Length: {max+1}", "", 413, "connection: close"),
    ("too long, and asked for", "PUT /v1/kv/one\nContent-Length: {max+1}\nExpect: 100-continue", "", 413, ""),
    ("too long, as it turns out", "PUT /v1/kv/one\nTransfer-Encoding: chunked", "{chunk}", 413, ""),
    ("short, and asked for", "PUT /v1/kv/new\nExpect: 100-continue", "x", 200, "100"),
    ("with an expectation that nobody knows", "PUT /v1/kv/one\nExpect: a-miracle", "x", 417, ""),
    ("with a query", "PUT /v1/kv/one?x", "x", 400, "%3F"),
    ("a question mark of its own", "PUT /v1/kv/one%3F", "q", 200, ""),
    ("is part of the key", "GET /v1/kv/one%3F", "", 200, "=q"),
    ("a plus", "PUT /v1/kv/a+b", "+", 200, ""),
    ("is a plus", "GET /v1/kv/a%2Bb", "", 200, "=+"),
    ("two slashes", "PUT /v1/kv//x", "/", 200, ""),
    ("are two", "GET /v1/kv/%2Fx", "", 200, "=/"),
    ("any bytes", "PUT /v1/kv/%00%fF%25", "b", 200, ""),
    ("half an escape", "PUT /v1/kv/one%", "x", 400, "%"),
    ("half an escape within", "GET /v1/kv/one%2/x", "", 400, "%"),
    ("an escape that is none", "DELETE /v1/kv/one%zz", "", 400, "%"),
    ("an empty key", "PUT /v1/kv/", "x", 400, "key"),
    ("an empty key to read", "GET /v1/kv/", "", 400, "key"),
    ("the longest key", "PUT /v1/kv/{1024}", "x", 200, ""),
    ("a longer one", "PUT /v1/kv/{1024}k", "x", 400, "1025"),
    ("a longer one to delete", "DELETE /v1/kv/{1024}k", "", 400, "1025"),
    ("only if new, and it is", "PUT /v1/kv/newer\nIf-None-Match: *", "x", 200, ""),
    ("only if new, and it is not", "PUT /v1/kv/one\nIf-None-Match: *", "x", 412, "\"version\":{v}|error"),
    ("only if not of a version", "PUT /v1/kv/one\nIf-None-Match: \"1\"", "x", 400, ""),
    ("only if of this version, and it is", "PUT /v1/kv/two\nIf-Match: \"{w}\"", "x", 200, ""),
    ("and then it is no more", "PUT /v1/kv/two\nIf-Match: \"{w}\"", "x", 412, "condition_failed"),
    ("a weak tag is not good enough", "PUT /v1/kv/one\nIf-Match: W/\"{v}\"", "x", 412, "\"version\":{v}"),
    ("a tag that no key ever had", "PUT /v1/kv/one\nIf-Match: \"v1\"", "x", 412, "\"version\":{v}"),
    (
        "one that can match among some that cannot",
        "PUT /v1/kv/one\nIf-Match: W/\"{v}\", \"x\", \"1\"",
        "x",
        412,
        "",
    ),
    ("either of two versions", "PUT /v1/kv/one\nIf-Match: \"1\", \"{v}\"", "x", 400, "one version"),
    ("the same version twice", "PUT /v1/kv/one\nIf-Match: \"1\", \"1\"", "x", 412, ""),
    ("only if there, and it is", "PUT /v1/kv/two\nIf-Match: *", "x", 200, ""),
    ("only if there, and it is not", "PUT /v1/kv/none\nIf-Match: *", "x", 412, "\"version\":null"),
    ("no tag", "PUT /v1/kv/one\nIf-Match: {v}", "x", 400, "quotes"),
    ("both conditions", "PUT /v1/kv/one\nIf-Match: *\nIf-None-Match: *", "x", 400, ""),
    ("by date", "PUT /v1/kv/one\nIf-Unmodified-Since: Sat, 29 Oct 2094 19:43:31 GMT", "x", 400, ""),
    (
        "by date, as a cache would read",
        "PUT /v1/kv/one\nIf-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT",
        "x",
        400,
        "",
    ),
    ("its story", "PUT /v1/kv/new\nX-Cutaway-Explain: 1", "x", 200, "\"events\":"),
    (
        "the story of a failure",
        "PUT /v1/kv/one\nX-Cutaway-Explain: 1\nIf-None-Match: *",
        "x",
        412,
        "\"events\":|\"version\":{v}",
    ),
    ("deleting nothing", "DELETE /v1/kv/none", "", 200, "\"existed\":false"),
    ("deleting a key", "DELETE /v1/kv/newer", "", 200, "\"existed\":true"),
    ("deleting another version", "DELETE /v1/kv/one\nIf-Match: \"1\"", "", 412, "\"version\":{v}"),
    ("deleting either of two", "DELETE /v1/kv/one\nIf-Match: \"1\", \"2\"", "", 400, ""),
    ("deleting only if new", "DELETE /v1/kv/one\nIf-None-Match: *", "", 412, ""),
    (
        "deleting by date",
        "DELETE /v1/kv/one\nIf-Unmodified-Since: Sat, 29 Oct 2094 19:43:31 GMT",
        "",
        400,
        "",
    ),
    ("deleting with a body", "DELETE /v1/kv/one", "one", 400, "body"),
    ("deleting with a query", "DELETE /v1/kv/one?force=1", "", 400, ""),
    ("deleting a part", "DELETE /v1/kv/one\nContent-Range: bytes 0-0/1", "", 400, ""),
    ("what was refused changed nothing", "GET /v1/kv/one\nIf-Match: \"{v}\"", "", 200, "=1"),
];

const OTHERS: &[Row] = &[
    ("a page of keys", "GET /v1/kv", "", 200, "\"key\":\"one\""),
    ("its head", "HEAD /v1/kv", "", 200, "="),
    ("by prefix", "GET /v1/kv?prefix=on&limit=1", "", 200, "\"version\":{v}"),
    ("a prefix of no bytes", "GET /v1/kv?prefix=&limit=10000", "", 200, ""),
    ("no keys", "GET /v1/kv?prefix=none", "", 200, "\"keys\":[]|\"after\":null"),
    ("behind a key", "GET /v1/kv?prefix=one&after=one", "", 200, "one?"),
    ("too few", "GET /v1/kv?limit=0", "", 400, "limit"),
    ("too many", "GET /v1/kv?limit=10001", "", 400, "limit"),
    ("no number", "GET /v1/kv?limit=ten", "", 400, "limit"),
    ("a number with a sign", "GET /v1/kv?limit=%2B5", "", 400, "limit"),
    ("two limits", "GET /v1/kv?limit=1&limit=2", "", 400, "twice"),
    ("two prefixes", "GET /v1/kv?prefix=a&prefix=b", "", 400, "twice"),
    ("an unknown parameter", "GET /v1/kv?colour=red", "", 400, "colour"),
    ("half an escape", "GET /v1/kv?prefix=%e", "", 400, "%"),
    ("half an escape in a name", "GET /v1/kv?%=1", "", 400, "%"),
    ("a place that no page gave", "GET /v1/kv?after=~zz", "", 400, "after"),
    ("a list has no version", "GET /v1/kv\nIf-None-Match: \"1\"", "", 400, ""),
    ("nor has the status", "GET /v1/status\nIf-Match: \"1\"", "", 400, ""),
    ("a body for a list", "GET /v1/kv", "x", 400, "body"),
    ("status", "GET /v1/status", "", 200, "\"shards\":"),
    ("status with a query", "GET /v1/status?verbose=1", "", 400, ""),
    ("a piece of a state", "GET /v1/backup/0/n1/0/0/-", "", 200, "content-type: application/octet-stream"),
    ("a piece of nobody's state", "GET /v1/backup/0/n9/0/0/-", "", 404, "error"),
    ("a piece of no shard", "GET /v1/backup/9/n1/0/0/-", "", 404, "error"),
    ("a node that is none", "GET /v1/backup/0/g1/0/0/-", "", 400, "n1"),
    ("a cursor that is none", "GET /v1/backup/0/n1/0/0/xyz", "", 400, "cursor"),
    ("a seq that is none", "GET /v1/backup/0/n1/-1/0/-", "", 400, "at_least"),
    ("the members", "GET /v1/members", "", 200, "\"is\":\"voter\""),
    ("a member that is one", "POST /v1/members/n1?at=127.0.0.1:1", "", 200, "\"reply\":\"done\""),
    ("no member, to be removed", "DELETE /v1/members/n9", "", 200, "\"reply\":\"done\""),
    ("a member without an address", "POST /v1/members/n9", "", 400, "at=IP:PORT"),
    ("a member at no address", "POST /v1/members/n9?at=here", "", 400, "at=IP:PORT"),
    ("what is no node", "POST /v1/members/x?at=127.0.0.1:1", "", 400, "n1, n2"),
    ("what is no node, to be removed", "DELETE /v1/members/n65", "", 400, "n64"),
    ("alive", "GET /livez", "", 200, "\"live\":true"),
    ("alive, in short", "HEAD /livez", "", 200, "="),
    ("ready", "GET /readyz", "", 200, "\"ready\":true"),
    ("the description", "GET /v1/openapi.json", "", 200, "\"openapi\""),
    (
        "metrics",
        "GET /metrics",
        "",
        200,
        "content-type: text/plain; version=0.0.4; charset=utf-8|# TYPE cutaway_requests_total counter",
    ),
    ("metrics as text", "GET /metrics\nAccept: text/plain", "", 200, "content-type: text/plain"),
    ("metrics in any form", "GET /metrics\nAccept: */*", "", 200, "content-type: text/plain"),
    (
        "metrics as Prometheus asks",
        "GET /metrics\nAccept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "",
        200,
        "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8|# EOF",
    ),
    (
        "metrics in that form not",
        "GET /metrics\nAccept: application/openmetrics-text;q=0, text/plain",
        "",
        200,
        "content-type: text/plain",
    ),
    ("no such path", "GET /", "", 404, "error"),
    ("no such version", "GET /v2/kv/one", "", 404, "error"),
    ("one slash more", "GET /livez/", "", 404, "error"),
    ("no path at all", "OPTIONS *", "", 404, "error"),
    ("no host", "GET /v1/kv/one\nHost!", "", 400, "Host"),
    ("no host, for health", "GET /livez\nHost!", "", 400, "Host"),
    ("no host, from an old health check", "GET /livez HTTP/1.0\nHost!", "", 200, "\"live\":true"),
    ("the same, whether it is ready", "GET /readyz HTTP/1.0\nHost!", "", 200, "\"ready\":true"),
    ("no host, for a key", "GET /v1/kv/one HTTP/1.0\nHost!", "", 400, "Host"),
    ("an old client with one", "GET /v1/kv/one HTTP/1.0", "", 200, "=1"),
    ("two hosts", "GET /v1/kv/one\nHost: localhost\nHost: evil.example", "", 400, "Host"),
    ("twice the same", "GET /v1/kv/one\nHost: localhost\nHost: localhost", "", 400, "Host"),
    ("an empty one", "GET /v1/kv/one\nHost:", "", 400, "Host"),
    ("a list of hosts", "GET /v1/kv/one\nHost: localhost, evil.example", "", 400, "Host"),
    ("a port that is none", "GET /v1/kv/one\nHost: 127.0.0.1:evil.example", "", 400, "Host"),
    ("a user at a host", "GET /v1/kv/one\nHost: evil.example@localhost", "", 400, "Host"),
    ("somebody else's name", "GET /v1/kv/one\nHost: evil.example", "", 403, "Host"),
    ("localhost", "GET /v1/kv/one\nHost: LOCALHOST:1", "", 200, "=1"),
    ("an address of six", "GET /v1/kv/one\nHost: [::1]:7401", "", 200, "=1"),
    ("a whole address", "GET http://localhost/v1/kv/one", "", 200, "=1"),
    ("a whole address of somebody else", "GET http://evil.example/v1/kv/one\nHost: localhost", "", 403, ""),
    ("a page of another site writes", "PUT /v1/kv/one\nOrigin: https://evil.example", "x", 403, ""),
    ("one of nowhere writes", "PUT /v1/kv/one\nOrigin: null", "x", 403, ""),
    (
        "one of both writes",
        "PUT /v1/kv/one\nHost: localhost\nOrigin: http://localhost\nOrigin: null",
        "x",
        403,
        "",
    ),
    ("one of another site deletes", "DELETE /v1/kv/one\nOrigin: http://localhost.evil.example", "", 403, ""),
    (
        "an own page writes",
        "PUT /v1/kv/new\nHost: localhost:7401\nOrigin: http://localhost:7401",
        "x",
        200,
        "",
    ),
    ("a page of another site reads", "GET /v1/kv/one\nOrigin: https://evil.example", "", 200, "=1"),
    ("what a page did is without effect", "GET /v1/kv/one\nIf-Match: \"{v}\"", "", 200, "=1"),
];

/// What cannot be read as HTTP: hyper answers it, with a status alone.
const NOT_HTTP: &[Row] = &[
    ("two lengths that differ", "PUT /v1/kv/one\nContent-Length: 1\nContent-Length: 2", "x", 400, "="),
    ("a length that is none", "PUT /v1/kv/one\nContent-Length: +1", "x", 400, "="),
    ("a body whose end nobody knows", "PUT /v1/kv/one\nTransfer-Encoding: identity", "x", 400, "="),
    (
        "chunks from an old client",
        "PUT /v1/kv/one HTTP/1.0\nTransfer-Encoding: chunked",
        "0\r\n\r\n",
        400,
        "=",
    ),
    ("a name with a blank", "GET /v1/kv/one\nHost : localhost", "", 400, "="),
    ("no version of HTTP", "GET /v1/kv/one HTTP/7.1", "", 400, "="),
];

/// Paths with the methods that they take.
const METHODS: [(&str, &str); 10] = [
    ("/v1/backup/0/n1/0/0/-", "GET HEAD"),
    ("/v1/kv/one", "GET HEAD PUT DELETE"),
    ("/v1/kv", "GET HEAD"),
    ("/v1/status", "GET HEAD"),
    ("/v1/members", "GET HEAD"),
    ("/v1/members/n1", "POST DELETE"),
    ("/v1/openapi.json", "GET HEAD"),
    ("/livez", "GET HEAD"),
    ("/readyz", "GET HEAD"),
    ("/metrics", "GET HEAD"),
];

/// An answer as it came.
#[derive(Debug)]
struct Answer {
    /// Whether the body was asked for first.
    asked: bool,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads one answer to a request by `method`.
fn read(stream: &mut impl BufRead, method: &str) -> Answer {
    let mut asked = false;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("an answer");
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status line: {line:?}"));
        let status: u16 = status.parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if status == 100 {
            asked = true;
            continue;
        }
        let mut answer = Answer { asked, status, headers, body: Vec::new() };
        let bytes = answer.header("content-length").map_or(0, |n| n.parse().unwrap());
        if method != "HEAD" && status != 304 {
            answer.body = vec![0; bytes];
            stream.read_exact(&mut answer.body).unwrap();
        }
        return answer;
    }
}

/// A row's request, as bytes.
fn request(address: &str, head: &str, body: &str) -> Vec<u8> {
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().to_owned();
    if !first.contains(" HTTP/") {
        first += " HTTP/1.1";
    }
    let mut headers: Vec<&str> = lines.collect();
    let says = |name: &str| headers.iter().any(|line| line.starts_with(name));
    let host = format!("Host: {address}");
    let length = format!("Content-Length: {}", body.len());
    let (no_host, no_length) =
        (!says("Host"), !body.is_empty() && !says("Content-Length") && !says("Transfer"));
    headers.retain(|line| *line != "Host!");
    headers.extend(no_host.then_some(host.as_str()));
    headers.extend(no_length.then_some(length.as_str()));
    let head = [vec![first.as_str()], headers, vec!["", ""]].concat().join("\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

fn ask(address: &str, head: &str, body: &str) -> Answer {
    let stream = connect(address);
    // Whoever answers before the body may close before it has all come.
    let _ = (&stream).write_all(&request(address, head, body));
    read(&mut BufReader::new(&stream), head.split(' ').next().unwrap())
}

/// What the table's names stand for.
struct Names(Vec<(&'static str, String)>);

impl Names {
    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// All that is wrong with an answer, beside what every answer must hold.
fn wrong(answer: &Answer, method: &str, status: u16, wanted: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut hold = |holds: bool, what: String| wrong.extend((!holds).then_some(what));
    hold(answer.status == status, format!("status {status}"));
    for part in wanted.split('|').filter(|part| !part.is_empty()) {
        let held = match part {
            "100" => answer.asked,
            _ if part.starts_with('=') => answer.body == part.as_bytes()[1..],
            _ => match part.split_once(": ").filter(|(name, _)| !name.contains(['"', ' '])) {
                Some((name, value)) => answer.header(name).is_some_and(|found| found.starts_with(value)),
                None => answer.text().contains(part),
            },
        };
        hold(held, part.to_owned());
    }
    hold(wanted.contains("100") || !answer.asked, "no request for the body".into());
    hold(answer.header("cache-control") == Some("no-cache"), "no cache answers in our place".into());
    hold(answer.header("x-content-type-options") == Some("nosniff"), "nosniff".into());
    if answer.status >= 400 {
        hold(answer.header("content-type") == Some("application/json"), "an error as JSON".into());
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        hold(method == "HEAD" || body["error"].is_string(), "the error's reason".into());
    }
    wrong
}

#[test]
fn what_a_request_says_is_understood_or_refused() {
    let cluster = Cluster::new(&["--with", "membership"]);
    let address = cluster.http(1);
    let version = |answer: Answer| answer.header("etag").unwrap().trim_matches('"').to_owned();
    cluster.ok(&["put", "zero", "0"]); // So that version 1 is nobody's.
    let names = Names(vec![
        ("{v}", version(ask(&address, "PUT /v1/kv/one", "1"))),
        ("{w}", version(ask(&address, "PUT /v1/kv/two", "2"))),
        ("{max+1}", (VALUE_BYTES_MAX + 1).to_string()),
        ("{1024}", "k".repeat(1024)),
        ("{chunk}", format!("{:x}\r\n{}\r\n0\r\n\r\n", VALUE_BYTES_MAX + 1, "x".repeat(VALUE_BYTES_MAX + 1))),
    ]);
    let description: Value =
        serde_json::from_slice(&ask(&address, "GET /v1/openapi.json", "").body).unwrap_or_default();
    let described = Described::new(&description);
    let (mut checks, mut failed, mut seen) = (0, Vec::new(), BTreeSet::new());
    let mut check = |what: &str, head: &str, body: &str, status, wanted: &str, http: bool| {
        let (head, body, wanted) = (names.fill(head), names.fill(body), names.fill(wanted));
        let answer = ask(&address, &head, &body);
        let mut parts = head.split([' ', '\n']);
        let (method, target) = (parts.next().unwrap(), parts.next().unwrap());
        let mut wrong = match http {
            true => wrong(&answer, method, status, &wanted),
            false => (answer.status != status).then(|| format!("status {status}")).into_iter().collect(),
        };
        if http {
            wrong.extend(described.differs(method, target, &answer, &mut seen));
        }
        checks += 1;
        if !wrong.is_empty() {
            failed.push(format!(
                "{what}: {} \nwanted {}\ngot {} {:?}\n{}\n",
                head.get(..200).unwrap_or(&head),
                wrong.join("; "),
                answer.status,
                answer.headers,
                answer.text().get(..400).unwrap_or(&answer.text()),
            ));
        }
    };
    for &(what, head, body, status, wanted) in [READS, WRITES, OTHERS].concat().iter() {
        check(what, head, body, status, wanted, true);
    }
    for &(what, head, body, status, wanted) in NOT_HTTP {
        check(what, head, body, status, wanted, false);
    }
    for (path, allowed) in METHODS {
        let allow = format!("allow: {}", allowed.replace(' ', ","));
        for method in ["PUT", "DELETE", "POST", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            if !allowed.contains(method) {
                let body = if ["PUT", "POST", "PATCH"].contains(&method) { "x" } else { "" };
                check("another method", &format!("{method} {path}"), body, 405, &allow, true);
            }
        }
    }
    assert!(failed.is_empty(), "{} of {checks} checks failed:\n\n{}", failed.len(), failed.join("\n"));
    // Only faults bring these about.
    let faults = ["408", "500", "503", "504", "507", "default"];
    let missing: Vec<_> = described
        .all
        .iter()
        .filter(|(_, _, status)| !faults.contains(&status.as_str()))
        .filter(|told| !seen.contains(*told))
        .collect();
    assert!(missing.is_empty(), "described, and never seen: {missing:?}");
    println!("{checks} checks");
}

/// What the description tells.
struct Described<'a> {
    description: &'a Value,
    /// Path, method and status.
    all: BTreeSet<(String, String, String)>,
}

impl<'a> Described<'a> {
    fn new(description: &'a Value) -> Described<'a> {
        let mut all = BTreeSet::new();
        for (path, methods) in description["paths"].as_object().into_iter().flatten() {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                for status in operation["responses"].as_object().into_iter().flatten().map(|(s, _)| s) {
                    all.insert((path.clone(), method.clone(), status.clone()));
                }
            }
        }
        Described { description, all }
    }

    /// What of an answer the description does not tell; what it tells is `seen`.
    fn differs(
        &self,
        method: &str,
        target: &str,
        answer: &Answer,
        seen: &mut BTreeSet<(String, String, String)>,
    ) -> Option<String> {
        let path = target.split('?').next().unwrap().trim_start_matches("http://localhost");
        let path = match path {
            key if key.starts_with("/v1/kv/") => "/v1/kv/{key}",
            piece if piece.starts_with("/v1/backup/") => {
                "/v1/backup/{shard}/{node}/{at_least}/{since}/{cursor}"
            }
            node if node.starts_with("/v1/members/") => "/v1/members/{node}",
            path => path,
        };
        let Some(methods) = self.description["paths"].get(path) else {
            let outside = [403, 404].contains(&answer.status);
            return (!outside).then(|| format!("a description of {path}"));
        };
        // A head is described with what it is the head of.
        let name = if method == "HEAD" { "get".into() } else { method.to_ascii_lowercase() };
        let Some(operation) = methods.get(&name) else {
            let other = answer.status == 405 || [400, 403].contains(&answer.status);
            return (!other).then(|| format!("a description of {method} {path}"));
        };
        let status = answer.status.to_string();
        seen.insert((path.into(), name, status.clone()));
        let responses = &operation["responses"];
        let Some(told) = responses.get(&status).or(responses.get("default").filter(|_| answer.status >= 400))
        else {
            return Some(format!("a description of {status} of {method} {path}"));
        };
        let referred = told["$ref"].as_str().map(|to| self.description.pointer(to.trim_start_matches('#')));
        let told = referred.flatten().unwrap_or(told);
        let bare = answer.header("content-type").and_then(|kind| kind.split(';').next());
        let named = |kind| told["content"].get(kind).is_some();
        (method != "HEAD" && !answer.body.is_empty() && !bare.is_some_and(named))
            .then(|| format!("a description of {bare:?} in {status} of {method} {path}"))
    }
}

#[test]
fn who_sends_too_much_hears_why_before_the_connection_closes() {
    let cluster = Cluster::new(&[]);
    let address = cluster.http(1);
    let body = vec![b'x'; VALUE_BYTES_MAX + (8 << 20)];
    for framing in [format!("Content-Length: {}", body.len()), "Transfer-Encoding: chunked".into()] {
        let mut stream = connect(&address);
        let head = format!("PUT /v1/kv/big HTTP/1.1\r\nHost: {address}\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        if framing.starts_with('T') {
            stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).unwrap();
        }
        // It reads nothing before it has sent all, as most clients do.
        stream.write_all(&body).expect("all of it can be sent");
        let answer = read(&mut BufReader::new(&stream), "PUT");
        assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
        assert!(answer.text().contains(&VALUE_BYTES_MAX.to_string()), "{}", answer.text());
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "and then it is closed");
    }
}

#[test]
fn a_list_goes_on_behind_the_page_before_whoever_encodes_its_end() {
    let cluster = Cluster::new(&["--shards", "2"]);
    let address = cluster.http(1);
    let keys = ["a", "b c", "b%c", "b+c", "b/c", "b~2Fc", "b\u{fc}", "b\u{1}", "c"];
    let encode = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    for key in keys {
        assert_eq!(ask(&address, &format!("PUT /v1/kv/{}", encode(key)), "x").status, 200);
    }
    assert_eq!(ask(&address, "PUT /v1/kv/b%FF", "x").status, 200);
    for encoded in [false, true] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        for _ in 0..20 {
            let answer = ask(&address, &format!("GET /v1/kv?limit=1{after}"), "");
            let page: Value = serde_json::from_slice(&answer.body).unwrap();
            seen.extend(page["keys"].as_array().unwrap().iter().map(|key| key["key_encoded"].clone()));
            let Some(last) = page["after"].as_str() else { break };
            after = format!("&after={}", if encoded { encode(last) } else { last.to_owned() });
        }
        let mut once = seen.clone();
        once.dedup();
        assert_eq!((once.len(), seen.len()), (10, 10), "encoded again: {encoded}: {seen:?}");
    }
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order_and_refusals_keep_it_open() {
    let cluster = Cluster::new(&[]);
    let address = cluster.http(1);
    let stream = connect(&address);
    let rows = [
        ("PUT /v1/kv/a", "1", 200),
        ("PUT /v1/kv/a?x", "2", 400),
        ("POST /v1/kv/a", "3", 405),
        ("PUT /v1/kv/a\nIf-None-Match: *", "4", 412),
        ("GET /v1/kv/a", "", 200),
    ];
    let all: Vec<u8> = rows.iter().flat_map(|(head, body, _)| request(&address, head, body)).collect();
    (&stream).write_all(&all).unwrap();
    let mut reader = BufReader::new(&stream);
    let answers = rows.map(|(head, ..)| read(&mut reader, head.split(' ').next().unwrap()));
    assert_eq!(answers.each_ref().map(|answer| answer.status), rows.map(|(.., status)| status));
    assert_eq!(answers[4].text(), "1");
}

/// The families of a text for Prometheus: name to type, as every sample must have one.
fn families(text: &str) -> BTreeMap<&str, &str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.collect()
}

#[test]
fn metrics_are_what_prometheus_wants() {
    let cluster = Cluster::new(&["--shards", "2"]);
    cluster.ok(&["put", "k", "v"]);
    cluster.ok(&["get", "k"]);
    let text = common::eventually("the replicas say how they are", || {
        let text = ask(&cluster.http(1), "GET /metrics", "").text();
        text.contains("cutaway_device_syncs_total{").then_some(text)
    });
    let families = families(&text);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let kind = families.get(name).or(stem.and_then(|stem| families.get(stem)));
        let kind = kind.unwrap_or_else(|| panic!("{name} has no type in\n{text}"));
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name}");
        assert!(text.contains(&format!("# HELP {} ", stem.unwrap_or(name))), "{name}");
    }
    promtool(&text);
}

/// What Prometheus's own tool says, where it is installed.
fn promtool(text: &str) {
    let promtool = std::env::var_os("PROMTOOL").unwrap_or("promtool".into());
    let started = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        eprintln!("\n*** SKIPPED: promtool is not installed, so it did not check the metrics ***\n");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let said = [said.stdout, said.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "", "of\n{text}");
}
