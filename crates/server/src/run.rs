//! One run of a child process: how it is started, what it is told and asked, how far it has come, and how it ended.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use crate::plan::{Process, UpFailure};

/// Lines of a failed child's log that are shown.
const LOG_LINES: usize = 12;

/// A started child.
pub struct Run {
    /// Forgotten when the child's end is learned.
    pub pid: Rc<RefCell<Option<Pid>>>,
    /// Lines to its standard input.
    pub orders: mpsc::UnboundedSender<&'static str>,
    /// How far it has come.
    pub progress: watch::Receiver<Progress>,
    /// What it was asked, and what it said to that.
    answers: Rc<RefCell<Answers>>,
    /// What was done to it and holds: it stands still, it is cut off.
    pub paused: Cell<bool>,
    pub isolated: Cell<bool>,
    /// Where this run's log begins.
    pub log_start: u64,
}

/// Questions to a child, one at a time: one that stands still is not asked again until it has answered.
#[derive(Default)]
struct Answers {
    open: bool,
    waiting: Option<oneshot::Sender<Value>>,
}

impl Answers {
    /// The rest of a line of the child's.
    fn hear(&mut self, answer: &str) {
        self.open = false;
        if let Some(waiting) = self.waiting.take() {
            // It may have come too late.
            let _ = waiting.send(serde_json::from_str(answer).unwrap_or_default());
        }
    }
}

/// How far a child has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    Starting,
    Ready,
    Serving,
    Ended(String),
}

impl Run {
    /// Starts the process; its log is appended to.
    pub fn start(name: &str, process: &Process) -> Result<Run, UpFailure> {
        let failed = |e| UpFailure::Io(process.log.clone(), e);
        let folder = process.log.parent().expect("a log lies in its member's directory");
        fs::create_dir_all(folder).map_err(failed)?;
        let log =
            OpenOptions::new().create(true).append(true).mode(0o600).open(&process.log).map_err(failed)?;
        let log_start = log.metadata().map_err(failed)?.len();
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(&process.arguments)
            .current_dir(folder) // What its libraries write, or the kernel when it aborts, is told apart.
            .process_group(0) // Ctrl-C in the terminal is for `up` alone.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pid = child.id().and_then(|id| Pid::from_raw(id as i32));
        let pid = Rc::new(RefCell::new(pid));
        let (orders, mut inbox) = mpsc::unbounded_channel::<&'static str>();
        let (tell, progress) = watch::channel(Progress::Starting);

        let mut stdin = child.stdin.take().expect("piped");
        tokio::task::spawn_local(async move {
            while let Some(order) = inbox.recv().await {
                // A child that has ended takes no orders; its end is told elsewhere.
                let _ = stdin.write_all(format!("{order}\n").as_bytes()).await;
            }
        });
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (told, answers) = (tell.clone(), Rc::<RefCell<Answers>>::default());
        let heard = answers.clone();
        tokio::task::spawn_local(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                match line.split_once(' ') {
                    Some(("ready", _)) => drop(told.send_if_modified(|p| advance(p, Progress::Ready))),
                    Some(("serving", _)) => drop(told.send_if_modified(|p| advance(p, Progress::Serving))),
                    Some(("looks" | "recording" | "traced", answer)) => heard.borrow_mut().hear(answer),
                    _ => (),
                }
            }
        });
        let (running, name) = (pid.clone(), name.to_owned());
        tokio::task::spawn_local(async move { watch_end(child, running, tell, name).await });
        let (paused, isolated) = (Cell::new(false), Cell::new(false));
        Ok(Run { pid, orders, progress, answers, paused, isolated, log_start })
    }

    /// Asks the child something. `None`: it has ended, stands still, or has not answered the question before.
    pub fn ask(&self, question: &'static str) -> Option<oneshot::Receiver<Value>> {
        let mut answers = self.answers.borrow_mut();
        if self.pid.borrow().is_none() || self.paused.get() || answers.open {
            return None;
        }
        let (tell, told) = oneshot::channel();
        *answers = Answers { open: true, waiting: Some(tell) };
        let _ = self.orders.send(question); // It may have ended meanwhile.
        Some(told)
    }

    /// Sends the child a signal, unless its end is known: the number may belong to another process by then.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match *self.pid.borrow() {
            Some(pid) => Ok(kill_process(pid, signal)?),
            None => Ok(()),
        }
    }
}

fn advance(progress: &mut Progress, to: Progress) -> bool {
    let later = !matches!(progress, Progress::Ended(_)) && *progress != to;
    if later {
        *progress = to;
    }
    later
}

async fn watch_end(
    mut child: Child,
    pid: Rc<RefCell<Option<Pid>>>,
    tell: watch::Sender<Progress>,
    name: String,
) {
    let how = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(e) => e.to_string(),
    };
    // The number may belong to somebody else from now on.
    *pid.borrow_mut() = None;
    tracing::info!("{name} has ended: {how}");
    tell.send_replace(Progress::Ended(how));
}

/// The end of what was written to the log after `start`.
pub fn last_lines(log: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(end.saturating_sub(16 << 10))))?;
    let mut bytes = Vec::new();
    file.take(16 << 10).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
    Ok(shown.iter().map(|line| format!("  {line}\n")).collect())
}
