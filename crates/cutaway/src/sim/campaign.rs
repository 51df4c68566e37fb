//! A campaign: so many seeds that they run for days, on many machines, and are interrupted.
//!
//! The seeds are cut into blocks. What came of a block is one file in a folder, written when all of the block is done. So
//! whoever starts again goes on behind the last finished block, and two folders are merged by taking the files of both. A
//! block says which program made it, and under which options: no other counts.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sim::{Options, Report, Summary, run_many, run_one};

use crate::failure::{Failure, Result};
use crate::interrupt;

/// Seeds of one block: half a minute's work or so.
const BLOCK: u64 = 1000;
/// The version of a block's file.
const FORMAT: u64 = 1;

/// What came of all blocks.
#[derive(Debug, Default)]
pub struct Totals {
    pub seeds: u64,
    pub operations: u64,
    pub unknown: u64,
    pub failovers: u64,
    pub micros: u64,
    pub faults: BTreeMap<String, u64>,
    /// In order of their seeds.
    pub violations: Vec<Value>,
    /// Blocks that were there already.
    pub found: u64,
    /// Somebody stopped it before all was done.
    pub stopped: bool,
}

/// The folder of a campaign.
pub struct Campaign {
    dir: PathBuf,
    /// What a block must have been made by.
    made_by: Value,
}

impl Campaign {
    /// A folder for runs under these options, in words.
    pub fn open(dir: &Path, options: &str) -> Result<Campaign> {
        let failed = |e: std::io::Error| Failure::error(format!("{}: {e}", dir.display()));
        fs::create_dir_all(dir).map_err(failed)?;
        let program = std::env::current_exe().and_then(fs::read).map_err(failed)?;
        let program = format!("{:08x}", crc32c::crc32c(&program));
        Ok(Campaign { dir: dir.into(), made_by: json!({ "program": program, "options": options }) })
    }

    /// Takes over the finished blocks of another folder.
    pub fn merge(&self, other: &Path) -> Result {
        let failed = |e: std::io::Error| Failure::error(format!("{}: {e}", other.display()));
        for entry in fs::read_dir(other).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|e| e == "json"))
            else {
                continue;
            };
            let block = self.read(&path)?;
            if !self.dir.join(name).exists() {
                self.write(&self.dir.join(name), &block)?;
            }
        }
        Ok(())
    }

    /// Runs what is missing of `seeds`, and adds up all of it. `tell` hears of each finished block: its seeds, and whether
    /// they had to be run.
    pub fn run(
        &self,
        seeds: Range<u64>,
        options: &Options,
        mut tell: impl FnMut(u64, bool),
    ) -> Result<Totals> {
        let asked = interrupt::asked().map_err(Failure::error)?;
        let mut totals = Totals::default();
        for block in blocks(seeds) {
            if asked.load(std::sync::atomic::Ordering::Relaxed) {
                totals.stopped = true;
                break;
            }
            let path = self.dir.join(format!("{}..{}.json", block.start, block.end));
            let known = path.exists();
            let found = if known { self.read(&path)? } else { self.block(block.clone(), options) };
            if !known {
                self.write(&path, &found)?;
            }
            tell(block.end - block.start, !known);
            totals.found += u64::from(known);
            totals.add(&found);
        }
        Ok(totals)
    }

    /// Runs a block, and goes on behind a violation.
    fn block(&self, seeds: Range<u64>, options: &Options) -> Value {
        let (mut totals, mut from) = (Totals::default(), seeds.start);
        while from < seeds.end {
            let summary = run_many(from..seeds.end, options, |_| {});
            let Some(seed) = summary.first.as_ref().map(|report| report.seed) else {
                totals.count(&summary);
                break;
            };
            // Of the seeds behind it some were run and some not: those before it and it alone are counted.
            totals.count(&run_many(from..seed, options, |_| {}));
            totals.count(&run_one(seed, options));
            from = seed + 1;
        }
        json!({
            "campaign": FORMAT, "made_by": self.made_by, "from": seeds.start, "to": seeds.end,
            "seeds": totals.seeds, "operations": totals.operations, "unknown": totals.unknown,
            "failovers": totals.failovers, "micros": totals.micros, "faults": totals.faults,
            "violations": totals.violations,
        })
    }

    fn read(&self, path: &Path) -> Result<Value> {
        let other = |why: String| {
            let failure = Failure::error(format!("{} is no block of this campaign: {why}", path.display()));
            failure.next("name another folder with --out, or remove that file")
        };
        let bytes = fs::read(path).map_err(|e| other(e.to_string()))?;
        let block: Value = serde_json::from_slice(&bytes).map_err(|e| other(e.to_string()))?;
        if block["campaign"] != FORMAT {
            return Err(other("it is of another kind".into()));
        }
        if block["made_by"] != self.made_by {
            return Err(other(format!("it was made by {}, and this is {}", block["made_by"], self.made_by)));
        }
        Ok(block)
    }

    /// All of it, or nothing.
    fn write(&self, path: &Path, block: &Value) -> Result {
        let failed = |e: std::io::Error| Failure::error(format!("cannot write {}: {e}", path.display()));
        let mut new = tempfile::NamedTempFile::new_in(&self.dir).map_err(failed)?;
        writeln!(new, "{block}").and_then(|()| new.as_file().sync_all()).map_err(failed)?;
        new.persist(path).map(drop).map_err(|e| failed(e.error))
    }
}

/// Blocks begin at multiples of their length: two workers whose seeds meet within one run it as two.
fn blocks(seeds: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut from = seeds.start;
    std::iter::from_fn(move || {
        let begin = from;
        from = (begin / BLOCK + 1).saturating_mul(BLOCK).min(seeds.end);
        (begin < seeds.end).then_some(begin..from)
    })
}

impl Totals {
    fn count(&mut self, summary: &Summary) {
        self.seeds += summary.seeds;
        self.operations += summary.operations;
        self.unknown += summary.unknown;
        self.failovers += summary.failovers;
        self.micros += summary.micros;
        summary.faults.iter().for_each(|(kind, n)| *self.faults.entry((*kind).into()).or_default() += n);
        self.violations.extend(summary.first.as_ref().and_then(violation));
    }

    fn add(&mut self, block: &Value) {
        let number = |name: &str| block[name].as_u64().unwrap_or(0);
        self.seeds += number("seeds");
        self.operations += number("operations");
        self.unknown += number("unknown");
        self.failovers += number("failovers");
        self.micros += number("micros");
        for (kind, n) in block["faults"].as_object().into_iter().flatten() {
            *self.faults.entry(kind.clone()).or_default() += n.as_u64().unwrap_or(0);
        }
        self.violations.extend(block["violations"].as_array().into_iter().flatten().cloned());
    }
}

fn violation(report: &Report) -> Option<Value> {
    let v = report.violation.as_ref()?;
    Some(json!({
        "seed": report.seed, "invariant": v.invariant, "promise": v.promise, "checker": v.checker,
        "sentence": v.sentence,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_the_seeds_once_and_begin_where_those_of_others_do() {
        let cut = |seeds| blocks(seeds).collect::<Vec<_>>();
        assert_eq!(cut(0..2000), [0..1000, 1000..2000]);
        assert_eq!(cut(1500..2001), [1500..2000, 2000..2001]);
        assert_eq!(cut(7..7), []);
        assert_eq!(cut(u64::MAX - 1..u64::MAX).len(), 1, "the last seed there is");
    }
}
