//! The Redis protocol, so that every Redis client is a client of Cutaway.
//!
//! | file | job |
//! |---|---|
//! | `request` | bytes to arguments |
//! | `table` | the commands there are, and why others are refused |
//! | `command` | arguments to what is asked of the gateway, and its answer back to a reply |
//! | `walk` | commands that go over all keys |
//! | `asked`, `server`, `info` | the commands that ask about the server itself |
//! | `job`, `connection`, `clients` | a command under way, one client, all of them |
//! | `reply` | replies to bytes |
//! | `token` | what a client may ask |
//! | `glob` | patterns |
//!
//! A connection takes whatever requests have arrived (a pipeline) and answers them in order. They run side by side, so
//! that they share syncs, as far as nobody can tell: a request that touches a key which an earlier one of the same
//! pipeline writes waits for that one, and so does a write behind a command that reads all keys. What has no equivalent
//! here is refused, never ignored: an expiry that silently did not happen would be a lie. And what would have changed the
//! meaning of the commands behind it is refused together with them: after a refused `MULTI`, nothing is done until the
//! transaction that never was has its end.

mod asked;
mod clients;
mod command;
mod connection;
mod glob;
mod info;
mod job;
mod reply;
mod request;
mod server;
mod table;
mod token;
mod walk;

use secure::stream::Stream;
use tokio::net::TcpListener;

use crate::child::{Stop, stopped};
use crate::core::Handle;
use crate::doors::keep_alive;
pub use clients::Clients;
use connection::Connection;

/// Accepts connections until it is told to stop.
pub async fn listen(core: Handle, listener: TcpListener, mut stop: Stop) {
    let door = core.borrow().options.door.clone();
    loop {
        let stream = tokio::select! {
            () = stopped(&mut stop) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    tracing::warn!("cannot accept a connection: {e}");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        if core.borrow().resp_clients.open() >= core.borrow().doors.redis {
            let core = core.borrow();
            // Whoever has said nothing makes room for whoever may.
            let silent = core.resp_clients.infos.values().find(|info| info.last.get().0.is_empty());
            match silent {
                Some(silent) => silent.leave.notify_one(),
                None => {
                    // Somebody who waits for a handshake is told by the end of the connection.
                    if door.is_none() {
                        let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
                    }
                    continue;
                }
            }
        }
        if let Err(e) = keep_alive(&stream).and_then(|()| stream.set_nodelay(true)) {
            tracing::debug!("a connection is gone before it began: {e}");
            continue;
        }
        let connection = Connection::new(core.clone(), &stream);
        let stream = Stream::accepted(stream, door.as_ref().map(|door| (*door.now()).clone()));
        let stop = stop.clone();
        tokio::task::spawn_local(async move {
            let id = connection.id;
            if let Err(e) = connection.serve(stream, stop).await {
                tracing::debug!("redis connection {id}: {e}");
            }
        });
    }
}
