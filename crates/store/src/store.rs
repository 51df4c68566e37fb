//! Group commit: many threads append, one sync makes what all of them appended durable.
//!
//! Threads that write at the same time share a sync. The first to find nobody leading takes everything appended so
//! far, its own entry among it, and writes it without holding the lock; what the others append meanwhile is the next
//! batch, and one of them leads that. There is no timer, and a lonely write waits for nothing but its own sync. Those
//! who wait wait at their batch and not at the store, so that waking thirty of them does not hold up the next batch.
//!
//! Without company in mind, the first writer to come back from a batch would write the next one alone, and the others
//! would wait for two syncs: so who writes lets the others run first, for as long as they append something.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{
    CheckpointProgress, Condition, Device, Engine, FormatError, Found, Identity, Layout, Op, OpenError,
    Outcome, ReadError, RecoveryReport, Seq, Standing, Synced, Usage, WriteError, format,
};
use trace::Mechanisms;

use crate::group_commit::{Failed, Group, Turn};

/// Chunks of a checkpoint that are written after each batch: more than a batch's share of the log, so that a
/// checkpoint is complete before the log is full.
const CHECKPOINT_STEPS: usize = 4;
/// Everyone's: a store is not part of a cluster.
const IDENTITY: Identity = Identity { cluster: [0; 16], node: 1, shard: 0, shards: 1, members: 1 };

/// Why a write did not return an outcome.
#[derive(Debug)]
pub enum StoreError {
    /// It was refused, and nothing has changed.
    Refused(WriteError),
    /// The store has stopped, and whether this write is durable is not known until it is opened again.
    Unknown(WriteError),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Refused(error) => error.fmt(f),
            StoreError::Unknown(error) => {
                write!(f, "{error}; whether this write took effect is not known before the store is reopened")
            }
        }
    }
}

impl std::error::Error for StoreError {}

/// Why a store was not created.
#[derive(Debug)]
pub enum CreateError {
    /// The device was not formatted.
    Format(FormatError),
    /// It was formatted, but not opened.
    Open(OpenError),
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateError::Format(error) => error.fmt(f),
            CreateError::Open(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CreateError {}

/// A key-value store on one device. All methods may be called from many threads.
#[derive(Debug)]
pub struct Store<D: Device> {
    device: Arc<D>,
    state: Mutex<State<Arc<D>>>,
}

#[derive(Debug)]
struct State<D> {
    engine: Engine<D>,
    /// Those whose entries are in the batch being filled.
    group: Arc<Group<Settled>>,
    /// Somebody leads: gathers a batch, writes one, or has been told to.
    led: bool,
    /// Entries of the last batch.
    last_batch: usize,
}

impl<D: Device> Store<D> {
    /// Formats a device that is not formatted yet, and opens it.
    pub fn create(device: D) -> Result<(Store<D>, RecoveryReport), CreateError> {
        format(&device, &IDENTITY, Standing::Member, Layout::default()).map_err(CreateError::Format)?;
        Store::open(device).map_err(CreateError::Open)
    }

    /// Opens a formatted device. All entries that the log holds count: this store is the only one to say so.
    pub fn open(device: D) -> Result<(Store<D>, RecoveryReport), OpenError> {
        let device = Arc::new(device);
        let (mut engine, report) = Engine::open(device.clone(), &IDENTITY, Mechanisms::all())?;
        if engine.damage().is_none() {
            engine.commit(engine.last_seq()).expect("E2: what was recovered is durable and in order");
        }
        let state = Mutex::new(State { engine, group: Arc::default(), led: false, last_batch: 0 });
        Ok((Store { device, state }, report))
    }

    /// Gives `key` a value; durable when it returns.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<Outcome, StoreError> {
        self.put_if(key, value, Condition::Always)
    }

    /// The same, if `condition` holds when its turn comes.
    pub fn put_if(&self, key: &[u8], value: &[u8], condition: Condition) -> Result<Outcome, StoreError> {
        self.write(Op::Put { key: key.into(), value: value.into(), condition })
    }

    /// Removes `key`; durable when it returns.
    pub fn delete(&self, key: &[u8]) -> Result<Outcome, StoreError> {
        self.write(Op::Delete { key: key.into(), condition: Condition::Always })
    }

    /// The value of `key`, from the device, checked against its checksum.
    pub fn get(&self, key: &[u8]) -> Result<Option<Found>, ReadError> {
        self.lock().engine.get(key)
    }

    /// Up to `limit` keys that begin with `prefix` and come after `after`, in order, with version and value length.
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Arc<[u8]>, Seq, u32)> {
        self.lock().engine.scan(prefix, after, limit)
    }

    /// How the device is used.
    pub fn space(&self) -> Usage {
        self.lock().engine.space()
    }

    /// Append, sync with whoever else is there, commit.
    pub fn write(&self, op: Op) -> Result<Outcome, StoreError> {
        let mut state = self.lock();
        let seq = match state.engine.append(op.clone(), &[]) {
            // What was replaced waits for a checkpoint; a write that would be refused for it takes the time for one.
            Err(WriteError::NoSpace { .. } | WriteError::WalFull { .. }) => {
                state = self.make_room(state)?;
                state.engine.append(op, &[])
            }
            result => result,
        };
        let seq = seq.map_err(StoreError::Refused)?;
        let settled = self.settle(state).map_err(StoreError::Unknown)?;
        let mine =
            settled.binary_search_by_key(&seq, |&(seq, _)| seq).expect("E2: what is durable is applied");
        Ok(settled[mine].1)
    }

    /// Returns when the batch being filled is durable and visible: leads it, if nobody leads or it is told to.
    fn settle(&self, mut state: Held<'_, D>) -> Result<Settled, WriteError> {
        let group = state.group.clone();
        if std::mem::replace(&mut state.led, true) {
            drop(state);
        } else {
            self.lead(state)?;
        }
        loop {
            match group.wait() {
                Some(settled) => return settled.map_err(|Failed| WriteError::Poisoned),
                None => self.lead(self.lock())?,
            }
        }
    }

    /// Writes the batch being filled, and passes the lead on.
    fn lead(&self, state: Held<'_, D>) -> Result<(), WriteError> {
        let mut state = self.gather(state);
        let batch =
            state.engine.begin_sync().expect("E1: who waits has something to sync, and no batch is out");
        let group = std::mem::take(&mut state.group);
        drop(state);
        let result = batch.write(&self.device);
        let mut state = self.lock();
        let synced = state.engine.end_sync(batch, result);
        // The next batch's leader wakes up while this batch's entries are made visible.
        let next = state.group.clone();
        state.led = synced.is_ok() && state.engine.has_unsynced();
        if state.led {
            next.announce(Turn::Lead);
        }
        let settled = synced.and_then(|synced| state.settle(synced));
        drop(state);
        match &settled {
            Ok(outcomes) => group.announce(Turn::Settled(outcomes.clone())),
            Err(_) => [group, next].iter().for_each(|group| group.announce(Turn::Failed)),
        }
        settled.map(drop)
    }

    /// Lets other writers append. If the last batch was one writer's, there are none.
    fn gather<'a>(&'a self, mut state: Held<'a, D>) -> Held<'a, D> {
        let mut last = 0;
        while state.last_batch > 1 && state.engine.last_seq() > last {
            last = state.engine.last_seq();
            drop(state);
            std::thread::yield_now();
            state = self.lock();
        }
        state
    }

    /// Makes everything appended visible, and a checkpoint of it, which gives back what can be given back.
    fn make_room<'a>(&'a self, mut state: Held<'a, D>) -> Result<Held<'a, D>, StoreError> {
        while state.engine.has_unsynced() {
            self.settle(state).map_err(StoreError::Unknown)?;
            state = self.lock();
        }
        match state.engine.checkpoint(Vec::new()) {
            // Then there is no room for it either, and the write will be refused for the same reason.
            Ok(()) | Err(WriteError::NoSpace { .. }) => Ok(state),
            Err(error) => Err(StoreError::Unknown(error)),
        }
    }

    fn lock(&self) -> Held<'_, D> {
        // A panic with the lock held is a bug that has been reported; the engine's own checks still hold.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcomes of a batch's entries, in order.
type Settled = Arc<[(Seq, Outcome)]>;
type Held<'a, D> = MutexGuard<'a, State<Arc<D>>>;

impl<D: Device> State<D> {
    /// A batch is back: what it made durable becomes visible; then some work on a checkpoint, if one is due.
    fn settle(&mut self, synced: Synced) -> Result<Settled, WriteError> {
        let outcomes = self.engine.commit(synced.durable_seq()).expect("E2: what is durable is in order");
        self.last_batch = outcomes.len();
        if self.engine.checkpoint_due() {
            self.engine.checkpoint_begin(Vec::new());
        }
        for _ in 0..CHECKPOINT_STEPS {
            match self.engine.checkpoint_step() {
                Ok(CheckpointProgress::Working) => {}
                // Given up for want of space: the next one may find more.
                Ok(_) | Err(WriteError::NoSpace { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(outcomes.into())
    }
}
