//! P4: the end of a schedule. All faults end, and everything must be well within a bounded time: every replica up, proven
//! and caught up, every request answered. Then the accounts are settled.

use dataplane::Micros;
use trace::Kind;

use crate::checkers::{Finding, broken};
use crate::world::{Event, World};

/// After healing, everything must be well within this time: many times what the slowest recovery takes.
const RECOVERY_MAX: Micros = 30_000_000;
/// How often it is looked whether all is well.
const LOOK_EVERY: Micros = 20_000;

impl World<'_> {
    pub fn heal(&mut self) -> Finding {
        self.healed = true;
        self.network.heal();
        self.tell(Kind::NetworkChanged { what: "all faults end".into() });
        for host in 0..self.hosts.len() {
            self.hosts[host].slow = None;
            self.hosts[host].armed = None;
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
            self.start_gateway(gateway);
        }
        self.queue.after(LOOK_EVERY, Event::Look);
        Ok(())
    }

    /// P4: with everything healed, everything ends well.
    pub fn look(&mut self) -> Finding {
        let waiting = self.waiting_for();
        match waiting {
            None => {
                self.done = true;
                self.settle_accounts()
            }
            Some(what) if self.queue.now() > self.schedule.heal_at + RECOVERY_MAX => {
                // A wrong answer weighs more than a missing one.
                self.judge()?;
                let seconds = RECOVERY_MAX / 1_000_000;
                broken("liveness", "P4", 4, format!("{seconds} s after all faults ended, {what}"))
            }
            Some(_) => {
                self.queue.after(LOOK_EVERY, Event::Look);
                Ok(())
            }
        }
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
        for seat in &self.seats {
            let Some(node) = &seat.running else { return Some(format!("{} is not up", seat.node)) };
            if !node.replica().is_proven() {
                return Some(format!("{} of shard {} has no proven log", seat.node, seat.shard));
            }
        }
        for shard in 0..self.options.shards {
            let of_shard = || self.seats.iter().filter(move |seat| seat.shard == shard);
            let statuses = of_shard().filter_map(|seat| Some((seat.node, seat.running.as_ref()?.status(0))));
            let Some((primary, lead)) = statuses.clone().find(|(_, status)| status.serving) else {
                return Some(format!("shard {shard} has no primary that serves"));
            };
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
