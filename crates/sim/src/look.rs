//! The cluster in the midst of a run, for whoever steps through it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dataplane::{Frame, Micros};
use disk::Disk;
use gateway::Gateway;
use node::Node;

use crate::options::Options;
use crate::run::watched;
use crate::schedule::Schedule;
use crate::told::Told;
use crate::world::{Event, World};

/// What can be seen of a cluster.
pub struct Look<'a> {
    world: &'a World<'a>,
}

/// Runs a schedule until `events` events were told, and shows the cluster at the end of that moment.
///
/// The same schedule with the same mechanisms runs the same way each time, so that this is the state behind the event of
/// that number, from 1, of its trace. `None`: the code under test panics before.
pub fn look<R>(
    schedule: &Schedule,
    options: &Options,
    events: u64,
    see: impl FnOnce(&Look) -> R,
) -> Option<R> {
    let options = Options { trace: true, ..options.clone() };
    let told = Told::new(&options);
    let run = || {
        let mut world = World::new(schedule, &options, told.clone());
        while told.kept().events < events && world.advance() {}
        see(&Look { world: &world })
    };
    watched(|| catch_unwind(AssertUnwindSafe(run))).0.ok()
}

impl<'a> Look<'a> {
    /// The present, in microseconds since the schedule began.
    pub fn now(&self) -> Micros {
        self.world.queue.now()
    }

    /// Each replica: its node and shard, why it is down or itself, and its disk.
    pub fn replicas(
        &self,
    ) -> impl Iterator<Item = (u32, u32, Result<&'a Node<Disk>, &'static str>, &'a Disk)> {
        let world = self.world;
        world.seats.iter().map(move |seat| {
            let host = &world.hosts[seat.node.0 as usize - 1];
            let why = match (host.up, host.swapped) {
                (_, true) => "its disk is in another machine",
                (false, _) => "its process ended",
                (true, _) => "it could not open its device",
            };
            (seat.node.0, seat.shard, seat.running.as_ref().ok_or(why), &seat.disk)
        })
    }

    /// Each gateway that runs: its number, its life, itself, and how many requests it owes an answer.
    pub fn gateways(&self) -> impl Iterator<Item = (u32, u32, &'a Gateway, usize)> {
        let gates = self.world.gates.iter().zip(1..);
        gates.filter_map(|(gate, n)| Some((n, gate.life, gate.running.as_ref()?, gate.tokens.len())))
    }

    /// Messages on their way, in the order in which they arrive, each with its time.
    pub fn on_their_way(&self) -> Vec<(Micros, &'a Frame)> {
        let pending = self.world.queue.pending();
        let frame = |(at, event): (Micros, &'a Event)| match event {
            Event::Arrives(_, frame) => Some((at, frame)),
            _ => None,
        };
        pending.filter_map(frame).collect()
    }
}
