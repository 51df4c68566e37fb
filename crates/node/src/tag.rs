//! What the engine carries for the rules and never reads: an entry's tag holds epoch and request, a transfer's cursor is
//! bytes to whoever asks.

use dataplane::wire::{self, Code};
use dataplane::{Epoch, Origin};
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
