//! Values that take room on their way: a body that is collected, and long values that are fetched ([`crate::budget`] says
//! how much room there is).

use std::sync::Arc;

use dataplane::Query;
use gateway::{Reply, Request};
use tokio::time::timeout;

use crate::budget::{Held, REPLY_BYTES_MAX, STALLED, units};
use crate::core::Handle;
use crate::partial::Share;

/// Bytes of long values that are on their way from nodes at a time for one command.
const AT_ONCE_BYTES: usize = 2 << 20;
/// A value that grows each time it is read is given up.
const TRIES: usize = 3;

/// Collects a body of at most `most` bytes, as long as it comes on. What has come takes the memory of a request that has not
/// come whole, until `share` is told otherwise.
pub async fn collect<B>(mut body: B, share: &Share, most: usize) -> Result<Vec<u8>, NoBody>
where
    B: axum::body::HttpBody<Data = bytes::Bytes> + Unpin,
{
    let mut all = Vec::new();
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx));
        let next = tokio::select! {
            next = timeout(STALLED, frame) => next.map_err(|_| NoBody::Stalled)?,
            () = share.make_room() => return Err(NoBody::Stalled),
        };
        match next {
            None => return Ok(all),
            Some(Err(_)) => return Err(NoBody::Broken),
            Some(Ok(frame)) => all.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
        }
        if all.len() > most {
            return Err(NoBody::TooLong);
        }
        // What it takes, which is up to twice as much as has come.
        share.hold(all.capacity());
    }
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBody {
    /// It is longer than allowed.
    TooLong,
    /// It did not come on, and its room was needed, or its time was up.
    Stalled,
    /// The connection ended, or what came is no body.
    Broken,
}

/// Fetches the values that were too long to be sent unasked. They take room until what is returned is dropped: when the
/// last byte is written.
pub async fn whole(core: &Handle, replies: &mut [Reply]) -> Option<Held> {
    let long = |(at, reply): (usize, &Reply)| match reply {
        Reply::Long(key, bytes) => Some((at, key.clone(), *bytes)),
        _ => None,
    };
    let mut long: Vec<_> = replies.iter().enumerate().filter_map(long).collect();
    if long.is_empty() {
        return None;
    }
    let mut why = Reply::Unavailable("the value grew while it was being read; ask again".into());
    for _ in 0..TRIES {
        let bytes: usize = long.iter().map(|(.., bytes)| *bytes as usize).sum();
        if bytes > REPLY_BYTES_MAX {
            why = Reply::Invalid(format!(
                "the values have {bytes} bytes, more than {REPLY_BYTES_MAX}: ask for fewer"
            ));
            break;
        }
        let budget = core.borrow().budget.clone();
        let Some(held) = budget.long(bytes).await else {
            why = Reply::Unavailable(
                "clients that are slow to take their replies hold all room for long values".into(),
            );
            break;
        };
        if !fetch(core, &mut long, replies).await {
            return Some(held);
        }
        // One has grown beyond its room: everything is given back, and begun anew.
        long.iter().for_each(|(at, key, bytes)| replies[*at] = Reply::Long(key.clone(), *bytes));
    }
    long.iter().for_each(|(at, ..)| replies[*at] = why.clone());
    None
}

/// Fetches these values, a few at a time; true if one is longer than it was.
async fn fetch(core: &Handle, long: &mut [(usize, Arc<[u8]>, u32)], replies: &mut [Reply]) -> bool {
    let fetched = core.borrow().budget.fetched.clone();
    let mut grown = false;
    let mut from = 0;
    while from < long.len() {
        let (mut upto, mut bytes) = (from, 0);
        while upto < long.len() && (upto == from || bytes + long[upto].2 as usize <= AT_ONCE_BYTES) {
            bytes += long[upto].2 as usize;
            upto += 1;
        }
        let _turn = fetched.clone().acquire_many_owned(units(bytes)).await;
        let ask = |(_, key, most): &(usize, Arc<[u8]>, u32)| {
            core.borrow_mut().submit(Request::Read(Query::GetUpTo(key.clone(), *most)))
        };
        let answers: Vec<_> = long[from..upto].iter().map(ask).collect();
        for (answer, (at, _, bytes)) in answers.into_iter().zip(&mut long[from..upto]) {
            replies[*at] =
                answer.await.unwrap_or_else(|_| Reply::Unavailable("the gateway is stopping".into()));
            if let Reply::Long(_, more) = replies[*at] {
                (*bytes, grown) = (more, true);
            }
        }
        from = upto;
    }
    grown
}
