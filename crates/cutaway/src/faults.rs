//! `faults`: what becomes of a damaged block, by class, kind of damage and number of replicas.

use clap::Args;
use disk::Harm;
use lab::cluster::Block;
use lab::faults::{self, Cell, Hit, Judged, Outcome};
use serde_json::{Value, json};

use crate::failure::{Failure, me, say, say_wrapped};

/// Damage every class of blocks in every way, on one replica and on more, and tell what becomes of it
///
/// Five real replicas on simulated disks; the last write is acknowledged by a bare majority that includes those that are
/// hit. `healed`: all serve again and every block is whole. `refused`: the cluster serves, and a replica that was hit
/// takes no part. `unavailable`: nobody serves, nothing is lost. `lost`: an acknowledged write is gone. docs/faults.md
/// says why.
#[derive(Debug, Args)]
pub struct Faults {
    /// superblock-a, superblock-b, log-first, log-middle, log-last, checkpoint or value
    #[arg(requires = "harm", conflicts_with = "matrix")]
    block: Option<String>,
    /// rot, torn, lost, misdirected, old, wiped or unreadable
    #[arg(requires = "hit")]
    harm: Option<String>,
    /// one, minority or majority
    #[arg(value_name = "REPLICAS")]
    hit: Option<String>,
    /// All of them; the same as without a block
    #[arg(long)]
    matrix: bool,
    /// Print the schedule, for `play`
    #[arg(long, requires = "block", conflicts_with = "json")]
    schedule: bool,
    /// Print one line of JSON for each
    #[arg(long)]
    json: bool,
}

impl Faults {
    pub fn run(self) -> Result<(), Failure> {
        let (Some(block), Some(harm), Some(hit)) = (&self.block, &self.harm, &self.hit) else {
            return matrix(self.json);
        };
        let cell = Cell {
            block: one_of("block", block, &Block::ALL)?,
            harm: one_of("kind of damage", harm, &Harm::ALL)?,
            hit: one_of("number of replicas", hit, &Hit::ALL)?,
        };
        if self.schedule {
            say(cell.schedule().to_string().trim_end());
            return Ok(());
        }
        let judged = faults::judge(&cell);
        if self.json {
            say(row(&cell, &judged));
            return Ok(());
        }
        say_wrapped(format!(
            "{} {} on {} of {}: {}",
            cell.block,
            cell.harm,
            cell.hit.nodes().count(),
            faults::REPLICAS,
            judged.outcome
        ));
        judged.why.iter().for_each(|why| say_wrapped(format!("  {why}")));
        if judged.waits {
            say_wrapped("  With a bare majority alone nobody served; with the others somebody did.");
        }
        say_wrapped(format!(
            "  next: {} faults {block} {harm} {hit} --schedule > mine && {} play mine",
            me(),
            me()
        ));
        Ok(())
    }
}

fn one_of<T: Copy>(what: &str, word: &str, all: &[(&'static str, T)]) -> Result<T, Failure> {
    let found = all.iter().find(|named| named.0 == word).map(|named| named.1);
    found.ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|named| named.0).collect();
        Failure::usage(format!("{word:?} is no {what}: there are {}", words.join(", ")))
            .next(format!("{} faults log-last rot one", me()))
    })
}

fn row(cell: &Cell, judged: &Judged) -> Value {
    json!({
        "block": cell.block.to_string(), "damage": cell.harm.to_string(), "replicas": cell.hit.nodes().count(),
        "of": faults::REPLICAS, "outcome": judged.outcome.word(), "waits": judged.waits, "why": judged.why,
    })
}

fn matrix(json: bool) -> Result<(), Failure> {
    let matrix = faults::matrix();
    if json {
        matrix.iter().for_each(|(cell, judged)| say(row(cell, judged)));
        return Ok(());
    }
    for (_, hit) in Hit::ALL {
        say(format!("{hit}: {} of {} replicas", hit.nodes().count(), faults::REPLICAS));
        for (name, block) in Block::ALL {
            let here = || matrix.iter().filter(|(cell, _)| cell.hit == hit && cell.block == block);
            let mut outcomes: Vec<(Outcome, bool)> =
                here().map(|(_, judged)| (judged.outcome, judged.waits)).collect();
            outcomes.sort_unstable();
            outcomes.dedup();
            for (n, outcome) in outcomes.into_iter().enumerate() {
                let same = here().filter(|(_, judged)| (judged.outcome, judged.waits) == outcome);
                let harms: Vec<String> = same.map(|(cell, _)| cell.harm.to_string()).collect();
                let words = format!("{}{}", outcome.0, if outcome.1 { " *" } else { "" });
                say(format!("  {:<13} {words:<12} {}", if n == 0 { name } else { "" }, harms.join(" ")));
            }
        }
    }
    say("");
    say("*  while only a bare majority is up, nobody serves; with the others somebody does");
    say("–  the block was written once only: it cannot be like this");
    say_wrapped(format!("  next: {} faults log-last rot one", me()));
    Ok(())
}
