//! A process is killed in the middle of writing; another one opens what is left, and finds all that was acknowledged.
//!
//! `cargo run -p store --example crash`

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use store::{FileDevice, Store};

/// What must go away however the example ends.
struct Cleanup {
    dir: PathBuf,
    child: Child,
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(image) => write_for_ever(Path::new(&image)),
        None => kill_and_recover(),
    }
}

/// The child: says on its output what is durable, one number a line.
fn write_for_ever(image: &Path) -> Result<(), Box<dyn Error>> {
    let (store, _) = Store::create(FileDevice::create(image, 8 << 20)?)?;
    let mut out = std::io::stdout();
    for n in 0_u64.. {
        store.put(&(n % 500).to_be_bytes(), format!("value {n}").as_bytes())?;
        writeln!(out, "{n}")?;
    }
    Ok(())
}

fn kill_and_recover() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("engine-crash-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let image = dir.join("store.img");
    let child = Command::new(std::env::current_exe()?).arg(&image).stdout(Stdio::piped()).spawn()?;
    let mut it = Cleanup { dir, child };
    let mut lines = BufReader::new(it.child.stdout.take().ok_or("no output")?).lines();
    let mut acknowledged = 0;
    for line in lines.by_ref().take(1500) {
        acknowledged = line?.parse()?;
    }
    it.child.kill()?;
    it.child.wait()?;
    // What it still said before it died counts too; its last line may be half a line.
    for line in lines.map_while(Result::ok) {
        acknowledged = line.parse().map_or(acknowledged, |n: u64| n.max(acknowledged));
    }
    println!("killed after it had acknowledged write {acknowledged}; what is left:\n");

    let (store, report) = Store::open(FileDevice::open(&image)?)?;
    println!("checkpoint: as of entry {}, {} keys", report.checkpoint_seq, report.checkpoint_keys);
    println!(
        "log: {} records in {} batches, up to entry {}",
        report.replayed, report.batches, report.last_seq
    );
    println!("it ends where {}; {} bytes behind are discarded\n", report.stop, report.discarded_bytes);
    let mut found = 0;
    for n in acknowledged.saturating_sub(499)..=acknowledged {
        let value = store.get(&(n % 500).to_be_bytes())?.ok_or("an acknowledged write is gone")?.value;
        let written: u64 = String::from_utf8(value.to_vec())?.trim_start_matches("value ").parse()?;
        assert!(
            written >= n && written % 500 == n % 500,
            "E1: write {n} was acknowledged, {written} is here"
        );
        found += 1;
    }
    println!("all {found} keys have the value that was acknowledged last, or a later one");
    Ok(())
}
