//! What the world tells. Nodes and gateways tell of themselves; what is between and around them is told here: clients have
//! lanes of their own, a process crashes and restarts in its own lane, messages are lost by the world, and what follows from
//! a fault says so.

use dataplane::{Address, Frame, Micros};
use trace::{Actor, Kind, Tracer, emit};

use crate::history::Operation;
use crate::world::World;

/// An actor as traces name it.
fn name(address: Address, shard: u32) -> String {
    let actor = match address {
        Address::Node(node) => Actor::Node { node: node.0, shard },
        Address::Gateway(id) => Actor::Gateway(id.gateway),
    };
    actor.to_string()
}

impl World<'_> {
    /// Does anybody listen to events?
    pub fn listens(&self) -> bool {
        self.told.listens()
    }

    /// Counts something that happened, if somebody counts.
    pub fn cover(&self, group: &'static str, entry: &'static str) {
        if self.told.counts {
            self.told.kept().coverage.count(group, entry, 1);
        }
    }

    /// An event of the world itself, which follows from the fault that is being injected.
    pub fn tell(&mut self, kind: impl FnOnce() -> Kind) {
        self.tracer.begin(self.queue.now(), self.because);
        emit!(self.tracer, kind());
    }

    /// A fault is injected: what happens until the next one is because of it.
    pub fn tell_fault(&mut self, what: impl FnOnce() -> String) {
        self.because = None;
        self.tell(|| Kind::FaultInjected { what: what() });
        self.because = if self.listens() { self.told.last(Actor::World) } else { None };
    }

    /// A fault ends.
    pub fn tell_end(&mut self, what: impl FnOnce() -> String) {
        self.tell(|| Kind::FaultEnded { what: what() });
    }

    /// Says in a process's own lane that it crashes, or restarts: after what it did last, and because of a fault.
    pub fn tell_of(&self, tracer: &mut Tracer, actor: Actor, clock: Micros, kind: Kind) {
        if self.listens() {
            tracer.begin(clock, self.told.last(actor).into_iter().chain(self.because));
            emit!(tracer, kind);
        }
    }

    /// A message that arrives nowhere.
    pub fn tell_lost(&mut self, frame: &Frame, why: impl FnOnce() -> String) {
        self.tracer.begin(self.queue.now(), frame.cause);
        let lost = || Kind::MessageLost {
            from: name(frame.from, frame.shard),
            to: name(frame.to, frame.shard),
            message: frame.message.name().to_string(),
            why: why(),
        };
        emit!(self.tracer, lost());
    }

    /// A client calls, and some gateway will take it on under this token.
    pub fn tell_call(&mut self, client: usize, gateway: u32, call: u64, operation: &Operation) {
        let (now, tracer) = (self.queue.now(), &mut self.clients[client].tracer);
        tracer.begin(now, None);
        emit!(tracer, Kind::ClientCalled { call, request: operation.asked() });
        if self.listens() {
            let mut kept = self.told.kept();
            let id = kept.last.get(&Actor::Client(operation.client)).copied();
            kept.calls.extend(id.map(|id| ((gateway, call), id)));
        }
    }

    /// A client is told something, by a gateway's reply or by its silence.
    pub fn tell_answer(&mut self, client: usize, gateway: u32, call: u64, operation: &Operation) {
        if !self.listens() {
            return;
        }
        let cause = {
            let mut kept = self.told.kept();
            kept.replies.remove(&(gateway, call)).or(kept.last.get(&Actor::Gateway(gateway)).copied())
        };
        let (now, tracer) = (self.queue.now(), &mut self.clients[client].tracer);
        tracer.begin(now, cause);
        emit!(tracer, Kind::ClientAnswered { request: operation.asked(), reply: operation.told() });
        let mut kept = self.told.kept();
        let id = kept.last.get(&Actor::Client(operation.client)).copied();
        kept.answers.extend(id.map(|id| (operation.called, id)));
    }

    /// A checker judged the answer to this operation.
    pub fn judged(&self, operation: &Operation) {
        let mut kept = self.told.kept();
        let answer = kept.answers.get(&operation.called).copied();
        kept.judged.extend(answer);
    }
}
