//! P4: the end of a schedule. All faults end, and everything must be well within a bounded time: every replica up, proven
//! and caught up, every request answered. Then the accounts are settled.

use dataplane::Micros;

use crate::checkers::{Finding, broken};
use crate::world::{Event, Seat, World};

/// After healing, every shard must have a primary within this time, and so many more syncs of the slowest disk.
const SERVICE_MAX: (Micros, Micros) = (10_000_000, 30);
/// And everything must be well: many times what the slowest recovery takes, and what is left of the clients' requests.
const RECOVERY_MAX: (Micros, Micros) = (30_000_000, 300);
/// How often it is looked whether all is well.
const LOOK_EVERY: Micros = 20_000;

impl World<'_> {
    pub fn heal(&mut self) -> Finding {
        self.healed = true;
        self.network.heal();
        self.tell_fault(|| "all faults end".into());
        for host in 0..self.hosts.len() {
            // A slow disk is no fault that ends: service must return with it.
            self.hosts[host].armed = None;
            self.hosts[host].doom = None;
            self.hosts[host].paused_until = 0;
            self.unswap_host(host);
            self.resume(host);
        }
        for seat in &self.seats {
            seat.disk.heal();
        }
        for host in 0..self.hosts.len() {
            let life = self.hosts[host].life;
            self.start(host, life)?;
        }
        for gateway in 0..self.gates.len() {
            self.gates[gateway].paused_until = 0;
            self.start_gateway(gateway);
        }
        self.queue.after(LOOK_EVERY, Event::Look);
        Ok(())
    }

    /// P4: with everything healed, everything ends well.
    pub fn look(&mut self) -> Finding {
        self.served |= (0..self.options.shards).all(|shard| self.serves(shard));
        if !self.served && self.is_late(SERVICE_MAX) {
            let seconds = (self.queue.now() - self.schedule.calm_at()) / 1_000_000;
            return broken(
                "liveness",
                "P4",
                4,
                format!("{seconds} s after all faults ended, nobody serves yet"),
            );
        }
        let waiting = self.waiting_for();
        match waiting {
            None => {
                self.done = true;
                self.cover_stopped();
                self.settle_accounts()
            }
            Some(what) if self.is_late(RECOVERY_MAX) => {
                // A wrong answer weighs more than a missing one.
                self.judge()?;
                let seconds = (self.queue.now() - self.schedule.calm_at()) / 1_000_000;
                broken("liveness", "P4", 4, format!("{seconds} s after all faults ended, {what}"))
            }
            Some(_) => {
                self.queue.after(LOOK_EVERY, Event::Look);
                Ok(())
            }
        }
    }

    /// Is it later than so many microseconds, and so many syncs of the slowest disk, after the healing?
    fn is_late(&self, (micros, syncs): (Micros, Micros)) -> bool {
        self.queue.now() > self.schedule.calm_at() + micros + syncs * self.schedule.slowest_sync()
    }

    /// Does a primary of the shard serve?
    fn serves(&self, shard: u32) -> bool {
        let mut of_shard = self.seats.iter().filter(|seat| seat.shard == shard);
        of_shard.any(|seat| seat.running.as_ref().is_some_and(|node| node.status(0).serving))
    }

    /// What is not well yet.
    fn waiting_for(&self) -> Option<String> {
        let replica = self.replica_that_is_not_well();
        if replica.is_some() {
            return replica;
        }
        let busy =
            self.clients.iter().find(|client| !client.is_done(self.schedule.load.keys, self.options.clients));
        busy.map(|client| format!("client {} has not got through its requests", client.id))
    }

    /// A replica that is down, unproven or behind.
    fn replica_that_is_not_well(&self) -> Option<String> {
        for (at, seat) in self.seats.iter().enumerate() {
            let Some(node) = &seat.running else { return Some(format!("{} is not up", seat.node)) };
            if !self.belongs(at) {
                continue;
            }
            if !node.replica().is_proven() || node.replica().core().is_short() {
                return Some(format!("{} of shard {} has no proven log", seat.node, seat.shard));
            }
        }
        for shard in 0..self.options.shards {
            let members = self.seats.iter().enumerate().filter(|(at, _)| self.belongs(*at));
            let members: Vec<&Seat> = members.map(|(_, seat)| seat).collect();
            let of_shard = || members.iter().copied().filter(move |seat| seat.shard == shard);
            let statuses = of_shard().filter_map(|seat| Some((seat.node, seat.running.as_ref()?.status(0))));
            let Some((primary, lead)) = statuses.clone().find(|(_, status)| status.serving) else {
                return Some(format!("shard {shard} has no primary that serves"));
            };
            let learns = |seat: &&Seat| {
                let members = seat.running.as_ref().map(|node| &node.replica().core().members);
                members.is_some_and(|members| !members.votes(seat.node))
            };
            if let Some(seat) = of_shard().find(learns) {
                return Some(format!("{} of shard {shard} does not count yet", seat.node));
            }
            for (node, status) in statuses {
                if (status.promised, status.tail, status.committed)
                    != (lead.promised, lead.tail, lead.tail.seq)
                {
                    return Some(format!("{node} has not caught up with {primary} in shard {shard}"));
                }
            }
        }
        None
    }

    /// All operations are over: judge them, and compare every replica with the log.
    fn settle_accounts(&mut self) -> Finding {
        for seat in 0..self.seats.len() {
            self.compare_state(seat)?;
        }
        self.judge()
    }
}
