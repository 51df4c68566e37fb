//! Copies in files: whole, cut, flipped, in the wrong order; and what several of them come to.

use std::fs::File;
use std::io::Cursor;
use std::sync::Arc;

use backup::{Block, Chain, ChainError, Digester, FormatError, Header, Reader, Writer};
use kv::{Item, Seq};

fn item(key: &str, version: Seq, value: &str) -> Item {
    (Arc::from(key.as_bytes()), version, Arc::from(value.as_bytes()))
}

fn header(id: u8, base: Option<u8>) -> Header {
    let base = base.map(|base| [base; 16]);
    Header { cluster: [7; 16], id: [id; 16], base, shards: 2, nodes: 3, extensions: "gc".into() }
}

/// One shard: as of, without values of and before, items.
type Shard<'a> = (Seq, Seq, &'a [Item]);

/// The bytes of a copy of two shards.
fn copy(header: &Header, shards: [Shard; 2]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut writer = Writer::create(file.reopen().unwrap(), header).unwrap();
    for (shard, (seq, since, items)) in shards.into_iter().enumerate() {
        writer.begin(shard as u32, seq, since).unwrap();
        items.chunks(2).for_each(|some| writer.items(some.to_vec()).unwrap());
        assert_eq!(writer.end().unwrap().unwrap().keys, items.len() as u64);
    }
    let bytes = writer.finish().unwrap();
    let written = std::fs::read(file.path()).unwrap();
    assert_eq!(bytes, written.len() as u64);
    written
}

fn full() -> Vec<u8> {
    let first = [item("a", 1, "one"), item("b", 4, ""), item("c", 3, "three")];
    copy(&header(1, None), [(5, 0, &first), (2, 0, &[item("x", 2, "other")])])
}

/// `a` is as before, `b` is gone, `c` was written again, `d` is new; in the other shard nothing happened.
fn monday() -> Vec<u8> {
    let first = [item("a", 1, ""), item("c", 7, "seven"), item("d", 8, "eight")];
    copy(&header(2, Some(1)), [(8, 5, &first), (2, 2, &[item("x", 2, "")])])
}

fn tuesday() -> Vec<u8> {
    let first = [item("a", 1, ""), item("c", 7, ""), item("e", 9, "nine")];
    copy(&header(3, Some(2)), [(9, 8, &first), (4, 2, &[item("w", 3, "w"), item("x", 2, "")])])
}

fn open(files: &[&[u8]]) -> Result<Chain<Cursor<Vec<u8>>>, ChainError> {
    Chain::open(files.iter().map(|file| Cursor::new(file.to_vec())).collect())
}

/// All that a chain comes to, in words.
fn state(files: &[&[u8]]) -> Result<String, ChainError> {
    let (mut chain, mut told) = (open(files)?, String::new());
    while let Some(head) = chain.shard()? {
        told += &format!("{}@{}:", head.shard, head.seq);
        let mut digester = Digester::default();
        while let Some((key, version, value)) = chain.item()? {
            digester.add(&key, version, &value);
            told += &format!(" {}/{version}={}", kv::show(&key), kv::show(&value));
        }
        assert_eq!(chain.digest(), digester.finish());
        told += "; ";
    }
    Ok(told)
}

#[test]
fn a_full_copy_comes_back_as_it_was_written() {
    assert_eq!(state(&[&full()]).unwrap(), "0@5: a/1=one b/4= c/3=three; 1@2: x/2=other; ");
    let summary = Reader::open(&full()[..]).unwrap().check().unwrap();
    assert_eq!(summary.header, header(1, None));
    assert_eq!(
        summary.shards.iter().map(|(seq, keys, _)| (*seq, *keys)).collect::<Vec<_>>(),
        [(5, 3), (2, 1)]
    );
}

#[test]
fn incremental_copies_add_what_changed_and_take_away_what_is_gone() {
    let (full, monday, tuesday) = (full(), monday(), tuesday());
    assert_eq!(state(&[&full, &monday]).unwrap(), "0@8: a/1=one c/7=seven d/8=eight; 1@2: x/2=other; ");
    assert_eq!(
        state(&[&full, &monday, &tuesday]).unwrap(),
        "0@9: a/1=one c/7=seven e/9=nine; 1@4: w/3=w x/2=other; "
    );
}

#[test]
fn copies_that_do_not_stand_on_each_other_are_no_chain() {
    let (full, monday, tuesday) = (full(), monday(), tuesday());
    let told = |files: &[&[u8]]| open(files).err().unwrap().to_string();
    assert!(told(&[&monday]).contains("since backup 0101"), "an incremental copy alone");
    assert!(told(&[&full, &tuesday]).contains("since backup 0202"), "one is missing between");
    assert!(told(&[&full, &monday, &monday]).contains("the one before it is 0202"), "the same twice");
    assert!(told(&[&full, &full]).contains("stands alone or first"));
    assert!(told(&[&tuesday, &full]).contains("must stand before it"));
}

#[test]
fn a_base_that_lacks_a_value_is_noticed() {
    // Its id is right, and its content is not: somebody has made it by hand.
    let lacking = copy(&header(1, None), [(5, 0, &[item("b", 4, "four")]), (2, 0, &[item("x", 2, "other")])]);
    let error = state(&[&lacking, &monday()]).unwrap_err();
    assert!(error.to_string().contains("its base lacks key a of entry 1"), "{error}");
    let short = copy(&header(1, None), [(4, 0, &[]), (2, 0, &[])]);
    let error = state(&[&short, &monday()]).unwrap_err();
    assert!(error.to_string().contains("shard 0 as of entry 5; it is as of entry 4"), "{error}");
}

#[test]
fn a_file_that_was_cut_anywhere_is_noticed() {
    let whole = full();
    for length in 0..whole.len() {
        match Reader::open(&whole[..length]).and_then(Reader::check) {
            Err(FormatError::Cut { at }) => assert_eq!(at, length as u64),
            Err(FormatError::NotABackup) if length < 8 => {}
            other => panic!("cut after {length} bytes: {other:?}"),
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let whole = full();
    for at in 0..whole.len() {
        for bit in [0x01, 0x80] {
            let mut flipped = whole.clone();
            flipped[at] ^= bit;
            let read = Reader::open(&flipped[..]).and_then(Reader::check);
            assert!(read.is_err(), "byte {at}: {read:?}");
        }
    }
    let longer = [&whole[..], b"x"].concat();
    assert!(matches!(Reader::open(&longer[..]).and_then(Reader::check), Err(FormatError::Damaged { .. })));
}

#[test]
fn a_block_is_not_taken_out_doubled_or_put_elsewhere() {
    let whole = full();
    let mut places = vec![];
    let mut at = 20 + u32::from_le_bytes(whole[12..16].try_into().unwrap()) as usize;
    while at < whole.len() {
        places.push(at);
        at += 8 + u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    }
    for pair in places.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let without = [&whole[..from], &whole[to..]].concat();
        let doubled = [&whole[..to], &whole[from..]].concat();
        for changed in [without, doubled] {
            assert!(Reader::open(&changed[..]).and_then(Reader::check).is_err(), "block at {from}");
        }
    }
}

#[test]
fn a_length_that_is_a_lie_takes_no_memory() {
    let mut lie = full();
    lie[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(Reader::open(&lie[..]).err(), Some(FormatError::Damaged { .. })));
    let other = [&lie[..8], &9u32.to_le_bytes(), &lie[12..]].concat();
    assert!(matches!(Reader::open(&other[..]).err(), Some(FormatError::OtherVersion(9))));
    assert!(matches!(Reader::open(&b"CUTAWAY is something else"[..]).err(), Some(FormatError::NotABackup)));
}

#[test]
fn a_shard_that_was_begun_anew_leaves_nothing_of_its_first_beginning() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let one = Header { shards: 1, ..header(1, None) };
    let mut writer = Writer::create(file.reopen().unwrap(), &one).unwrap();
    writer.begin(0, 5, 0).unwrap();
    writer
        .items((0..100).map(|n| item(&format!("old{n:03}"), 3, "much longer than what comes")).collect())
        .unwrap();
    writer.begin(0, 9, 0).unwrap();
    writer.items(vec![item("k", 8, "v")]).unwrap();
    writer.end().unwrap();
    writer.finish().unwrap();
    let mut reader = Reader::open(File::open(file.path()).unwrap()).unwrap();
    assert_eq!(reader.block().unwrap(), Some(Block::Begin { shard: 0, seq: 9, since: 0 }));
    assert_eq!(reader.block().unwrap(), Some(Block::Items(vec![item("k", 8, "v")])));
    assert!(matches!(reader.block().unwrap(), Some(Block::End { keys: 1, .. })));
    assert_eq!(reader.block().unwrap(), None);
}

#[test]
fn items_that_no_replica_can_have_are_damage_although_their_checksum_fits() {
    let refused = |seq, since, items: &[Item]| {
        let file = copy(&header(2, Some(1)), [(seq, since, items), (0, 0, &[])]);
        matches!(Reader::open(&file[..]).and_then(Reader::check), Err(FormatError::Damaged { .. }))
    };
    assert!(refused(5, 0, &[item("b", 1, ""), item("a", 1, "")]), "out of order");
    assert!(refused(5, 0, &[item("a", 1, ""), item("a", 2, "")]), "twice");
    assert!(refused(5, 0, &[item("a", 6, "")]), "of an entry to come");
    assert!(refused(5, 0, &[item("a", 0, "")]), "of no entry");
    assert!(refused(5, 0, &[item("", 1, "")]), "without a key");
    assert!(refused(5, 3, &[item("a", 2, "value")]), "a value that the base has");
    assert!(refused(5, 6, &[]), "since what is to come");
    assert!(!refused(5, 3, &[item("a", 2, ""), item("b", 5, "v")]));
}
