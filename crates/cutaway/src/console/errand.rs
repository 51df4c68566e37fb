//! What a page wants of the one thread that owns the processes.

use std::rc::Rc;

use server::explain;
use server::supervisor::{Action, Cluster};
use tokio::sync::{mpsc, oneshot};

/// Errands that wait; further ones are refused.
const WAITING_MAX: usize = 16;
/// Longest trace that a page is given: its latest events.
const TRACE_BYTES_MAX: usize = 32 << 20;

/// One thing to do.
pub enum Errand {
    /// Do this to a member.
    Act(String, Action, oneshot::Sender<Result<String, String>>),
    /// Record everything from now on, or no longer.
    Record(bool, oneshot::Sender<()>),
    /// All events that are remembered, as JSON Lines.
    Trace(oneshot::Sender<String>),
}

/// Where errands are taken.
#[derive(Clone)]
pub struct Errands(mpsc::Sender<Errand>);

impl Errands {
    /// Has an errand run, and waits for it. Call it on a thread of its own.
    pub fn run<T>(&self, errand: impl FnOnce(oneshot::Sender<T>) -> Errand) -> Result<T, String> {
        let (tell, told) = oneshot::channel();
        self.0.try_send(errand(tell)).map_err(|_| "other orders are still being carried out")?;
        told.blocking_recv().map_err(|_| "the cluster is stopping".into())
    }
}

/// Runs errands from now on. Call it within a `LocalSet`.
pub fn start(cluster: Rc<Cluster>) -> Errands {
    let (errands, mut inbox) = mpsc::channel(WAITING_MAX);
    tokio::task::spawn_local(async move {
        while let Some(errand) = inbox.recv().await {
            let cluster = cluster.clone();
            tokio::task::spawn_local(async move { run(&cluster, errand).await });
        }
    });
    Errands(errands)
}

/// Whoever wanted it may have gone; it is done all the same.
async fn run(cluster: &Cluster, errand: Errand) {
    match errand {
        Errand::Act(name, action, tell) => drop(tell.send(cluster.act(&name, action).await)),
        Errand::Record(on, tell) => {
            cluster.record(on).await;
            let _ = tell.send(());
        }
        Errand::Trace(tell) => {
            let lines = cluster.traces().await;
            // The rest is arithmetic over megabytes: orders do not wait for it.
            let merged = tokio::task::spawn_blocking(move || trace(&lines)).await;
            let _ = tell.send(merged.unwrap_or_default());
        }
    }
}

/// Events of several actors as one text, in one order.
fn trace(lines: &[String]) -> String {
    let files = lines.iter().map(|lines| explain::read_lines(lines.as_bytes())).collect();
    let events = trace::merge::merged(files);
    let lines: Vec<String> = events.iter().map(|event| trace::json::to_line(event) + "\n").collect();
    let mut room = TRACE_BYTES_MAX;
    let fits = lines.iter().rev().take_while(|line| {
        let fits = line.len() <= room;
        room = room.saturating_sub(line.len());
        fits
    });
    let kept = fits.count();
    lines[lines.len() - kept..].concat()
}
