//! A run in the formats of other tools' viewers. `docs/traces.md` says what each shows.
//!
//! | file | format |
//! |---|---|
//! | `spans` | what begins and ends: requests, syncs, takeovers; two formats draw them |
//! | `perfetto` | trace events as JSON, for Perfetto and Chrome |
//! | `shiviz` | a log with vector clocks, and the expression that parses it |
//! | `mermaid` | a sequence diagram, as text |
//! | `otlp` | OpenTelemetry's traces, as OTLP/JSON |

mod mermaid;
mod otlp;
mod perfetto;
mod shiviz;
mod spans;

use clap::ValueEnum;

use crate::failure::Result;
use crate::files;
use crate::saved::Run;

/// A format of another viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// ui.perfetto.dev and chrome://tracing: a track for each process, spans, arrows for messages
    Perfetto,
    /// ShiViz: who knew of what, by vector clocks
    Shiviz,
    /// A sequence diagram in Markdown, of some events
    Mermaid,
    /// OpenTelemetry: a span for each request, and for what it waited for
    OtlpJson,
}

impl Format {
    /// The run in this format.
    pub fn text(self, run: &Run) -> Result<String> {
        match self {
            Format::Perfetto => Ok(perfetto::text(run)),
            Format::Shiviz => Ok(shiviz::text(run)),
            Format::Mermaid => mermaid::text(run),
            Format::OtlpJson => Ok(otlp::text(run)),
        }
    }

    /// What a file of this format is, and how it begins.
    pub fn file(self) -> files::Kind {
        match self {
            Format::Perfetto => ("Perfetto trace", perfetto::BEGINS),
            Format::Shiviz => ("ShiViz log", shiviz::BEGINS),
            Format::Mermaid => ("Mermaid diagram", mermaid::BEGINS),
            Format::OtlpJson => ("OTLP trace", otlp::BEGINS),
        }
    }
}
