//! A node lets its extensions see, hear and work, and does what they wish.

use dataplane::{Address, EXTENSION_BYTES_MAX, Epoch, Event, Message, NodeId, guard};
use engine::{Device, Upkeep};
use trace::{Kind, emit};

use crate::config::StopError;
use crate::extension::{Extension, Look, Wish, Wishes};
use crate::node::Node;

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
        from: Address,
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
                    let heard = match from {
                        Address::Node(node) => extension.hear(look, (node, epoch), words, wishes),
                        Address::Gateway(gateway) => extension.asked(look, gateway, words, wishes),
                    };
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
            let (replica, progress) = (&self.replica, self.replica.progress());
            let look = Look {
                now,
                config: &self.config.rules,
                members: &replica.core().members,
                progress,
                status,
                heard_at: self.heard_at,
            };
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
            Wish::Answer(gateway, words) => {
                let epoch = self.replica.core().promised;
                self.post(Address::Gateway(gateway), Message::Extension { extension, epoch, words });
            }
            Wish::Change(change) => {
                // As much room as the marker of a takeover takes.
                if self.fits(&Message::TakeOver { above: Epoch(0), patience: 0 }).entries > 0 {
                    self.step(Event::Change(change))?;
                }
            }
        }
        Ok(())
    }
}
