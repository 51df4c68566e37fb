//! A check in a file, to go on from: how it begins and ends, and its numbers and names. What lies between is for
//! [`crate::check::Saved`] and [`crate::device::Saved`] to say.
//!
//! | field | form | checked |
//! |---|---|---|
//! | what it is | `CUTAWAY CHECK 1\n` | first of all |
//! | scope | length, name | it is known |
//! | mechanisms out | count; each: length, id | they are known |
//! | bounds | 4 bytes: CRC-32C of the scope's numbers | they are still the same |
//! | … | | |
//! | CRC-32C | 4 bytes, of everything before | before anything is believed |
//!
//! Numbers are in LEB128, seven bits a byte, the least first; what has a fixed length is little-endian. Lists end where the
//! CRC begins, so no count can be wrong: memory is taken for what is there, not for what is said.

use std::fmt;

use trace::{Mechanism, Mechanisms};

/// How a file of this kind begins.
pub const BEGINS: &str = "CUTAWAY CHECK 1\n";
/// Names are shorter.
const NAME_BYTES_MAX: u64 = 64;

/// Why a file cannot be gone on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedError {
    /// It was not written by `check --save` of this version.
    NoSave,
    /// Its bytes are not what was written.
    Damaged {
        /// The checksum in it.
        found: u32,
        /// The checksum of its bytes.
        expected: u32,
    },
    /// A field is not what it must be.
    Malformed {
        /// Where it ends, in bytes.
        offset: usize,
        /// Which one.
        field: &'static str,
    },
    /// It explores a scope that there is not, or that has other bounds now.
    OtherScope(String),
    /// It leaves out a mechanism that there is not.
    OtherMechanism(String),
    /// The step to this state leads elsewhere with the rules of this version.
    OtherRules {
        /// From 0.
        state: u64,
    },
    /// It was written by another build of this program, and nothing in it could show that the engine is the same.
    OtherBuild,
}

impl fmt::Display for SavedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SavedError::NoSave => write!(f, "this is no file that `check --save` of this version wrote"),
            SavedError::Damaged { found, expected } => {
                write!(f, "the file is damaged: checksum {found:08x}, and its bytes have {expected:08x}")
            }
            SavedError::Malformed { offset, field } => {
                write!(f, "the file is malformed: {field}, before byte {offset}")
            }
            SavedError::OtherScope(name) => {
                write!(f, "the file explores scope {name}, which is not there, or has other bounds now")
            }
            SavedError::OtherMechanism(id) => {
                write!(f, "the file leaves out a mechanism {id}, which is not there")
            }
            SavedError::OtherRules { state } => {
                write!(f, "the file was made by other rules: the step to state {state} leads elsewhere now")
            }
            SavedError::OtherBuild => write!(f, "the file was made by another build of this program"),
        }
    }
}

impl std::error::Error for SavedError {}

/// What is explored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The scope's name.
    pub scope: String,
    /// The mechanisms that are on.
    pub mechanisms: Mechanisms,
}

impl Header {
    /// The mechanisms that are out.
    pub fn off(&self) -> Vec<Mechanism> {
        Mechanism::ALL.iter().copied().filter(|m| self.mechanisms.without(*m) == self.mechanisms).collect()
    }
}

/// What a file explores.
pub fn header(bytes: &[u8]) -> Result<Header, SavedError> {
    open(bytes).map(|(header, _)| header)
}

/// The beginning of a file.
pub(crate) fn begin(scope: &str, mechanisms: Mechanisms) -> Vec<u8> {
    let mut bytes = BEGINS.as_bytes().to_vec();
    let header = Header { scope: scope.into(), mechanisms };
    name(&mut bytes, scope);
    let off = header.off();
    number(&mut bytes, off.len() as u64);
    off.iter().for_each(|mechanism| name(&mut bytes, mechanism.id()));
    bytes
}

/// Its end.
pub(crate) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// A file whose bytes are as they were written, read up to its bounds.
pub(crate) fn open(bytes: &[u8]) -> Result<(Header, Reader<'_>), SavedError> {
    let rest = bytes.strip_prefix(BEGINS.as_bytes()).ok_or(SavedError::NoSave)?;
    let short = SavedError::Malformed { offset: bytes.len(), field: "checksum" };
    let (rest, found) = rest.split_last_chunk::<4>().ok_or(short)?;
    let (found, expected) = (u32::from_le_bytes(*found), crc32c::crc32c(&bytes[..bytes.len() - 4]));
    if found != expected {
        return Err(SavedError::Damaged { found, expected });
    }
    let mut reader = Reader { rest, offset: BEGINS.len() };
    let scope = reader.name("scope")?.to_string();
    let mut mechanisms = Mechanisms::all();
    for _ in 0..reader.number("mechanisms", Mechanism::ALL.len() as u64)? {
        let id = reader.name("mechanism")?;
        let mechanism = Mechanism::from_id(id).ok_or_else(|| SavedError::OtherMechanism(id.into()))?;
        mechanisms = mechanisms.without(mechanism);
    }
    Ok((Header { scope, mechanisms }, reader))
}

pub(crate) fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn name(bytes: &mut Vec<u8>, name: &str) {
    number(bytes, name.len() as u64);
    bytes.extend(name.as_bytes());
}

/// Of a file's bytes: whoever reads a file of a build that must be this one names the build by it.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// What is left to read of a file.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn malformed(&self, field: &'static str) -> SavedError {
        SavedError::Malformed { offset: self.offset, field }
    }

    fn take(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], SavedError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.malformed(field))?;
        (self.rest, self.offset) = (rest, self.offset + length);
        Ok(taken)
    }

    pub(crate) fn fixed<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], SavedError> {
        let bytes = self.take(field, N)?;
        bytes.try_into().map_err(|_| self.malformed(field))
    }

    /// At most `most`, which has at most 32 bits.
    pub(crate) fn number(&mut self, field: &'static str, most: u64) -> Result<u64, SavedError> {
        let mut number = 0u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed(field)?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return if number <= most { Ok(number) } else { Err(self.malformed(field)) };
            }
        }
        Err(self.malformed(field))
    }

    fn name(&mut self, field: &'static str) -> Result<&'a str, SavedError> {
        let length = self.number(field, NAME_BYTES_MAX)? as usize;
        let bytes = self.take(field, length)?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed(field))
    }
}
