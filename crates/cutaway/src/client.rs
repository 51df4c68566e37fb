//! Talking to a gateway over HTTP.

use std::ffi::OsStr;
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};

use crate::failure::{Failure, Result, me, quote};

/// Longer than a gateway takes to answer, even when its answer is that it does not know.
const PATIENCE: Duration = Duration::from_secs(20);
/// A gateway that takes no connection by then is not reached.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// Where `up` serves HTTP unless told otherwise.
const USUAL: &str = "127.0.0.1:7401";
/// The environment variable that names another one, for all commands of a shell.
const VARIABLE: &str = "CUTAWAY_GATEWAY";
/// A reply is a value of at most 1 MiB, or a page of keys.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Which gateway to talk to.
#[derive(Clone, Debug, clap::Args)]
pub struct GatewayArgs {
    /// HTTP address of a gateway
    #[arg(long, value_name = "HOST:PORT", env = VARIABLE, hide_env_values = true)]
    #[arg(default_value = USUAL, value_parser = address)]
    pub gateway: String,
}

/// A gateway's address, from the command line or the environment.
fn address(text: &str) -> std::result::Result<String, String> {
    let whence = if std::env::var(VARIABLE).is_ok_and(|named| named == text) { VARIABLE } else { "" };
    host_and_port(text).map_err(|why| match whence {
        "" => why,
        variable => format!("{why} ({variable} names it)"),
    })
}

/// A host and a port; an IPv6 address stands in brackets.
fn host_and_port(text: &str) -> std::result::Result<String, String> {
    let (host, port) = text.rsplit_once(':').ok_or("it is given as HOST:PORT")?;
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(match text.parse::<IpAddr>() {
            Ok(_) => format!("an IPv6 address stands in brackets, with a port behind: [{text}]:7401"),
            Err(_) => "it is given as HOST:PORT, without http:// and without a path".into(),
        });
    }
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    if host.is_empty() || host.contains('/') || port.is_none() {
        return Err("it is given as HOST:PORT, with a port from 1 to 65535".into());
    }
    Ok(text.into())
}

/// A gateway's answer.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The version, from `ETag`.
    pub version: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; a body that is not is told as an error.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .map_err(|e| Failure::error(format!("the gateway's answer cannot be read: {e}")))
    }
}

/// A key as it goes into a path or a query.
pub fn encode(key: &[u8]) -> String {
    percent_encode(key, NON_ALPHANUMERIC).to_string()
}

impl GatewayArgs {
    /// Asks something. A failure to hear the answer to a write means that its outcome is unknown, except if not even a
    /// connection came about.
    pub fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_PATIENCE))
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build()
            .into();
        let mut request =
            Request::builder().method(method.clone()).uri(format!("http://{}{path}", self.gateway));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let usage = |e: &dyn std::fmt::Display| Failure::usage(format!("--gateway {}: {e}", self.gateway));
        // Whatever goes wrong before somebody is there was certainly not sent.
        self.reach()?;
        let answer = if method == Method::PUT {
            agent.run(request.body(body).map_err(|e| usage(&e))?)
        } else {
            agent.run(request.body(()).map_err(|e| usage(&e))?)
        };
        let heard = answer.and_then(|mut response: Response<Body>| {
            let version = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
            let version = version.and_then(|tag| tag.trim_matches('"').parse().ok());
            let body = response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec()?;
            Ok(Answer { status: response.status().as_u16(), version, body })
        });
        heard.map_err(|e| self.failed(&method, e))
    }

    /// Finds out whether anybody takes connections there.
    fn reach(&self) -> Result {
        let mut why = "the name has no address".to_string();
        match self.gateway.to_socket_addrs() {
            Err(e) => why = e.to_string(),
            Ok(addresses) => {
                for address in addresses {
                    match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
                        Ok(_) => return Ok(()),
                        Err(e) => why = e.to_string(),
                    }
                }
            }
        }
        let next = format!("{} up, or name another gateway with --gateway HOST:PORT", me());
        Err(Failure::error(format!("nobody can be reached at {}: {why}", self.gateway)).next(next))
    }

    fn failed(&self, method: &Method, e: ureq::Error) -> Failure {
        let what = format!("the gateway at {} does not answer: {e}", self.gateway);
        if *method == Method::GET {
            Failure::error(what).next(format!("{} status{}", me(), self.flag()))
        } else {
            let what = format!("{what}; the write may have taken effect, and may yet");
            Failure::unknown(what).next(format!("{} list{}, to see whether it did", me(), self.flag()))
        }
    }

    /// The option that names this gateway, where it has to be named.
    pub fn flag(&self) -> String {
        let unnamed = std::env::var(VARIABLE).unwrap_or_else(|_| USUAL.into());
        if self.gateway == unnamed { String::new() } else { format!(" --gateway {}", quote(&self.gateway)) }
    }

    /// An answer to a write that cannot be read says nothing about the write.
    pub fn unclear(&self, failure: Failure, key: &OsStr) -> Failure {
        let what = format!("{failure}; the write may have taken effect, and may yet");
        let get = format!("{} get {}{}", me(), quote(key.to_string_lossy()), self.flag());
        Failure::unknown(what).next(format!("{get}, to see whether it did"))
    }

    /// The cluster as the gateway sees it.
    pub fn status(&self) -> Result<Value> {
        self.ask(Method::GET, "/v1/status", &[], b"")?.json()
    }
}
