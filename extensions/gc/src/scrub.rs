//! Where the scrubbing is: behind a key, at an entry of the log, at a chunk of the checkpoint; and over again.

use std::sync::Arc;

use engine::{Piece, ReadError, Seq, Upkeep};

/// Keys that are asked for at a time.
const KEYS: usize = 64;
/// What a piece costs beside its bytes.
const PIECE_BYTES: u64 = 256;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum At {
    Values(Option<Arc<[u8]>>),
    Records(Seq),
    Chunks(usize),
}

/// A scrubbing of everything, again and again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scrub {
    at: At,
    /// Of this pass.
    pub(crate) pieces: u64,
    pub(crate) damaged: u64,
}

impl Default for Scrub {
    fn default() -> Scrub {
        Scrub { at: At::Values(None), pieces: 0, damaged: 0 }
    }
}

impl Scrub {
    /// Reads pieces until `bytes` are spent or a pass has ended; says how many were spent, and whether it has.
    pub(crate) fn step(
        &mut self,
        device: &dyn Upkeep,
        bytes: u64,
        damaged: &mut Vec<ReadError>,
    ) -> (u64, bool) {
        let mut spent = 0;
        while spent < bytes {
            match self.at.clone() {
                At::Values(after) => {
                    let (keys, _) = device.values(after.as_deref(), KEYS, &|_| true);
                    if keys.is_empty() {
                        self.at = At::Records(0);
                    }
                    for (key, _) in keys {
                        spent += self.verify(device, Piece::Value(key.clone()), damaged);
                        self.at = At::Values(Some(key));
                        if spent >= bytes {
                            break;
                        }
                    }
                }
                At::Records(seq) => {
                    let (behind, last) = device.records();
                    // A checkpoint has dropped those before.
                    let seq = seq.max(behind + 1);
                    if seq > last {
                        self.at = At::Chunks(0);
                    } else {
                        spent += self.verify(device, Piece::Record(seq), damaged);
                        self.at = At::Records(seq + 1);
                    }
                }
                At::Chunks(n) => {
                    let pieces = self.pieces;
                    spent += self.verify(device, Piece::Chunk(n), damaged);
                    self.at = At::Chunks(n + 1);
                    if self.pieces == pieces {
                        self.at = At::Values(None);
                        return (spent, true);
                    }
                }
            }
        }
        (spent, false)
    }

    /// What reading this costs.
    fn verify(&mut self, device: &dyn Upkeep, piece: Piece, damaged: &mut Vec<ReadError>) -> u64 {
        match device.verify(&piece) {
            Ok(None) => PIECE_BYTES,
            Ok(Some(bytes)) => {
                self.pieces += 1;
                bytes + PIECE_BYTES
            }
            Err(error) => {
                (self.pieces, self.damaged) = (self.pieces + 1, self.damaged + 1);
                damaged.push(error);
                PIECE_BYTES
            }
        }
    }
}
