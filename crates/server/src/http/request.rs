//! What a request says, before anything is done for it: whom it is addressed to, who may have sent it, which of its parts
//! have a meaning here. A part without one is refused, for its sender meant something by it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, Version, header};
use dataplane::VALUE_BYTES_MAX;
use percent_encoding::percent_decode_str;

/// A request with this header is answered with its story.
pub const EXPLAIN: &str = "x-cutaway-explain";

/// A status and the reason.
pub type Refusal = (StatusCode, String);

/// Keys of one listing when the client names no limit, and at most.
const LIMIT: (u32, u32) = (1000, 10_000);

fn refusal(status: StatusCode, why: impl Into<String>) -> Refusal {
    (status, why.into())
}

fn bad(why: impl Into<String>) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, why)
}

/// Refuses what a web page of somebody else can have sent.
///
/// A page that a browser loaded from elsewhere can send requests to loopback, so a request with the `Origin` of another
/// site may only read; and a site can let its own name resolve to 127.0.0.1, so the host must be an IP address,
/// `localhost`, or a name that the operator allowed.
pub fn from_here(request: &Request, allowed: &[String]) -> Result<(), Refusal> {
    let Some(host) = addressed_to(request)? else { return Ok(()) };
    if !is_own_host(host.host(), allowed) {
        return Err(refusal(
            StatusCode::FORBIDDEN,
            "the Host names neither an IP address, nor localhost, nor a name that the gateway was given with --host",
        ));
    }
    let own = |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| host == *authority);
    let other_site =
        request.headers().get_all(header::ORIGIN).iter().any(|origin| !origin.to_str().is_ok_and(own));
    if other_site && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(refusal(StatusCode::FORBIDDEN, "pages of other sites may not write here"));
    }
    Ok(())
}

/// The host that a request is addressed to: that of a whole address, else the one that `Host` names. `None` if it is of a
/// time before there was `Host`, from which health checks remain, and no browser.
fn addressed_to(request: &Request) -> Result<Option<Authority>, Refusal> {
    if let (Some(_), Some(host)) = (request.uri().scheme(), request.uri().authority()) {
        return Ok(Some(host.clone()));
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        let old = request.version() == Version::HTTP_10 && !request.headers().contains_key(header::HOST);
        if old && matches!(request.uri().path(), "/livez" | "/readyz") {
            return Ok(None);
        }
        return Err(bad("a request has one Host header"));
    };
    let parsed = host.to_str().ok().and_then(|text| text.parse().ok());
    let valid = |host: &Authority| {
        let port = host.as_str().strip_prefix(host.host());
        port.is_some_and(|port| port.trim_start_matches(':').bytes().all(|digit| digit.is_ascii_digit()))
    };
    parsed.filter(valid).map(Some).ok_or_else(|| bad("the Host header is not HOST or HOST:PORT"))
}

/// An IP address cannot be rebound to another machine's, and `localhost` is never looked up elsewhere; any other name
/// must be allowed by the operator.
fn is_own_host(host: &str, allowed: &[String]) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// Refuses a request to one of our paths with parts that have no meaning there. What another method would mean, is said
/// by the refusal of the method.
pub fn understood(request: &Request) -> Result<(), Refusal> {
    let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
    if !matches!(*method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE) {
        return Ok(());
    }
    let (writes, of_key) = (matches!(*method, Method::PUT | Method::DELETE), path.starts_with("/v1/kv/"));
    decode(path)?;
    if request.uri().query().is_some() && path != "/v1/kv" {
        return Err(bad(match of_key {
            true => "a key has no query; a question mark that belongs to it is written %3F",
            false => "there are no parameters here",
        }));
    }
    let has = |name: &HeaderName| headers.contains_key(name);
    if has(&header::IF_UNMODIFIED_SINCE) || writes && has(&header::IF_MODIFIED_SINCE) {
        return Err(bad("values have versions and no dates: use If-Match with the ETag"));
    }
    if !of_key && (has(&header::IF_MATCH) || has(&header::IF_NONE_MATCH)) {
        return Err(bad("only keys have versions to compare"));
    }
    if headers.get_all(EXPLAIN).iter().any(|value| value != "1") {
        return Err(bad(format!("{EXPLAIN} takes 1")));
    }
    if has(&HeaderName::from_static(EXPLAIN))
        && !writes
        && (has(&header::IF_MATCH) || has(&header::IF_NONE_MATCH))
    {
        return Err(bad("the story of a read is told without conditions"));
    }
    body_understood(method, headers)
}

/// Refuses a body by its headers, before it is read.
fn body_understood(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let says = |name: HeaderName, only: &str| {
        headers.get_all(name).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(only.as_bytes()))
    };
    if !says(header::EXPECT, "100-continue") {
        return Err(refusal(StatusCode::EXPECTATION_FAILED, "Expect takes 100-continue"));
    }
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(bad("Content-Range: a value is written as a whole, never a part of it"));
    }
    // What hyper lets through is a number; without one the body comes in chunks, or there is none.
    let length = headers.get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    if !says(header::TRANSFER_ENCODING, "chunked") {
        return Err(refusal(StatusCode::NOT_IMPLEMENTED, "Transfer-Encoding takes chunked alone"));
    }
    if *method != Method::PUT {
        return match chunked || length.is_some_and(|bytes| bytes > 0) {
            true => Err(bad(format!("{method} takes no body"))),
            false => Ok(()),
        };
    }
    if !says(header::CONTENT_ENCODING, "identity") {
        let why = "Content-Encoding: values are stored as they come, so they come as they are";
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    match length {
        // A client of HTTP/1.0 may mean a body that ends with the connection, and others may have forgotten theirs.
        None if !chunked => Err(refusal(
            StatusCode::LENGTH_REQUIRED,
            "a value comes with its Content-Length, which is 0 for an empty one, or in chunks",
        )),
        Some(bytes) if bytes > VALUE_BYTES_MAX as u64 => Err(too_long()),
        _ => Ok(()),
    }
}

/// Why a value is not taken.
pub fn too_long() -> Refusal {
    refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("a value has at most {VALUE_BYTES_MAX} bytes"))
}

/// Percent-decodes a text to any bytes.
fn decode(text: &str) -> Result<Vec<u8>, Refusal> {
    let broken = text.split('%').skip(1).find(|rest| {
        let digits = rest.as_bytes().get(..2);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    match broken {
        Some(_) => Err(bad("a % is followed by two hexadecimal digits, or is written %25")),
        None => Ok(percent_decode_str(text).collect()),
    }
}

/// The key that a path names: the rest of it.
pub fn key_of(uri: &Uri) -> Arc<[u8]> {
    let rest = uri.path().strip_prefix("/v1/kv/").unwrap_or("");
    percent_decode_str(rest).collect::<Vec<u8>>().into()
}

/// Prefix, last key already known, and limit of a listing.
pub type Page = (Arc<[u8]>, Option<Arc<[u8]>>, u32);

/// The listing that a query asks for.
pub fn page_of(uri: &Uri) -> Result<Page, Refusal> {
    let (mut prefix, mut after, mut limit) = (None, None, None);
    for pair in uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // As forms do, and so all libraries for it.
        let [name, value] = [name, value].map(|text| decode(&text.replace('+', " ")));
        let (name, value) = (String::from_utf8_lossy(&name?).into_owned(), value?);
        let parameter = match name.as_str() {
            "prefix" => &mut prefix,
            "after" => &mut after,
            "limit" => &mut limit,
            _ => return Err(bad(format!("no parameter {name:?}; there are prefix, after, limit"))),
        };
        if parameter.replace(value).is_some() {
            return Err(bad(format!("{name} is given twice")));
        }
    }
    let after = after.map(|mark| key_of_mark(&mark)).transpose()?;
    let number = |digits: Vec<u8>| {
        let text = String::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
        text.parse().ok().filter(|n| (1..=LIMIT.1).contains(n))
    };
    let limit = match limit {
        None => LIMIT.0,
        Some(digits) => {
            number(digits).ok_or_else(|| bad(format!("limit is a number from 1 to {}", LIMIT.1)))?
        }
    };
    Ok((prefix.unwrap_or_default().into(), after.map(Arc::from), limit))
}

/// The key that a page ends with, for the client to name the next page by. Of characters that nobody percent-encodes, or
/// that mean the same encoded: clients that encode what they send get to the next page, and those that do not.
pub fn mark_of_key(key: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let mark = key.iter().map(|&byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("~{byte:02X}"),
    });
    mark.collect()
}

fn key_of_mark(mark: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (mut key, mut rest) = (Vec::new(), mark);
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = (byte == b'~').then(|| behind.get(..2).and_then(|d| std::str::from_utf8(d).ok()));
        (key, rest) = match digits {
            None => ([key, vec![byte]].concat(), behind),
            Some(digits) => {
                let byte = digits
                    .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or_else(|| bad("after takes what the page before gave as its own"))?;
                ([key, vec![byte]].concat(), &behind[2..])
            }
        }
    }
    Ok(key)
}

/// Does an `Accept` header take OpenMetrics?
pub fn wants_openmetrics(accept: &str) -> bool {
    accept.split(',').any(|form| {
        let mut parts = form.split(';').map(str::trim);
        let named =
            parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
        let refused = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        named && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_web_site_could_own_are_not_this_host() {
        for own in ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "10.1.2.3", "store.example"] {
            assert!(is_own_host(own, &["store.example".into()]), "{own}");
        }
        for foreign in ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example", "[evil]"] {
            assert!(!is_own_host(foreign, &[]), "{foreign}");
        }
    }

    #[test]
    fn keys_are_any_bytes_slashes_included() {
        let key = |uri: &str| key_of(&uri.parse().unwrap()).to_vec();
        assert_eq!(key("/v1/kv/a/b%2Fc"), b"a/b/c");
        assert_eq!(key("/v1/kv/%00%ff"), [0, 0xff]);
        assert_eq!(key("/v1/kv/"), b"");
    }

    #[test]
    fn a_mark_stands_for_one_key_however_it_is_encoded() {
        let all: Vec<u8> = (0..=255).collect();
        let mark = mark_of_key(&all);
        assert_eq!(key_of_mark(mark.as_bytes()), Ok(all));
        assert_eq!(decode(&mark), Ok(mark.clone().into_bytes()), "as it is, it is its own encoding");
        assert_eq!(mark_of_key(b"user-1"), "user-1");
        for bad in ["~", "~4", "~4g", "~+4"] {
            assert!(key_of_mark(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
