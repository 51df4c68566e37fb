//! Frames as bytes: one table for the encoder and the decoder.
//!
//! | offset | size | field | checked by |
//! |---|---|---|---|
//! | 0 | 4 | length of the rest, at most [`FRAME_BYTES_MAX`] | [`frame_bytes`], before anything is allocated |
//! | 4 | 4 | CRC-32C of the body | [`decode`] |
//! | 8 | … | body: cluster, shard, from, to, cause, message | [`decode`]; identity by `guard::frame_identity` |
//!
//! All integers are little-endian. A list is its length (4 bytes) and its items; bytes are a list of bytes; an optional
//! value is a byte 0, or 1 and the value; a choice is one byte naming the variant and the variant's fields. A message
//! is a choice whose numbers and fields stand in the table at the end of this file; both directions are made from it,
//! so they cannot differ. The CRC is against bugs and bad memory, not against attackers.

use std::sync::Arc;

use trace::{Actor, EventId};

use crate::message::*;
use crate::types::*;

/// Longest frame, without its length field. Each part of a frame is bounded, and so is their sum: a page of the most and
/// longest keys, or the payload, one item beyond it, and the sessions of a state.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// More than everything around a key, an entry, a result or a message takes.
const AROUND_BYTES: usize = 128;
const _: () = {
    let keys = SCAN_KEYS_MAX as usize * (KEY_BYTES_MAX + AROUND_BYTES);
    let item = KEY_BYTES_MAX + VALUE_BYTES_MAX + AROUND_BYTES;
    let sessions = Limits::MAX.sessions * (AROUND_BYTES + Limits::MAX.window as usize * 32);
    assert!(keys + AROUND_BYTES <= FRAME_BYTES_MAX);
    // Of small items nearly all is what stands around them.
    assert!(2 * PAYLOAD_BYTES_MAX + item + sessions + AROUND_BYTES <= FRAME_BYTES_MAX);
    assert!(TRACE_BYTES_MAX + AROUND_BYTES <= FRAME_BYTES_MAX);
};

/// Items of a list for which there is room at once.
const ITEMS_AT_ONCE: usize = 512;

/// Why bytes are not a frame. The connection they came over is of no further use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The length field exceeds [`FRAME_BYTES_MAX`].
    TooLong(u32),
    /// The bytes end before the frame does, or the frame before its bytes.
    Length,
    /// The checksum does not fit.
    Checksum {
        /// In the frame.
        expected: u32,
        /// Of its bytes.
        found: u32,
    },
    /// A choice byte that names nothing.
    UnknownVariant(u8),
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WireError::TooLong(len) => write!(f, "a frame of {len} bytes, longer than {FRAME_BYTES_MAX}"),
            WireError::Length => f.write_str("a frame whose length does not fit its content"),
            WireError::Checksum { expected, found } => {
                write!(f, "a frame with checksum {found:#010x} where {expected:#010x} was announced")
            }
            WireError::UnknownVariant(tag) => write!(f, "a frame with unknown variant {tag}"),
        }
    }
}

impl std::error::Error for WireError {}

/// Appends `frame` to `out`.
pub fn encode(frame: &Frame, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    frame.put(out);
    let crc = crc32c::crc32c(&out[start + 8..]);
    let len = out.len() - start - 4;
    // The receiver would close the connection, and be sent the same again. What makes it hold is said at the constant.
    assert!(len <= FRAME_BYTES_MAX, "a {} of {len} bytes", frame.message.name());
    let len = len as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// How many bytes the first frame in `buffer` takes, length field included; `None` while its length is not there yet.
pub fn frame_bytes(buffer: &[u8]) -> Result<Option<usize>, WireError> {
    let Some(len) = buffer.first_chunk::<4>() else { return Ok(None) };
    let len = u32::from_le_bytes(*len);
    if len as usize > FRAME_BYTES_MAX { Err(WireError::TooLong(len)) } else { Ok(Some(len as usize + 4)) }
}

/// Decodes one whole frame: exactly the bytes that [`frame_bytes`] counted.
pub fn decode(bytes: &[u8]) -> Result<Frame, WireError> {
    if frame_bytes(bytes)? != Some(bytes.len()) || bytes.len() < 8 {
        return Err(WireError::Length);
    }
    let expected = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let found = crc32c::crc32c(&bytes[8..]);
    if expected != found {
        return Err(WireError::Checksum { expected, found });
    }
    decode_all(&bytes[8..])
}

/// Encodes any value of the vocabulary on its own: tags of log entries, state carried in checkpoints.
pub fn encode_value<T: Code>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value.put(&mut out);
    out
}

/// Decodes what [`encode_value`] encoded, and nothing more.
pub fn decode_all<T: Code>(mut bytes: &[u8]) -> Result<T, WireError> {
    let value = T::get(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(WireError::Length) }
}

/// A value that has a form as bytes.
pub trait Code: Sized {
    /// Appends the value to `out`.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes a value off the front of `bytes`.
    fn get(bytes: &mut &[u8]) -> Result<Self, WireError>;
    /// The name of its variant, if it is a choice.
    fn variant(&self) -> &'static str {
        ""
    }
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], WireError> {
    let (front, rest) = bytes.split_at_checked(n).ok_or(WireError::Length)?;
    *bytes = rest;
    Ok(front)
}

macro_rules! code_integer {
    ($($int:ty)*) => {$(
        impl Code for $int {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
                let raw = take(bytes, size_of::<$int>())?;
                Ok(<$int>::from_le_bytes(raw.try_into().expect("take returns the size asked for")))
            }
        }
    )*};
}
code_integer!(u8 u32 u64);

impl Code for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
    fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
        match u8::get(bytes)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(WireError::UnknownVariant(other)),
        }
    }
}

impl Code for ClusterId {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
        Ok(take(bytes, 16)?.try_into().expect("take returns the size asked for"))
    }
}

impl Code for Place {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
        Ok(Place(take(bytes, 18)?.try_into().expect("take returns the size asked for")))
    }
}

impl Code for Arc<[u8]> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self);
    }
    fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
        let len = u32::get(bytes)? as usize;
        Ok(take(bytes, len)?.into())
    }
}

impl<T: Code> Code for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        self.iter().for_each(|item| item.put(out));
    }
    fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
        let len = u32::get(bytes)? as usize;
        // Every item takes at least a byte: a longer list cannot be there, and nothing is allocated for it.
        if len > bytes.len() {
            return Err(WireError::Length);
        }
        // An item may take more memory than bytes here, so a list is trusted with no more room than an honest batch needs.
        let mut items = Vec::with_capacity(len.min(ITEMS_AT_ONCE));
        for _ in 0..len {
            items.push(T::get(bytes)?);
        }
        Ok(items)
    }
}

impl<T: Code> Code for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|value| value.put(out));
    }
    fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
        Ok(if bool::get(bytes)? { Some(T::get(bytes)?) } else { None })
    }
}

macro_rules! code_tuple {
    ($($name:ident)*) => {
        impl<$($name: Code),*> Code for ($($name,)*) {
            #[allow(non_snake_case)]
            fn put(&self, out: &mut Vec<u8>) {
                let ($($name,)*) = self;
                $($name.put(out);)*
            }
            fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
                Ok(($($name::get(bytes)?,)*))
            }
        }
    };
}
code_tuple!(A B);
code_tuple!(A B C);

macro_rules! code_struct {
    ($($name:ident { $($field:tt),* })*) => {$(
        impl Code for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }
            fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
                Ok($name { $($field: Code::get(bytes)?),* })
            }
        }
    )*};
}

macro_rules! code_enum {
    ($($name:ident { $($tag:literal $variant:ident $(($($item:ident),*))? $({ $($field:ident),* })?;)* })*) => {$(
        impl Code for $name {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $($name::$variant $(($($item),*))? $({ $($field),* })? => {
                        out.push($tag);
                        $($($item.put(out);)*)?
                        $($($field.put(out);)*)?
                    })*
                }
            }
            fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
                match u8::get(bytes)? {
                    $($tag => {
                        $($(let $item = Code::get(bytes)?;)*)?
                        $($(let $field = Code::get(bytes)?;)*)?
                        Ok($name::$variant $(($($item),*))? $({ $($field),* })?)
                    })*
                    other => Err(WireError::UnknownVariant(other)),
                }
            }
            fn variant(&self) -> &'static str {
                match self {
                    $($name::$variant { .. } => stringify!($variant),)*
                }
            }
        }
    )*};
}

pub(crate) use code_struct;

code_struct! {
    NodeId { 0 }
    Epoch { 0 }
    GatewayId { gateway, life }
    Tail { epoch, seq }
    RequestId { session, number }
    Entry { seq, epoch, origin, op }
    EventId { actor, life, n }
    Frame { cluster, shard, from, to, cause, message }
    Chunk { seq, items, next, host_state }
    ValueName { key, version, epoch }
    Usage {
        syncs, written_bytes, claimed_bytes, claimable_bytes, values_damaged, values_mended,
        values_missing
    }
    NodeStatus { pid, role, serving, proof, promised, primary, tail, voted_tail, durable, committed, cut_off_micros, sync_micros }
}

code_enum! {
    Condition { 0 Always; 1 Absent; 2 Present; 3 Version(seq); }
    Op { 1 Put { key, value, condition }; 2 Delete { key, condition }; 3 Nop; }
    Outcome { 1 Written(seq); 2 Deleted { existed }; 3 ConditionFailed { current }; 4 Nothing; 5 NoRoom; }
    Actor { 0 World; 1 Node { node, shard }; 2 Gateway(id); 3 Client(id); }
    Address { 1 Node(id); 2 Gateway(id); }
    Origin { 1 Marker; 2 Session(gateway); 3 Request(id); 4 Change(change); }
    Change { 1 Add(node, place); 2 Promote(node); 3 Remove(node); }
    Membership { 1 Learner; 2 Voter; 3 Gone; }
    Query { 1 Get(key); 2 Scan { prefix, after, limit }; 3 Count; 4 GetUpTo(key, most); }
    ReadResult { 1 Value(seq, value); 2 Missing; 3 Keys(keys); 4 Count(n); 5 Damaged; 6 Long(bytes); }
    WriteResult { 1 Done(outcome); 2 SessionUnknown(seq); }
    Refusable { 1 Write(id); 2 OpenSession; 3 Read(id); }
    Refusal { 1 NotPrimary { primary }; 2 NotServing; 3 Busy; 4 Invalid; }
    RoleName { 1 Primary; 2 Backup; 3 Candidate; }
    Proof { 1 Proven; 2 Unproven; 3 Transferring; }
    Message {
        1 Prepare { epoch, prev, entries, commit };
        2 PrepareOk { epoch, matched };
        3 PrepareRefused { epoch, prev, last, lost };
        12 Contradicted { epoch, acknowledged };
        4 PromiseRequest { epoch };
        5 Promised { epoch, tail };
        6 Fenced { promised };
        7 Confirm { epoch, round };
        8 Confirmed { epoch, round };
        9 Behind { epoch, retained_from };
        10 Pull { epoch, transfer, unproven, cursor };
        11 Chunk { epoch, transfer, cursor, chunk };
        13 Fetch(name);
        14 Fetched { name, value };
        15 Extension { extension, epoch, words };
        20 Write { request, op };
        21 OpenSession;
        22 Read { id, query };
        23 Answer { request, result };
        24 SessionOpened { session };
        25 ReadAnswer { id, result };
        26 Refused { what, why };
        27 Probe { attempt };
        28 Status { attempt, status };
        29 TakeOver { above, patience };
        30 Members { serves, rows };
        40 TraceRequest;
        41 TraceReply { lines };
        42 Usage(usage);
    }
}
