//! Tokens: secrets that clients show. A file keeps their hashes; the token itself is printed once, and nowhere kept.
//!
//! A token is 32 random bytes, so one round of SHA-256 hides it as well as a slow hash would hide a password. Whoever
//! guesses learns nothing from the time that an answer takes: the hash of what was shown is compared with every hash there
//! is, each to its end.

use graviola::hashing::{Hash, Sha256};
use subtle::ConstantTimeEq;

use crate::error::TlsError;
use crate::provider::supported;

/// How a token begins: whoever finds one in a log knows what leaked.
const BEGINS: &str = "cutaway_";
/// How its hash begins.
const HASH_BEGINS: &str = "sha256:";
/// No token is longer; what is longer is not hashed.
const TOKEN_BYTES_MAX: usize = 256;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

impl Access {
    /// From its word in a file.
    pub fn parse(word: &str) -> Option<Access> {
        match word {
            "read-only" => Some(Access::Read),
            "read-write" => Some(Access::Write),
            _ => None,
        }
    }
}

/// One token that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whose it is.
    pub name: String,
    /// What it allows.
    pub access: Access,
    hash: [u8; 32],
}

/// The tokens that are accepted. None: everybody may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Known>);

impl Tokens {
    /// These.
    pub fn new(known: Vec<Known>) -> Result<Tokens, TlsError> {
        if !known.is_empty() {
            supported()?;
        }
        Ok(Tokens(known))
    }

    /// Is a token asked for at all?
    pub fn are_asked_for(&self) -> bool {
        !self.0.is_empty()
    }

    /// What may be done by whoever has shown this token, or none, on a connection that may be older than these tokens. One
    /// that is not among them any more allows nothing.
    pub fn allowed(&self, shown: Option<&Known>) -> Option<Access> {
        if !self.are_asked_for() {
            return Some(Access::Write);
        }
        let shown = shown?;
        let same = |known: &&Known| known.name == shown.name && known.hash == shown.hash;
        self.0.iter().find(same).map(|known| known.access)
    }

    /// Whose token this is. If `name` is given, it must be that one's.
    pub fn find(&self, name: Option<&str>, token: &[u8]) -> Option<&Known> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let hash = hash_of(token);
        let mut found = None;
        for known in &self.0 {
            if bool::from(known.hash.ct_eq(&hash)) {
                found = Some(known);
            }
        }
        found.filter(|known| name.is_none_or(|name| name == known.name))
    }
}

impl Known {
    /// A token by its hash, as a file has it.
    pub fn new(name: &str, access: Access, hash: &str) -> Result<Known, String> {
        let form = || {
            format!("a token's hash is {HASH_BEGINS} and 64 hexadecimal digits, as `cutaway token` prints it")
        };
        let digits = hash.strip_prefix(HASH_BEGINS).ok_or_else(form)?;
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(form());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| form())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| form())?;
        }
        Ok(Known { name: name.into(), access, hash: bytes })
    }
}

fn hash_of(token: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(Sha256::hash(token).as_ref());
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new token, and its hash for the file.
pub fn make() -> Result<(String, String), TlsError> {
    supported()?;
    let mut secret = [0; 32];
    graviola::random::fill(&mut secret).map_err(|e| TlsError::Making(format!("{e:?}")))?;
    let token = format!("{BEGINS}{}", hex(&secret));
    let hash = format!("{HASH_BEGINS}{}", hex(&hash_of(token.as_bytes())));
    Ok((token, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_and_no_other_is() {
        let ((reader, hash), (writer, other)) = (make().unwrap(), make().unwrap());
        assert!(!hash.contains(&reader[BEGINS.len()..]));
        let known = vec![
            Known::new("reader", Access::Read, &hash).unwrap(),
            Known::new("writer", Access::Write, &other).unwrap(),
        ];
        let tokens = Tokens::new(known).unwrap();
        assert_eq!(tokens.find(None, reader.as_bytes()).unwrap().access, Access::Read);
        assert_eq!(tokens.find(Some("writer"), writer.as_bytes()).unwrap().access, Access::Write);
        assert_eq!(tokens.find(Some("writer"), reader.as_bytes()), None, "it is another's");
        // Others take their place while connections are open.
        let (reader_known, writer_known) = (&tokens.0[0], &tokens.0[1]);
        let promoted = Known { access: Access::Write, ..reader_known.clone() };
        let later = Tokens::new(vec![promoted]).unwrap();
        assert_eq!(later.allowed(Some(reader_known)), Some(Access::Write));
        assert_eq!(later.allowed(Some(writer_known)), None, "it was taken out");
        assert_eq!(later.allowed(None), None, "it was open when there were no tokens");
        assert_eq!(Tokens::default().allowed(None), Some(Access::Write));
        for wrong in [&reader[..reader.len() - 1], "", &format!("{reader}x"), &hash, &"x".repeat(1000)] {
            assert_eq!(tokens.find(None, wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for wrong in ["", "sha256:", "sha256:zz", &format!("sha256:{}", "é".repeat(32)), &"0".repeat(64)] {
            assert!(Known::new("x", Access::Read, wrong).is_err(), "{wrong}");
        }
    }
}
