//! The cryptography that everything here uses, and whether this processor can do it.

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

use crate::error::TlsError;

/// The cryptography that is used. It is in assembly, and asks for a processor of the last ten years.
pub fn provider() -> Result<Arc<CryptoProvider>, TlsError> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    supported()?;
    Ok(PROVIDER.get_or_init(|| Arc::new(rustls_graviola::default_provider())).clone())
}

/// Can this processor do it?
pub(crate) fn supported() -> Result<(), TlsError> {
    if graviola::util::is_cpu_supported() { Ok(()) } else { Err(TlsError::Processor) }
}
