//! Ctrl-C as a wish to stop: the first one is noticed, the second ends the program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::note;

/// The exit code of whoever was stopped by Ctrl-C, as shells have it; see [`crate::failure`].
const CODE: i32 = 130;

/// Whether somebody has asked to stop, by Ctrl-C or by SIGTERM, from now on.
pub fn asked() -> io::Result<Arc<AtomicBool>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let inside = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(inside);
    let asked = Arc::new(AtomicBool::new(false));
    let told = asked.clone();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if told.swap(true, Ordering::Relaxed) {
                    // Whoever signals this process alone would leave a cluster behind.
                    ::bench::cluster::peers::end_all();
                    std::process::exit(CODE);
                }
                note("stopping, with what there is so far; Ctrl-C again ends at once\n");
            }
        });
    });
    Ok(asked)
}
