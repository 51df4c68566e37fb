//! Membership: nodes are added, removed and replaced while the cluster serves.
//!
//! Who belongs to a shard is a function of its log (`dataplane::Members`). Here is who may change it, and when. Safety rests on
//! these rules, and on two in the core: a change is in effect as soon as it is in the log, and a primary that was removed does
//! not count itself.
//!
//! A node is replaced in three entries: the new one is added, and learns; it is promoted once it has what the others have;
//! the old one is removed. Whoever asks may die in between, and so may the primary: the log says how far it is, and whoever
//! leads next goes on.
//!
//! 1. **One change at a time**: the next one begins when the one before is committed. Then any two majorities share a node.
//! 2. **After an entry of the own epoch**: a primary first commits its marker. A change that an earlier primary began, and that
//!    others lack, can then never come back.
//! 3. **A learner catches up** before it counts.
//! 4. **A primary that was removed hands over**: once its removal is committed, it has the most complete of the others stand.
//!
//! A node that was removed and is added again is another one, although it has the same number: what it acknowledged before lies
//! before the entry that adds it, and it counts only once it has that entry. So an acknowledgement that was long on its way
//! counts for what is committed anyway.
//!
//! | file | job |
//! |---|---|
//! | `membership` | what is asked, and what comes of it |
//! | `guard` | each mechanism as one function that can be switched off |
//! | `words` | what is asked and answered |
//!
//! Left out: several changes in one step (joint consensus), and nodes that never vote.

#![forbid(unsafe_code)]

pub mod guard;
mod membership;
mod words;

pub use membership::{Membership, NUMBER};
pub use words::{Asked, Reply, Words};
