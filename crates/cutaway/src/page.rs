//! `lab`: the page to touch.
//!
//! The page is `viewer/lab/`, put into one document (`web::document`). It asks this process to play schedules, and nothing else: the
//! schedule is the state, the page holds it, and so does its address.

mod http;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::failure::{Failure, me, note, say};
use crate::files;
use crate::play::named;
use http::{Door, Site};
use serde_json::Value;
use web::document::{document, with};
use web::url::{self, Shown};

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
    /// Write the page with this schedule as one file that stands alone, and end
    #[arg(long, value_name = "FILE", conflicts_with = "port")]
    html: Option<PathBuf>,
    /// Port on 127.0.0.1; by default 7490, or any free one if that is taken
    #[arg(long)]
    port: Option<u16>,
}

/// Where a browser that remembers what was learned finds the page again.
const PORT: u16 = 7490;

impl Lab {
    pub fn run(self) -> Result<(), Failure> {
        let begin = self.begin()?;
        if let Some(file) = &self.html {
            let shown =
                begin.ok_or_else(|| Failure::usage("name a FILE, a MECHANISM or a --url to write"))?;
            return write(file, &shown);
        }
        let listener = listen(self.port)?;
        let port = listener.local_addr().map_err(|e| Failure::error(format!("no address: {e}")))?.port();
        let door = Door::new(port).map_err(Failure::error)?;
        let begin = begin.map_or(String::new(), |shown| format!("&{}", url::fragment(&shown)));
        say(format!("http://127.0.0.1:{port}/#t={}{begin}", door.token()));
        note("Open this address in a browser on this machine. Ctrl-C ends the page.\n");
        let site = Site {
            page: with(&document(), &Value::Null),
            play: |question| lab::page::answer(question).to_string(),
        };
        http::serve(&listener, &Arc::new(door), &Arc::new(site));
        Ok(())
    }

    /// What the page begins with.
    fn begin(&self) -> Result<Option<Shown>, Failure> {
        if let Some(address) = &self.url {
            let shown = url::read(address)
                .ok_or_else(|| Failure::usage(format!("{address} holds no schedule: `#s=` is missing")))?;
            return shown.map(Some).map_err(Failure::usage);
        }
        let Some(what) = &self.what else { return Ok(None) };
        let (schedule, of) = named(what)?;
        Ok(Some(Shown { schedule, without: of.into_iter().collect() }))
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

/// Writes the page with a recording: the schedule as it is, and with everything on if something was out.
pub fn write(file: &Path, shown: &Shown) -> Result<(), Failure> {
    let outs = [shown.without.clone(), Vec::new()];
    let runs = if shown.without.is_empty() { &outs[..1] } else { &outs[..] };
    let recorded = runs.iter().map(|off| lab::page::record(&shown.schedule, off));
    let recorded = recorded.collect::<Result<Vec<_>, _>>().map_err(Failure::usage)?;
    let nonce = http::random().map_err(Failure::error)?;
    let policy = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
         script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'\">"
    );
    // The recording comes last: it holds words that somebody chose.
    let page = document().replacen("<!--POLICY-->", &policy, 1).replace("NONCE", &nonce);
    let page = with(&page, &Value::Array(recorded));
    files::write(file, page.as_bytes(), files::PAGE)?;
    say(format!("wrote {}", file.display()));
    Ok(())
}
