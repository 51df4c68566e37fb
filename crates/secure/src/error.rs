//! Why certificates, keys or tokens are of no use.

use std::io;
use std::path::PathBuf;

use crate::refusal;

/// Why files are of no use.
#[derive(Debug)]
pub enum TlsError {
    /// The processor lacks what the cryptography is written for.
    Processor,
    /// A file cannot be read or written.
    Io(PathBuf, io::Error),
    /// A file holds something else than it should: what, and why.
    Content(PathBuf, &'static str, String),
    /// The certificate is not one that this authority stands for now.
    Chain {
        /// The certificate.
        cert: PathBuf,
        /// The authority.
        ca: PathBuf,
        /// Why.
        why: String,
    },
    /// The certificate is another's.
    Name {
        /// The certificate.
        cert: PathBuf,
        /// Whose it should be.
        expected: String,
        /// Whose it is.
        found: Vec<String>,
    },
    /// The certificate's key is another.
    Key {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        why: String,
    },
    /// The file that has the tokens is wrong as a whole.
    File(String),
    /// Making a certificate failed.
    Making(String),
}

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TlsError::Processor => f.write_str(
                "TLS and tokens need a processor with AES, AVX2, BMI and ADX instructions (x86_64 since about 2015), or \
                 AES and SHA-2 (aarch64)",
            ),
            TlsError::Io(path, e) => write!(f, "{}: {e}", path.display()),
            TlsError::Content(path, what, why) => write!(f, "{} holds no {what}: {why}", path.display()),
            TlsError::Chain { cert, ca, why } => {
                write!(f, "{} is not valid by {}: {why}", cert.display(), ca.display())
            }
            TlsError::Name { cert, expected, found } => {
                write!(f, "{} is not of {expected}, but of {}", cert.display(), refusal::listed(found))
            }
            TlsError::Key { cert, key, why } => {
                write!(f, "{} is not the key of {}: {why}", key.display(), cert.display())
            }
            TlsError::File(why) => f.write_str(why),
            TlsError::Making(why) => write!(f, "a certificate cannot be made: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}
