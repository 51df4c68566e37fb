//! What is asked and answered, as bytes: one byte for the kind, and what belongs to it.

use dataplane::wire::{self, Code, WireError};
use dataplane::{Change, Epoch, NodeId, Seq};

/// What a node says to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Words {
    /// Lead, above this epoch: I was removed.
    Lead(Epoch),
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// Comes back in the answer.
    pub number: u64,
    /// Add or remove. Whether a node counts is never asked for: it does when it is ready.
    pub change: Change,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// It is so already, and committed.
    Done,
    /// The change is in the log as this entry. Ask again to learn that it is committed.
    Begun(Seq),
    /// Not now: ask again.
    Later(String),
    /// Not at all.
    Refused(String),
    /// This node does not lead; it follows that one.
    Elsewhere(Option<NodeId>),
}

impl Words {
    /// As bytes.
    pub fn encode(self) -> Vec<u8> {
        let Words::Lead(epoch) = self;
        wire::encode_value(&(1u8, epoch))
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Words, WireError> {
        match wire::decode_all::<(u8, Epoch)>(bytes)? {
            (1, epoch) => Ok(Words::Lead(epoch)),
            (kind, _) => Err(WireError::UnknownVariant(kind)),
        }
    }
}

impl Asked {
    /// As bytes.
    pub fn encode(self) -> Vec<u8> {
        wire::encode_value(&(self.number, self.change))
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Asked, WireError> {
        let (number, change) = wire::decode_all(bytes)?;
        Ok(Asked { number, change })
    }
}

impl Reply {
    /// As bytes, to the question of this number.
    pub fn encode(&self, number: u64) -> Vec<u8> {
        let mut out = wire::encode_value(&number);
        let text = |kind: u8, why: &str, out: &mut Vec<u8>| {
            out.push(kind);
            why.as_bytes().to_vec().put(out);
        };
        match self {
            Reply::Done => out.push(1),
            Reply::Begun(seq) => (2u8, *seq).put(&mut out),
            Reply::Later(why) => text(3, why, &mut out),
            Reply::Refused(why) => text(4, why, &mut out),
            Reply::Elsewhere(primary) => (5u8, *primary).put(&mut out),
        }
        out
    }

    /// From bytes: to which question, and what.
    pub fn decode(mut bytes: &[u8]) -> Result<(u64, Reply), WireError> {
        let bytes = &mut bytes;
        let (number, kind) = (u64::get(bytes)?, u8::get(bytes)?);
        let text = |bytes: &mut &[u8]| {
            let why = Vec::<u8>::get(bytes)?;
            Ok::<_, WireError>(String::from_utf8_lossy(&why).into_owned())
        };
        let reply = match kind {
            1 => Reply::Done,
            2 => Reply::Begun(Code::get(bytes)?),
            3 => Reply::Later(text(bytes)?),
            4 => Reply::Refused(text(bytes)?),
            5 => Reply::Elsewhere(Code::get(bytes)?),
            other => return Err(WireError::UnknownVariant(other)),
        };
        if bytes.is_empty() { Ok((number, reply)) } else { Err(WireError::Length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::Place;

    #[test]
    fn what_is_said_comes_back_and_nothing_else_is_taken_for_it() {
        assert_eq!(Words::decode(&Words::Lead(Epoch(7)).encode()), Ok(Words::Lead(Epoch(7))));
        assert!(Words::decode(&[2; 9]).is_err());
        let asked = Asked { number: 3, change: Change::Add(NodeId(4), Place([9; 18])) };
        assert_eq!(Asked::decode(&asked.encode()), Ok(asked));
        for reply in [
            Reply::Done,
            Reply::Begun(9),
            Reply::Later("later".into()),
            Reply::Refused("no".into()),
            Reply::Elsewhere(Some(NodeId(2))),
        ] {
            let bytes = reply.encode(8);
            assert_eq!(Reply::decode(&bytes), Ok((8, reply)));
            (0..bytes.len()).for_each(|cut| assert!(Reply::decode(&bytes[..cut]).is_err()));
            assert!(Reply::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
    }
}
