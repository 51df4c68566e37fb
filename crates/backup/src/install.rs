//! Making a replica of a new cluster from a copy.

use std::fmt;
use std::io::Read;

use engine::{Device, Engine, ReadError, WriteError};

use crate::chain::{Chain, ChainError, ShardHead};
use crate::digest::{Digest, of_engine};

/// Why a replica was not made.
#[derive(Debug)]
pub enum InstallError {
    /// The copy.
    Chain(ChainError),
    /// The device cannot take it.
    Write(WriteError),
    /// What was written cannot be read back.
    Read(ReadError),
    /// What was read back is something else.
    Differs {
        /// Of the copy.
        wanted: Digest,
        /// Of the device.
        found: Digest,
    },
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstallError::Chain(e) => e.fmt(f),
            InstallError::Write(e) => e.fmt(f),
            InstallError::Read(e) => write!(f, "what was written cannot be read back: {e}"),
            InstallError::Differs { wanted, found } => {
                write!(f, "its digest is {found} where the backup's is {wanted}")
            }
        }
    }
}

impl std::error::Error for InstallError {}

/// Writes the shard that the chain is at to a device that was just formatted as founding, and reads all of it back. Keys
/// keep their versions, and the log goes on behind the entry that the copy is as of.
///
/// All replicas of a shard are made of the same copy: none of them has promised or acknowledged anything, so each may vote;
/// and they have the same log, which ends where the copy does, in epoch 0, before the first of the new cluster. There are no
/// sessions: the requests that they told apart were of the other cluster.
pub fn install<D: Device, R: Read>(
    chain: &mut Chain<R>,
    head: ShardHead,
    engine: &mut Engine<D>,
) -> Result<(u64, Digest), InstallError> {
    engine.install_begin().map_err(InstallError::Write)?;
    while let Some((key, version, value)) = chain.item().map_err(InstallError::Chain)? {
        engine.install_put(key, version, value).map_err(InstallError::Write)?;
    }
    let (keys, wanted) = chain.digest();
    engine.install_finish(head.seq, Vec::new(), 0).map_err(InstallError::Write)?;
    let (_, found) = of_engine(engine).map_err(InstallError::Read)?;
    if found != wanted {
        return Err(InstallError::Differs { wanted, found });
    }
    Ok((keys, wanted))
}
