//! How bytes on the device are described: one table per structure drives encoder, decoder, `inspect` and the docs.
//!
//! All numbers are little-endian. Every structure but those inside a checkpoint's stream, and the extents of a value, begins with a magic number
//! and a CRC-32C; the CRC covers all bytes after itself. A structure that was torn by a power cut, or that was never
//! written, therefore does not decode; whether that is expected (the end of the log) or damage is for recovery to say.

pub mod checkpoint_chunk;
pub mod superblock;
pub mod value_ref;
pub mod wal_record;

use crate::error::DecodeError;

/// One row of an offset table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Byte offset in the structure.
    pub offset: usize,
    /// Size in bytes.
    pub bytes: usize,
    /// The field's name.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// Bytes that magic number and CRC take, where a structure has them.
pub(crate) const SEAL_BYTES: usize = 8;

/// A value of fixed size.
pub(crate) trait Raw: Sized {
    const BYTES: usize;
    fn put(&self, out: &mut [u8]);
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! raw {
    ($($number:ty),*) => {$(
        impl Raw for $number {
            const BYTES: usize = size_of::<$number>();
            fn put(&self, out: &mut [u8]) {
                out.copy_from_slice(&self.to_le_bytes());
            }
            fn get(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$number>()];
                raw.copy_from_slice(bytes);
                <$number>::from_le_bytes(raw)
            }
        }
    )*};
}

raw!(u8, u16, u32, u64);

impl<const N: usize> Raw for [u8; N] {
    const BYTES: usize = N;
    fn put(&self, out: &mut [u8]) {
        out.copy_from_slice(self);
    }
    fn get(bytes: &[u8]) -> Self {
        let mut raw = [0; N];
        raw.copy_from_slice(bytes);
        raw
    }
}

/// Declares a structure by its offset table. The compiler checks that the rows follow each other without a hole and
/// end at the stated size.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident $size:literal { $($offset:literal $field:ident: $type:ty, $meaning:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $(#[doc = $meaning] pub $field: $type,)* }

        impl $name {
            /// Size in bytes.
            pub const BYTES: usize = $size;
            /// The offset table.
            pub const FIELDS: &'static [$crate::format::Field] = &[$($crate::format::Field {
                offset: $offset,
                bytes: <$type as $crate::format::Raw>::BYTES,
                name: stringify!($field),
                meaning: $meaning,
            },)*];

            /// Writes the fields to the beginning of `out`.
            pub(crate) fn put(&self, out: &mut [u8]) {
                use $crate::format::Raw;
                $(self.$field.put(&mut out[$offset..$offset + <$type as Raw>::BYTES]);)*
            }

            /// Reads the fields, unchecked, from the beginning of `bytes`.
            pub(crate) fn get(bytes: &[u8]) -> Result<$name, $crate::error::DecodeError> {
                use $crate::format::Raw;
                $crate::format::long_enough(bytes, $size)?;
                Ok($name { $($field: Raw::get(&bytes[$offset..$offset + <$type as Raw>::BYTES]),)* })
            }
        }

        const _: () = {
            let mut end = 0;
            $(assert!(end == $offset, "a hole or an overlap"); end += <$type as $crate::format::Raw>::BYTES;)*
            assert!(end == $size, "another size than stated");
        };
    };
}
pub(crate) use table;

pub(crate) fn long_enough(bytes: &[u8], needed: usize) -> Result<(), DecodeError> {
    if bytes.len() < needed { Err(DecodeError::Short { bytes: bytes.len(), needed }) } else { Ok(()) }
}

/// Sets the CRC of an encoded structure, and returns it.
pub(crate) fn seal(structure: &mut [u8]) -> u32 {
    let crc = crc32c::crc32c(&structure[SEAL_BYTES..]);
    crc.put(&mut structure[4..SEAL_BYTES]);
    crc
}

/// Is this the structure with that magic number?
pub(crate) fn check_magic(bytes: &[u8], magic: u32) -> Result<(), DecodeError> {
    long_enough(bytes, SEAL_BYTES)?;
    let found = u32::get(&bytes[..4]);
    if found == magic { Ok(()) } else { Err(DecodeError::Magic { found }) }
}

/// Are these the bytes that were sealed?
pub(crate) fn check_crc(structure: &[u8]) -> Result<(), DecodeError> {
    let stored = u32::get(&structure[4..SEAL_BYTES]);
    let computed = crc32c::crc32c(&structure[SEAL_BYTES..]);
    if stored == computed { Ok(()) } else { Err(DecodeError::Crc { stored, computed }) }
}

/// A field has one of its possible values, or the structure is refused.
pub(crate) fn check_field(possible: bool, name: &'static str, value: u64) -> Result<(), DecodeError> {
    if possible { Ok(()) } else { Err(DecodeError::Field { name, value }) }
}
