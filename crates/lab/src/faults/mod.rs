//! The fault matrix: every class of blocks, every kind of damage, on one replica, on a minority and on a majority.
//!
//! Each cell is a schedule, played on real nodes: five of them, the last write acknowledged by a bare majority that
//! includes every replica that is hit. First only a bare majority can hear one another, as bad a one as there is: those
//! that were hit, and those that never had the last write. Then all can. In both every replica is asked to lead, and
//! reads everything that it leads with.
//!
//! | file | job |
//! |---|---|
//! | `cell` | one cell: its schedule |
//! | `judge` | what came of it |
//! | `page` | the matrix for people, and why each cell is what it is |

mod cell;
mod judge;
mod page;

pub use cell::{Cell, Hit, REPLICAS};
pub use judge::{Judged, Outcome, judge};
pub use page::{page, reasons, table};

/// Every cell, judged, on all cores.
pub fn matrix() -> Vec<(Cell, Judged)> {
    let cells: Vec<Cell> = Cell::all().collect();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| {
        let judged = |part| {
            scope.spawn(move || Vec::from_iter(Iterator::map(part, |cell: &Cell| (*cell, judge(cell)))))
        };
        let parts: Vec<_> =
            cells.chunks(cells.len().div_ceil(cores)).map(|part| judged(part.iter())).collect();
        parts.into_iter().flat_map(|part| part.join().expect("a judge catches what panics")).collect()
    })
}
