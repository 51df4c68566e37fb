//! Traces of a running cluster, read as they grow and held against the specification.
//!
//! A thread reads each node's trace. Between each of them and the one that judges are a few pieces of 64 KiB; so who reads a
//! file reads no faster than is judged, and nodes that write into pipes run no faster. Memory is bounded. None of them waits
//! for another: else the words of a node whose trace nobody has room to read would be taken for words that it never said.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use spec::{Found, Live, QUIET};

/// Bytes of a piece.
const PIECE: usize = 64 << 10;
/// Pieces of one trace that wait.
const PIECES: usize = 16;
/// Events of one trace that wait for those of others.
const AHEAD: usize = 20_000;
/// Bytes of a line. A node writes none that is as long.
const LINE_MAX: usize = 4 << 20;
/// Between two looks at a file that has not grown.
const LOOK: Duration = Duration::from_millis(20);
/// After the end, how long until what was still being written has come, or something still comes.
const LAST: Duration = Duration::from_secs(10);
/// Between two reports.
const REPORT: Duration = Duration::from_secs(10);

/// What happened since the last time.
pub enum News<'a> {
    /// A step is not allowed; its events are in this file.
    Found(&'a Found, &'a Path),
    /// So many steps were allowed.
    Steps(u64),
    /// Something is followed no longer.
    Over(String),
}

/// The traces of a cluster.
pub struct Traces {
    pieces: Vec<Receiver<io::Result<Vec<u8>>>>,
    /// The beginning of a line of each.
    lines: Vec<Vec<u8>>,
    files: Vec<PathBuf>,
    live: Live,
    begun: Instant,
    keep: PathBuf,
    /// Why nothing is followed any more. What nodes write is read all the same, so that they can go on.
    broken: Option<String>,
}

impl Traces {
    /// `n1.jsonl` and so on in `dir`, whether they are there yet or not. The events around a step that is not allowed are
    /// kept in `keep`.
    pub fn of(dir: &Path, nodes: u32, keep: PathBuf) -> Result<Traces, String> {
        let files: Vec<PathBuf> = (1..=nodes).map(|node| dir.join(format!("n{node}.jsonl"))).collect();
        let reads = |file: &PathBuf| {
            let ((sender, pieces), file) = (sync_channel(PIECES), file.clone());
            std::thread::spawn(move || read(&file, &sender));
            pieces
        };
        let pieces = files.iter().map(reads).collect();
        let lines = vec![Vec::new(); files.len()];
        Ok(Traces {
            pieces,
            lines,
            files,
            live: Live::new(nodes)?,
            begun: Instant::now(),
            keep,
            broken: None,
        })
    }

    /// Follows them until `stop`, and then what comes until it is quiet; or until `tell` says so. The number of steps.
    pub fn follow(mut self, stop: &AtomicBool, mut tell: impl FnMut(News<'_>) -> bool) -> u64 {
        let (mut heard, mut reported, mut stopped) = (Instant::now(), Instant::now(), None);
        let mut over = 0;
        loop {
            if (0..self.files.len()).filter(|file| self.take_all(*file)).count() > 0 {
                heard = Instant::now();
            } else {
                std::thread::sleep(LOOK);
            }
            if stop.load(Ordering::Relaxed) {
                stopped.get_or_insert_with(Instant::now);
            }
            let end = stopped.is_some() && heard.elapsed() > Duration::from_millis(QUIET);
            let mut enough = false;
            if self.broken.is_none() {
                match self.live.follow(self.now(), end) {
                    Ok(found) => found.iter().for_each(|found| {
                        let kept = keep(&self.keep, found);
                        enough |= tell(News::Found(found, &kept));
                    }),
                    Err(why) => self.broken = Some(why),
                }
            }
            let gone: Vec<String> =
                self.live.over().map(|(shard, why)| format!("shard {shard}: {why}")).collect();
            for why in gone.into_iter().chain(self.broken.clone()).skip(over) {
                over += 1;
                enough |= tell(News::Over(why));
            }
            if reported.elapsed() > REPORT {
                reported = Instant::now();
                enough |= tell(News::Steps(self.live.steps()));
            }
            if enough || end || stopped.is_some_and(|since| since.elapsed() > LAST) {
                return self.live.steps();
            }
        }
    }

    /// Milliseconds since it began.
    fn now(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    /// Takes in what has come of a trace; whether something has.
    fn take_all(&mut self, file: usize) -> bool {
        let mut any = false;
        while self.live.waiting(file) < AHEAD {
            let Ok(piece) = self.pieces[file].try_recv() else { break };
            self.take(file, piece);
            any = true;
        }
        any
    }

    fn take(&mut self, file: usize, piece: io::Result<Vec<u8>>) {
        let taken = piece.map_err(|why| why.to_string()).and_then(|piece| self.lines_of(file, &piece));
        if let Err(why) = taken {
            self.broken.get_or_insert(format!("{}: {why}", self.files[file].display()));
        }
    }

    fn lines_of(&mut self, file: usize, piece: &[u8]) -> Result<(), String> {
        if self.broken.is_some() {
            return Ok(());
        }
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let mut line = std::mem::take(&mut self.lines[file]);
            line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let text = String::from_utf8_lossy(&line);
            let event = trace::json::from_line(&text).or_else(|why| {
                // A node that was killed while it wrote left the beginning of a line, and its next life went on behind it.
                let again = text.get(..8).and_then(|first| text.rfind(first)).filter(|at| *at > 0);
                again.map_or(Err(why), |at| trace::json::from_line(&text[at..]))
            });
            let now = self.now();
            self.live.hear(file, event.map_err(|why| why.to_string())?, now);
        }
        self.lines[file].extend_from_slice(rest);
        if self.lines[file].len() > LINE_MAX { Err("a line without an end".into()) } else { Ok(()) }
    }
}

fn read(file: &Path, to: &SyncSender<io::Result<Vec<u8>>>) {
    let mut open = None;
    let mut buffer = vec![0; PIECE];
    loop {
        let piece = match &mut open {
            None => match std::fs::metadata(file) {
                Ok(facts) => {
                    // Whoever holds a pipe for writing too never finds its end, although nodes come and go.
                    let pipe = facts.file_type().is_fifo();
                    OpenOptions::new().read(true).write(pipe).open(file).map(|file| {
                        open = Some(file);
                        0
                    })
                }
                Err(_) => Ok(0),
            },
            Some(file) => file.read(&mut buffer),
        };
        match piece {
            Ok(0) => std::thread::sleep(LOOK),
            Ok(bytes) if to.send(Ok(buffer[..bytes].to_vec())).is_err() => return,
            Ok(_) => {}
            Err(why) => {
                let _ = to.send(Err(why));
                return;
            }
        }
    }
}

/// Writes the events around a step that is not allowed, for `view`.
fn keep(dir: &Path, found: &Found) -> PathBuf {
    let file = dir.join(format!("mismatch-{}.jsonl", found.shard));
    let lines: String = found.events.iter().map(|event| trace::json::to_line(event) + "\n").collect();
    if let Err(why) = std::fs::write(&file, lines) {
        crate::failure::note(format!("cannot write {}: {why}\n", file.display()));
    }
    file
}
