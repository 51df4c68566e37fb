//! Durable puts through our engine, a floor and four others, taking turns in one run.
//!
//! Each of the others gets the group commit that a careful user would write, and the settings that make its commit
//! durable; all else is as it comes.

#![forbid(unsafe_code)]

mod others;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bench::cutaway::Cutaway;
use bench::floor::Floor;
use bench::load::{LOADS, Store, Turns, compare};
use bench::table;
use clap::Parser;
use serde_json::json;

use crate::others::{Fjall, Grouped, Lmdb, Redb, Sqlite};

/// Compares durable puts: our engine, a floor, redb, SQLite, LMDB and fjall
#[derive(Debug, Parser)]
struct Arguments {
    /// How long each load runs on each engine
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Where the files are made, several GB, and removed again: on the disk in question
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Prints the result as one line of JSON
    #[arg(long)]
    json: bool,
}

const ROUNDS: u32 = 10;
const FILE_BYTES: u64 = 1 << 29;

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let turns = Turns { rounds: ROUNDS, turn: Duration::from_secs(arguments.seconds) / ROUNDS };
    let mut loads = Vec::new();
    for load in LOADS {
        let dir = tempfile::Builder::new().prefix("cutaway-bench-").tempdir_in(&arguments.dir)?;
        let path = |name: &str| dir.path().join(name);
        let floor = Floor::create(&path("floor"), FILE_BYTES)?;
        let cutaway = Cutaway::create(&path("cutaway"), FILE_BYTES)?;
        let redb = Grouped::new(Redb::create(&path("redb"))?);
        let sqlite = Grouped::new(Sqlite::create(&path("sqlite"), load.value_bytes)?);
        let lmdb = Grouped::new(Lmdb::create(&path("lmdb"))?);
        let fjall = Grouped::new(Fjall::create(&path("fjall"))?);
        // What fjall goes on writing in the background falls into the turns of the two that count their own bytes.
        let stores: [(&str, &dyn Store); 6] = [
            ("floor", &floor),
            ("cutaway", &cutaway),
            ("redb", &redb),
            ("sqlite", &sqlite),
            ("lmdb", &lmdb),
            ("fjall", &fjall),
        ];
        let measured = compare(&load, &stores, turns, || ())?;
        if !arguments.json {
            println!("{}", table::of(&load, &measured, "cutaway"));
        }
        loads.push(json!({"load": load, "stores": measured}));
    }
    if arguments.json {
        println!("{}", json!({"loads": loads}));
    }
    Ok(())
}
