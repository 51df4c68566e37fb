//! Talking to a gateway over HTTP.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use secure::{TlsError, files, refusal};
use serde_json::Value;
use ureq::http::{Method, Request, Response};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};
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
/// What is shown, and to whom: from the environment, as above.
const CA: &str = "CUTAWAY_CA";
const CERT: &str = "CUTAWAY_CERT";
const CERT_KEY: &str = "CUTAWAY_CERT_KEY";
const TOKEN: &str = "CUTAWAY_TOKEN";
/// A reply is a value of at most 1 MiB, or a page of keys.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Which gateway to talk to.
#[derive(Clone, Debug, clap::Args)]
pub struct GatewayArgs {
    /// HTTP address of a gateway
    #[arg(long, value_name = "HOST:PORT", env = VARIABLE, hide_env_values = true)]
    #[arg(default_value = USUAL, value_parser = address)]
    pub gateway: String,
    /// Certificate of the authority that signs the gateway's: the connection is encrypted
    #[arg(long, value_name = "FILE", env = CA, hide_env_values = true)]
    ca: Option<PathBuf>,
    /// Own certificate, where gateways ask for one
    #[arg(long, value_name = "FILE", env = CERT, hide_env_values = true, requires_all = ["cert_key", "ca"])]
    cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", env = CERT_KEY, hide_env_values = true, requires = "cert")]
    cert_key: Option<PathBuf>,
    /// File with a token, where gateways ask for one; or the token itself in the variable CUTAWAY_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// It is on this machine, and nothing is shown to it.
    #[arg(skip)]
    near: bool,
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

/// Nothing was done, because no token was shown that allows it.
pub fn no_token(why: &str) -> Failure {
    let next =
        "show a token: --token-file FILE, or the variable CUTAWAY_TOKEN; `cutaway token NAME` makes one";
    Failure::error(format!("it had no effect: {why}")).next(next)
}

/// A key as it goes into a path or a query.
pub fn encode(key: &[u8]) -> String {
    percent_encode(key, NON_ALPHANUMERIC).to_string()
}

impl GatewayArgs {
    /// One of this machine, of a cluster that `up` runs.
    pub fn at(gateway: String) -> GatewayArgs {
        GatewayArgs { gateway, ca: None, cert: None, cert_key: None, token_file: None, near: true }
    }

    /// The token to show. It is not an option: others on this machine read those.
    fn token(&self) -> Result<Option<String>> {
        let token = match &self.token_file {
            Some(file) => {
                let read = std::fs::read_to_string(file);
                Some(read.map_err(|e| Failure::usage(format!("--token-file {}: {e}", file.display())))?)
            }
            None => std::env::var(TOKEN).ok().filter(|_| !self.near),
        };
        // As `cutaway token` prints it: the first line.
        Ok(token.and_then(|text| text.lines().next().map(|line| line.trim().to_string())))
    }

    /// Whom to believe, and what to show.
    fn tls(&self) -> Result<Option<TlsConfig>> {
        let Some(ca) = &self.ca else { return Ok(None) };
        let unusable =
            |e: TlsError| Failure::usage(e).next("name the authority's certificate with --ca ca.pem");
        let roots = files::certificates(ca).map_err(unusable)?;
        let roots: Vec<_> = roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let shown = match (&self.cert, &self.cert_key) {
            (Some(cert), Some(key)) => {
                let chain = files::certificates(cert).map_err(unusable)?;
                let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
                let pem = std::fs::read(key).map_err(|e| unusable(TlsError::Io(key.clone(), e)))?;
                let key = PrivateKey::from_pem(&pem)
                    .map_err(|e| Failure::usage(format!("{} holds no private key: {e}", key.display())))?;
                Some(ClientCert::new_with_certs(&chain, key))
            }
            _ => None,
        };
        let config = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::new_with_certs(&roots))
            .client_cert(shown)
            .unversioned_rustls_crypto_provider(secure::provider().map_err(unusable)?);
        Ok(Some(config.build()))
    }

    /// Asks something. A failure to hear the answer to a write means that its outcome is unknown, except if not even a
    /// connection came about.
    pub fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let (tls, token) = (self.tls()?, self.token()?);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_PATIENCE))
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .tls_config(tls.unwrap_or_default())
            .build()
            .into();
        let mut request =
            Request::builder().method(method.clone()).uri(format!("{scheme}://{}{path}", self.gateway));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
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
        if let Some(why) = self.unanswered(&e) {
            return why;
        }
        let what = format!("the gateway at {} does not answer: {e}", self.gateway);
        if *method == Method::GET {
            Failure::error(what).next(format!("{} status{}", me(), self.flag()))
        } else {
            let what = format!("{what}; the write may have taken effect, and may yet");
            Failure::unknown(what).next(format!("{} list{}, to see whether it did", me(), self.flag()))
        }
    }

    /// What kept the request itself from being heard: the handshake did not come about.
    fn unanswered(&self, e: &ureq::Error) -> Option<Failure> {
        let why = match e {
            ureq::Error::Rustls(e) => refusal::of_handshake(e)?,
            ureq::Error::Io(e) => refusal::of_handshake(e.get_ref()?.downcast_ref()?)?,
            _ if self.ca.is_none() && self.speaks_tls() => "it speaks TLS".into(),
            _ => return None,
        };
        let next = match self.ca {
            None => "name the certificate of its authority: --ca FILE".to_string(),
            Some(_) => {
                "compare --ca, --cert and --cert-key with the file that describes the cluster".to_string()
            }
        };
        Some(Failure::error(format!("no connection to the gateway at {}: {why}", self.gateway)).next(next))
    }

    /// Does it answer what is no TLS with an alert? Then it has understood nothing that was sent.
    fn speaks_tls(&self) -> bool {
        const ALERT: u8 = 0x15;
        let ask = || -> std::io::Result<u8> {
            let mut stream = TcpStream::connect(&self.gateway)?;
            stream.set_read_timeout(Some(CONNECT_PATIENCE))?;
            stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n")?;
            let mut first = [0];
            stream.read_exact(&mut first)?;
            Ok(first[0])
        };
        ask().is_ok_and(|first| first == ALERT)
    }

    /// The options that lead to this gateway, where they have to be said.
    pub fn flag(&self) -> String {
        let unnamed = std::env::var(VARIABLE).unwrap_or_else(|_| USUAL.into());
        let mut flags = String::new();
        if self.gateway != unnamed {
            flags += &format!(" --gateway {}", quote(&self.gateway));
        }
        let files =
            [("ca", CA, &self.ca), ("cert", CERT, &self.cert), ("cert-key", CERT_KEY, &self.cert_key)];
        let token = ("token-file", TOKEN, &self.token_file);
        for (name, variable, file) in files.into_iter().chain([token]) {
            if let Some(file) = file.as_ref().filter(|_| std::env::var_os(variable).is_none()) {
                flags += &format!(" --{name} {}", quote(file.display()));
            }
        }
        flags
    }

    /// An answer to a write that cannot be read says nothing about the write.
    pub fn unclear(&self, failure: Failure, key: &OsStr) -> Failure {
        let what = format!("{failure}; the write may have taken effect, and may yet");
        let get = format!("{} get {}{}", me(), quote(key.to_string_lossy()), self.flag());
        Failure::unknown(what).next(format!("{get}, to see whether it did"))
    }

    /// The cluster as the gateway sees it.
    pub fn status(&self) -> Result<Value> {
        let answer = self.ask(Method::GET, "/v1/status", &[], b"")?;
        let body = answer.json()?;
        match answer.status {
            401 => Err(no_token(body["error"].as_str().unwrap_or("no reason given"))),
            _ => Ok(body),
        }
    }
}
