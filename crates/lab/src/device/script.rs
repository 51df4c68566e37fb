//! What led to a state, as sentences and as the lines of a schedule.

use std::fmt;

use disk::Cut;

use super::workload::Op;

/// What led to a state.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Start(&'static str),
    Op(Op),
    Open,
    /// With how many of how many accesses of the step before done.
    Crash(usize, usize, Crash),
    /// A bit turned in this byte of these sectors.
    Rot(usize, Vec<usize>),
    /// It is opened, and the read after so many comes up short.
    ShortRead(u64),
}

#[derive(Clone, Debug)]
pub(super) enum Crash {
    Kill,
    Power(Cut),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Start(name) => write!(f, "the device: {name}"),
            Step::Op(op) => op.fmt(f),
            Step::Open => write!(f, "open it"),
            Step::Rot(byte, sectors) => {
                write!(f, "a bit rots in byte {byte} of each of the sectors {sectors:?}")
            }
            Step::ShortRead(reads) => write!(f, "open it; the read after {reads} others comes up short"),
            Step::Crash(done, of, crash) => {
                write!(f, "after {done} of {of} writes and syncs of the step before, ")?;
                match crash {
                    Crash::Kill => write!(f, "kill -9: the cache survives"),
                    Crash::Power(cut) => write!(f, "a power cut: {cut}"),
                }
            }
        }
    }
}

impl Step {
    /// The line of a schedule.
    pub(super) fn line(&self) -> String {
        match self {
            Step::Start(name) => format!("device {name}"),
            Step::Op(op) => op.to_string(),
            Step::Open => "open".into(),
            Step::Rot(byte, sectors) => {
                let sectors: Vec<String> = sectors.iter().map(usize::to_string).collect();
                format!("rot {byte} {}", sectors.join(" "))
            }
            Step::ShortRead(reads) => format!("short {reads}"),
            Step::Crash(done, _, Crash::Kill) => format!("kill {done}"),
            Step::Crash(done, _, Crash::Power(cut)) => format!("cut {done} {}", cut.names().join(" ")),
        }
    }
}
