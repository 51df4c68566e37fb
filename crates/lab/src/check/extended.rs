//! The extensions of one node of the model: the real ones.
//!
//! Their part of a state is what their `Debug` shows, which is derived, and so is all of it.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};

use dataplane::{Micros, Replica};
use extensions::Chosen;
use node::{Extension, Look, Wish, Wishes};

use crate::cluster::wisher::Wisher;

/// What a node was founded with beside the core, and what the node keeps for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extended {
    with: Chosen,
    /// Does one of them wish for whatever it is told to?
    obeys: bool,
    list: Vec<Box<dyn Extension>>,
    /// When the primary that it follows was last heard.
    heard_at: Micros,
}

impl Extended {
    pub fn new(with: Chosen, obeys: bool) -> Extended {
        let mut list = with.start();
        list.extend(obeys.then(|| Box::new(Wisher) as Box<dyn Extension>));
        Extended { with, obeys, list, heard_at: 0 }
    }

    /// Those of the node's next life.
    pub fn anew(&self) -> Extended {
        Extended::new(self.with, self.obeys)
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The primary that the node follows speaks. Only extensions want to know.
    pub fn heard(&mut self, now: Micros) {
        self.heard_at = now;
    }

    /// When all of them will want to look.
    pub fn deadline(&self) -> Option<Micros> {
        self.list.iter().filter_map(|extension| extension.next_deadline()).max()
    }

    /// Lets the extension at this place see its replica; what it wishes, and its number.
    pub fn ask(
        &mut self,
        at: usize,
        replica: &Replica,
        (now, listened): (Micros, bool),
        ask: &mut impl FnMut(&mut dyn Extension, &Look, &mut Wishes),
    ) -> (u8, Vec<Wish>) {
        let look = Look {
            now,
            config: &replica.core().config,
            members: &replica.core().members,
            progress: replica.progress(),
            status: replica.status(now),
            heard_at: self.heard_at,
        };
        let mut wishes = Wishes { list: Vec::new(), listened };
        let extension = &mut *self.list[at];
        ask(extension, &look, &mut wishes);
        (extension.number(), wishes.list)
    }
}

impl PartialEq for Extended {
    fn eq(&self, other: &Extended) -> bool {
        self.list.is_empty() && other.list.is_empty()
            || self.heard_at == other.heard_at && format!("{:?}", self.list) == format!("{:?}", other.list)
    }
}

impl Eq for Extended {}

impl Hash for Extended {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if !self.list.is_empty() {
            self.heard_at.hash(state);
            write!(Text(state), "{:?}", self.list).expect("a hasher takes everything");
        }
    }
}

/// Text that is hashed and not kept.
struct Text<'a, H>(&'a mut H);

impl<H: Hasher> Write for Text<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
