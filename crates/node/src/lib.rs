//! StorageNode: one replica of one shard on one device. The one place where the rules meet the engine.
//!
//! The rules (`dataplane`) say what to do, in order; the engine does it on a device; this crate carries the one to the
//! other, and nothing else. It has no sockets, threads or clock: the simulator and the real process run this very code.
//!
//! # The host's loop
//!
//! 1. [`drop_superseded`], [`Node::handle`] each frame that has arrived, [`Node::tick`] if [`Node::next_deadline`] has
//!    passed. Whenever it is [`Node::parked`], go on with 3.
//! 2. [`Node::settle`] once: what arrived goes to the backups as one batch, all waiting reads share one round.
//! 3. Send [`Node::outbox`]. Nothing in it waits for the own disk.
//! 4. If [`Node::needs_flush`], [`Node::flush`]: one pass of writes and **one** sync for the whole batch. Then send the
//!    outbox again: the acknowledgements that waited for it. Tell the node what it took ([`Node::sync_took`]).
//! 5. [`Node::background`]: one bounded step of a checkpoint, when one is due. Nobody waits for it.
//!
//! Frames that arrive during the sync are the next batch. So a busy node syncs once per batch, a lonely write waits for
//! nothing but its own sync, and no timer is involved.
//!
//! | file | job |
//! |---|---|
//! | `config` | who a node is, why it does not start, or stops |
//! | `node` | the host's side: frames in, frames out, flush |
//! | `fits` | what has room on the device |
//! | `open`, `checkpoint` | how it starts; the log's other end |
//! | `effects` | carrying out the rules' effects on the engine, in order |
//! | `extension`, `consult` | what the cluster was founded with beside the core: what it sees and may ask for; how it is asked |
//! | `repair`, `repairs` | getting a damaged value back from the other replicas |
//! | `tag` | what the engine carries for the rules, as bytes |

#![forbid(unsafe_code)]

mod checkpoint;
mod config;
mod consult;
mod effects;
mod extension;
mod fits;
mod node;
mod open;
mod repair;
mod repairs;
mod tag;

pub use config::{Config, OpenError, StopError};
pub use engine::NODE_MAX;
pub use extension::{Extension, Look, Wish, Wishes, sign_of_life};
pub use node::{Node, drop_superseded};
