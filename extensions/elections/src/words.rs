//! What the nodes say to each other, as bytes: one byte for the kind, the round (8 bytes), and the end of a log.

use dataplane::Tail;
use dataplane::wire::{self, WireError};

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
        let (kind, round, tail) = match self {
            Words::Ask { round, tail } => (1u8, round, Some(tail)),
            Words::Grant { round } => (2, round, None),
            Words::Refuse { round } => (3, round, None),
        };
        wire::encode_value(&(kind, round, tail))
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Words, WireError> {
        match wire::decode_all::<(u8, u64, Option<Tail>)>(bytes)? {
            (1, round, Some(tail)) => Ok(Words::Ask { round, tail }),
            (2, round, None) => Ok(Words::Grant { round }),
            (3, round, None) => Ok(Words::Refuse { round }),
            (kind, ..) => Err(WireError::UnknownVariant(kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use dataplane::Epoch;

    use super::*;

    #[test]
    fn words_come_back_as_they_were_said_and_nothing_else_is_taken_for_words() {
        let tail = Tail { epoch: Epoch(3), seq: 9 };
        for words in [Words::Ask { round: 7, tail }, Words::Grant { round: 7 }, Words::Refuse { round: 7 }] {
            let bytes = words.encode();
            assert_eq!(Words::decode(&bytes), Ok(words));
            for cut in 0..bytes.len() {
                assert_eq!(Words::decode(&bytes[..cut]), Err(WireError::Length));
            }
            assert!(Words::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        assert_eq!(Words::decode(&[9; 10]), Err(WireError::UnknownVariant(9)));
        let grant_with_a_tail = wire::encode_value(&(2u8, 7u64, Some(tail)));
        assert_eq!(Words::decode(&grant_with_a_tail), Err(WireError::UnknownVariant(2)));
    }
}
