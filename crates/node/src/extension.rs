//! The seam for extensions: what one sees of its replica, what it hears, and what it may ask for.
//!
//! An extension is chosen when a cluster is founded, and runs on each of its nodes. It is as deterministic as the rules: no
//! clock, no socket, no randomness of its own (`Look::config` has a random number of this life). It never touches the
//! replica. It wishes, and the rules decide: whatever it wishes for, and whenever, no promise to a client rests on it.
//!
//! 1. [`Extension::tick`] at each tick of the node, and at the latest when [`Extension::next_deadline`] has passed;
//! 2. [`Extension::hear`] for each message of its like on another node, behind the checks that all frames pass;
//! 3. [`Extension::work`] when nobody waits for the node: on its device, through [`Upkeep`];
//! 4. its [`Wishes`] are carried out at once, in order, each as a step of its own.

use std::fmt;

use dataplane::wire::WireError;
use dataplane::{
    Address, Change, Config, Epoch, GatewayId, Members, Message, Micros, NodeId, NodeStatus, Progress,
};
use engine::{ReadError, Upkeep, WriteError};
use trace::{Kind, Source, Told};

/// A part of a node that is chosen when its cluster is founded.
pub trait Extension: fmt::Debug + Send + Sync {
    /// Tells its messages from those of other extensions; never given to another one.
    fn number(&self) -> u8;
    /// Time has passed.
    fn tick(&mut self, look: &Look, wishes: &mut Wishes);
    /// The same extension of `from`, which has promised `epoch`, says this. An error: these are no words of it.
    fn hear(
        &mut self,
        look: &Look,
        from: (NodeId, Epoch),
        words: &[u8],
        wishes: &mut Wishes,
    ) -> Result<(), WireError>;
    /// A gateway's client asks for something. An error: these are no words of it.
    fn asked(
        &mut self,
        _look: &Look,
        _from: GatewayId,
        _words: &[u8],
        _wishes: &mut Wishes,
    ) -> Result<(), WireError> {
        Err(WireError::UnknownVariant(self.number()))
    }
    /// Nobody waits for the node now: some work on its device. What could not be read is repaired.
    fn work(
        &mut self,
        _look: &Look,
        _device: &mut dyn Upkeep,
        _wishes: &mut Wishes,
    ) -> Result<Vec<ReadError>, WriteError> {
        Ok(Vec::new())
    }
    /// When it wants to be ticked at the latest.
    fn next_deadline(&self) -> Option<Micros>;
    /// Another one, in the same state.
    fn copy(&self) -> Box<dyn Extension>;
}

impl Clone for Box<dyn Extension> {
    fn clone(&self) -> Box<dyn Extension> {
        self.copy()
    }
}

/// What an extension sees of its replica.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    /// The present.
    pub now: Micros,
    /// Who it is, how patient, and which mechanisms are on.
    pub config: &'a Config,
    /// Who belongs to the shard, by the own log.
    pub members: &'a Members,
    /// Of a primary: how far each of the others is known to be.
    pub progress: Vec<Progress>,
    /// Role, epoch, primary, log.
    pub status: NodeStatus,
    /// When the primary that it follows was last heard; before the start of this life: 0.
    pub heard_at: Micros,
}

/// What an extension asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    /// Tell that this happened.
    Tell(Box<Told>),
    /// Say this to the same extension of another node.
    Say(NodeId, Vec<u8>),
    /// Have the own replica stand, above this epoch, and give up after so long.
    TakeOver(Epoch, Micros),
    /// Have the own replica leave the lead.
    StepDown,
    /// Answer whoever asked through this gateway.
    Answer(GatewayId, Vec<u8>),
    /// Have the own primary append this.
    Change(Change),
}

/// What an extension asks for, in order.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The list.
    pub list: Vec<Wish>,
    /// Does anybody listen to what happens?
    pub listened: bool,
}

impl Wishes {
    /// It wants this.
    pub fn add(&mut self, wish: Wish) {
        self.list.push(wish);
    }

    /// For [`emit!`], as is `record`.
    pub fn is_on(&self) -> bool {
        self.listened
    }

    /// Something happened.
    pub fn record(&mut self, kind: Kind, source: Source) {
        self.add(Wish::Tell(Box::new(Told { kind, source })));
    }
}

/// Who says this as a primary, of which epoch. One that has left the lead says other things in the same epoch.
pub fn sign_of_life(from: Address, message: &Message) -> Option<(NodeId, Epoch)> {
    match (from, message) {
        (
            Address::Node(from),
            Message::Prepare { epoch, .. }
            | Message::Confirm { epoch, .. }
            | Message::Behind { epoch, .. }
            | Message::Chunk { epoch, .. },
        ) => Some((from, *epoch)),
        _ => None,
    }
}
