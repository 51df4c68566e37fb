//! The engine as a library on its own: a thread-safe store whose every write is durable when it returns.
//!
//! ```
//! use engine::embedded::Store;
//! use engine::file::FileDevice;
//!
//! # let dir = std::env::temp_dir().join(format!("cutaway-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! let path = dir.join("store.img");
//! let (store, _) = Store::create(FileDevice::create(&path, 1 << 20)?)?;
//! store.put(b"greeting", b"hello")?;
//! drop(store);
//!
//! let (store, report) = Store::open(FileDevice::open(&path)?)?;
//! assert_eq!(report.last_seq, 1);
//! assert_eq!(store.get(b"greeting")?.unwrap().value[..], *b"hello");
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Threads that write at the same time share a sync. The first to find no batch out takes everything appended so far,
//! its own entry among it, and writes it without holding the lock; what the others append meanwhile is the next batch,
//! and one of them writes that. There is no timer, and a lonely write waits for nothing but its own sync.
//!
//! Without company in mind, the first writer to come back from a batch would write the next one alone, and the others
//! would wait for two syncs: so who writes lets the others run first, for as long as they append something.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use trace::{Mechanisms, Tracer};

use crate::device::Device;
use crate::engine::Engine;
use crate::error::{AppendError, FormatError, OpenError, ReadError, WriteError, errors};
use crate::prepare::format;
use crate::recovery::RecoveryReport;
use crate::types::{
    CheckpointProgress, Condition, Found, Identity, Layout, Op, Outcome, Seq, Space, Standing, Synced,
};

/// Chunks of a checkpoint that are written after each batch: more than a batch's share of the log, so that a
/// checkpoint is complete before the log is full.
const CHECKPOINT_STEPS: usize = 4;
/// Everyone's: a store is not part of a cluster.
const IDENTITY: Identity = Identity { cluster: [0; 16], node: 1, shard: 0 };

errors! {
    /// Why a write did not return an outcome.
    StoreError {
        /// It was refused, and nothing has changed.
        Refused(error: AppendError) "{error}";
        /// The store has stopped, and whether this write is durable is not known until it is opened again.
        Unknown(error: WriteError) "{error}; whether this write took effect is not known before the store is reopened";
    }

    /// Why a store was not created.
    CreateError {
        /// The device was not formatted.
        Format(error: FormatError) "{error}";
        /// It was formatted, but not opened.
        Open(error: OpenError) "{error}";
    }
}

/// A key-value store on one device. All methods may be called from many threads.
#[derive(Debug)]
pub struct Store<D: Device> {
    device: Arc<D>,
    state: Mutex<State<Arc<D>>>,
    /// A batch has come back. Those with entries in it wait for one of these, those whose entries go out with the next
    /// one for the other, so that nobody is woken in vain.
    settled: [Condvar; 2],
}

#[derive(Debug)]
struct State<D> {
    engine: Engine<D>,
    /// Outcomes that their writers have not fetched yet.
    outcomes: BTreeMap<Seq, Outcome>,
    /// A thread gathers a batch, or writes one.
    busy: bool,
    /// Entries of the last batch.
    company: u64,
}

impl<D: Device> Store<D> {
    /// Formats a device that is not formatted yet, and opens it.
    pub fn create(device: D) -> Result<(Store<D>, RecoveryReport), CreateError> {
        format(&device, &IDENTITY, Standing::Member, Layout::default()).map_err(CreateError::Format)?;
        Store::open(device).map_err(CreateError::Open)
    }

    /// Opens a formatted device. All entries that the log holds count: this store is the only one to say so.
    pub fn open(device: D) -> Result<(Store<D>, RecoveryReport), OpenError> {
        let (device, t) = (Arc::new(device), &mut Tracer::off());
        let (mut engine, report) = Engine::open(device.clone(), &IDENTITY, Mechanisms::all(), t)?;
        if engine.damage().is_none() {
            engine.commit(engine.last_seq(), t).expect("E2: what was recovered is durable and in order");
        }
        let state = Mutex::new(State { engine, outcomes: BTreeMap::new(), busy: false, company: 0 });
        Ok((Store { device, state, settled: Default::default() }, report))
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

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Found>, ReadError> {
        self.lock().engine.get(key)
    }

    /// Up to `limit` keys that begin with `prefix` and come after `after`, in order, with version and value length.
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Arc<[u8]>, Seq, u32)> {
        self.lock().engine.scan(prefix, after, limit)
    }

    /// How the device is used.
    pub fn space(&self) -> Space {
        self.lock().engine.space()
    }

    /// Append, sync with whoever else is there, commit.
    pub fn write(&self, op: Op) -> Result<Outcome, StoreError> {
        let mut state = self.lock();
        let seq = match state.engine.append(op.clone(), &[], &mut Tracer::off()) {
            // What was replaced waits for a checkpoint; a write that would be refused for it takes the time for one.
            Err(AppendError::NoSpace { .. } | AppendError::WalFull { .. }) => {
                state = self.make_room(state)?;
                state.engine.append(op, &[], &mut Tracer::off())
            }
            result => result,
        };
        let seq = seq.map_err(StoreError::Refused)?;
        let number = state.engine.log.batch;
        loop {
            if let Some(outcome) = state.outcomes.remove(&seq) {
                return Ok(outcome);
            }
            state = self.sync_or_wait(state, number).map_err(StoreError::Unknown)?;
        }
    }

    /// Writes the next batch, or waits until batch `number` is back or somebody has to write it.
    fn sync_or_wait<'a>(&'a self, mut state: Held<'a, D>, number: u64) -> Result<Held<'a, D>, WriteError> {
        if state.engine.is_poisoned() {
            // Whoever had the last batch out has failed, and so has what waits for this one.
            return Err(WriteError::Poisoned);
        }
        if state.busy {
            let settled = &self.settled[number as usize % 2];
            return Ok(settled.wait(state).unwrap_or_else(PoisonError::into_inner));
        }
        state.busy = true;
        state = self.gather(state);
        let batch =
            state.engine.begin_sync().expect("E1: who waits has something to sync, and no batch is out");
        let number = batch.number as usize;
        drop(state);
        let result = batch.write(&self.device);
        let mut state = self.lock();
        let synced = state.engine.end_sync(batch, result, &mut Tracer::off());
        state.busy = false;
        // The next batch's writer wakes up while this one makes its entries visible.
        self.settled[(number + 1) % 2].notify_one();
        let settled = synced.and_then(|synced| state.settle(synced));
        self.settled[number % 2].notify_all();
        if settled.is_err() {
            self.settled[(number + 1) % 2].notify_all();
        }
        settled.map(|()| state)
    }

    /// Lets other writers append. If the last batch was one writer's, there are none.
    fn gather<'a>(&'a self, mut state: Held<'a, D>) -> Held<'a, D> {
        let mut last = 0;
        while state.company > 1 && state.engine.last_seq() > last {
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
            let number = state.engine.log.batch;
            state = self.sync_or_wait(state, number).map_err(StoreError::Unknown)?;
        }
        match state.engine.checkpoint(Vec::new(), &mut Tracer::off()) {
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

type Held<'a, D> = MutexGuard<'a, State<Arc<D>>>;

impl<D: Device> State<D> {
    /// A batch is back: what it made durable becomes visible; then some work on a checkpoint, if one is due.
    fn settle(&mut self, synced: Synced) -> Result<(), WriteError> {
        let t = &mut Tracer::off();
        let outcomes = self.engine.commit(synced.durable_seq(), t).expect("E2: what is durable is in order");
        self.company = outcomes.len() as u64;
        self.outcomes.extend(outcomes);
        if self.engine.checkpoint_due() {
            self.engine.checkpoint_begin(Vec::new(), t);
        }
        for _ in 0..CHECKPOINT_STEPS {
            match self.engine.checkpoint_step(t) {
                Ok(CheckpointProgress::Working) => {}
                // Given up for want of space: the next one may find more.
                Ok(_) | Err(WriteError::NoSpace { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
