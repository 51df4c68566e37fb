//! What is done to the engine between crashes.
//!
//! The host is the engine's user at its most careful and its most careless: it syncs or not, commits or not, takes
//! checkpoints whole or in steps, promises while a batch is out. [`Known`] is what it may rely on.

use std::fmt;
use std::sync::Arc;

use disk::{Disk, Unwritten};
use engine::{CheckpointProgress, Engine, Entry, Extent, Seq, Standing, TransferCursor, Upkeep, WriteError};

use super::known::{Change, Known, Made, Receiving, Sending, entry, host_state, key, value};

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
    /// Moves the first value that finds room in one piece elsewhere.
    Move,
    /// Moves values as long as there is room for copies.
    MoveAll,
    /// A whole checkpoint of the entry that the last one is of already, as a damaged one is replaced.
    Renew,
    /// Sends the next piece of the checkpoint to another replica: the first key, then all others.
    Send,
    /// Receives the next piece of a state as of the last entry: its first key, then all others, with the next epoch.
    Receive,
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
        all.extend([Op::Commit, Op::CheckpointStep, Op::Checkpoint, Op::Promise, Op::Mend, Op::Move]);
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

impl Op {
    /// The alphabet of a host that does little else than moving values.
    pub(crate) fn moves(transfers: bool) -> Vec<Op> {
        let mut all = vec![Op::CheckpointStep, Op::Checkpoint, Op::Move];
        if transfers {
            all.extend([Op::Renew, Op::Send, Op::Receive]);
        }
        // The last one leaves so much in the cache that there are the most ways to lose it.
        all.extend([Op::Commit, Op::Write(Change::Overwrite), Op::MoveAll]);
        all
    }

    /// All that a schedule can name.
    pub(crate) fn every() -> Vec<Op> {
        let mut every = Op::all(true, true);
        every.extend(Op::moves(true));
        let mut named = std::collections::HashSet::new();
        every.retain(|op| named.insert(*op));
        every
    }

    /// Does it give a new key a value?
    pub(crate) fn puts_new(self) -> bool {
        use Op::{Append, Write, WriteAroundPromise, WriteFails};
        matches!(
            self,
            Append(Change::PutNew)
                | Write(Change::PutNew)
                | WriteFails(Change::PutNew)
                | WriteAroundPromise(Change::PutNew)
        )
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
            Change::PutSmall(_) | Change::DeleteSmall(_) | Change::PutFirst | Change::PutSecond => {
                "prepare the device"
            }
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
            Op::Move => write!(f, "move a value to another place"),
            Op::MoveAll => write!(f, "move values until there is no room for more"),
            Op::Renew => write!(f, "the checkpoint once more, of the same entry"),
            Op::Send => write!(f, "send the next piece of the checkpoint to another replica"),
            Op::Receive => write!(f, "receive the next piece of a state as of the last entry"),
            Op::Install => write!(f, "install a state as of the last entry"),
            Op::Reset => write!(f, "give everything up, to be filled anew"),
            Op::Standing => write!(f, "mark the device as joining, or as a member again"),
        }
    }
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
                e.device().fail_sync(Unwritten::Clean);
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
        Op::CheckpointStep | Op::Checkpoint | Op::Renew => {
            if !e.checkpoint_running() {
                if (e.applied_seq() == e.checkpoint_seq()) != (op == Op::Renew) {
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
                    // Only what is stored has room kept for it, not what is being received.
                    Err(WriteError::NoSpace { .. }) if known.receiving.is_some() => {
                        after.running = None;
                        break;
                    }
                    Err(WriteError::NoSpace { needed, free }) => {
                        panic!(
                            "P4: a checkpoint needs {needed} units, and {free} are free: nothing gives room again"
                        )
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
        Op::Move | Op::MoveAll if e.room_to_move() == 0 => {
            // The engine will not have it now. A host that asks all the same has changed nothing.
            let asks = e.checkpoint_running() || known.sending.is_some() || known.receiving.is_some();
            return asks.then_some(Done { after, during, failed: false });
        }
        Op::Move => {
            all_keys(e).iter().find(|key| moves(e, std::slice::from_ref(key)).1 > 0)?;
        }
        Op::MoveAll => {
            let keys = all_keys(e);
            if !moves_round(e, &keys) {
                return None;
            }
            // A round in which nothing moves is the last one.
            while moves_round(e, &keys) {}
        }
        Op::Send => send(e, &mut after)?,
        Op::Receive => {
            let Some(Receiving { seq, has_room }) = known.receiving else {
                after.receiving = Some(receive_first(e, known)?);
                return Some(Done { during: after.at_rest(), after, failed: false });
            };
            let rest = Known::live(&known.latest, seq).into_iter().skip(1);
            match install(e, seq, rest, known.promise[0] + 1) {
                Ok(()) => (during, after) = installed(known, seq),
                Err(_) if !has_room => return None,
                Err(error) => panic!(
                    "P4: there was room for the state beside the one that is here, and there is none any more: {error}"
                ),
            }
        }
        Op::Install => {
            let (seq, epoch) = (known.latest.len() as Seq, known.promise[0] + 1);
            // The same state again is no other step.
            if seq == known.checkpoint[0] && !known.joining[0] {
                return None;
            }
            e.install_begin().expect("the device works");
            // No room: the step is not possible here.
            install(e, seq, Known::live(&known.latest, seq), epoch).ok()?;
            (during, after) = installed(known, seq);
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
    if let Some(receiving) = &mut after.receiving {
        receiving.has_room &= matches!(op, Op::Move | Op::MoveAll | Op::Send | Op::Commit);
    }
    Some(Done { during, after, failed: false })
}

fn all_keys(e: &Engine<Disk>) -> Vec<Arc<[u8]>> {
    e.values(None, usize::MAX, &|_| true).0.into_iter().map(|(key, _)| key).collect()
}

/// Moves values of these keys, one behind the other, as many as find room in one piece: the keys that are done, and the
/// units that were moved.
fn moves(e: &mut Engine<Disk>, keys: &[Arc<[u8]>]) -> (usize, u64) {
    let moved = e.move_values(keys, Extent { unit: 0, units: e.space().units }).expect("the device works");
    assert!(moved.damaged.is_empty(), "E4: {:?}", moved.damaged);
    (moved.keys, moved.units)
}

/// Once all of these keys: did it move something?
fn moves_round(e: &mut Engine<Disk>, mut keys: &[Arc<[u8]>]) -> bool {
    let mut any = false;
    while !keys.is_empty() {
        let (done, units) = moves(e, keys);
        any |= units > 0;
        keys = &keys[done.max(1)..];
    }
    any
}

/// Sends the checkpoint's first key; or, where that left off, all others. Together they are what was live.
fn send(e: &Engine<Disk>, known: &mut Known) -> Option<()> {
    let seq = e.checkpoint_seq();
    let live: Vec<_> = Known::live(&known.log, seq).into_iter().collect();
    let begun = known.sending.take().filter(|sending| sending.seq == seq);
    let Some(Sending { at, keys, .. }) = begun else {
        let first = e.transfer_read(None, 0, 1).expect("the checkpoint is whole");
        let keys = first.items.len();
        known.sending = first.next.map(|TransferCursor { seq, at }| Sending { seq, at, keys });
        return known.sending.map(|_| ());
    };
    let (mut next, mut sent) = (Some(TransferCursor { seq, at }), Vec::new());
    while let Some(cursor) = next {
        let piece = e.transfer_read(Some(cursor), 0, usize::MAX).expect("the checkpoint is whole");
        assert!(!piece.items.is_empty(), "P4: the transfer of the checkpoint at {seq} gets nowhere");
        (next, sent) = (piece.next, [sent, piece.items].concat());
    }
    let mut sent = sent.into_iter();
    for (key, (version, made)) in &live[keys..] {
        let same = |(k, v, bytes): &engine::Item| {
            (&k[..], *v, &bytes[..]) == (key, *version, &value(*version, *made))
        };
        let key = String::from_utf8_lossy(key);
        assert!(
            sent.next().is_some_and(|item| same(&item)),
            "P1: the checkpoint at {seq} was sent, and a key is not in it: {key}, which entry {version} wrote"
        );
    }
    assert_eq!(sent.next(), None, "P2: a key was sent that is not there");
    Some(())
}

/// Begins to receive a state as of the last entry, if there is room for all of it.
fn receive_first(e: &mut Engine<Disk>, known: &Known) -> Option<Receiving> {
    let seq = known.latest.len() as Seq;
    let begin = |e: &mut Engine<Disk>| e.install_begin().expect("the device works");
    let mut trial = e.clone();
    begin(&mut trial);
    install(&mut trial, seq, Known::live(&known.latest, seq), known.promise[0] + 1).ok()?;
    begin(e);
    let (key, (version, made)) = Known::live(&known.latest, seq).into_iter().next()?;
    e.install_put(key.into(), version, value(version, made).into()).expect("there is room for all of it");
    Some(Receiving { seq, has_room: true })
}

/// Receives these, and makes the state the device's own.
fn install(
    e: &mut Engine<Disk>,
    seq: Seq,
    items: impl IntoIterator<Item = (Vec<u8>, (Seq, Made))>,
    epoch: u64,
) -> Result<(), WriteError> {
    for (key, (version, made)) in items {
        e.install_put(key.into(), version, value(version, made).into())?;
    }
    match e.install_finish(seq, host_state(seq), epoch) {
        Ok(()) => Ok(()),
        Err(error @ WriteError::NoSpace { .. }) => Err(error),
        Err(error) => panic!("the device works: {error}"),
    }
}

/// What holds while a state as of entry `seq` takes effect, and afterwards.
fn installed(known: &Known, seq: Seq) -> (Known, Known) {
    let epoch = known.promise[0] + 1;
    let after = Known { promise: [epoch; 2], joining: [false; 2], ..known.replaced_as_of(seq) };
    let mut during = known.at_rest();
    (during.latest, during.checkpoint[1], during.promise[1]) = (after.latest.clone(), seq, epoch);
    during.joining[1] = false;
    (during, after)
}

fn append(change: Change, e: &mut Engine<Disk>, known: &mut Known) -> Option<()> {
    // An entry that came otherwise: the state is not needed any more.
    if known.receiving.take().is_some() {
        e.install_abort();
    }
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
