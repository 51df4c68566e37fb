//! Disks that fail and disks that are full.
//!
//! A failing one: strace is attached to the node, and one call of it gets an error from the kernel instead of being done. The
//! call after it would succeed. So a node that went on as if nothing had happened would be caught: what a failed sync left
//! behind, no later one brings to the disk. A read that fails is another matter: the value is damaged here, and is had from the
//! other replicas.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ureq::http::{Method, Request};

use super::cluster::agent;

/// A node whose clients write has written by then.
const HIT_PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
/// A full cluster that was emptied takes new keys by then.
const ROOM_PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of what fills a disk, in this order: in the end there is no room for what clients store either. So many refusals in
/// a row mean that no shard has room for it.
const FILLERS: [usize; 4] = [1 << 20, 64 << 10, 4 << 10, 400];
const REFUSALS: usize = 16;
/// No image here takes more.
const FILLERS_MAX: usize = 10_000;

/// Calls of a process that fail. It ends with the process, or when it is dropped; then it leaves the process alone.
struct Failing {
    strace: Child,
    notes: PathBuf,
}

impl Failing {
    /// `when`: which calls, as strace counts them: `1` is the first, `1+2` every other one.
    fn attach(pid: u64, call: &str, error: &str, when: &str, notes: &Path) -> Result<Failing, String> {
        // What an earlier one noted is not this one's.
        fs::write(notes, "").map_err(|why| format!("{}: {why}", notes.display()))?;
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:error={error}:when={when}"), "-p", &pid.to_string(), "-o"])
            .arg(notes)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|why| format!("strace: {why}"))?;
        Ok(Failing { strace, notes: notes.to_owned() })
    }

    /// Has a call failed?
    fn has_hit(&self) -> bool {
        fs::read_to_string(&self.notes).is_ok_and(|notes| notes.contains("(INJECTED)"))
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.strace.try_wait(), Ok(None))
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        // One that has ended was waited for, and its number may be somebody else's.
        if self.has_ended() {
            return;
        }
        // Asked to end, it lets go of the process; killed, it would leave it stopped.
        let _ = Command::new("kill").args(["-TERM", &self.strace.id().to_string()]).status();
        let _ = self.strace.wait();
    }
}

/// Makes one `call` of a process fail with `error`, and waits until the process has ended.
///
/// An error is a promise that broke: it wrote on.
pub fn fail_once(pid: u64, call: &str, error: &str, notes: &Path) -> Result<(), String> {
    let (mut failing, begun) = (Failing::attach(pid, call, error, "1", notes)?, Instant::now());
    while !failing.has_ended() {
        if begun.elapsed() > HIT_PATIENCE {
            return Err(match failing.has_hit() {
                true => format!("P1: process {pid} went on after {call} had failed with {error}"),
                false => format!("process {pid} did not call {call} for {} s", HIT_PATIENCE.as_secs()),
            });
        }
        std::thread::sleep(POLL);
    }
    if failing.has_hit() {
        return Ok(());
    }
    Err(format!("strace could not make {call} of process {pid} fail"))
}

/// Makes every other read of a process fail, until `enough` is over.
pub fn fail_reads(pid: u64, notes: &Path, enough: impl FnOnce()) -> Result<(), String> {
    let (mut failing, begun) = (Failing::attach(pid, "pread64", "EIO", "1+2", notes)?, Instant::now());
    while !failing.has_hit() {
        if failing.has_ended() {
            return Err(format!(
                "P5: process {pid} ended because a read had failed, or strace could not be attached"
            ));
        }
        if begun.elapsed() > HIT_PATIENCE {
            return Err(format!("process {pid} did not read for {} s", HIT_PATIENCE.as_secs()));
        }
        std::thread::sleep(POLL);
    }
    enough();
    match failing.has_ended() {
        true => Err(format!("P5: process {pid} ended because reads had failed")),
        false => Ok(()),
    }
}

/// Stores values until the cluster has no room for any, in any shard, and says how many. Then, when `full` is over, deletes them
/// all, and waits until a new key is taken.
pub fn fill(gateway: &str, full: impl FnOnce()) -> Result<usize, String> {
    let agent = agent();
    let ask = |method: Method, key: &str, body: &[u8]| {
        let uri = format!("http://{gateway}/v1/kv/{key}");
        let request = Request::builder().method(method).uri(uri).body(body.to_vec());
        let answer = agent.run(request.expect("an address and a key make a request"));
        answer.map(|answer| answer.status().as_u16()).unwrap_or(0)
    };
    // No fault is under way: what is not answered now is asked again, but not for ever.
    let insist = |method: Method, key: &str, body: &[u8], wanted: &[u16]| {
        let begun = Instant::now();
        loop {
            let status = ask(method.clone(), key, body);
            if wanted.contains(&status) {
                return Ok(status);
            }
            if begun.elapsed() > ROOM_PATIENCE {
                return Err(format!(
                    "P4: {method} {key} is answered {status} for a minute, on disks that are or were full"
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let (mut stored, mut asked) = (Vec::new(), 0);
    for bytes in FILLERS {
        let (filler, mut refused) = (vec![b'f'; bytes], 0);
        while refused < REFUSALS {
            let key = format!("filler{asked}");
            asked += 1;
            match insist(Method::PUT, &key, &filler, &[200, 507])? {
                200 => (refused, _) = (0, stored.push(key)),
                _ => refused += 1,
            }
            if stored.len() > FILLERS_MAX {
                return Err(format!("{FILLERS_MAX} values fit on disks that have no room for them"));
            }
        }
    }
    full();
    // What is there is there, and what is deleted gives room.
    for key in &stored {
        insist(Method::GET, key, b"", &[200])?;
        insist(Method::DELETE, key, b"", &[200])?;
    }
    insist(Method::PUT, "filler", b"small", &[200])?;
    insist(Method::DELETE, "filler", b"", &[200])?;
    Ok(stored.len())
}
