//! Frames at their bounds.

use std::sync::Arc;

use dataplane::sessions::Sessions;
use dataplane::wire::{FRAME_BYTES_MAX, WireError, decode, encode, encode_value, frame_bytes};
use dataplane::{
    Address, Chunk, Condition, Epoch, Frame, GatewayId, KEY_BYTES_MAX, Message, NodeId, Op, Outcome,
    PAYLOAD_BYTES_MAX, ReadResult, RequestId, SCAN_KEYS_MAX, VALUE_BYTES_MAX,
};

fn frame(message: Message) -> Frame {
    let (from, to) = (Address::Gateway(GatewayId { gateway: 1, life: 2 }), Address::Node(NodeId(3)));
    Frame { cluster: [4; 16], shard: 5, from, to, cause: None, message }
}

fn bytes(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    encode(frame, &mut out);
    out
}

#[test]
fn the_greatest_value_fits_into_a_frame() {
    let (key, value) = (vec![1; KEY_BYTES_MAX].into(), vec![2; VALUE_BYTES_MAX].into());
    let request = RequestId { session: 1, number: 1 };
    let op = Op::Put { key, value, condition: Condition::Always };
    let greatest = frame(Message::Write { request, op });
    let bytes = bytes(&greatest);
    assert_eq!(frame_bytes(&bytes), Ok(Some(bytes.len())));
    assert_eq!(decode(&bytes), Ok(greatest));
}

/// Each part is bounded; together they must be as well. A last piece with full sessions beside a large value was closed as
/// too long, and asked for again for ever.
#[test]
fn the_greatest_piece_of_a_state_and_the_greatest_page_of_keys_fit_into_a_frame() {
    let mut sessions = Sessions::default();
    for session in 1..=dataplane::Limits::MAX.sessions as u64 {
        sessions.open(session, GatewayId { gateway: 1, life: 1 });
        for number in 1..=dataplane::Limits::MAX.window {
            let outcome = Outcome::ConditionFailed { current: Some(u64::MAX) };
            sessions.record(RequestId { session, number }, outcome, number);
        }
    }
    let host_state = encode_value(&(Epoch(1), sessions));
    let (key, value): (Arc<[u8]>, Arc<[u8]>) =
        (vec![1; KEY_BYTES_MAX].into(), vec![2; VALUE_BYTES_MAX].into());
    let small = PAYLOAD_BYTES_MAX / 2;
    let items = std::iter::once((key.clone(), 7, value));
    let items = items.chain((0..small as u64).map(|n| (Arc::from([1]), n, Arc::from([2])))).take(small / 16);
    let chunk = Chunk { seq: 9, items: items.collect(), next: None, host_state };
    let (epoch, transfer, cursor) = (Epoch(1), 1, vec![0; 64]);
    let piece = frame(Message::Chunk { epoch, transfer, cursor, chunk });
    let keys = vec![(key, u64::MAX, u32::MAX); SCAN_KEYS_MAX as usize];
    let page = frame(Message::ReadAnswer { id: 1, result: ReadResult::Keys(keys) });
    for greatest in [piece, page] {
        let bytes = bytes(&greatest);
        assert_eq!(frame_bytes(&bytes), Ok(Some(bytes.len())), "{}", greatest.message.name());
    }
}

#[test]
fn a_length_is_checked_before_anybody_waits_for_so_many_bytes() {
    let announced = |length: usize| frame_bytes(&(length as u32).to_le_bytes());
    assert_eq!(frame_bytes(&[1, 0, 0]), Ok(None));
    assert_eq!(announced(FRAME_BYTES_MAX - 1), Ok(Some(FRAME_BYTES_MAX + 3)));
    assert_eq!(announced(FRAME_BYTES_MAX), Ok(Some(FRAME_BYTES_MAX + 4)));
    let longer = FRAME_BYTES_MAX as u32 + 1;
    assert_eq!(announced(longer as usize), Err(WireError::TooLong(longer)));
    assert_eq!(announced(u32::MAX as usize), Err(WireError::TooLong(u32::MAX)));
}

#[test]
fn frames_stand_one_behind_the_other() {
    let (first, second) = (frame(Message::OpenSession), frame(Message::Probe { attempt: 7 }));
    let mut out = bytes(&first);
    let length = out.len();
    encode(&second, &mut out);
    assert_eq!(frame_bytes(&out), Ok(Some(length)));
    assert_eq!(decode(&out[..length]), Ok(first));
    assert_eq!(decode(&out[length..]), Ok(second));
}

#[test]
fn what_is_no_whole_frame_is_an_error_that_says_why() {
    let good = bytes(&frame(Message::OpenSession));
    for length in 0..good.len() {
        assert_eq!(decode(&good[..length]), Err(WireError::Length), "cut off at {length}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(decode(&longer), Err(WireError::Length), "a byte too many");
    // Lengths that are true, of frames too short to have a body, or even a checksum.
    assert_eq!(decode(&[0, 0, 0, 0]), Err(WireError::Length));
    assert_eq!(decode(&[3, 0, 0, 0, 0, 0, 0]), Err(WireError::Length));
    assert_eq!(decode(&[4, 0, 0, 0, 0, 0, 0, 0]), Err(WireError::Length), "its checksum fits, of nothing");
    let mut damaged = good;
    *damaged.last_mut().unwrap() ^= 1;
    let error = decode(&damaged).unwrap_err();
    assert!(matches!(error, WireError::Checksum { .. }) && error.to_string().contains("checksum"), "{error}");
}

#[test]
fn an_address_is_a_letter_and_a_number_to_people() {
    let frame = frame(Message::OpenSession);
    assert_eq!((frame.from.to_string(), frame.to.to_string()), ("g1".into(), "n3".into()));
}
