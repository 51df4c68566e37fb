//! The fault matrix, and the page that shows it: docs/faults.md.
//!
//! `UPDATE_STORIES=1 cargo test -p lab --test faults` writes its tables anew.

use disk::Harm;
use lab::cluster::Block;
use lab::faults::{self, Cell, Hit, Judged, Outcome};
use trace::Mechanisms;

fn on_the_page(matrix: &[(Cell, Judged)]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
    let old = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- matrix -->\n", "<!-- end of matrix -->");
    let (head, rest) = old.split_once(begin).unwrap();
    let tail = rest.split_once(end).unwrap().1;
    let new = format!("{head}{begin}\n{}{end}{tail}", faults::page(matrix));
    if std::env::var_os("UPDATE_STORIES").is_some() {
        std::fs::write(&path, new).unwrap();
    } else {
        assert_eq!(old, new, "docs/faults.md is out of date; see above how to write it anew");
    }
}

#[test]
fn nothing_is_lost_but_the_last_batch_and_the_page_says_so() {
    let matrix = faults::matrix();
    assert_eq!(matrix.len(), 7 * 7 * 3);
    for (cell, judged) in &matrix {
        let Judged { outcome, why, .. } = judged;
        // Nothing on a disk tells the loss of a last batch from a write that never was: see the page.
        let may_be_lost = cell.block == Block::LogLast;
        assert!(may_be_lost || *outcome != Outcome::Lost, "{cell:?}: {why:?}");
        // What a majority still has whole is served again, with whoever was not hit.
        let serves = *outcome <= Outcome::Refused;
        assert!(cell.hit == Hit::Majority || serves || may_be_lost, "{cell:?}: {why:?}");
        let twice = matches!(cell.block, Block::SuperblockA | Block::SuperblockB);
        assert!(!twice || *outcome == Outcome::Healed, "{cell:?}: there are two superblocks: {why:?}");
        assert!(
            cell.block != Block::Value || serves,
            "{cell:?}: a value is had from anybody who has it: {why:?}"
        );
    }
    let count = |outcome| matrix.iter().filter(|(_, judged)| judged.outcome == outcome).count();
    assert!(count(Outcome::Healed) > 60 && count(Outcome::Nothing) < 10, "{}", faults::page(&matrix));
    on_the_page(&matrix);
}

#[test]
fn a_cell_is_a_schedule_that_anybody_can_play() {
    let cell = Cell { block: Block::LogLast, harm: Harm::Torn, hit: Hit::One };
    let schedule: lab::Schedule = cell.schedule().to_string().parse().unwrap();
    let mut machine = lab::Machine::new(&schedule, Mechanisms::all()).unwrap();
    while machine.advance().is_some() {}
    assert!(machine.broken().unwrap().contains("which was acknowledged"), "{:?}", machine.broken());
    assert_eq!(Some(machine.broken().unwrap()), faults::judge(&cell).why.as_deref());
}

#[test]
fn a_value_that_is_damaged_where_it_leads_is_had_from_another_replica() {
    let cell = Cell { block: Block::Value, harm: Harm::Rot, hit: Hit::Majority };
    assert_eq!(faults::judge(&cell), Judged { outcome: Outcome::Healed, why: None, waits: false });
}
