//! PEM files: what is in them, and whether it is of any use, found out when they are read.
//!
//! A key that does not belong to its certificate, a certificate that has expired or is somebody else's: each is told here,
//! by the file that is wrong, and not by a peer's alert in the middle of the night.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use webpki::{EndEntityCert, KeyUsage};

use crate::error::TlsError;
use crate::provider::provider;
use crate::{names, refusal};

/// No such file is longer. A path may lead to a device that never ends.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A certificate that ends within this time is told of.
pub const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// A certificate, its key, and the authority that signs those of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The authority's certificate, or several.
    pub ca: PathBuf,
    /// The own certificate, with those between it and the authority.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let wrong = |e| TlsError::Io(path.to_owned(), e);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(wrong)?;
    io::Read::read_to_end(&mut io::Read::take(file, FILE_BYTES_MAX + 1), &mut bytes).map_err(wrong)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(wrong(io::Error::other("it is too long for a certificate or key"))),
        false => Ok(bytes),
    }
}

fn content(path: &Path, what: &'static str, e: &PemError) -> TlsError {
    let why = match e {
        PemError::NoItemsFound => "there is none in it".into(),
        other => other.to_string(),
    };
    TlsError::Content(path.to_owned(), what, why)
}

/// The certificates of a file, at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|e| content(path, "certificate", &e))?;
    if all.is_empty() {
        return Err(content(path, "certificate", &PemError::NoItemsFound));
    }
    Ok(all)
}

/// The key in a file.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|e| content(path, "private key", &e))
}

/// The authorities of a file.
pub fn authorities(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let wrong = |e: rustls::Error| {
            TlsError::Content(path.to_owned(), "certificate of an authority", e.to_string())
        };
        roots.add(certificate).map_err(wrong)?;
    }
    Ok(Arc::new(roots))
}

/// What a process has to show.
pub struct Shown {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Shown {
    /// A certificate with its key.
    pub fn read(cert: &Path, key_file: &Path) -> Result<Shown, TlsError> {
        let (chain, key) = (certificates(cert)?, key(key_file)?);
        let wrong = |e: rustls::Error| TlsError::Key {
            cert: cert.to_owned(),
            key: key_file.to_owned(),
            why: e.to_string(),
        };
        let signing = provider()?.key_provider.load_private_key(key.clone_key()).map_err(wrong)?;
        CertifiedKey::new(chain.clone(), signing).keys_match().map_err(wrong)?;
        Ok(Shown { chain, key })
    }

    /// Is this what the authority signed, for this name, for now?
    pub fn check(&self, files: &Files, name: &str) -> Result<(), TlsError> {
        let (cert, ca) = (files.cert.clone(), files.ca.clone());
        let roots = authorities(&files.ca)?;
        valid(&self.chain, &roots, UnixTime::now()).map_err(|why| TlsError::Chain {
            cert: cert.clone(),
            ca,
            why,
        })?;
        match is_of(&self.chain[0], name) {
            Ok(()) => Ok(()),
            Err(found) => Err(TlsError::Name { cert, expected: name.into(), found }),
        }
    }

    /// Will it have expired after this time?
    pub fn ends_within(&self, files: &Files, time: Duration) -> bool {
        let then = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + time);
        authorities(&files.ca).is_ok_and(|roots| valid(&self.chain, &roots, then).is_err())
    }
}

fn valid(chain: &[CertificateDer<'_>], roots: &RootCertStore, when: UnixTime) -> Result<(), String> {
    let why = |e: webpki::Error| refusal::of_chain(&e);
    let leaf = EndEntityCert::try_from(&chain[0]).map_err(why)?;
    let algorithms = provider().map_err(|e| e.to_string())?.signature_verification_algorithms.all;
    let usage = KeyUsage::client_auth();
    leaf.verify_for_usage(algorithms, &roots.roots, &chain[1..], when, usage, None, None).map_err(why)?;
    Ok(())
}

/// Is this certificate one of `name`? If not, whose.
pub fn is_of(certificate: &CertificateDer<'_>, name: &str) -> Result<(), Vec<String>> {
    let Ok(leaf) = EndEntityCert::try_from(certificate) else { return Err(Vec::new()) };
    let of = names::server(name).is_some_and(|name| leaf.verify_is_valid_for_subject_name(&name).is_ok());
    if of { Ok(()) } else { Err(leaf.valid_dns_names().map(String::from).collect()) }
}
