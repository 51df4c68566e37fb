//! A disk small enough to enumerate everything that a power cut can leave of it.
//!
//! What was written and not synced survives sector by sector, independently: not at all, whole, or torn (the front of
//! the new bytes with the end of the old ones, or the other way round). A sector written several times since the last
//! sync may hold any of its versions, which covers every order of the writes. Reads see the newest bytes, as through a
//! page cache. A sync that fails leaves the pages clean: they go on being read, and no later sync writes them.
//!
//! A clone is another disk with the same past.

use std::cell::RefCell;
use std::io;

use engine::Device;
use engine::format::wal_record::WalRecord;

use super::medium::{Cached, Content, Io, SECTOR, State, bytes, content};

/// The disk that an engine runs on. It remembers every write and sync, to be replayed up to any of them.
#[derive(Clone, Debug)]
pub(crate) struct Disk(RefCell<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    state: State,
    /// What reads see.
    seen: Vec<Content>,
    journal: Vec<Io>,
    fail_next_sync: bool,
    /// The read after so many comes up short.
    reads_left: Option<usize>,
    /// Writes and syncs until the power fails.
    accesses_left: Option<usize>,
}

impl Disk {
    pub(crate) fn new(bytes: usize) -> Disk {
        let durable = vec![None; bytes / SECTOR];
        Disk::of(State { durable, durable_fingerprint: 0, cached: Vec::new(), log_life: 0 })
    }

    pub(crate) fn of(state: State) -> Disk {
        let mut seen = state.durable.clone();
        for Cached { sector, content, .. } in &state.cached {
            seen[*sector] = content.clone();
        }
        Disk(RefCell::new(Inner {
            state,
            seen,
            journal: Vec::new(),
            fail_next_sync: false,
            reads_left: None,
            accesses_left: None,
        }))
    }

    pub(crate) fn state(&self) -> State {
        self.0.borrow().state.clone()
    }

    /// What was done to it since the last call.
    pub(crate) fn take_journal(&self) -> Vec<Io> {
        std::mem::take(&mut self.0.borrow_mut().journal)
    }

    /// From now on: so many reads, and one that comes up short.
    pub(crate) fn short_read_after(&self, reads: usize) {
        self.0.borrow_mut().reads_left = Some(reads);
    }

    /// Has that read come?
    pub(crate) fn was_short(&self) -> bool {
        self.0.borrow().reads_left.is_none()
    }

    /// From now on: so many writes and syncs, and no more.
    pub(crate) fn power_fails_after(&self, accesses: usize) {
        self.0.borrow_mut().accesses_left = Some(accesses);
    }

    pub(crate) fn fail_next_sync(&self) {
        self.0.borrow_mut().fail_next_sync = true;
    }
}

impl Inner {
    /// Is there power for one access more?
    fn is_powered(&mut self) -> io::Result<()> {
        match &mut self.accesses_left {
            Some(0) => return Err(io::Error::other("the power is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }

    fn record(&mut self, io: Io) {
        self.state.apply(&io);
        self.journal.push(io);
    }
}

impl Device for Disk {
    fn size(&self) -> u64 {
        (self.0.borrow().seen.len() * SECTOR) as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let short = inner.reads_left == Some(0);
        inner.reads_left = inner.reads_left.and_then(|left| left.checked_sub(1));
        if short {
            // What a short read leaves in the buffer is of no use to anybody.
            buf.fill(0xdd);
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut done) = (offset as usize, 0);
        if at + buf.len() > inner.seen.len() * SECTOR {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while done < buf.len() {
            let (from, n) = (at % SECTOR, (SECTOR - at % SECTOR).min(buf.len() - done));
            buf[done..done + n].copy_from_slice(&bytes(&inner.seen[at / SECTOR])[from..from + n]);
            (at, done) = (at + n, done + n);
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.is_powered()?;
        assert_eq!(offset as usize % SECTOR, 0, "the engine writes whole sectors");
        let (first, contents): (_, Vec<_>) =
            (offset as usize / SECTOR, bytes.chunks(SECTOR).map(content).collect());
        inner.seen[first..first + contents.len()].clone_from_slice(&contents);
        let life = WalRecord::decode(bytes, false).map_or(0, |record| record.header.life);
        inner.record(Io::Write(first, contents, life));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.is_powered()?;
        if std::mem::take(&mut inner.fail_next_sync) {
            inner.record(Io::FailedSync);
            return Err(io::Error::other("the sync failed"));
        }
        inner.record(Io::Sync);
        Ok(())
    }
}
