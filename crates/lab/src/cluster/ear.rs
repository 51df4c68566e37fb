//! What the processes of a cluster tell, and the name of the cluster that they belong to.

use std::sync::{Arc, Mutex};

use trace::{Actor, Event, Tracer};

/// The cluster that everybody belongs to.
pub(super) const CLUSTER: [u8; 16] = *b"a cluster to see";

/// What the nodes and gateways tell.
pub(super) type Ear = Arc<Mutex<Vec<Event>>>;

/// A tracer of this actor that tells everything there.
pub(super) fn tracer(ear: &Ear, actor: Actor, life: u32) -> Tracer {
    let ear = ear.clone();
    Tracer::always(actor, life, Box::new(move |event| ear.lock().expect("nobody panics here").push(event)))
}
