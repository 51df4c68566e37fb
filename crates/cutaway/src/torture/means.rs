//! What some faults need beside the program, and whether it is here: strace, libfaketime, a network namespace where packets
//! can be lost, a cluster whose members change. Each is tried out, not looked up: a program that is there and may not do its work is none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::command::{complaint, run};
use super::packets::Trouble;

/// What a kind of fault may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Strace,
    Clock,
    Packets(Trouble),
    Membership,
}

/// What is here.
#[derive(Default)]
pub struct Means {
    /// Reasons against what is not.
    lacking: Option<BTreeMap<Need, String>>,
    /// libfaketime.
    pub clock: Option<PathBuf>,
}

/// Where libfaketime lies, of those who package it.
const LIBRARIES: [&str; 5] =
    ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

impl Means {
    /// Tries out everything. `namespace`: this process is in a network namespace of its own.
    pub fn find(membership: bool, namespace: bool) -> Means {
        let (mut lacking, mut clock) = (BTreeMap::new(), None);
        if !membership {
            lacking.insert(Need::Membership, MEMBERSHIP.into());
        }
        if let Err(why) = strace() {
            lacking.insert(Need::Strace, why);
        }
        match faketime() {
            Ok(library) => clock = Some(library),
            Err(why) => _ = lacking.insert(Need::Clock, why),
        }
        for trouble in [Trouble::Lost, Trouble::Late, Trouble::Reordered] {
            let tried =
                if namespace { trouble.begin().map(drop) } else { Err("only with --namespace".into()) };
            if let Err(why) = tried {
                lacking.insert(Need::Packets(trouble), why);
            }
        }
        Means { lacking: Some(lacking), clock }
    }

    /// Why this cannot be had; `None`: it can. Who has not looked has nothing.
    pub fn lacks(&self, need: Need) -> Option<String> {
        let usual =
            || if need == Need::Membership { MEMBERSHIP } else { "nobody has looked for it" }.to_string();
        self.lacking.as_ref().map_or_else(|| Some(usual()), |lacking| lacking.get(&need).cloned())
    }
}

const MEMBERSHIP: &str = "needs --with membership";

/// May it be attached to a process that is not its child? Where Yama restricts ptrace, only root may.
fn strace() -> Result<(), String> {
    let mut sleep = Command::new("sleep").arg("1").spawn().map_err(|error| format!("sleep: {error}"))?;
    let tried = run(Command::new("strace").args(["-qq", "-o", "/dev/null", "-p", &sleep.id().to_string()]));
    let _ = sleep.kill();
    let _ = sleep.wait();
    let tried = tried?;
    if tried.status.success() { Ok(()) } else { Err(complaint(&tried)) }
}

/// A library that is there, and moves the clock of a program that it is loaded into.
fn faketime() -> Result<PathBuf, String> {
    let mut places = LIBRARIES.iter().map(|place| Path::new(place).join(LIBRARY));
    let library = places.find(|place| place.exists()).ok_or("libfaketime is not installed")?;
    let tried = run(Command::new("date").arg("+%Y").env("LD_PRELOAD", &library).env("FAKETIME", "+3650d"))?;
    let year = |output: &Output| String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().unwrap_or(0);
    let now = run(Command::new("date").arg("+%Y"))?;
    let moved = year(&tried) >= year(&now) + 9;
    if moved { Ok(library) } else { Err(format!("{} does not move the clock", library.display())) }
}
