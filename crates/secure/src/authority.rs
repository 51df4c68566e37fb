//! A laboratory authority: a key, a certificate that it signs itself, and certificates for members and clients.
//!
//! It is here so that a cluster with TLS is three commands away, not to replace an authority that is kept elsewhere, its key
//! offline: members only ask that some certificate in `ca.pem` stands for the others.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use graviola::hashing::{Hash, Sha256};
use graviola::signing::ecdsa::{P256, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::PrivateKeyDer;

use crate::error::TlsError;
use crate::files;
use crate::provider::supported;

/// The authority's certificate, in its folder.
pub const CA: &str = "ca.pem";
/// Its key.
pub const CA_KEY: &str = "ca.key";
/// How long the authority lives, in days.
const CA_DAYS: u32 = 3650;
/// Clocks may differ by as much.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);

/// Which certificate is made.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name in the folder: NAME.pem and NAME.key.
    pub file: String,
    /// The names and addresses that it stands for; the first is the subject as well.
    pub names: Vec<String>,
    /// From now on, in days; less than nothing for one that has expired.
    pub days: i64,
}

struct Key {
    signing: SigningKey<P256>,
    point: Vec<u8>,
}

/// Bytes of an uncompressed point of P-256, with which its public key ends.
const POINT_BYTES: usize = 65;

fn making(e: impl std::fmt::Debug) -> TlsError {
    TlsError::Making(format!("{e:?}"))
}

impl Key {
    fn of(signing: SigningKey<P256>) -> Result<Key, TlsError> {
        let mut buffer = [0; 256];
        let public = signing.to_spki_der(&mut buffer).map_err(making)?;
        let point = public[public.len().saturating_sub(POINT_BYTES)..].to_vec();
        Ok(Key { signing, point })
    }

    fn pem(&self) -> Result<String, TlsError> {
        let mut buffer = [0; 512];
        let der = self.signing.to_pkcs8_der(&mut buffer).map_err(making)?;
        Ok(pem::encode(&pem::Pem::new("PRIVATE KEY", der)))
    }

    fn id(&self) -> Vec<u8> {
        Sha256::hash(&self.point).as_ref()[..20].to_vec()
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut buffer = [0; 256];
        let signed = self.signing.sign_asn1::<Sha256>(&[message], &mut buffer);
        signed.map(<[u8]>::to_vec).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// An authority in a folder.
pub struct Authority {
    key: Key,
    cluster: String,
}

impl Authority {
    /// The one in `dir`, or a new one; and whether it is new. `cluster` stands in its name.
    pub fn open(dir: &Path, cluster: &str) -> Result<(Authority, bool), TlsError> {
        supported()?;
        let (cert, key_file) = (dir.join(CA), dir.join(CA_KEY));
        if cert.exists() || key_file.exists() {
            files::certificates(&cert)?;
            let wrong = |why: String| TlsError::Content(key_file.clone(), "key of P-256", why);
            let PrivateKeyDer::Pkcs8(der) = files::key(&key_file)? else {
                return Err(wrong("it is in another form than PKCS#8".into()));
            };
            let signing = SigningKey::from_pkcs8_der(der.secret_pkcs8_der())
                .map_err(|e| wrong(format!("{e:?}; this authority makes such keys alone")))?;
            return Ok((Authority { key: Key::of(signing)?, cluster: cluster.into() }, false));
        }
        fs::create_dir_all(dir).map_err(|e| TlsError::Io(dir.to_owned(), e))?;
        let key = Key::of(SigningKey::generate().map_err(making)?)?;
        let authority = Authority { key, cluster: cluster.into() };
        let signed = authority.params()?.self_signed(&authority.key).map_err(making)?;
        write(&key_file, authority.key.pem()?.as_bytes(), 0o600)?;
        write(&cert, signed.pem().as_bytes(), 0o644)?;
        Ok((authority, true))
    }

    fn params(&self) -> Result<CertificateParams, TlsError> {
        let mut params =
            params(&format!("Cutaway laboratory authority of {}", self.cluster), CA_DAYS.into())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.key_identifier_method = KeyIdMethod::PreSpecified(self.key.id());
        Ok(params)
    }

    /// Signs a certificate for a new key, and puts both into `dir`: first the key, so that whoever watches both never takes
    /// a new certificate for one of an old key and stays there.
    pub fn sign(&self, dir: &Path, wanted: &Wanted) -> Result<(), TlsError> {
        let key = Key::of(SigningKey::generate().map_err(making)?)?;
        let subject = wanted.names.first().map_or("", String::as_str);
        let mut params = params(subject, wanted.days)?;
        for name in &wanted.names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName(name.as_str().try_into().map_err(making)?),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key.id());
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(self.params()?, &self.key);
        let signed = params.signed_by(&key, &issuer).map_err(making)?;
        write(&dir.join(format!("{}.key", wanted.file)), key.pem()?.as_bytes(), 0o600)?;
        write(&dir.join(format!("{}.pem", wanted.file)), signed.pem().as_bytes(), 0o644)
    }
}

fn params(subject: &str, days: i64) -> Result<CertificateParams, TlsError> {
    let now = SystemTime::now();
    let day = Duration::from_secs(24 * 3600);
    let (begin, end) = match u32::try_from(days) {
        Ok(days) => (now - CLOCKS_DIFFER, now + day * days),
        Err(_) => (now - day * 2 - CLOCKS_DIFFER, now - day),
    };
    let mut params = CertificateParams::default();
    params.not_before = begin.into();
    params.not_after = end.into();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    let mut serial = [0; 16];
    graviola::random::fill(&mut serial).map_err(making)?;
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// Puts a file in its place as a whole. Nobody but the owner ever reads a key, not even while it is written.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    let new = path.with_extension("new");
    let put = || -> io::Result<()> {
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => (),
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    put().map_err(|e| TlsError::Io(path.to_owned(), e))
}
