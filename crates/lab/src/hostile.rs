//! Bytes from anywhere, given to every decoder: no panic, and nothing allocated beyond what is there.
//!
//! Each target takes any bytes at all. `fuzz/` gives them to libFuzzer; a test gives them a bounded run of the same
//! generator ([`inputs`]). Bytes alone hardly ever pass a checksum, so each target also seals them: what a decoder
//! accepts then must come out of the encoder as it went in.

use std::sync::Arc;

use dataplane::wire;
use dataplane::{
    Address, Condition, Entry, Epoch, Frame, GatewayId, Message, NodeId, Op, Origin, RequestId, Tail,
};
use disk::Disk;
use engine::format::checkpoint_chunk::{self, ChunkHeader, ItemHeader, StreamHead};
use engine::format::superblock::{self, SLOT_BYTES, Superblock};
use engine::format::value_ref::{EXTENTS_MAX, PackedExtent};
use engine::format::wal_record::{self, RECORD_BYTES_MAX, WalHeader, WalRecord};
use engine::{Device, Engine};
use trace::Mechanisms;

use crate::device::{IDENTITY, image_with_a_past};

/// Takes any bytes; panics if they find a bug.
pub type Target = fn(&[u8]);

/// The targets, by name.
pub const TARGETS: [(&str, Target); 5] = [
    ("superblock", superblock),
    ("wal_record", wal_record),
    ("checkpoint_chunk", checkpoint_chunk),
    ("frame", frame),
    ("image", image),
];

/// The structure with its magic number, and the CRC of so many bytes.
fn sealed(bytes: &[u8], magic: u32, len: usize) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    sealed.resize(sealed.len().max(8), 0);
    sealed[..4].copy_from_slice(&magic.to_le_bytes());
    let end = len.clamp(8, sealed.len());
    let crc = crc32c::crc32c(&sealed[8..end]);
    sealed[4..8].copy_from_slice(&crc.to_le_bytes());
    sealed
}

/// Four bytes as a number, 0 where there are none.
fn word(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

/// A superblock slot.
pub fn superblock(bytes: &[u8]) {
    for bytes in [bytes, &sealed(bytes, superblock::MAGIC, SLOT_BYTES)] {
        if let Ok(decoded) = Superblock::decode(bytes) {
            assert_eq!(
                Superblock::decode(&decoded.encode()).map(Superblock::unsealed).ok(),
                Some(decoded.unsealed())
            );
        }
    }
}

trait Unsealed {
    /// Without the CRC, which also covers padding that a decoder does not look at.
    fn unsealed(self) -> Self;
}

impl Unsealed for Superblock {
    fn unsealed(self) -> Superblock {
        Superblock { crc: 0, ..self }
    }
}

/// A record of the log.
pub fn wal_record(bytes: &[u8]) {
    // The length field is the third; a fitting one is tried too.
    let mut fitting = bytes.to_vec();
    if fitting.len() >= WalHeader::BYTES {
        let lengths = [14, 16].map(|at| usize::from(fitting[at]) | usize::from(fitting[at + 1]) << 8);
        let extents = word(&fitting, 68).min(EXTENTS_MAX);
        let length = WalHeader::BYTES + extents * PackedExtent::BYTES + lengths[0] + lengths[1];
        fitting[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    }
    let sealed = sealed(&fitting, wal_record::MAGIC, word(&fitting, 8));
    for (bytes, crc_counts) in [(bytes, true), (bytes, false), (&sealed, true)] {
        if let Ok(decoded) = WalRecord::decode(bytes, crc_counts) {
            let mut encoded = Vec::new();
            decoded.encode(&mut encoded);
            let again = WalRecord::decode(&encoded, true).expect("what was encoded is decoded");
            assert_eq!((again.key, again.tag, again.value), (decoded.key, decoded.tag, decoded.value));
            assert!(encoded.len() <= RECORD_BYTES_MAX && encoded.len() <= bytes.len());
        }
    }
}

/// A chunk of a checkpoint, and the items in its piece of the stream.
pub fn checkpoint_chunk(bytes: &[u8]) {
    let len = ChunkHeader::BYTES.saturating_add(word(bytes, 8));
    for bytes in [bytes, &sealed(bytes, checkpoint_chunk::MAGIC, len)] {
        if let Ok(header) = checkpoint_chunk::decode(bytes) {
            assert!(ChunkHeader::BYTES + header.piece_bytes as usize <= bytes.len());
        }
    }
    for from in [0, ChunkHeader::BYTES, ChunkHeader::BYTES + StreamHead::BYTES] {
        let mut rest = bytes.get(from..).unwrap_or_default();
        while let Ok((key, value, len)) = checkpoint_chunk::decode_item(rest) {
            let list = value.extent_count() * PackedExtent::BYTES;
            assert!(len == ItemHeader::BYTES + list + key.len() && len <= rest.len());
            rest = &rest[len..];
        }
    }
}

/// A frame of the wire: the bytes as they are, and as the body of a frame.
pub fn frame(bytes: &[u8]) {
    let _ = wire::frame_bytes(bytes);
    let body = bytes.get(8..).unwrap_or_default();
    let mut sealed = ((body.len() + 4) as u32).to_le_bytes().to_vec();
    sealed.extend(crc32c::crc32c(body).to_le_bytes());
    sealed.extend_from_slice(body);
    for bytes in [bytes, &sealed] {
        if let Ok(decoded) = wire::decode(bytes) {
            let mut encoded = Vec::new();
            wire::encode(&decoded, &mut encoded);
            assert_eq!(wire::decode(&encoded), Ok(decoded));
        }
    }
}

/// A device on which bytes were changed: every six bytes are a place, a byte to put there, and whether the structure
/// there is sealed again. Then it is opened, and everything is read.
pub fn image(bytes: &[u8]) {
    let mut image = image_with_a_past();
    for edit in bytes.chunks_exact(6).take(64) {
        let at = word(edit, 0) % image.len();
        image[at] = edit[4];
        if edit[5] & 1 == 1 {
            reseal(&mut image, at / 512 * 512);
        }
    }
    let opened = Engine::open(Disk::of(&image), &IDENTITY, Mechanisms::all());
    let Ok((mut engine, report)) = opened else { return };
    let _ = format!("{report:?}");
    let _ = engine.commit(engine.last_seq());
    for (key, ..) in engine.scan(b"", None, 100) {
        let _ = engine.get(&key);
    }
    for seq in engine.retained_from()..=engine.last_seq().min(engine.retained_from() + 50) {
        let _ = engine.entry(seq);
    }
    let _ = engine.owners();
    let _ = engine.transfer_read(None, 0, 1000);
    assert!(engine.device().size() as usize == image.len());
}

/// Seals the structure at `at` again, if it is one, so that the damage gets past the checksums.
fn reseal(image: &mut [u8], at: usize) {
    let magic = word(image, at) as u32;
    let len = match magic {
        superblock::MAGIC => SLOT_BYTES,
        wal_record::MAGIC => word(image, at + 8),
        checkpoint_chunk::MAGIC => ChunkHeader::BYTES + word(image, at + 8),
        _ => return,
    };
    if let Some(structure) = image.get(at..at.saturating_add(len)).filter(|_| len >= 8) {
        let sealed = sealed(structure, magic, len);
        image[at..at + len].copy_from_slice(&sealed);
    }
}

/// Whole structures of each kind, to begin from.
pub fn seeds() -> Vec<Vec<u8>> {
    let image = image_with_a_past();
    let mut seeds: Vec<Vec<u8>> = (0..image.len() / 512)
        .filter(|sector| image[sector * 512..][..512].iter().any(|&byte| byte != 0))
        .map(|sector| image[sector * 512..(sector * 512 + 1024).min(image.len())].to_vec())
        .collect();
    seeds.push(Vec::new());
    let request = RequestId { session: 1, number: 2 };
    let (key, value): (Arc<[u8]>, Arc<[u8]>) = (b"key".as_slice().into(), b"value".as_slice().into());
    let op = Op::Put { key, value, condition: Condition::Version(7) };
    let entry = Entry { seq: 3, epoch: Epoch(2), origin: Origin::Request(request), op: op.clone() };
    let gateway = GatewayId { gateway: 1, life: 2 };
    let messages = [
        Message::Prepare {
            epoch: Epoch(2),
            prev: Tail { epoch: Epoch(1), seq: 2 },
            entries: vec![entry],
            commit: 1,
        },
        Message::Promised { epoch: Epoch(3), tail: Tail::default() },
        Message::Pull { epoch: Epoch(3), transfer: 4, unproven: true, cursor: vec![1, 2, 3] },
        Message::Write { request, op },
        Message::OpenSession,
    ];
    for message in messages {
        let (from, to) = (Address::Gateway(gateway), Address::Node(NodeId(1)));
        let mut bytes = Vec::new();
        wire::encode(&Frame { cluster: [7; 16], shard: 0, from, to, cause: None, message }, &mut bytes);
        seeds.push(bytes);
    }
    seeds
}

/// So many inputs: a seed with some bytes changed, cut off or added, or noise. The same ones each time.
pub fn inputs(count: u64) -> impl Iterator<Item = Vec<u8>> {
    let seeds = seeds();
    let mut state = 1u64;
    let mut below = move |n: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    };
    (0..count).map(move |_| {
        if below(5) == 0 {
            return (0..below(600)).map(|_| below(256) as u8).collect();
        }
        let mut bytes = seeds[below(seeds.len())].clone();
        for _ in 0..below(8) {
            let at = below(bytes.len());
            match below(8) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, below(256) as u8),
                2 if bytes.len() >= at + 4 => bytes[at..at + 4].fill(0xff),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = below(256) as u8),
            }
        }
        bytes
    })
}
