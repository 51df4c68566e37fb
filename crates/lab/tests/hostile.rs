//! A bounded run of what `fuzz/` does without end.

use lab::hostile::{TARGETS, inputs, seeds};

#[test]
fn no_bytes_make_a_decoder_panic_or_come_out_changed() {
    for (name, target) in TARGETS {
        let count = if name == "image" { 40_000 } else { 100_000 };
        for (n, input) in inputs(count).enumerate() {
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                panic!("{name}, input {n}: {input:02x?}");
            }
        }
    }
}

#[test]
fn whole_structures_are_among_what_is_tried() {
    use engine::format::{checkpoint_chunk, superblock::Superblock, wal_record::WalRecord};
    let seeds = seeds();
    assert!(seeds.iter().any(|bytes| Superblock::decode(bytes).is_ok()));
    assert!(seeds.iter().any(|bytes| WalRecord::decode(bytes, true).is_ok()));
    assert!(seeds.iter().any(|bytes| checkpoint_chunk::decode(bytes).is_ok()));
    assert!(seeds.iter().any(|bytes| dataplane::wire::decode(bytes).is_ok()));
}
