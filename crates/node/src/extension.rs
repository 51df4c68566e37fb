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
    Address, Config, EXTENSION_BYTES_MAX, Epoch, Event, Frame, Message, Micros, NodeId, NodeStatus, guard,
};
use engine::{Device, ReadError, Upkeep, WriteError};
use trace::{Kind, Source, Told, emit};

use crate::config::StopError;
use crate::node::Node;

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
    /// Who it is, among whom, how patient, and which mechanisms are on.
    pub config: &'a Config,
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
pub(crate) fn sign_of_life(frame: &Frame) -> Option<(NodeId, Epoch)> {
    match (frame.from, &frame.message) {
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

impl<D: Device> Node<D> {
    /// The node runs these from now on.
    pub fn extend(&mut self, extensions: Vec<Box<dyn Extension>>) {
        self.extensions = extensions;
    }

    /// Its extensions, to look at.
    pub fn extensions(&self) -> &[Box<dyn Extension>] {
        &self.extensions
    }

    /// The primary that it follows has spoken, if this is its sign of life.
    pub(crate) fn note_heard(&mut self, sign: Option<(NodeId, Epoch)>) {
        if sign.is_some_and(|(from, epoch)| self.replica.follows(from, epoch)) {
            self.heard_at = self.now;
        }
    }

    /// A message of an extension. Of one that this cluster was not founded with, nothing is heeded.
    pub(crate) fn on_extension(
        &mut self,
        from: NodeId,
        (number, epoch): (u8, Epoch),
        words: &[u8],
    ) -> Result<(), StopError> {
        let (on, seen) = (self.config.rules.mechanisms, self.replica.core().seen);
        let mut why = Some(format!("this cluster was founded without extension {number}"));
        if words.len() > EXTENSION_BYTES_MAX || !guard::epoch_bound(on, seen, epoch) {
            why = Some("it is too long, or names an epoch that cannot be".into());
        } else {
            self.consult(|extension, look, wishes, _| {
                if extension.number() == number {
                    let heard = extension.hear(look, (from, epoch), words, wishes);
                    why = heard.err().map(|error| error.to_string());
                }
            })?;
        }
        if let Some(why) = why {
            let (message, from) = ("Extension".into(), from.to_string());
            emit!(self.t, Kind::FrameRefused { message, from, why });
        }
        Ok(())
    }

    /// Lets each extension see how things stand, and does what it wishes.
    pub(crate) fn consult(
        &mut self,
        mut ask: impl FnMut(&mut dyn Extension, &Look, &mut Wishes, &mut dyn Upkeep),
    ) -> Result<(), StopError> {
        for at in 0..self.extensions.len() {
            let (now, status) = (self.now, self.replica.status(self.now));
            // A clock that jumped back.
            self.heard_at = self.heard_at.min(now);
            let look = Look { now, config: &self.config.rules, status, heard_at: self.heard_at };
            let mut wishes = Wishes { list: Vec::new(), listened: self.t.is_on() };
            let extension = &mut self.extensions[at];
            ask(&mut **extension, &look, &mut wishes, &mut self.engine);
            self.engine.notes().for_each(|(kind, source)| self.t.record(kind, source));
            let number = extension.number();
            wishes.list.into_iter().try_for_each(|wish| self.grant(number, wish))?;
        }
        Ok(())
    }

    /// Lets each extension work on the device.
    pub(crate) fn work(&mut self) -> Result<(), StopError> {
        let (mut damaged, mut worked) = (Vec::new(), Ok(()));
        self.engine.listen(self.t.is_on());
        self.consult(|extension, look, wishes, device| match extension.work(look, device, wishes) {
            Ok(more) => damaged.extend(more),
            Err(error) => worked = Err(error),
        })?;
        damaged.iter().for_each(|error| _ = self.damaged(error));
        worked.or_else(|error| self.stop(error))
    }

    fn grant(&mut self, extension: u8, wish: Wish) -> Result<(), StopError> {
        self.resume()?;
        match wish {
            Wish::Tell(told) => self.t.record(told.kind, told.source),
            Wish::Say(to, words) => {
                assert!(
                    words.len() <= EXTENSION_BYTES_MAX,
                    "extension {extension} says {} bytes",
                    words.len()
                );
                let epoch = self.replica.core().promised;
                self.post(Address::Node(to), Message::Extension { extension, epoch, words });
            }
            Wish::TakeOver(above, patience) => {
                if self.fits(&Message::TakeOver { above, patience }).entries > 0 {
                    self.step(Event::TakeOver(above, patience))?;
                }
            }
            Wish::StepDown => self.step(Event::StepDown)?,
        }
        Ok(())
    }
}
