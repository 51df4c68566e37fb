//! What one shard's calls and its search for a primary share: what they say, and want sent, in order.

use std::collections::VecDeque;

use dataplane::{Message, Micros, NodeId, ReadResult, WriteResult};
use trace::{Kind, Source, Told};

use crate::api::Token;

/// What a shard wants done.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Tell whoever listens that this happened.
    Tell(Told),
    Send(NodeId, Message),
    /// A call has ended.
    End(Token, Ended),
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    Write(WriteResult),
    Read(ReadResult),
    /// It was sent, and what became of it cannot be learned.
    Unknown(String),
    /// It certainly had no effect.
    Unavailable(String),
    /// It certainly had no effect, and never will.
    Invalid,
}

/// The queue of a shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Core {
    /// When the present step happens.
    pub now: Micros,
    /// Does anybody listen to the present step?
    pub listened: bool,
    pub effects: VecDeque<Effect>,
}

impl Core {
    /// Is to be told what happens? For `emit!`, as is `record`.
    pub fn is_on(&self) -> bool {
        self.listened
    }

    pub fn record(&mut self, kind: Kind, source: Source) {
        self.effects.push_back(Effect::Tell(Told { kind, source }));
    }

    pub fn send(&mut self, to: NodeId, message: Message) {
        self.effects.push_back(Effect::Send(to, message));
    }

    pub fn end(&mut self, token: Token, how: Ended) {
        self.effects.push_back(Effect::End(token, how));
    }
}
