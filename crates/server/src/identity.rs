//! Members and their certificates: whom a certificate has to be of, and looking whether the files have changed.

use std::sync::Arc;
use std::time::Duration;

use dataplane::{Address, ClusterId};
use secure::identity::{Door, Identity, Watched};
use secure::names;
use secure::token::Tokens;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the certificate of a member calls it.
pub fn certified(cluster: &ClusterId, member: Address) -> String {
    match member {
        Address::Node(node) => names::node(node.0, cluster),
        Address::Gateway(id) => names::gateway(id.gateway, cluster),
    }
}

/// Reads certificates and tokens anew when their files change, for ever. On a thread of a `LocalSet`.
pub fn watch(identity: Option<Arc<Identity>>, door: Option<Arc<Door>>, tokens: Option<Arc<Watched<Tokens>>>) {
    if identity.as_ref().is_some_and(|identity| identity.now().ends_soon) {
        tracing::warn!("the certificate of this member expires within a week");
    }
    tokio::task::spawn_local(async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let later = "new connections use it";
            identity.iter().for_each(|identity| look("the certificate of this member", later, identity));
            door.iter().for_each(|door| look("the certificate that clients are shown", later, door));
            let at_once = "what is not in it any more allows nothing";
            tokens.iter().for_each(|tokens| look("the list of tokens", at_once, tokens));
        }
    });
}

fn look<T>(what: &str, then: &str, watched: &Watched<T>) {
    match watched.refresh() {
        None => (),
        Some(Ok(())) => tracing::info!("{what} is read anew: {then}"),
        Some(Err(e)) => tracing::warn!("{what} stays what it was: {e}"),
    }
}
