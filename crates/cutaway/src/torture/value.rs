//! Values that clients store: each has a number that no other has, so that whoever reads it knows which write that was.

use sim::rng::Rng;

/// Longest value, and longest of one in fifty.
const SIZES: [u64; 2] = [400, 60_000];

/// A value as it is stored: its number, and bytes behind it.
pub fn stored(value: u64, rng: &mut Rng) -> Vec<u8> {
    let most = SIZES[usize::from(rng.below(50) == 0)];
    let mut bytes = format!("{value} ").into_bytes();
    bytes.resize(bytes.len() + rng.below(most) as usize, b'.');
    bytes
}

/// The number of a value that was read; `None`: nobody stored this.
pub fn number(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let dots = bytes[end + 1..].iter().all(|byte| *byte == b'.');
    std::str::from_utf8(&bytes[..end]).ok().filter(|_| dots)?.parse().ok()
}
