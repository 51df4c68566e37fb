//! Talking to a gateway over HTTP.

use std::io;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body, Timeout};

use crate::failure::{Failure, Result, me};

/// Longer than a gateway takes to answer, even when its answer is that it does not know.
const PATIENCE: Duration = Duration::from_secs(20);
/// A reply is a value of at most 1 MiB, or a page of keys.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Which gateway to talk to.
#[derive(Clone, Debug, clap::Args)]
pub struct GatewayArgs {
    /// HTTP address of a gateway
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7401", global = false)]
    pub gateway: String,
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
            .timeout_connect(Some(Duration::from_secs(3)))
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

    fn failed(&self, method: &Method, e: ureq::Error) -> Failure {
        let never_connected = match &e {
            ureq::Error::Io(e) => {
                use io::ErrorKind::*;
                matches!(
                    e.kind(),
                    ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable
                )
            }
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BadUri(_) => true,
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => true,
            _ => false,
        };
        let what = format!("the gateway at {} does not answer: {e}", self.gateway);
        if never_connected {
            Failure::error(what)
                .next(format!("{} up, or name another gateway with --gateway HOST:PORT", me()))
        } else if *method == Method::GET {
            Failure::error(what).next(format!("{} status --gateway {}", me(), self.gateway))
        } else {
            Failure::unknown(format!("{what}; the write may have taken effect, and may yet")).next(format!(
                "{} get KEY --gateway {}, to see whether it did",
                me(),
                self.gateway
            ))
        }
    }

    /// The cluster as the gateway sees it.
    pub fn status(&self) -> Result<Value> {
        self.ask(Method::GET, "/v1/status", &[], b"")?.json()
    }
}
