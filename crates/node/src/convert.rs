//! Entries and outcomes between the two vocabularies. The engine knows no epochs and no requests: they travel in an
//! entry's tag, which it stores and never reads.

use dataplane::wire::{self, Code};
use dataplane::{Condition, Epoch, Op, Origin, Outcome, ReadResult};
use engine::TransferCursor;

/// Longest tag: an epoch, a choice, two numbers.
pub(crate) const TAG_BYTES_MAX: usize = 8 + 1 + 16;

/// Writes the tag into `tag`, in the place of what was there.
pub(crate) fn tag_to_bytes(epoch: Epoch, origin: Origin, tag: &mut Vec<u8>) {
    tag.clear();
    (epoch, origin).put(tag);
}

pub(crate) fn tag_from_bytes(bytes: &[u8]) -> Result<(Epoch, Origin), wire::WireError> {
    wire::decode_all(bytes)
}

pub(crate) fn cursor_to_bytes(cursor: TransferCursor) -> Vec<u8> {
    wire::encode_value(&(cursor.seq, cursor.at))
}

pub(crate) fn cursor_from_bytes(bytes: &[u8]) -> Option<TransferCursor> {
    wire::decode_all(bytes).ok().map(|(seq, at)| TransferCursor { seq, at })
}

fn condition_to_engine(condition: Condition) -> engine::Condition {
    match condition {
        Condition::Always => engine::Condition::Always,
        Condition::Absent => engine::Condition::Absent,
        Condition::Present => engine::Condition::Present,
        Condition::Version(seq) => engine::Condition::Version(seq),
    }
}

fn condition_from_engine(condition: engine::Condition) -> Condition {
    match condition {
        engine::Condition::Always => Condition::Always,
        engine::Condition::Absent => Condition::Absent,
        engine::Condition::Present => Condition::Present,
        engine::Condition::Version(seq) => Condition::Version(seq),
    }
}

pub(crate) fn op_into_engine(op: Op) -> engine::Op {
    match op {
        Op::Put { key, value, condition } => {
            engine::Op::Put { key, value, condition: condition_to_engine(condition) }
        }
        Op::Delete { key, condition } => {
            engine::Op::Delete { key, condition: condition_to_engine(condition) }
        }
        Op::Nop => engine::Op::Nop,
    }
}

pub(crate) fn op_from_engine(op: engine::Op) -> Op {
    match op {
        engine::Op::Put { key, value, condition } => {
            Op::Put { key, value, condition: condition_from_engine(condition) }
        }
        engine::Op::Delete { key, condition } => {
            Op::Delete { key, condition: condition_from_engine(condition) }
        }
        engine::Op::Nop => Op::Nop,
    }
}

pub(crate) fn sizes(op: &Op) -> engine::Sizes {
    let (key_bytes, value_bytes) = match op {
        Op::Put { key, value, .. } => (key.len(), Some(value.len())),
        Op::Delete { key, .. } => (key.len(), None),
        Op::Nop => (0, None),
    };
    engine::Sizes { key_bytes, value_bytes }
}

/// About how many bytes an operation takes in a frame.
pub(crate) fn op_bytes(op: &Op) -> usize {
    let engine::Sizes { key_bytes, value_bytes } = sizes(op);
    64 + key_bytes + value_bytes.unwrap_or(0)
}

pub(crate) fn outcome_from_engine(outcome: engine::Outcome) -> Outcome {
    match outcome {
        engine::Outcome::Written { version } => Outcome::Written(version),
        engine::Outcome::Deleted { existed } => Outcome::Deleted { existed },
        engine::Outcome::ConditionFailed { current } => Outcome::ConditionFailed { current },
        engine::Outcome::Nothing => Outcome::Nothing,
    }
}

/// A read's result in a few words, for the trace.
pub(crate) fn describe(result: &ReadResult) -> String {
    match result {
        ReadResult::Value(version, value) => format!("version {version}, {} bytes", value.len()),
        ReadResult::Long(bytes) => format!("{bytes} bytes, more than asked for"),
        ReadResult::Missing => "no such key".into(),
        ReadResult::Keys(keys) => format!("{} keys", keys.len()),
        ReadResult::Count(n) => format!("{n} keys in all"),
        ReadResult::Damaged => "the value is damaged".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::{GatewayId, RequestId};

    #[test]
    fn no_tag_is_longer_than_the_longest() {
        let request = Origin::Request(RequestId { session: u64::MAX, number: u64::MAX });
        let session = Origin::Session(GatewayId { gateway: u32::MAX, life: u32::MAX });
        let longest = [request, session, Origin::Marker].map(|origin| {
            let mut tag = vec![1; 99];
            tag_to_bytes(Epoch(1), origin, &mut tag);
            tag.len()
        });
        assert_eq!(longest.iter().max(), Some(&TAG_BYTES_MAX));
    }
}
