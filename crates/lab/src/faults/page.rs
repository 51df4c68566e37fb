//! The matrix for people.

use disk::Harm;

use super::cell::{Cell, Hit, REPLICAS};
use super::judge::{Judged, Outcome};
use crate::cluster::Block;

/// The matrix of one number of replicas, as a table in Markdown.
pub fn table(matrix: &[(Cell, Judged)], hit: Hit) -> String {
    let heads: String = Harm::ALL.iter().map(|(word, _)| format!(" {word} |")).collect();
    let rule: String = Harm::ALL.iter().map(|_| "---|").collect();
    let rows = Block::ALL.iter().map(|(word, block)| {
        let cells = Harm::ALL.iter().map(|(_, harm)| {
            let cell = Cell { block: *block, harm: *harm, hit };
            let found = matrix.iter().find(|(other, _)| *other == cell);
            let waits = |judged: &Judged| if judged.waits { ", waits" } else { "" };
            found.map_or(String::new(), |(_, judged)| format!(" {}{} |", judged.outcome, waits(judged)))
        });
        format!("| `{word}` |{}\n", cells.collect::<String>())
    });
    format!("| |{heads}\n|---|{rule}\n{}", rows.collect::<String>())
}

/// Why cells are what they are: each reason once, with the cells that have it.
pub fn reasons(matrix: &[(Cell, Judged)], outcome: Outcome) -> Vec<(String, Vec<Cell>)> {
    let mut found: Vec<(String, Vec<Cell>)> = Vec::new();
    for (cell, judged) in matrix.iter().filter(|(_, judged)| judged.outcome == outcome) {
        let why = judged.why.clone().unwrap_or_default();
        match found.iter_mut().find(|(other, _)| *other == why) {
            Some((_, cells)) => cells.push(*cell),
            None => found.push((why, vec![*cell])),
        }
    }
    found
}

/// All of it: a table for each number of replicas, and what is said of the cells.
pub fn page(matrix: &[(Cell, Judged)]) -> String {
    let part = |(word, hit): &(&str, Hit)| {
        let count = hit.nodes().count();
        format!("### On {count} of {REPLICAS} replicas (`{word}`)\n\n{}\n", table(matrix, *hit))
    };
    let tables: String = Hit::ALL.iter().map(part).collect();
    let told = [Outcome::Lost, Outcome::Unavailable, Outcome::Refused].map(|outcome| {
        let lines = reasons(matrix, outcome)
            .into_iter()
            .map(|(why, cells)| format!("| {} | {why} |\n", names(&cells)));
        format!("### {outcome}\n\n| | what is said |\n|---|---|\n{}\n", lines.collect::<String>())
    });
    format!("{tables}{}", told.concat())
}

/// Cells in a few words: the kinds of damage to each block.
fn names(cells: &[Cell]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (word, hit) in Hit::ALL {
        for (name, block) in Block::ALL {
            let here = cells.iter().filter(|cell| cell.hit == hit && cell.block == block);
            let harms: Vec<String> = here.map(|cell| cell.harm.to_string()).collect();
            if !harms.is_empty() {
                parts.push(format!("{word}: `{name}` {}", harms.join(", ")));
            }
        }
    }
    parts.join("; ")
}
