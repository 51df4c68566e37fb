//! What the nodes say to each other, as bytes: one byte for the kind, the round (8 bytes), and two numbers of 8 bytes: where a
//! log ends (epoch, seq), or what a sync takes, and 0.

use dataplane::wire::{self, WireError};
use dataplane::{Epoch, Micros, Tail};

/// One message. The frame around it has what its sender has promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Words {
    /// Would you vote for me, with this log? Answers repeat the number of the round.
    Ask {
        /// Names the question; random.
        round: u64,
        /// Where the log ends.
        tail: Tail,
    },
    /// I would.
    Grant {
        /// The question.
        round: u64,
        /// What a sync of mine takes: a promise is made durable before it is given.
        sync_micros: Micros,
    },
    /// I would not.
    Refuse {
        /// The question.
        round: u64,
    },
}

impl Words {
    /// As bytes.
    pub fn encode(self) -> Vec<u8> {
        wire::encode_value(&match self {
            Words::Ask { round, tail } => (1u8, round, (tail.epoch.0, tail.seq)),
            Words::Grant { round, sync_micros } => (2, round, (sync_micros, 0)),
            Words::Refuse { round } => (3, round, (0, 0)),
        })
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Words, WireError> {
        match wire::decode_all::<(u8, u64, (u64, u64))>(bytes)? {
            (1, round, (epoch, seq)) => Ok(Words::Ask { round, tail: Tail { epoch: Epoch(epoch), seq } }),
            (2, round, (sync_micros, 0)) => Ok(Words::Grant { round, sync_micros }),
            (3, round, (0, 0)) => Ok(Words::Refuse { round }),
            (kind, ..) => Err(WireError::UnknownVariant(kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were_said_and_nothing_else_is_taken_for_words() {
        let tail = Tail { epoch: Epoch(3), seq: 9 };
        for words in [
            Words::Ask { round: 7, tail },
            Words::Grant { round: 7, sync_micros: 5 },
            Words::Refuse { round: 7 },
        ] {
            let bytes = words.encode();
            assert_eq!(Words::decode(&bytes), Ok(words));
            for cut in 0..bytes.len() {
                assert_eq!(Words::decode(&bytes[..cut]), Err(WireError::Length));
            }
            assert!(Words::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        assert_eq!(Words::decode(&[9; 25]), Err(WireError::UnknownVariant(9)));
        assert!(
            Words::decode(&wire::encode_value(&(3u8, 7u64, (1u64, 0u64)))).is_err(),
            "a refusal says nothing more"
        );
    }
}
