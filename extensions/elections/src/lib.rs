//! Elections: the nodes find out by themselves that no primary lives, and elect one.
//!
//! The core leaves the failure detector to the gateways. With this extension the nodes have one of their own, so that a
//! cluster whose gateways are all dead has a primary. Gateways may go on to trigger takeovers at the same time. Safety rests
//! on the core's takeover alone, as with a gateway's: an extension can only ask its own replica to stand or to step down.
//!
//! | state | leaves it when |
//! |---|---|
//! | waiting | nothing was heard of a primary, and nothing promised, for a timeout and a random part of half of it |
//! | asking | a majority would vote for it: it stands; or too few said so in time: it waits again |
//! | standing | the rules made it primary, or gave its candidacy up: then it waits longer |
//!
//! 1. **Pre-vote.** Before it stands, a node asks the others whether they would vote for it. A candidacy makes a majority
//!    promise a greater epoch, which deposes whoever leads; so it had better succeed.
//! 2. The answer to a pre-vote follows **the conditions of the vote**: the log is complete enough, and the voter's own is
//!    proven.
//! 3. **Stickiness.** Whoever hears a primary, or leads and hears a majority, refuses. So a node that lost only its own link
//!    to the primary deposes nobody.
//! 4. **Check-quorum.** A primary that has heard no majority for a timeout, or cannot commit its marker, steps down: others may hear it all the same, and
//!    would wait for ever for somebody who can commit nothing.
//!
//! Patience is measured (`dataplane::patience`): a timeout is a number of signs of life, but no less than a few syncs and
//! round trips take, and doubles with each failure until a primary has lasted.
//!
//! | file | job |
//! |---|---|
//! | `elections` | the states above |
//! | `guard` | each mechanism as one function that can be switched off |
//! | `words` | what the nodes say to each other |
//!
//! Left out: leases and priorities. A production system might add a transfer of the lead to a chosen node.

#![forbid(unsafe_code)]

mod elections;
pub mod guard;
mod words;

pub use elections::Elections;
pub use words::Words;
