//! The scratch folder: an answer's file for each exercise that was begun, and what was passed.
//!
//! `progress` has a line for each exercise that was begun: its id, the best number of steps (`-`: not passed, `0`: passed,
//! where steps are not counted), and how many hints were given. Other lines are passed over.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::learn::{Exercise, Rank};

use crate::failure::{Failure, Result, me, quote};

/// The scratch folder, unless another one is named.
pub const DIR: &str = "cutaway-learn";
/// A longer answer is none.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What is known of one exercise.
#[derive(Clone, Copy, Default)]
struct Record {
    best: Option<usize>,
    hints: usize,
}

/// The folder.
pub struct Desk {
    dir: PathBuf,
    records: BTreeMap<String, Record>,
}

impl Desk {
    /// The desk in `dir`, which need not exist yet.
    pub fn open(dir: &Path) -> Result<Desk> {
        let text = match read(&dir.join("progress")) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(cannot("read", &dir.join("progress"), &error)),
        };
        let record = |line: &str| {
            let mut words = line.split_whitespace();
            let (id, best, hints) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
            Some((id.to_string(), Record { best: best.parse().ok(), hints }))
        };
        Ok(Desk { dir: dir.to_owned(), records: text.lines().filter_map(record).collect() })
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The best number of steps of an exercise that was passed; 0 where steps are not counted.
    pub fn best(&self, id: &str) -> Option<usize> {
        self.records.get(id)?.best
    }

    /// Where the answer to an exercise stands.
    pub fn file(&self, exercise: &Exercise) -> PathBuf {
        self.dir.join(exercise.file())
    }

    /// The answer to an exercise; its file is made if there is none.
    pub fn answer(&self, exercise: &Exercise) -> Result<String> {
        let file = self.file(exercise);
        self.begin(exercise)?;
        read(&file).map_err(|error| cannot("read", &file, &error))
    }

    /// Makes the answer's file if there is none. `true`: there was none.
    pub fn begin(&self, exercise: &Exercise) -> Result<bool> {
        let file = self.file(exercise);
        if file.exists() {
            return Ok(false);
        }
        self.write(&file, &exercise.begin()).map(|()| true)
    }

    /// Waits until the answer is another one than `before`.
    pub fn saved(&self, exercise: &Exercise, before: &str, every: Duration) -> String {
        let file = self.file(exercise);
        loop {
            std::thread::sleep(every);
            // An editor may replace the file: for a moment there is none, or only its beginning.
            match read(&file) {
                Ok(text) if text != before => return self.settled(&file, text, every),
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// What the file holds once it stays the same.
    fn settled(&self, file: &Path, mut text: String, every: Duration) -> String {
        loop {
            std::thread::sleep(every);
            match read(file) {
                Ok(again) if again == text => return text,
                Ok(again) => text = again,
                Err(_) => {}
            }
        }
    }

    /// Notes that an exercise was passed.
    pub fn passed(&mut self, id: &str, rank: Rank) -> Result<()> {
        let steps = match rank {
            Rank::Steps(steps) => steps,
            Rank::Whole => 0,
        };
        let record = self.records.entry(id.to_string()).or_default();
        record.best = Some(record.best.map_or(steps, |best| best.min(steps)));
        self.keep()
    }

    /// Notes that another hint is given, of `most`; which one, from 1.
    pub fn hint(&mut self, id: &str, most: usize) -> Result<usize> {
        let record = self.records.entry(id.to_string()).or_default();
        record.hints = (record.hints + 1).min(most);
        let given = record.hints;
        self.keep()?;
        Ok(given)
    }

    fn keep(&self) -> Result<()> {
        let best = |best: Option<usize>| best.map_or("-".into(), |steps| steps.to_string());
        let lines =
            self.records.iter().map(|(id, record)| format!("{id} {} {}\n", best(record.best), record.hints));
        // Whole or not at all: whoever stops it now keeps what was there.
        let (file, fresh) = (self.dir.join("progress"), self.dir.join("progress.new"));
        self.write(&fresh, &lines.collect::<String>())?;
        fs::rename(&fresh, &file).map_err(|error| cannot("write", &file, &error))
    }

    fn write(&self, file: &Path, text: &str) -> Result<()> {
        let written = fs::create_dir_all(&self.dir).and_then(|()| fs::write(file, text));
        written.map_err(|error| cannot("write", file, &error))
    }
}

/// `learn …` with the folder, if that is not the usual one.
pub fn command(desk: &Desk, rest: &str) -> String {
    let dir = if desk.dir() == Path::new(DIR) {
        String::new()
    } else {
        format!(" --dir {}", quote(desk.dir().display()))
    };
    format!("{} learn {rest}{dir}", me())
}

fn cannot(what: &str, file: &Path, error: &std::io::Error) -> Failure {
    Failure::error(format!("cannot {what} {}: {error}", file.display()))
        .next("name another folder with --dir, or mend this one")
}

/// The text of a file of ours. A pipe or a device is none.
fn read(file: &Path) -> std::io::Result<String> {
    let about = fs::metadata(file)?;
    if !about.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > ANSWER_BYTES_MAX {
        return Err(std::io::Error::other(format!("it has more than {ANSWER_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| std::io::Error::other("it is no text in UTF-8"))
}
