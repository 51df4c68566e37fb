//! What is done to the engine between crashes, and what must be true after each.
//!
//! The host is the engine's user at its most careful and its most careless: it syncs or not, commits or not, takes
//! checkpoints whole or in steps, promises while a batch is out. [`Known`] is what it may rely on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use engine::{CheckpointProgress, Condition, Engine, Entry, Identity, Layout, RecoveryReport, Seq, Standing};
use engine::{Extent, Op as EngineOp, Owner, ReadError, WriteError};
use trace::Mechanisms;

use super::disk::{Disk, SECTOR, State};

pub(crate) const IDENTITY: Identity =
    Identity { cluster: [7; 16], node: 1, shard: 0, shards: 1, members: 0b111 };
pub(crate) const LAYOUT: Layout = Layout { wal_bytes: WAL_BYTES };
/// The smallest ring there is, so that it wraps soon.
const WAL_BYTES: u64 = 16 * SECTOR as u64;
/// The smallest device with that ring, and a little.
const DEVICE_BYTES: usize = 8192 + WAL_BYTES as usize + 96 * SECTOR;
/// A value takes two sectors, so that it can be torn, and can lie in two extents.
const VALUE_BYTES: usize = 600;
/// With its header, a record of a new key takes more than one sector.
const NEW_KEY_BYTES: usize = 450;
/// And that of a long one three, as those of values in many extents do: a power cut can leave its header and its end without
/// what is between them.
const LONG_KEY_BYTES: usize = 1_000;

/// A change to the map, or the undoing of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Gives a key that did not exist a value; again with the same seq, it is the same key and value.
    PutNew,
    /// The same with a long key.
    PutLong,
    /// Gives a key another value of the same length, never the same one again.
    Overwrite,
    /// Removes a key.
    Delete,
    /// Undoes the last entry, if that is not committed.
    Truncate,
    /// Gives another key a value of one unit: only to prepare a device.
    PutSmall(u8),
    /// Removes that key.
    DeleteSmall(u8),
}

/// One step of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Appends, and does not sync.
    Append(Change),
    /// Appends and syncs.
    Write(Change),
    /// Appends and syncs; the sync fails. The host has to open the device again.
    WriteFails(Change),
    /// Appends and begins to sync; before the sync, and after the batch's writes, promises the next epoch.
    WriteAroundPromise(Change),
    /// Applies everything durable.
    Commit,
    /// Begins a checkpoint, or takes one step of the one under way.
    CheckpointStep,
    /// A whole checkpoint, or the rest of the one under way.
    Checkpoint,
    /// Promises the next epoch.
    Promise,
    /// Repairs the last value that is live: its bytes, written once more in their place.
    Mend,
    /// Installs a state as of the last entry, as if it had been transferred, with the next epoch.
    Install,
    /// Gives up everything but identity and promise, to be filled by a transfer.
    Reset,
    /// Marks the device as joining, or as a member if it is joining.
    Standing,
}

const CHANGES: [Change; 4] = [Change::PutNew, Change::Overwrite, Change::Delete, Change::Truncate];

impl Op {
    /// The alphabet.
    pub(crate) fn all(failing_syncs: bool, transfers: bool) -> Vec<Op> {
        let mut all: Vec<Op> = CHANGES.map(Op::Append).into();
        all.extend(CHANGES.map(Op::Write));
        all.extend([Op::Commit, Op::CheckpointStep, Op::Checkpoint, Op::Promise, Op::Mend]);
        all.push(Op::Write(Change::PutLong));
        all.push(Op::WriteAroundPromise(Change::PutNew));
        if failing_syncs {
            all.push(Op::WriteFails(Change::PutNew));
        }
        if transfers {
            all.extend([Op::Install, Op::Reset, Op::Standing]);
        }
        all
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = |change: &Change| match change {
            Change::PutNew => "put a new key",
            Change::PutLong => "put a long key",
            Change::Overwrite => "overwrite a key",
            Change::Delete => "delete a key",
            Change::Truncate => "truncate the last entry",
            Change::PutSmall(_) | Change::DeleteSmall(_) => "prepare the device",
        };
        match self {
            Op::Append(c) => write!(f, "{}, without a sync", change(c)),
            Op::Write(c) => write!(f, "{}, and sync", change(c)),
            Op::WriteFails(c) => write!(f, "{}, and sync, which fails", change(c)),
            Op::WriteAroundPromise(c) => write!(f, "{}; while its batch is out, promise an epoch", change(c)),
            Op::Commit => write!(f, "commit what is durable"),
            Op::CheckpointStep => write!(f, "one step of a checkpoint"),
            Op::Checkpoint => write!(f, "a checkpoint to its end"),
            Op::Promise => write!(f, "promise the next epoch"),
            Op::Mend => write!(f, "repair the last value"),
            Op::Install => write!(f, "install a state as of the last entry"),
            Op::Reset => write!(f, "give everything up, to be filled anew"),
            Op::Standing => write!(f, "mark the device as joining, or as a member again"),
        }
    }
}

/// An entry of the log as the host knows it: enough to make its bytes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Made {
    change: Change,
    id: u8,
}

/// What the host relies on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    /// The log as of the last acknowledged sync.
    log: Vec<Made>,
    /// The log with what the host did since. After a crash: the log that may be there instead.
    latest: Vec<Made>,
    /// How much of `log` is neither undone nor about to be. A truncation may take effect before its sync, by a
    /// checkpoint that starts the log behind what is undone: its owner did not want those entries any more.
    wanted: usize,
    /// `log` without its last batch, unless a recovery has read that: damage to the last batch cannot be told from a
    /// batch that was never synced.
    without_last_batch: Vec<Made>,
    /// The log as a failed sync may have left it, if the host did not notice (`poison-on-io-error` taken out).
    attempted: Option<Vec<Made>>,
    /// Committed: never undone.
    applied: Seq,
    /// The checkpoint in force, and the one that may be instead.
    checkpoint: [Seq; 2],
    /// The one under way.
    running: Option<Seq>,
    /// The epoch promised, and the one that may be instead.
    promise: [u64; 2],
    /// Is the device joining, and may it be instead?
    joining: [bool; 2],
    /// Everything may have been given up.
    emptied: bool,
    /// Makes each overwriting value another one.
    made: u8,
}

impl Known {
    /// What holds of a device that was formatted for another life.
    pub(crate) fn formatted() -> Known {
        Known { joining: [true; 2], ..Known::default() }
    }

    /// What holds when power fails now, with nothing under way: what is only in memory is gone.
    pub(crate) fn at_rest(&self) -> Known {
        Known { latest: self.log.clone(), running: None, ..self.clone() }
    }

    /// The live keys as of entry `seq`, with the entry that wrote each.
    fn live(log: &[Made], seq: Seq) -> BTreeMap<Vec<u8>, (Seq, Made)> {
        let mut map = BTreeMap::new();
        for (n, &made) in log.iter().take(seq as usize).enumerate() {
            let (seq, key) = (n as Seq + 1, key(n as Seq + 1, made));
            match made.change {
                Change::Delete | Change::DeleteSmall(_) => map.remove(&key),
                _ => map.insert(key, (seq, made)),
            };
        }
        map
    }

    /// A state as of entry `seq` of `latest` is all that the device holds, with the log as `latest` up to there.
    fn replaced_as_of(&self, seq: Seq) -> Known {
        let log = self.latest[..seq as usize].to_vec();
        Known {
            latest: log.clone(),
            without_last_batch: log.clone(),
            wanted: log.len(),
            log,
            attempted: None,
            applied: seq,
            checkpoint: [seq; 2],
            running: None,
            ..self.clone()
        }
    }
}

fn key(seq: Seq, made: Made) -> Vec<u8> {
    match made.change {
        Change::PutNew | Change::PutLong => {
            let long = made.change == Change::PutLong;
            let mut key = vec![b'n'; if long { LONG_KEY_BYTES } else { NEW_KEY_BYTES }];
            key[0] = b'0' + seq as u8;
            key
        }
        Change::Overwrite => b"a".to_vec(),
        Change::PutSmall(n) | Change::DeleteSmall(n) => vec![b's', n],
        _ => b"b".to_vec(),
    }
}

fn value(seq: Seq, made: Made) -> Vec<u8> {
    let kind = match made.change {
        Change::PutNew | Change::PutLong => 0,
        Change::Overwrite => 1,
        Change::PutSmall(n) => return vec![n],
        change => unreachable!("{change:?} has no value"),
    };
    let salt = if kind == 0 { seq as u8 } else { made.id };
    (0..VALUE_BYTES).map(|n| (n as u8).wrapping_mul(31) ^ salt.wrapping_mul(7) ^ kind).collect()
}

fn entry(seq: Seq, made: Made) -> Entry {
    let key: Arc<[u8]> = key(seq, made).into();
    let condition = Condition::Always;
    let op = match made.change {
        Change::Delete | Change::DeleteSmall(_) => EngineOp::Delete { key, condition },
        _ => EngineOp::Put { key, value: value(seq, made).into(), condition },
    };
    Entry { seq, tag: [b't', made.id][..].into(), op }
}

fn host_state(seq: Seq) -> Vec<u8> {
    if seq == 0 { Vec::new() } else { format!("as of {seq}").into_bytes() }
}

/// What a step did, for whoever cuts the power in the middle of it.
pub(crate) struct Done {
    /// Holds at every moment before its last access has returned.
    pub(crate) during: Known,
    /// Holds afterwards.
    pub(crate) after: Known,
    /// Did the device fail, so that the host has to open it again?
    pub(crate) failed: bool,
}

/// Takes one step. `None` if it is not possible here, or would change nothing.
pub(crate) fn take(op: Op, e: &mut Engine<Disk>, known: &Known) -> Option<Done> {
    let (mut after, mut during) = (known.clone(), known.at_rest());
    match op {
        Op::Append(change) => append(change, e, &mut after)?,
        Op::Write(change) | Op::WriteAroundPromise(change) | Op::WriteFails(change) => {
            append(change, e, &mut after)?;
            during.latest = after.latest.clone();
            if matches!(op, Op::WriteFails(_)) {
                e.device().fail_next_sync();
            }
            let synced = if matches!(op, Op::WriteAroundPromise(_)) {
                let (epoch, batch) = (known.promise[0] + 1, e.begin_sync().expect("something was appended"));
                // What `Batch::write` does on its own thread, with the promise in front of its sync.
                let written = batch.write(&WithoutSync(e.device()));
                e.promise(epoch).expect("the device works");
                (during.promise[1], after.promise) = (epoch, [epoch; 2]);
                let written = written.and_then(|()| engine::Device::sync(e.device()));
                e.end_sync(batch, written)
            } else {
                e.sync()
            };
            match synced {
                Ok(synced) => {
                    after.without_last_batch = std::mem::replace(&mut after.log, after.latest.clone());
                    (after.wanted, after.attempted) = (after.log.len(), None);
                    assert_eq!(
                        synced.durable_seq(),
                        after.log.len() as Seq,
                        "E1: a sync covers everything appended"
                    );
                }
                Err(WriteError::Io(_)) if e.is_poisoned() => {
                    return Some(Done { after: during.clone(), during, failed: true });
                }
                // Without `poison-on-io-error` the host goes on, and the next sync seems to cover this one.
                Err(WriteError::Io(_)) => after.attempted = Some(after.latest.clone()),
                Err(error) => panic!("a sync was refused: {error}"),
            }
        }
        Op::Commit => {
            if e.durable_seq() == e.applied_seq() {
                return None;
            }
            e.commit(e.durable_seq()).expect("what is durable can be applied");
            after.applied = e.applied_seq();
        }
        Op::CheckpointStep | Op::Checkpoint => {
            if !e.checkpoint_running() {
                if e.applied_seq() == e.checkpoint_seq() {
                    return None;
                }
                e.checkpoint_begin(host_state(e.applied_seq()));
                after.running = Some(e.applied_seq());
            }
            let seq = after.running.expect("one is running");
            during.checkpoint[1] = seq;
            loop {
                match e.checkpoint_step() {
                    Ok(CheckpointProgress::Working) if op == Op::CheckpointStep => break,
                    Ok(CheckpointProgress::Working) => {}
                    Ok(progress) => {
                        assert_eq!(
                            progress,
                            CheckpointProgress::Done { seq },
                            "the checkpoint that was begun"
                        );
                        after.running = None;
                        break;
                    }
                    Err(error) => panic!("a checkpoint was refused: {error}"),
                }
            }
            after.checkpoint = [e.checkpoint_seq(); 2];
        }
        Op::Promise => {
            let epoch = known.promise[0] + 1;
            e.promise(epoch).expect("the device works");
            (during.promise[1], after.promise) = (epoch, [epoch; 2]);
        }
        Op::Mend => {
            let live =
                |at: &usize| e.version_of(&key(*at as Seq + 1, known.log[*at])) == Some(*at as Seq + 1);
            let at = (0..e.applied_seq() as usize).rev().find(live)?;
            let (seq, made) = (at as Seq + 1, &known.log[at]);
            let mended = e.mend(&key(seq, *made), seq, &value(seq, *made)).expect("the device works");
            assert!(mended, "E4: the bytes of entry {seq} are not those that were written");
        }
        Op::Install => {
            let (seq, epoch) = (known.latest.len() as Seq, known.promise[0] + 1);
            // The same state again is no other step.
            if seq == known.checkpoint[0] && !known.joining[0] {
                return None;
            }
            e.install_begin().expect("the device works");
            for (key, (version, made)) in Known::live(&known.latest, seq) {
                // No room: the step is not possible here.
                e.install_put(key.into(), version, value(version, made).into()).ok()?;
            }
            match e.install_finish(seq, host_state(seq), epoch) {
                Err(WriteError::NoSpace { .. }) => return None,
                done => done.expect("the device works"),
            }
            after = Known { promise: [epoch; 2], joining: [false; 2], ..known.replaced_as_of(seq) };
            (during.latest, during.checkpoint[1], during.promise[1]) = (after.latest.clone(), seq, epoch);
            during.joining[1] = false;
        }
        Op::Reset => {
            let last = e.last_seq();
            e.give_up_all((0, last)).expect("the device works");
            after = known.replaced_as_of(0);
            (during.emptied, during.checkpoint[1]) = (true, 0);
        }
        Op::Standing => {
            let joining = !known.joining[0];
            let standing = if joining { Standing::Joining } else { Standing::Member };
            e.set_standing(standing).expect("the device works");
            (during.joining[1], after.joining) = (joining, [joining; 2]);
        }
    }
    Some(Done { during, after, failed: false })
}

fn append(change: Change, e: &mut Engine<Disk>, known: &mut Known) -> Option<()> {
    let last = known.latest.len() as Seq;
    if change == Change::Truncate {
        if last == known.applied || e.truncate(last).is_err() {
            return None;
        }
        known.latest.pop();
        known.wanted = known.wanted.min(known.latest.len());
        return Some(());
    }
    let made = Made { change, id: if change == Change::Overwrite { known.made + 1 } else { 0 } };
    let Entry { seq, tag, op } = entry(last + 1, made);
    // No room: the step is not possible here.
    let got = e.append(op, &tag).ok()?;
    assert_eq!(got, seq, "E2: seqs ascend without a gap");
    known.latest.push(made);
    known.made += u8::from(change == Change::Overwrite);
    Some(())
}

/// Passes writes through, and leaves the sync to the caller.
struct WithoutSync<'a>(&'a Disk);

impl engine::Device for WithoutSync<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Checks an engine that has just been opened, and lets the host catch up. Says what is broken, or what the host
/// relies on from here on.
pub(crate) fn recovered(
    e: &mut Engine<Disk>,
    report: &RecoveryReport,
    known: &Known,
) -> Result<Known, String> {
    if let Some(damage) = &report.damage {
        return Err(format!("a crash is reported as damage: {damage}"));
    }
    let (promised, checkpoint, joining) =
        (e.promised(), e.checkpoint_seq(), e.standing() == Standing::Joining);
    if !known.joining.contains(&joining) {
        return Err(format!("E5: the device is joining: {joining}; it was: {}", known.joining[0]));
    }
    if !known.promise.contains(&promised) {
        return Err(format!("E5: the promise is {promised}, and {} was acknowledged", known.promise[0]));
    }
    if !known.checkpoint.contains(&checkpoint) || e.host_state() != host_state(checkpoint) {
        return Err(format!("E1: the checkpoint in force is {checkpoint}, and {} was", known.checkpoint[0]));
    }
    let none = known.replaced_as_of(0);
    let known = if known.emptied && checkpoint == 0 && e.last_seq() == 0 { &none } else { known };
    let attempted = known.attempted.as_ref().unwrap_or(&known.log);
    let candidates = [&known.log, &known.latest, attempted, &known.log[..known.wanted]];
    let log = recovered_log(e, &candidates, known.wanted)?;
    let after = Known {
        latest: log.clone(),
        without_last_batch: log.clone(),
        wanted: log.len(),
        log,
        checkpoint: [checkpoint; 2],
        promise: [promised; 2],
        running: None,
        attempted: None,
        joining: [joining; 2],
        emptied: false,
        applied: known.applied.max(checkpoint),
        ..known.clone()
    };
    reads(e, &after, false)?;
    if e.applied_seq() < known.applied {
        e.commit(known.applied).map_err(|error| format!("E1: {error}"))?;
        reads(e, &after, false)?;
    }
    Ok(after)
}

/// Which of these logs the engine has, of which at least `acknowledged` entries are needed.
fn recovered_log(e: &Engine<Disk>, candidates: &[&[Made]], acknowledged: usize) -> Result<Vec<Made>, String> {
    let (from, last) = (e.checkpoint_seq() + 1, e.last_seq());
    for candidate in candidates.iter().filter(|candidate| candidate.len() as Seq == last) {
        let mut found = true;
        for seq in from..=last {
            let read = e.entry(seq).map_err(|error| format!("E4: entry {seq}: {error}"))?;
            found &= read.is_some_and(|read| read == entry(seq, candidate[seq as usize - 1]));
        }
        if found {
            return Ok(candidate.to_vec());
        }
    }
    let lengths: Vec<_> = candidates.iter().map(|candidate| candidate.len()).collect();
    Err(format!(
        "{}: the log ends at entry {last}, and is none of those that the host wrote, which end at {lengths:?}",
        if last < acknowledged as Seq { "E1" } else { "E2" },
    ))
}

/// Checks a device on which a bit of one sector was turned after everything was synced: damage is reported, or nothing
/// of importance was hit. Never are other bytes served, nor is an acknowledged entry gone in silence (promise 5).
pub(crate) fn rotten(e: &mut Engine<Disk>, known: &Known) -> Result<(), String> {
    if e.damage().is_some() {
        return given_up(e, known);
    }
    let joining = e.standing() == Standing::Joining;
    if (e.promised(), e.checkpoint_seq(), joining)
        != (known.promise[0], known.checkpoint[0], known.joining[0])
    {
        return Err("E5: damage in one superblock slot brings back an older state".into());
    }
    let candidates = [&known.log[..], &known.log[..known.wanted], &known.without_last_batch];
    match recovered_log(e, &candidates, known.wanted) {
        Ok(log) => reads(e, &Known { log, ..known.clone() }, true),
        // An entry that cannot be read says so.
        Err(broken) if broken.starts_with("E4") => Ok(()),
        Err(broken) => Err(broken),
    }
}

/// What a damaged device says that it had is never less than what was acknowledged; and it can go on without the damage.
fn given_up(e: &mut Engine<Disk>, known: &Known) -> Result<(), String> {
    let (had, acknowledged) = (e.had().map(|(seq, _)| seq), known.wanted as Seq);
    if had.is_some_and(|had| had < acknowledged) {
        return Err(format!(
            "E1: it says that it had entries up to {had:?}, and {acknowledged} were acknowledged"
        ));
    }
    e.give_up_damaged((1, acknowledged)).map_err(|error| format!("E1: {error}"))?;
    let opened = Engine::open(Disk::of(e.device().state()), &IDENTITY, Mechanisms::all());
    let (again, report) = opened.map_err(|error| format!("E1: {error}"))?;
    match report.damage {
        Some(damage) => Err(format!("E6: what was given up is back: {damage}")),
        None if (again.owed(), again.promised(), again.last_seq())
            != (e.owed(), e.promised(), e.last_seq()) =>
        {
            Err(format!("E2: a log up to {} after one up to {}", again.last_seq(), e.last_seq()))
        }
        None => Ok(()),
    }
}

/// Every live key reads its own bytes (or, if the medium is `rotten`, none), and no other key is there.
pub(crate) fn reads(e: &Engine<Disk>, known: &Known, rotten: bool) -> Result<(), String> {
    let map = Known::live(&known.log, e.applied_seq());
    for (key, (seq, made)) in &map {
        let name = key[0] as char;
        match e.get(key) {
            Ok(Some(found)) if (found.version, &*found.value) == (*seq, &value(*seq, *made)) => {}
            Ok(Some(found)) => {
                return Err(format!("E4: key {name} has version {}, not {seq}", found.version));
            }
            Ok(None) => return Err(format!("E1: key {name} is gone; entry {seq} wrote it")),
            Err(ReadError::Corrupt(_)) if rotten => {}
            Err(error) => return Err(format!("E4: key {name}: {error}")),
        }
    }
    if e.key_count() != map.len() as u64 {
        return Err(format!("E2: {} keys where there are {}", e.key_count(), map.len()));
    }
    let space = e.space();
    if space.live + space.free + space.quarantined != space.units {
        return Err(format!("E3: {space:?} does not add up"));
    }
    Ok(())
}

/// A device with a past, to begin from.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) name: &'static str,
    pub(crate) disk: State,
    pub(crate) known: Known,
}

/// The devices to begin from. They were made with all mechanisms on.
pub(crate) fn starts() -> Vec<Start> {
    use Change::{Delete, Overwrite, PutNew};
    let write = [Op::Write(Overwrite), Op::Write(Delete), Op::Write(PutNew), Op::Commit];
    let mut starts = vec![start("a device just formatted", &[], 0)];
    starts.push(start("three entries, no checkpoint", &write[..3], 0));
    let mut checkpointed = write.to_vec();
    checkpointed.extend([Op::Checkpoint, Op::Write(Overwrite)]);
    starts.push(start("a checkpoint and an entry behind it", &checkpointed, 0));
    for sectors_left in [2, 1] {
        let mut near_the_end = write.to_vec();
        near_the_end.push(Op::Checkpoint);
        let name = if sectors_left == 1 {
            "one sector before the end of the ring"
        } else {
            "two sectors before the end of the ring"
        };
        starts.push(start(name, &near_the_end, sectors_left));
    }
    starts.push(scattered());
    starts
}

/// Is the value of an entry that is not applied in several extents?
fn is_split(e: &Engine<Disk>) -> bool {
    let tentative = |(_, owner): &(Extent, Owner)| matches!(owner, Owner::Entry(..));
    e.owners().into_iter().filter(tentative).count() > 1
}

/// A device whose free units are so scattered that each value lies in two extents.
fn scattered() -> Start {
    let Start { disk, mut known, .. } = start("", &[], 0);
    let mut e = Engine::open(Disk::of(disk), &IDENTITY, Mechanisms::all()).expect("it is formatted").0;
    let mut write = |e: &mut Engine<Disk>, change| {
        [Op::Write(change), Op::Commit, Op::Checkpoint].iter().all(|&op| {
            let done = take(op, e, &known);
            done.map(|done| known = done.after).is_some()
        })
    };
    let last = (0..).find(|&n| !write(&mut e, Change::PutSmall(n))).expect("it is full some time");
    for n in (0..last).step_by(2) {
        write(&mut e, Change::DeleteSmall(n));
    }
    // What checkpoints have left in longer extents goes first.
    for n in last.. {
        let mut trial = e.clone();
        let put = entry(trial.last_seq() + 1, Made { change: Change::Overwrite, id: 0 }).op;
        trial.append(put, b"t").expect("half of the keys are gone");
        if is_split(&trial) {
            break;
        }
        assert!(write(&mut e, Change::PutSmall(n)), "half of the keys are gone");
    }
    Start { name: "a device whose free units are scattered", disk: e.device().state(), known }
}

/// `ops`, then overwriting and checkpoints until so many sectors of the ring are left (0: none of that). Afterwards
/// free space is in pieces of one value each, so that a freed extent is the next to be used.
fn start(name: &'static str, ops: &[Op], sectors_left: u64) -> Start {
    let disk = Disk::new(DEVICE_BYTES);
    engine::format(&disk, &IDENTITY, Standing::Member, LAYOUT).expect("the device is large enough");
    let (mut e, _) = Engine::open(disk, &IDENTITY, Mechanisms::all()).expect("it is formatted");
    let mut known = Known::default();
    let mut go = |e: &mut Engine<Disk>, op| {
        known = take(op, e, &known).expect("a start is possible").after;
    };
    ops.iter().for_each(|&op| go(&mut e, op));
    let left = |e: &Engine<Disk>| (WAL_BYTES - e.appended_lsn().0 % WAL_BYTES) / SECTOR as u64;
    while sectors_left > 0 && (left(&e) != sectors_left || e.appended_lsn().0 < WAL_BYTES) {
        go(&mut e, Op::Write(Change::Overwrite));
        go(&mut e, Op::Commit);
        go(&mut e, Op::Checkpoint);
    }
    Start { name, disk: e.device().state(), known }
}

/// The bytes of a device whose ring has wrapped, with a checkpoint and a log behind it.
pub(crate) fn image_with_a_past() -> Vec<u8> {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let Start { disk, mut known, .. } = starts().pop().expect("there are some");
        let mut e = Engine::open(Disk::of(disk), &IDENTITY, Mechanisms::all()).expect("it is formatted").0;
        for op in [Op::Write(Change::PutNew), Op::Append(Change::Overwrite), Op::Write(Change::Truncate)] {
            known = take(op, &mut e, &known).expect("a start has room").after;
        }
        let mut image = vec![0; DEVICE_BYTES];
        engine::Device::read_at(e.device(), 0, &mut image).expect("all of it is there");
        image
    };
    IMAGE.get_or_init(make).clone()
}

/// A disk with these bytes.
pub(crate) fn opened_image(image: &[u8]) -> Disk {
    let disk = Disk::new(image.len());
    engine::Device::write_at(&disk, 0, image).expect("a simulated disk works");
    disk
}
