//! Nodes as processes: they work, wait for their disks, die and start again.
//!
//! The loop is the one that `node` asks of its host: handle what has arrived, settle, send; then flush, and send again.
//! What arrives during the flush is the next batch.

use dataplane::{Frame, Micros, NodeId, RoleName};
use disk::Disk;
use engine::Engine;
use node::{Node, OpenError, StopError};
use trace::{Actor, Kind};

use crate::blank::{CLUSTER, WAL_BYTES, identity};
use crate::checkers::{Finding, Sight, broken};
use crate::clock::Clock;
use crate::rng::Rng;
use crate::schedule::{Bounds, Death};
use crate::world::{Doom, Event, Seat, Then, WORK, World};

/// How long a node that could not open its device waits before it tries again.
const RETRY_OPEN: Micros = 40_000;

/// A node's patience, in proportion to the gateways'.
fn node_timing(bounds: &Bounds) -> dataplane::Timing {
    dataplane::Timing {
        heartbeat_every: 30_000,
        resend_after: 70_000,
        candidate_patience: 60_000,
        window_bytes: bounds.window_bytes,
        waiting_max: bounds.waiting_max,
    }
}

impl Seat {
    /// Does it wait for its disk?
    pub(crate) fn is_busy(&self) -> bool {
        self.flushing || self.departing.is_some()
    }
}

/// Does a replica vote as one that has all it ever had? A log that lacks what it had is neither what it was nor what it
/// will be.
fn is_complete(node: &Node<Disk>) -> bool {
    node.replica().is_proven() && !node.replica().core().is_short()
}

/// Would it still, were it to crash now? Entries that are not durable pay no debt.
pub(crate) fn is_complete_for_good(node: &Node<Disk>) -> bool {
    is_complete(node) && node.engine().owed().1 <= node.engine().durable_seq()
}

/// Looks at a replica.
fn sight<'a>(seat: &Seat, place: usize, node: &'a Node<Disk>) -> Sight<'a> {
    let (status, applied) = (node.status(0), node.replica().core().applied);
    Sight {
        seat: place,
        node: seat.node,
        role: status.role,
        promised: status.promised,
        commit: status.committed,
        applied: (seat.applied, applied),
        proven: is_complete(node),
        sessions: &node.replica().core().sessions,
        members: &node.replica().core().members,
        engine: node.engine(),
    }
}

impl World<'_> {
    pub(crate) fn host_of(&self, seat: usize) -> usize {
        self.seats[seat].node.0 as usize - 1
    }

    pub(crate) fn seats_of(&self, host: usize) -> std::ops::Range<usize> {
        let shards = self.options.shards as usize;
        host * shards..(host + 1) * shards
    }

    /// Lets a replica act at `at`, unless it does so earlier anyhow.
    pub(crate) fn wake(&mut self, seat: usize, at: Micros) {
        let host = self.host_of(seat);
        let at = at.max(self.queue.now());
        let (life, replica) = (self.hosts[host].life, &mut self.seats[seat]);
        if !replica.is_busy() && replica.wake.is_none_or(|wake| at < wake) {
            replica.wake = Some(at);
            self.queue.at(at, Event::Work(seat, life));
        }
    }

    /// Is this event for another life, or a process that stands still? What a paused one has to do, it does on waking.
    fn stale(&self, seat: usize, life: u32) -> bool {
        let host = &self.hosts[self.host_of(seat)];
        host.life != life || !host.up || host.paused_until > self.queue.now()
    }

    /// Is its disk still at work?
    fn is_early(&self, seat: usize) -> bool {
        self.queue.now() < self.seats[seat].ready_at
    }

    /// What the next sync of a replica's disk takes.
    fn sync_time(&mut self, seat: usize) -> Micros {
        let (least, most) = self.network.weather.sync;
        let host = self.host_of(seat);
        self.hosts[host].slow.unwrap_or_else(|| self.rng_clock.between(least, most))
    }

    /// How much longer its disks do nothing.
    fn stalls(&self, seat: usize) -> Micros {
        self.hosts[self.host_of(seat)].stalled_until.saturating_sub(self.queue.now())
    }

    /// One round of a node's loop up to the flush.
    pub(crate) fn work(&mut self, seat: usize, life: u32) -> Finding {
        let now = self.queue.now();
        if self.stale(seat, life) || self.seats[seat].is_busy() || self.seats[seat].wake != Some(now) {
            return Ok(());
        }
        let local = self.hosts[self.host_of(seat)].clock.read(now);
        let replica = &mut self.seats[seat];
        replica.wake = None;
        let mut frames: Vec<Frame> = replica.inbox.drain(..).collect();
        node::drop_superseded(&mut frames);
        let Some(node) = &mut replica.running else { return Ok(()) };
        let result = (|| {
            let mut frames = frames.into_iter();
            for frame in frames.by_ref() {
                node.handle(local, frame)?;
                if node.parked() {
                    replica.inbox.extend(frames);
                    return Ok(());
                }
            }
            if node.next_deadline().is_some_and(|at| at <= local) {
                node.tick(local)?;
            }
            node.settle(local)
        })();
        self.stepped(seat, result, Then::Work)
    }

    /// The disk has had its time.
    pub(crate) fn flush(&mut self, seat: usize, life: u32) -> Finding {
        if self.stale(seat, life) || !self.seats[seat].flushing || self.is_early(seat) {
            return Ok(());
        }
        // It has stopped since the sync began.
        let stalls = self.stalls(seat);
        if stalls > 0 {
            self.seats[seat].sync_took += stalls;
            self.seats[seat].ready_at = self.queue.now() + stalls;
            self.queue.after(stalls, Event::Flush(seat, life));
            return Ok(());
        }
        let local = self.hosts[self.host_of(seat)].clock.read(self.queue.now());
        let replica = &mut self.seats[seat];
        replica.flushing = false;
        replica.syncs_charged += 1;
        let took = std::mem::take(&mut replica.sync_took);
        let Some(node) = &mut replica.running else { return Ok(()) };
        node.sync_took(took);
        let result = node.flush(local);
        self.stepped(seat, result, Then::Work)
    }

    /// What a replica said in its last step leaves; it goes on.
    pub(crate) fn depart(&mut self, seat: usize, life: u32) -> Finding {
        if self.stale(seat, life) || self.is_early(seat) {
            return Ok(());
        }
        let Some((frames, then)) = self.seats[seat].departing.take() else { return Ok(()) };
        self.send(frames);
        self.go_on(seat, then)
    }

    /// What comes after a step: a flush, then a step of a checkpoint, then a wait.
    fn go_on(&mut self, seat: usize, then: Then) -> Finding {
        let (host, now) = (self.host_of(seat), self.queue.now());
        let replica = &mut self.seats[seat];
        let Some(node) = &mut replica.running else { return Ok(()) };
        if then == Then::Work && !node.needs_flush() {
            let result = node.background(self.hosts[host].clock.read(now));
            return self.stepped(seat, result, Then::Wait);
        }
        let waits_for = if node.needs_flush() {
            None
        } else if !replica.inbox.is_empty() {
            Some(now)
        } else {
            Some(self.hosts[host].clock.when(node.next_deadline().unwrap_or(Micros::MAX)))
        };
        if let Some(at) = waits_for {
            self.wake(seat, at.max(now + WORK));
        } else {
            let wait = self.sync_time(seat) + self.stalls(seat);
            let replica = &mut self.seats[seat];
            (replica.flushing, replica.sync_took, replica.ready_at) = (true, wait, now + wait);
            if self.hosts[host].doom.is_some() {
                let moment = self.rng_clock.below(wait);
                self.queue.after(moment, Event::Doom(host));
            }
            self.queue.after(wait, Event::Flush(seat, self.hosts[host].life));
        }
        Ok(())
    }

    /// After a step: the checkers look, then the frames leave. A node that failed dies.
    fn stepped(&mut self, seat: usize, result: Result<(), StopError>, then: Then) -> Finding {
        let host = self.host_of(seat);
        if let Err(error) = result {
            let (death, down) = self.armed_death(seat);
            self.die(host, death, &format!("stops: {error}"));
            let life = self.hosts[host].life;
            self.queue.after(down, Event::Start(host, life));
            return Ok(());
        }
        let replica = &mut self.seats[seat];
        let Some(node) = &mut replica.running else { return Ok(()) };
        let frames: Vec<Frame> = node.outbox().collect();
        let Some(node) = &replica.running else { return Ok(()) };
        let sight = sight(replica, host, node);
        let (applied, proven) = (sight.applied.1, sight.proven);
        let complete_for_good = is_complete_for_good(node);
        let served =
            sight.role == RoleName::Primary && replica.served != sight.promised.0 && node.status(0).serving;
        let epoch = sight.promised.0;
        let lap = node.engine().appended_lsn().0 / WAL_BYTES;
        let leads = if sight.role == RoleName::Primary { sight.promised.0 } else { replica.led };
        self.watches[replica.shard as usize].step(&sight, &frames)?;
        let replica = &mut self.seats[seat];
        replica.applied = applied;
        let lapped = std::mem::replace(&mut replica.lap, lap) < lap;
        self.report.failovers += u64::from(leads != replica.led);
        replica.led = leads;
        if served {
            replica.served = epoch;
            self.report.served_at.push(self.queue.now());
        }
        if !proven {
            // A full replica may give up its state to make room for a newer one.
            replica.suspect |= self.schedule.load.floods;
            if !replica.suspect {
                let node = replica.node;
                return broken("device", "P5", 5, format!("{node} calls its log damaged, and nothing was"));
            }
            replica.unproven = true;
        } else if replica.unproven && complete_for_good {
            replica.unproven = false;
            replica.disk.fail_reads(0);
            // More may have been damaged since it was opened, and nobody has read that yet.
            self.seats[seat].suspect = !self.is_whole(seat);
            self.cover("recovery", "transfer to an unproven replica");
        }
        if lapped {
            self.cover("recovery", "log lapped");
        }
        self.take_time(seat, frames, then)
    }

    /// A step has taken as long as the syncs within it. Only then does what it said leave.
    fn take_time(&mut self, seat: usize, frames: Vec<Frame>, then: Then) -> Finding {
        let syncs = self.seats[seat].disk.work().syncs;
        let within = syncs.saturating_sub(std::mem::replace(&mut self.seats[seat].syncs_charged, syncs));
        if within == 0 {
            self.send(frames);
            return self.go_on(seat, then);
        }
        let syncs: Micros = (0..within).map(|_| self.sync_time(seat)).sum();
        let wait = syncs + self.stalls(seat);
        if let Some(node) = &mut self.seats[seat].running {
            node.sync_took(wait / within);
        }
        let life = self.hosts[self.host_of(seat)].life;
        self.seats[seat].ready_at = self.queue.now() + wait;
        self.seats[seat].departing = Some((frames, then));
        self.queue.after(wait, Event::Depart(seat, life));
        Ok(())
    }

    /// How a replica dies whose disk has failed, and for how long: its moment came, or it was an error.
    fn armed_death(&mut self, seat: usize) -> (Death, Micros) {
        let host = self.host_of(seat);
        let armed = self.hosts[host].armed.take_if(|_| self.seats[seat].disk.has_failed());
        self.because = armed.and_then(|armed| armed.because);
        armed.map_or((Death::Kill, RETRY_OPEN), |armed| (armed.death, armed.down))
    }

    /// A machine's process ends.
    pub(crate) fn die(&mut self, host: usize, death: Death, what: &str) {
        if !self.hosts[host].up {
            if death == Death::PowerCut {
                self.cut_power(host);
            }
            return;
        }
        let clock = self.hosts[host].clock.read(self.queue.now());
        let machine = &mut self.hosts[host];
        machine.up = false;
        machine.life += 1;
        machine.refuses = death == Death::Kill;
        machine.paused_until = 0;
        let life = machine.life;
        for seat in self.seats_of(host) {
            let actor = Actor::Node { node: host as u32 + 1, shard: self.seats[seat].shard };
            let mut tracer = self.told.tracer(actor, life);
            self.tell_of(&mut tracer, actor, clock, Kind::Crashed { what: what.to_string() });
            self.write_batch(seat, death);
            for frame in std::mem::take(&mut self.seats[seat].inbox) {
                self.tell_lost(&frame, || format!("n{} died before it read it", host + 1));
            }
            let replica = &mut self.seats[seat];
            (replica.wake, replica.flushing, replica.departing) = (None, false, None);
            if let Some(node) = replica.running.take() {
                self.watches[replica.shard as usize].died(host, node.engine(), is_complete(&node));
            }
            replica.disk.heal();
        }
        if death == Death::PowerCut {
            self.cut_power(host);
        }
    }

    /// A process that dies while it waits for a disk has written some of the batch, or all of it.
    fn write_batch(&mut self, seat: usize, death: Death) {
        let replica = &mut self.seats[seat];
        let Some(node) = replica.running.as_mut().filter(|_| replica.flushing) else { return };
        // A power cut keeps any part of what is written; after a kill all of it is there.
        if death == Death::PowerCut || self.rng_disk.chance(500_000) {
            replica.disk.hang_syncs();
            // Whatever it says, nobody hears it.
            node.trace_to(trace::Tracer::off());
            let _ = node.flush(0);
        }
    }

    /// The death that waited for a disk at work comes.
    pub(crate) fn doom(&mut self, host: usize) {
        let Some(Doom { death, down, everywhere, because }) = self.hosts[host].doom.take() else { return };
        self.because = because;
        if everywhere {
            self.hosts.iter_mut().for_each(|host| host.doom = None);
            self.all_lose_power(down);
        } else {
            self.dies(host, death, down);
        }
    }

    fn cut_power(&mut self, host: usize) {
        self.hosts[host].refuses = false;
        self.cover("recovery", "power cut");
        if self.seats_of(host).any(|seat| self.seats[seat].disk.has_unsynced()) {
            self.cover("recovery", "power cut with unsynced sectors");
        }
        for seat in self.seats_of(host) {
            let Seat { disk, superblock_hit, .. } = &self.seats[seat];
            // With one slot of the superblock damaged, a torn write to the other is damage in two places at once.
            if *superblock_hit { disk.lose_unsynced() } else { disk.power_cut(&mut self.rng_disk) }
        }
    }

    /// A machine's process starts, if it still is the life that died.
    pub(crate) fn start(&mut self, host: usize, life: u32) -> Finding {
        if self.hosts[host].up || self.hosts[host].life != life || self.hosts[host].swapped {
            return Ok(());
        }
        let machine = &mut self.hosts[host];
        machine.life += 1;
        machine.up = true;
        machine.paused_until = 0;
        machine.clock = Clock::start(self.queue.now(), &mut self.rng_clock);
        for seat in self.seats_of(host) {
            self.open(seat)?;
            if !self.hosts[host].up {
                break;
            }
        }
        Ok(())
    }

    fn open(&mut self, seat: usize) -> Finding {
        let host = self.host_of(seat);
        let (life, now) = (self.hosts[host].life, self.queue.now());
        let (node_id, shard) = (self.seats[seat].node, self.seats[seat].shard);
        let actor = Actor::Node { node: node_id.0, shard };
        let mut tracer = self.told.tracer(actor, life);
        if life > 1 {
            let clock = self.hosts[host].clock.read(now);
            self.tell_of(&mut tracer, actor, clock, Kind::Restarted {});
        }
        let config = node::Config {
            cluster: CLUSTER,
            shard,
            shards: self.options.shards,
            rules: dataplane::Config {
                me: node_id,
                members: (1..=self.options.founders()).map(NodeId).collect(),
                members_change: self.options.with.changes_members(),
                pid: life,
                life: Rng::stream(self.schedule.seed, "life", u64::from(life) << 32 | seat as u64).bits(),
                mechanisms: self.mechanisms,
                timing: node_timing(&self.schedule.bounds),
                limits: self.schedule.bounds.limits,
            },
        };
        let disk = self.seats[seat].disk.share();
        self.seats[seat].syncs_charged = disk.work().syncs;
        match Node::open(disk, config, tracer) {
            Ok((mut node, report)) => {
                node.extend(self.options.with.start());
                self.cover_recovery(&report);
                let replica = &mut self.seats[seat];
                let place = host;
                let sight = sight(replica, place, &node);
                let applied = sight.applied.1;
                if let Some(damage) = report.damage.filter(|_| !replica.suspect) {
                    return broken(
                        "device",
                        "P5",
                        5,
                        format!("{node_id} reports damage, and nothing was: {damage}"),
                    );
                }
                self.watches[shard as usize].opened(&sight)?;
                replica.applied = applied;
                replica.lap = node.engine().appended_lsn().0 / WAL_BYTES;
                (replica.led, replica.served) = (0, 0);
                replica.running = Some(node);
                self.take_time(seat, Vec::new(), Then::Wait)?;
                self.wake(seat, now + WORK);
                Ok(())
            }
            // The disk's moment came while it was being recovered, or it could not be read.
            Err(OpenError::Engine(engine::OpenError::Io(error))) => {
                let (death, down) = self.armed_death(seat);
                self.die(host, death, &format!("cannot open its device: {error}"));
                let life = self.hosts[host].life;
                self.queue.after(down, Event::Start(host, life));
                Ok(())
            }
            Err(error) => broken("device", "P1", 1, format!("{node_id} cannot start again: {error}")),
        }
    }

    /// Counts what a recovery found.
    fn cover_recovery(&self, report: &engine::RecoveryReport) {
        let found = match report.damage.as_ref().map(|damage| damage.zone) {
            Some(engine::Zone::Wal) => Some("log damaged"),
            Some(engine::Zone::Checkpoint) => Some("checkpoint damaged"),
            Some(_) => None,
            None if matches!(report.stop, engine::Stop::Value { .. }) => Some("torn tail: value"),
            None if matches!(report.stop, engine::Stop::NotARecord(engine::DecodeError::Crc { .. })) => {
                Some("torn tail: record")
            }
            None => None,
        };
        found.into_iter().for_each(|found| self.cover("recovery", found));
        if report.discarded_records > 0 {
            self.cover("recovery", "torn tail: whole records with it");
        }
        if report.superblocks.iter().any(Result::is_err) {
            self.cover("recovery", "superblock slot unreadable");
        }
    }

    pub(crate) fn resume(&mut self, host: usize) {
        let now = self.queue.now();
        if !self.hosts[host].up || self.hosts[host].paused_until > now {
            return;
        }
        let life = self.hosts[host].life;
        for seat in self.seats_of(host) {
            // A disk works on while its process stands still, and no quicker.
            let ready_at = self.seats[seat].ready_at.max(now);
            if self.seats[seat].flushing {
                self.queue.at(ready_at, Event::Flush(seat, life));
            } else if self.seats[seat].departing.is_some() {
                self.queue.at(ready_at, Event::Depart(seat, life));
            } else {
                self.seats[seat].wake = None;
                self.wake(seat, now);
            }
        }
    }

    /// Is each of these disks refused by the other's node?
    pub(crate) fn refuses_foreign_disk(&self, host: usize, other: usize) -> Result<(), String> {
        for (seat, foreign) in self.seats_of(host).zip(self.seats_of(other)) {
            let replica = &self.seats[seat];
            let identity = identity(self.options, replica.node.0, replica.shard);
            let disk = self.seats[foreign].disk.share();
            let opened = Engine::open(disk, &identity, self.mechanisms);
            if opened.is_ok() {
                return Err(format!("{} starts on the disk of {}", replica.node, self.seats[foreign].node));
            }
        }
        Ok(())
    }

    /// At the end: compares a replica's state with the log's.
    pub(crate) fn compare_state(&mut self, seat: usize) -> Finding {
        let host = self.host_of(seat);
        let replica = &self.seats[seat];
        let Some(node) = &replica.running else { return Ok(()) };
        self.watches[replica.shard as usize].finish(&sight(replica, host, node))
    }
}
