//! The two ends of a connection between members, and the door of a gateway. Files that change are read anew; the old stay
//! in use as long as the new are wrong, so a certificate and its key may be replaced one after the other.
//!
//! A member shows its certificate whether it dials or is dialled. Whoever dials knows whom it wants, and TLS itself holds
//! the certificate against that name. Whoever is dialled learns from the greeting who wants to talk: then
//! [`Stream::shows`](crate::stream::Stream::shows) compares.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig, version::TLS13};

use crate::error::TlsError;
use crate::files::{Files, SOON, Shown, authorities};
use crate::provider::provider;

/// What changes when a file is replaced, even by one of the same length in the same second.
type Stamp = Vec<Option<(u64, u64, i64, i64, u64)>>;

fn stamp(paths: &[PathBuf]) -> Stamp {
    let one = |path: &PathBuf| {
        // Through links: a folder of secrets in Kubernetes is exchanged as a whole, by one.
        let about = fs::metadata(path).ok()?;
        Some((about.dev(), about.ino(), about.mtime(), about.mtime_nsec(), about.size()))
    };
    paths.iter().map(one).collect()
}

/// Something that was made of files, and is made again when they change.
pub struct Watched<T> {
    paths: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>,
    now: RwLock<Arc<T>>,
    seen: Mutex<Stamp>,
}

impl<T> std::fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.paths)
    }
}

impl<T> Watched<T> {
    /// What `make` makes of these files, now and whenever they change.
    pub fn new(
        paths: Vec<PathBuf>,
        make: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Watched<T>, TlsError> {
        // The stamp is older than what is read: a change in between is seen next time.
        let seen = Mutex::new(stamp(&paths));
        let now = RwLock::new(Arc::new(make()?));
        Ok(Watched { paths, make: Box::new(make), now, seen })
    }

    /// What is made of no file, and stays what it is.
    pub fn fixed(what: T) -> Watched<T>
    where
        T: Clone + Send + Sync + 'static,
    {
        let now = RwLock::new(Arc::new(what.clone()));
        Watched { paths: Vec::new(), make: Box::new(move || Ok(what.clone())), now, seen: Mutex::default() }
    }

    /// What there is now.
    pub fn now(&self) -> Arc<T> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether the files have changed; if so, what became of it.
    pub fn refresh(&self) -> Option<Result<(), TlsError>> {
        let latest = stamp(&self.paths);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == latest {
            return None;
        }
        *seen = latest;
        Some(
            (self.make)()
                .map(|new| *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new)),
        )
    }
}

/// Both ends that a member can be.
pub struct Ends {
    /// When it dials.
    pub client: Arc<ClientConfig>,
    /// When it is dialled.
    pub server: Arc<ServerConfig>,
    /// Its certificate ends soon.
    pub ends_soon: bool,
}

/// What a member shows, and whom it believes.
pub type Identity = Watched<Ends>;

/// The identity of the member with this name.
pub fn member(files: &Files, name: &str) -> Result<Identity, TlsError> {
    let (files, name) = (files.clone(), name.to_owned());
    let paths = vec![files.ca.clone(), files.cert.clone(), files.key.clone()];
    Watched::new(paths, move || {
        let shown = Shown::read(&files.cert, &files.key)?;
        shown.check(&files, &name)?;
        let ends_soon = shown.ends_within(&files, SOON);
        let roots = authorities(&files.ca)?;
        Ok(Ends {
            client: dialling(roots.clone(), Some(&shown))?,
            server: served(&shown, Some((roots, true)))?,
            ends_soon,
        })
    })
}

/// Where clients knock.
pub type Door = Watched<Arc<ServerConfig>>;

/// Which certificates a door asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// None.
    Nothing,
    /// None is needed, and one that is shown must be signed by this authority.
    Optional(PathBuf),
    /// One that this authority signed.
    Required(PathBuf),
}

/// A door with this certificate.
pub fn door(cert: &Path, key: &Path, asks: &Asks) -> Result<Door, TlsError> {
    let (cert, key, asks) = (cert.to_owned(), key.to_owned(), asks.clone());
    let mut paths = vec![cert.clone(), key.clone()];
    if let Asks::Optional(ca) | Asks::Required(ca) = &asks {
        paths.push(ca.clone());
    }
    Watched::new(paths, move || {
        let shown = Shown::read(&cert, &key)?;
        let clients = match &asks {
            Asks::Nothing => None,
            Asks::Optional(ca) => Some((authorities(ca)?, false)),
            Asks::Required(ca) => Some((authorities(ca)?, true)),
        };
        served(&shown, clients)
    })
}

fn making(e: impl std::fmt::Display) -> TlsError {
    TlsError::Making(e.to_string())
}

/// The end that dials.
pub fn dialling(roots: Arc<RootCertStore>, shown: Option<&Shown>) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()?).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(making)?.with_root_certificates(roots);
    let mut config = match shown {
        Some(Shown { chain, key }) => {
            builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(making)?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The end that is dialled; `clients` are the authorities for those who dial, and whether each must show a certificate.
fn served(shown: &Shown, clients: Option<(Arc<RootCertStore>, bool)>) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()?).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(making)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some((roots, required)) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()?);
            let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(making)?)
        }
    };
    let mut config = builder.with_single_cert(shown.chain.clone(), shown.key.clone_key()).map_err(making)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
