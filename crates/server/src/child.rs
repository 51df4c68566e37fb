//! The line between `up` and the processes it starts.
//!
//! `up` holds the writing end of each child's standard input. Over it go orders, one a line; its end means that `up` is
//! gone, and the child drains and stops. So there are no orphans, even when `up` itself is killed with SIGKILL. The other
//! way go `ready {json}` when the child listens; from a gateway `serving {json}` when every shard has a primary; and an
//! answer to each [`Question`].
//!
//! A child that is stopped (SIGSTOP) cannot notice the end of its input. Linux can send a signal when the parent dies:
//! SIGCONT is asked for, which wakes the child so that it sees the end, and does nothing to one that is awake.

use std::io::{BufRead, Write};

use tokio::sync::{mpsc, watch};

use crate::cut::Cut;

/// What `up` wants to know. It asks the next question only when this one is answered, so nothing piles up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// How it looks inside, as JSON.
    Look,
    /// Record every event from now on, in memory, and only the latest; or stop that.
    Record(bool),
    /// The events that are remembered.
    Trace,
}

/// What reaches a process that was started by `up`, and whoever ends one in order.
pub struct Orders {
    /// When to end.
    pub stop: Stop,
    /// Whether it is cut off, or hears others badly.
    pub cut: Cut,
    /// What it is asked.
    pub questions: mpsc::UnboundedReceiver<Question>,
}

impl Orders {
    /// Of a process that nobody asks anything.
    pub fn alone(stop: Stop, cut: Cut) -> Orders {
        Orders { stop, cut, questions: mpsc::unbounded_channel().1 }
    }
}

/// Says when this process is to stop: finish what is under way, then exit.
pub type Stop = watch::Receiver<bool>;

/// Resolves when `stop` says so.
pub async fn stopped(stop: &mut Stop) {
    // An error means that nobody is left to say stop; that is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// From now on a panic, in whatever thread or task, ends the process with its message.
///
/// Without it: (1) an assertion fails in the thread of a replica, and that thread is gone; (2) the process lives on, holds
/// its port and its device, and answers nobody; (3) whoever waits for it waits for ever. And no line after a failed
/// assertion may write to a device.
pub fn end_with_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
}

/// Listens for the signals that end a process in order: SIGINT, SIGTERM, and SIGHUP, which comes when a terminal is closed,
/// unless whoever started this (`nohup`) wants it ignored. Each sends something over the channel.
///
/// Must be called within a tokio runtime.
pub fn signals() -> std::io::Result<mpsc::Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
    if !hangup_is_ignored() {
        kinds.push(SignalKind::hangup());
    }
    let (tx, rx) = mpsc::channel(1);
    for kind in kinds {
        let (mut signal, tx) = (signal(kind)?, tx.clone());
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                let _ = tx.try_send(()); // One that waits says the same.
            }
        });
    }
    Ok(rx)
}

/// Linux tells it in a file; elsewhere `nohup` does not help.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Listens for what may stop this process: the [`signals`], and when `supervised` the orders of `up`.
///
/// Must be called within a tokio runtime, from the main thread.
pub fn listen(supervised: bool) -> std::io::Result<Orders> {
    let (tx, stop) = watch::channel(false);
    let cut = Cut::default();
    let (asks, questions) = mpsc::unbounded_channel();
    if supervised {
        wake_when_parent_dies();
        let (tx, cut) = (tx.clone(), cut.clone());
        // Nobody hears a question that comes when the process is about to end.
        let ask = move |question| _ = asks.send(question);
        std::thread::Builder::new().name("orders".into()).spawn(move || {
            for line in std::io::stdin().lock().lines() {
                match line.as_deref() {
                    Ok("heal") => cut.set(None),
                    Ok("look") => ask(Question::Look),
                    Ok("record on") => ask(Question::Record(true)),
                    Ok("record off") => ask(Question::Record(false)),
                    Ok("trace") => ask(Question::Trace),
                    Ok("drain") | Err(_) => break,
                    Ok(order) => match order.parse() {
                        Ok(trouble) => cut.set(Some(trouble)),
                        Err(()) => tracing::warn!("an order that is not known: {order:?}"),
                    },
                }
            }
            let _ = tx.send(true);
        })?;
    }
    let mut signals = signals()?;
    tokio::spawn(async move {
        signals.recv().await;
        let _ = tx.send(true);
    });
    Ok(Orders { stop, cut, questions })
}

/// Tells `up`, or whoever reads standard output, how far this process has come.
pub fn announce(what: &str, facts: serde_json::Value) {
    let mut out = std::io::stdout().lock();
    // A closed pipe means that `up` is gone; the end of standard input says so too, and is acted on there.
    let _ = writeln!(out, "{what} {facts}").and_then(|()| out.flush());
}

/// Answers a question.
pub fn reply(question: Question, answer: serde_json::Value) {
    let word = match question {
        Question::Look => "looks",
        Question::Record(_) => "recording",
        Question::Trace => "traced",
    };
    announce(word, answer);
}

#[cfg(target_os = "linux")]
fn wake_when_parent_dies() {
    if let Err(e) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::CONT)) {
        tracing::warn!("the kernel does not tell of the parent's death: {e}");
    }
}

#[cfg(not(target_os = "linux"))]
fn wake_when_parent_dies() {}
