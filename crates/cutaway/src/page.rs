//! `lab`: the page to touch.
//!
//! The page is `viewer/lab/`, put into one document. It asks this process to play schedules, and nothing else: the
//! schedule is the state, the page holds it, and so does its address.

mod http;
pub mod url;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use lab::Schedule;
use lab::why::registry;
use trace::Mechanism;

use crate::failure::{Failure, me, note, say};
use crate::play::read;
use http::{Door, Site};

/// Open a page with a simulated cluster to touch: deliver, drop, crash, and switch mechanisms off
///
/// Prints the page's address, and answers it until Ctrl-C. The nodes run the real rules on the real engine; only their
/// disks and the network are simulated. The page's own address holds the schedule; `cutaway play 'ADDRESS'` tells it.
#[derive(Debug, Args)]
pub struct Lab {
    /// A schedule or a story, or the id of a mechanism: then its counterexample, with the mechanism taken out
    #[arg(value_name = "FILE|MECHANISM", conflicts_with = "url")]
    what: Option<String>,
    /// An address that a page showed
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Port on 127.0.0.1; by default 7490, or any free one if that is taken
    #[arg(long)]
    port: Option<u16>,
}

/// Where a browser that remembers what was learned finds the page again.
const PORT: u16 = 7490;

const PAGE: &str = include_str!("../../../viewer/lab/page.html");
const STYLE: &str = include_str!("../../../viewer/lab/style.css");
/// In the order of their imports.
const MODULES: [&str; 8] = [
    include_str!("../../../viewer/lab/text.js"),
    include_str!("../../../viewer/lab/parts.js"),
    include_str!("../../../viewer/lab/picture.js"),
    include_str!("../../../viewer/lab/logs.js"),
    include_str!("../../../viewer/lab/time.js"),
    include_str!("../../../viewer/lab/panel.js"),
    include_str!("../../../viewer/lab/lessons.js"),
    include_str!("../../../viewer/lab/app.js"),
];

impl Lab {
    pub fn run(self) -> Result<(), Failure> {
        let begin = self.begin()?;
        let listener = listen(self.port)?;
        let port = listener.local_addr().map_err(|e| Failure::error(format!("no address: {e}")))?.port();
        let door = Door::new(port).map_err(Failure::error)?;
        let begin = if begin.is_empty() { String::new() } else { format!("&{begin}") };
        say(format!("http://127.0.0.1:{port}/#t={}{begin}", door.token()));
        note("Open this address in a browser on this machine. Ctrl-C ends the page.\n");
        let site = Site { page: document(), play: |question| lab::page::answer(question).to_string() };
        http::serve(&listener, &Arc::new(door), &Arc::new(site));
        Ok(())
    }

    /// What the page begins with, as the fragment of its address.
    fn begin(&self) -> Result<String, Failure> {
        if let Some(address) = &self.url {
            let shown = url::read(address)
                .ok_or_else(|| Failure::usage(format!("{address} holds no schedule: `#s=` is missing")))?
                .map_err(Failure::usage)?;
            return Ok(url::fragment(&shown.schedule, &shown.without));
        }
        let Some(what) = &self.what else { return Ok(String::new()) };
        if Path::new(what).is_file() {
            return Ok(url::fragment(&read(Path::new(what))?, &[]));
        }
        let mechanism = Mechanism::from_id(what).ok_or_else(|| {
            let why = format!("{what} is neither a file nor a mechanism");
            Failure::usage(why).next(format!("{} why", me()))
        })?;
        let text = registry::entry(mechanism).counterexample.ok_or_else(|| {
            Failure::error(format!("{mechanism} has no schedule")).next(format!("{} why {mechanism}", me()))
        })?;
        let schedule: Schedule = text.parse().map_err(Failure::error)?;
        Ok(url::fragment(&schedule, &[mechanism]))
    }
}

/// Only this machine can connect.
fn listen(port: Option<u16>) -> Result<TcpListener, Failure> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match port {
        Some(port) => bind(port).map_err(|error| {
            let why = format!("cannot listen on 127.0.0.1:{port}: {error}");
            Failure::error(why).next(format!("{} lab, which takes a free port", me()))
        }),
        None => bind(PORT)
            .or_else(|_| bind(0))
            .map_err(|error| Failure::error(format!("cannot listen on 127.0.0.1: {error}"))),
    }
}

/// The page as one document. `NONCE` stands where the one of an answer goes.
fn document() -> String {
    // A module that is part of one script imports and exports nothing.
    let script: String = MODULES
        .iter()
        .flat_map(|module| module.lines())
        .filter(|line| !line.starts_with("import "))
        .map(|line| format!("{}\n", line.strip_prefix("export ").unwrap_or(line)))
        .collect();
    // Within a script element no `<` of the data may end it.
    let library = lab::page::library().to_string().replace('<', "\\u003c");
    PAGE.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", &script).replacen("/*LIBRARY*/", &library, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_whole_and_asks_for_nothing_from_elsewhere() {
        let page = document();
        for left in ["/*STYLE*/", "/*SCRIPT*/", "/*LIBRARY*/", "\nimport ", "\nexport "] {
            assert!(!page.contains(left), "{left}");
        }
        for far in ["https://", " src=", "@import", "url("] {
            assert!(!page.contains(far), "the page asks for something outside: {far}");
        }
        assert_eq!(page.matches("</script>").count(), 2, "data ends no script element");
    }
}
