//! Gateways as processes: they start, hear that nobody listens, have their timers, and say what is to be sent.

use dataplane::{Frame, GatewayId, Message, NodeId};
use gateway::{Gateway, Output};
use trace::{Actor, Kind};

use crate::blank::CLUSTER;
use crate::clock::Clock;
use crate::rng::Rng;
use crate::world::{Event, World};

/// A gateway's patience, shorter than usual so that a schedule of a few seconds has room for many failovers.
fn gateway_timing() -> gateway::Timing {
    gateway::Timing {
        probe_every: 50_000,
        silence: 160_000,
        retry_after: 90_000,
        takeover_patience: 80_000,
        backoff_max: 640_000,
        deadline: 2_000_000,
    }
}

impl World<'_> {
    pub(crate) fn start_gateway(&mut self, index: usize) {
        let now = self.queue.now();
        let life = self.gates[index].life + 1;
        if self.gates[index].running.is_some() {
            return;
        }
        // As with nodes, a death is a life of its own in the trace.
        let actor = Actor::Gateway(index as u32 + 1);
        let mut tracer = self.told.tracer(actor, 2 * life - 1);
        let config = gateway::Config {
            id: GatewayId { gateway: index as u32 + 1, life },
            cluster: CLUSTER,
            nodes: (1..=self.options.founders()).map(NodeId).collect(),
            shards: self.options.shards,
            seed: Rng::stream(self.schedule.seed, "gateway", (index as u64) << 32 | u64::from(life)).bits(),
            mechanisms: self.mechanisms,
            timing: gateway_timing(),
            limits: self.schedule.bounds.limits,
            in_flight_max: self.schedule.bounds.in_flight_max,
        };
        let gate = &mut self.gates[index];
        gate.life = life;
        gate.clock = Clock::start(now, &mut self.rng_clock);
        gate.wake = None;
        gate.paused_until = 0;
        let clock = gate.clock.read(now);
        if life > 1 {
            self.tell_of(&mut tracer, actor, clock, Kind::Restarted {});
        }
        let mut running = Gateway::new(config, clock);
        running.trace_to(tracer);
        self.gates[index].running = Some(running);
        self.queue.at(now, Event::Tick(index, life));
    }

    pub(crate) fn tick(&mut self, index: usize, life: u32) {
        let now = self.queue.now();
        let gate = &mut self.gates[index];
        if gate.life != life || gate.wake.is_some_and(|at| at > now) {
            return;
        }
        if gate.paused_until > now {
            return self.queue.at(gate.paused_until, Event::Tick(index, life));
        }
        gate.wake = None;
        if let Some(running) = &mut gate.running {
            running.tick(gate.clock.read(now));
            self.gateway_outputs(index);
        }
    }

    pub(crate) fn refused(&mut self, index: usize, life: u32, node: NodeId, shard: u32) {
        let now = self.queue.now();
        let gate = &mut self.gates[index];
        if gate.paused_until > now {
            return self.queue.at(gate.paused_until, Event::Refused(index, life, node, shard));
        }
        if let Some(running) = gate.running.as_mut().filter(|_| gate.life == life) {
            running.unreachable(gate.clock.read(now), node, shard);
            self.gateway_outputs(index);
        }
    }

    /// Carries out what a gateway wants, and sets its timer.
    pub(crate) fn gateway_outputs(&mut self, index: usize) {
        let gate = &mut self.gates[index];
        let Some(running) = &mut gate.running else { return };
        let outputs: Vec<Output> = running.outputs().collect();
        let deadline = running.next_deadline().map(|at| gate.clock.when(at));
        let mut frames = Vec::new();
        for output in outputs {
            match output {
                Output::Send(Frame { message: Message::TakeOver { .. }, .. })
                    if self.options.passive_gateways => {}
                Output::Send(frame) => {
                    if let Some(watch) = self.watches.get_mut(frame.shard as usize) {
                        watch.asked(&frame);
                    }
                    frames.push(frame);
                }
                Output::Reply { token, reply } => self.client_hears(index, token, reply),
            }
        }
        self.send(frames);
        let now = self.queue.now();
        let gate = &mut self.gates[index];
        if let Some(at) = deadline.map(|at| at.max(now + 100))
            && gate.wake.is_none_or(|wake| at < wake)
        {
            gate.wake = Some(at);
            self.queue.at(at, Event::Tick(index, gate.life));
        }
    }
}
