//! Carrying out faults, within the fault model.
//!
//! A fault that the model rules out at its moment is passed over: damage to a disk while as many others as a minority
//! has are damaged already (a replica counts as damaged until a transfer has finished), or a swap of disks with a
//! machine that is not up. So a schedule stays within the model whatever is left out of it.

use std::sync::Arc;

use dataplane::{Address, Change, Epoch, Frame, GatewayId, Message, Micros, NodeId, Place as At};
use disk::{Place, Unwritten};
use engine::{Engine, Owner, Standing};
use trace::{Actor, Kind};

use crate::blank::{CLUSTER, formatted, identity};
use crate::checkers::broken;
use crate::process::is_complete_for_good;
use crate::rng::Rng;
use crate::schedule::{Death, Fault, Peer, Schedule, Step};
use crate::text::Shown;
use crate::world::{Doom, Event, Seat, World};

/// How long a death waits at most for a disk at work.
const PATIENCE: Micros = 100_000;

impl Schedule {
    /// Does it need to know what sectors held before?
    pub(crate) fn misdirects(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.fault, Fault::Misdirect { .. }))
    }

    /// What a sync of the slowest disk takes: what it has begun it has to end, even if it is quick again.
    pub(crate) fn slowest_sync(&self) -> Micros {
        let slow = |step: &Step| match step.fault {
            Fault::SlowDisk { sync, .. } => Some(sync),
            _ => None,
        };
        self.steps.iter().filter_map(slow).max().unwrap_or(0)
    }

    /// When the last fault is over: disks that stall go on late, whatever else has healed.
    pub(crate) fn calm_at(&self) -> Micros {
        let end = |step: &Step| match step.fault {
            Fault::Stall { length, .. } if step.at < self.heal_at => step.at + length,
            _ => self.heal_at,
        };
        self.steps.iter().map(end).max().unwrap_or(self.heal_at).max(self.heal_at)
    }
}

impl World<'_> {
    /// The n-th fault happens.
    pub(crate) fn inject(&mut self, index: usize) {
        if self.healed {
            return;
        }
        self.forget_what_is_repaired();
        let Step { at, fault } = self.schedule.steps[index].clone();
        self.count_out(at, fault);
    }

    /// Dice of its own go by its moment: they fall the same, whatever is left out before it.
    fn count_out(&mut self, at: Micros, fault: Fault) {
        let nodes = self.options.nodes;
        self.tell_fault(|| Shown(&fault, nodes).to_string());
        match self.carry_out(at, fault) {
            Some(name) => *self.report.faults.entry(name).or_default() += 1,
            None => self.tell_end(|| "it cannot happen here, and is passed over".into()),
        }
    }

    /// A disk that has replaced another one is replaced as well.
    pub(crate) fn wipe_again(&mut self, node: u32, shard: u32, down: Micros) {
        if !self.healed {
            self.count_out(self.queue.now(), Fault::Wipe { node, shard, down, again: 0 });
        }
    }

    fn carry_out(&mut self, at: Micros, fault: Fault) -> Option<&'static str> {
        let now = self.queue.now();
        match fault {
            Fault::Crash { node, death, busy, down } => {
                let host = node as usize - 1;
                if busy && !self.is_flushing(host) {
                    let because = self.because;
                    self.hosts[host].doom = Some(Doom { death, down, everywhere: false, because });
                    self.queue.after(PATIENCE, Event::Doom(host));
                } else {
                    self.dies(host, death, down);
                }
                Some(if death == Death::Kill { "kill" } else { "power cut" })
            }
            Fault::CrashAtIo { node, shard, death, ios, down } => {
                let host = node as usize - 1;
                let because = self.because;
                self.hosts[host].armed = Some(Doom { death, down, everywhere: false, because });
                self.seats[self.seats_of(host).start + shard as usize].disk.fail_after(ios);
                Some("crash at an I/O")
            }
            Fault::PowerCutAll { busy, down } => {
                let hosts = 0..self.hosts.len();
                if busy && !hosts.clone().any(|host| self.is_flushing(host)) {
                    let because = self.because;
                    let doom = Doom { death: Death::PowerCut, down, everywhere: true, because };
                    hosts.for_each(|host| self.hosts[host].doom = Some(doom));
                    self.queue.after(PATIENCE, Event::Doom(0));
                } else {
                    self.all_lose_power(down);
                }
                Some("power cut of all")
            }
            Fault::Pause { node, length } => {
                let host = node as usize - 1;
                let until = now + length;
                self.hosts[host].paused_until = self.hosts[host].paused_until.max(until);
                self.queue.at(until, Event::Resume(host));
                Some("pause")
            }
            Fault::ClockJump { peer, ahead } => {
                match peer {
                    Peer::Node(node) => {
                        let host = node as usize - 1;
                        self.hosts[host].clock.jump(now, ahead);
                        self.resume(host);
                    }
                    Peer::Gateway(gateway) => {
                        let gate = &mut self.gates[gateway as usize - 1];
                        gate.clock.jump(now, ahead);
                        gate.wake = None;
                        self.queue.at(now, Event::Tick(gateway as usize - 1, gate.life));
                    }
                }
                Some(if ahead > 0 { "clock jump" } else { "clock jump back" })
            }
            Fault::Cut { from, to, length } => {
                self.cut(vec![(from, to)], length);
                Some("cut link")
            }
            Fault::Isolate { peer, inward, outward, nodes_only, length } => {
                let others = self
                    .network
                    .peers()
                    .filter(|other| *other != peer && !(nodes_only && matches!(other, Peer::Gateway(_))));
                let links = others.flat_map(|other| {
                    [(inward, (other, peer)), (outward, (peer, other))]
                        .into_iter()
                        .filter(|l| l.0)
                        .map(|l| l.1)
                });
                let links = links.collect();
                self.cut(links, length);
                Some(if inward && outward { "isolation" } else { "one-way isolation" })
            }
            Fault::Split { left, length } => {
                let side = |at: usize| left >> at & 1;
                let peers: Vec<Peer> = self.network.peers().collect();
                let pairs = (0..peers.len()).flat_map(|a| (0..peers.len()).map(move |b| (a, b)));
                let links = pairs.filter(|(a, b)| side(*a) != side(*b)).map(|(a, b)| (peers[a], peers[b]));
                let links = links.collect();
                self.cut(links, length);
                Some("partition")
            }
            Fault::Storm { loss, delay, length } => {
                self.network.storms.push((loss, delay));
                self.queue.after(length, Event::Calm(loss, delay));
                Some("storm")
            }
            Fault::GatewayCrash { gateway, down } => {
                let gate = gateway as usize - 1;
                self.gates[gate].running.take()?;
                let (actor, now) = (Actor::Gateway(gateway), self.gates[gate].clock.read(now));
                let mut tracer = self.told.tracer(actor, 2 * self.gates[gate].life);
                self.tell_of(&mut tracer, actor, now, Kind::Crashed { what: "is killed".into() });
                self.gateway_lost(gate);
                self.queue.after(down, Event::StartGateway(gate));
                Some("gateway crash")
            }
            Fault::GatewayPause { gateway, length } => {
                let gate = &mut self.gates[gateway as usize - 1];
                gate.paused_until = gate.paused_until.max(now + length);
                Some("gateway pause")
            }
            Fault::Wipe { node, shard, down, again } => {
                let host = node as usize - 1;
                let seat = self.seats_of(host).start + shard as usize;
                self.may_damage(seat)?;
                self.stop(host, Death::Kill, "is stopped, and gets an empty disk", down);
                if again > 0 {
                    self.queue.after(down + again, Event::WipeAgain(node, shard, down));
                }
                let bytes = self.schedule.load.disk_bytes();
                let disk = formatted(self.options, node, shard, Standing::Joining, bytes);
                if self.schedule.misdirects() {
                    disk.remember_before();
                }
                let replica = &mut self.seats[seat];
                let before = (replica.wipes, replica.suspect);
                (replica.disk, replica.suspect, replica.superblock_hit) = (disk, true, false);
                replica.wipes += 1;
                self.watches[shard as usize].wiped(host);
                Some(match before {
                    (0, _) => "wiped disk",
                    (_, false) => "wiped disk, again",
                    (_, true) => "wiped disk, while it was being filled",
                })
            }
            Fault::SwapDisks { one, other, down } => {
                let (one, other) = (one as usize - 1, other as usize - 1);
                if one == other || self.hosts[one].swapped || self.hosts[other].swapped {
                    return None;
                }
                for (host, foreign) in [(one, other), (other, one)] {
                    self.stop(
                        host,
                        Death::Kill,
                        &format!("is stopped, and gets the disk of n{}", foreign + 1),
                        down,
                    );
                    self.hosts[host].swapped = true;
                }
                for (host, foreign) in [(one, other), (other, one)] {
                    if let Err(sentence) = self.refuses_foreign_disk(host, foreign) {
                        self.complaint = broken("device", "P1", 1, sentence).err();
                    }
                }
                self.queue.after(down, Event::Unswap(one, other));
                Some("swapped disks")
            }
            Fault::SyncError { node, shard } => {
                let seat = self.seats_of(node as usize - 1).start + shard as usize;
                self.seats[seat].disk.fail_sync(Unwritten::Dropped(Rng::stream(
                    self.schedule.seed,
                    "sync error",
                    at,
                )));
                Some("sync error")
            }
            Fault::ReadErrors { node, shard, reads } => {
                let seat = self.seats_of(node as usize - 1).start + shard as usize;
                self.may_damage(seat)?;
                self.hurt(seat);
                self.seats[seat].disk.fail_reads(reads.into());
                Some("read errors")
            }
            Fault::BitRot { node, shard, place, restart } => {
                // Who leads reads its values, and finds the damage.
                let leads = |seat: &&Seat| {
                    seat.shard == shard
                        && seat.running.as_ref().is_some_and(|node| node.replica().is_primary())
                };
                let reader = self.seats.iter().find(leads).filter(|_| place == Place::Data && !restart);
                let node = reader.map_or(node, |seat| seat.node.0);
                self.damage(at, node, shard, place, restart, false).then_some("bit rot")
            }
            Fault::RotValues { shard } => {
                let mut rng = Rng::stream(self.schedule.seed, "rot of values", at);
                let seats = (0..self.seats.len()).filter(|seat| self.seats[*seat].shard == shard);
                let struck =
                    seats.collect::<Vec<_>>().into_iter().filter(|seat| self.rot_value(*seat, &mut rng));
                (struck.count() > 0).then_some("rot of values")
            }
            Fault::Misdirect { node, shard, place, restart } => {
                self.damage(at, node, shard, place, restart, true).then_some("misdirected write")
            }
            Fault::TakeOver { node, shard } => {
                let gate = self.gates.iter().position(|gate| gate.running.is_some())?;
                let id = GatewayId { gateway: gate as u32 + 1, life: self.gates[gate].life };
                let frame = Frame {
                    cluster: CLUSTER,
                    shard,
                    from: Address::Gateway(id),
                    to: Address::Node(NodeId(node)),
                    cause: None,
                    message: Message::TakeOver { above: Epoch(0), patience: 0 },
                };
                self.queue.at(now, Event::Arrives(Peer::Node(node), frame));
                Some("needless takeover")
            }
            Fault::Add { node, length } => {
                self.ask_for(Change::Add(NodeId(node), At::UNKNOWN), now + length);
                Some("member added")
            }
            Fault::Remove { node, length } => {
                self.ask_for(Change::Remove(NodeId(node)), now + length);
                Some("member removed")
            }
            Fault::SlowDisk { node, sync, length } => {
                self.hosts[node as usize - 1].slow = Some(sync);
                if let Some(length) = length {
                    self.queue.after(length, Event::Fast(node as usize - 1));
                }
                Some(if length.is_some() { "slow disk" } else { "slow disk for good" })
            }
            Fault::Stall { node, length } => {
                let struck = node.map_or(0..self.hosts.len(), |node| node as usize - 1..node as usize);
                for host in struck {
                    self.hosts[host].stalled_until = self.hosts[host].stalled_until.max(now + length);
                }
                Some(if node.is_some() { "stalled disk" } else { "stalled disks of all" })
            }
        }
    }

    fn is_flushing(&self, host: usize) -> bool {
        self.seats_of(host).any(|seat| self.seats[seat].flushing)
    }

    pub(crate) fn dies(&mut self, host: usize, death: Death, down: Micros) {
        let what = match death {
            Death::Kill => "is killed",
            Death::PowerCut => "loses power",
        };
        self.stop(host, death, what, down);
    }

    pub(crate) fn all_lose_power(&mut self, down: Micros) {
        for host in 0..self.hosts.len() {
            let wait = down + host as Micros * 7_000;
            self.stop(host, Death::PowerCut, "loses power, as all do", wait);
        }
    }

    /// A machine dies and starts again later, even if it was down already.
    fn stop(&mut self, host: usize, death: Death, what: &str, down: Micros) {
        self.die(host, death, what);
        self.queue.after(down, Event::Start(host, self.hosts[host].life));
    }

    fn cut(&mut self, links: Vec<(Peer, Peer)>, length: Micros) {
        links.iter().for_each(|(from, to)| self.network.cut(*from, *to, true));
        self.queue.after(length, Event::Mend(links));
    }

    /// `Some` if one more damaged disk is within the fault model.
    fn may_damage(&self, seat: usize) -> Option<()> {
        let shard = self.seats[seat].shard;
        let others = self
            .seats
            .iter()
            .enumerate()
            .filter(|(at, s)| *at != seat && s.shard == shard && s.suspect && self.counts(*at));
        // A replica that is full and behind gives up its state for a newer one: one loss at a time.
        let minority = if self.schedule.load.floods { 0 } else { (self.options.founders() as usize - 1) / 2 };
        // Nor may it be the last one that has a value which is damaged elsewhere.
        let needed = |(at, key, version): &(usize, Arc<[u8]>, u64)| {
            let elsewhere = *at != seat && self.seats[*at].shard == shard;
            elsewhere
                && !self.has_value(*at, key, *version)
                && !self.is_whole_elsewhere(&[*at, seat], key, *version)
        };
        (others.count() < minority && !self.rotten.iter().any(needed)).then_some(())
    }

    /// Can a replica read this value from its device, and is it to be relied on?
    pub(crate) fn has_value(&self, seat: usize, key: &[u8], version: u64) -> bool {
        let replica = &self.seats[seat];
        let found = replica.running.as_ref().filter(|_| !replica.suspect).map(|node| node.engine().get(key));
        matches!(found, Some(Ok(Some(found))) if found.version == version)
    }

    fn is_whole_elsewhere(&self, but: &[usize], key: &[u8], version: u64) -> bool {
        let shard = self.seats[but[0]].shard;
        let others = (0..self.seats.len())
            .filter(|at| !but.contains(at) && self.seats[*at].shard == shard && self.belongs(*at));
        others.into_iter().any(|at| self.has_value(at, key, version))
    }

    /// A bit of one of the values on a replica's disk turns, if another replica has that value whole.
    fn rot_value(&mut self, seat: usize, rng: &mut Rng) -> bool {
        let replica = &self.seats[seat];
        let Some(engine) = replica.running.as_ref().map(|node| node.engine()) else { return false };
        let owners = engine.owners();
        let values: Vec<_> = owners
            .iter()
            .filter_map(|(extent, owner)| match owner {
                Owner::Key(key, value) => Some((*extent, key.clone(), value.clone())),
                _ => None,
            })
            .collect();
        let Some((extent, key, value)) = values.get(rng.below(values.len().max(1) as u64) as usize) else {
            return false;
        };
        if self.schedule.load.floods || !self.is_whole_elsewhere(&[seat], key, value.version) {
            return false;
        }
        let start = replica.disk.data_offset() + extent.unit * engine::UNIT;
        // Of the last extent, what is behind the end of the value does not matter.
        let before =
            value.extents().take_while(|other| other != extent).map(|other| other.units).sum::<u64>();
        let rest = u64::from(value.value_bytes()).saturating_sub(before * engine::UNIT);
        let bytes = start..start + rest.min(extent.units * engine::UNIT);
        let Some(at) = replica.disk.rot_in(bytes, rng) else { return false };
        let (node, shard) = (replica.node.0, replica.shard);
        self.rotten.push((seat, key.clone(), value.version));
        self.tell(|| Kind::DeviceDamaged {
            node,
            shard,
            what: format!("a bit of byte {at} turns, in a value"),
        });
        true
    }

    /// A disk on which nothing is damaged any more counts as whole again.
    fn forget_what_is_repaired(&mut self) {
        for seat in 0..self.seats.len() {
            let replica = &self.seats[seat];
            let is_complete = replica.running.as_ref().is_some_and(is_complete_for_good);
            if replica.suspect && is_complete && self.is_whole(seat) {
                self.seats[seat].suspect = false;
                self.seats[seat].disk.fail_reads(0);
            }
        }
    }

    /// Would a replica find nothing damaged on its disk, if it were opened now and read all of it?
    pub(crate) fn is_whole(&self, seat: usize) -> bool {
        let replica = &self.seats[seat];
        let disk = replica.disk.clone();
        disk.heal();
        let identity = identity(self.options, replica.node.0, replica.shard);
        let opened = Engine::open(disk, &identity, self.mechanisms);
        opened.is_ok_and(|(engine, report)| {
            let readable = |owner: &Owner| match owner {
                Owner::Key(key, _) => engine.get(key).is_ok(),
                Owner::Entry(seq, _) => engine.entry(*seq).is_ok(),
                Owner::Chunk(_) => true,
            };
            report.damage.is_none()
                && report.superblocks.iter().all(Result::is_ok)
                && engine.owners().iter().all(|(_, owner)| readable(owner))
        })
    }

    fn hurt(&mut self, seat: usize) {
        self.seats[seat].suspect = true;
    }

    fn damage(
        &mut self,
        moment: Micros,
        node: u32,
        shard: u32,
        place: Place,
        restart: bool,
        misdirect: bool,
    ) -> bool {
        let host = node as usize - 1;
        let seat = self.seats_of(host).start + shard as usize;
        let superblock = place == Place::Superblock;
        if self.may_damage(seat).is_none() || (superblock && self.seats[seat].superblock_hit) {
            return false;
        }
        let mut rng = Rng::stream(self.schedule.seed, "damage", moment);
        // Most sectors that were ever written hold nothing any more: damage there shows nothing. A recovery reads the
        // checkpoint; values are found damaged when somebody asks for them.
        let owners =
            self.seats[seat].running.as_ref().filter(|_| rng.chance(750_000)).map(|n| n.engine().owners());
        let owned =
            owners.into_iter().flatten().filter(|(_, owner)| matches!(owner, Owner::Chunk(_)) == restart);
        let owned: Vec<_> = owned.map(|(extent, _)| extent).collect();
        let disk = &self.seats[seat].disk;
        let what = if misdirect {
            disk.misdirect(place, &mut rng).map(|(a, b)| format!("a write to byte {a} went to byte {b}"))
        } else {
            disk.rot(place, &owned, &mut rng).map(|at| format!("a bit of byte {at} turns"))
        };
        let Some(what) = what else { return false };
        self.tell(|| Kind::DeviceDamaged { node, shard, what });
        self.seats[seat].superblock_hit |= superblock;
        self.hurt(seat);
        if restart && self.hosts[host].up {
            self.stop(host, Death::Kill, "is killed, to read its disk anew", 5_000);
        }
        true
    }

    pub(crate) fn unswap(&mut self, one: usize, other: usize) {
        if self.hosts[one].swapped {
            self.tell_end(|| format!("n{} and n{} have their own disks again", one + 1, other + 1));
        }
        self.unswap_host(one);
        self.unswap_host(other);
    }

    /// Puts a machine's own disks back, and starts it.
    pub(crate) fn unswap_host(&mut self, host: usize) {
        if std::mem::take(&mut self.hosts[host].swapped) {
            self.queue.after(1, Event::Start(host, self.hosts[host].life));
        }
    }
}
