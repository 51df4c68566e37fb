//! `view`: a saved run as a page, or in the format of another viewer.

mod page;
mod picture;

use std::path::{Path, PathBuf};

use clap::Args;

use crate::export::Format;
use crate::failure::{Failure, say, say_bytes};
use crate::files;
use crate::page::random;
use crate::saved::{self, Run, Window};

/// Show a trace: as an HTML page, or in the format of another viewer
///
/// The page stands beside the trace, of several traces in this folder, or where --html says. It needs no network. Press `?` in it for
/// the keyboard shortcuts. docs/traces.md tells what each of the other formats shows, and what opens it.
#[derive(Debug, Args)]
pub struct View {
    /// A trace, from `sim --trace`; or one of each node, from `up --trace`
    #[arg(value_name = "TRACE", required = true)]
    traces: Vec<PathBuf>,
    /// Where to write the page
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    html: Option<PathBuf>,
    /// The format of another viewer
    #[arg(long, value_name = "FORMAT", value_enum)]
    to: Option<Format>,
    /// The file to write it to, instead of standard output
    #[arg(long, value_name = "FILE", requires = "to")]
    out: Option<PathBuf>,
    /// Only these events: the first and the last, counted from 1
    #[arg(long, value_name = "A..B")]
    events: Option<Window>,
}

impl View {
    pub fn run(self) -> Result<(), Failure> {
        let run = saved::read(&self.traces, self.events)?;
        if let Some(format) = self.to {
            return export(&run, format, self.out.as_deref());
        }
        let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let title = self.traces.iter().map(name).collect::<Vec<_>>().join(", ");
        let file = self.html.unwrap_or_else(|| match &self.traces[..] {
            [one] => one.with_extension("html"),
            // Beside one of them it would be taken for the trace of another process.
            _ => PathBuf::from("trace.html"),
        });
        let nonce = random().map_err(Failure::error)?;
        let page = page::document(&title, &run, &nonce);
        files::write(&file, page.as_bytes(), files::PAGE)?;
        told(&run, &file, page.len());
        Ok(())
    }
}

fn told(run: &Run, file: &Path, bytes: usize) {
    say(format!("{} events in {}, {bytes} bytes", run.events.len(), file.display()));
}

fn export(run: &Run, format: Format, out: Option<&Path>) -> Result<(), Failure> {
    let text = format.text(run)?;
    let Some(out) = out else {
        say_bytes(text.as_bytes());
        return Ok(());
    };
    files::write(out, text.as_bytes(), format.file())?;
    told(run, out, text.len());
    Ok(())
}
