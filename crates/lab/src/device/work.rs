//! What a scope is about.

/// A scope: which devices it begins with, and what their host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A bit of everything.
    Anything,
    /// Little else than moving values, and what that must not get in the way of.
    Moves,
}

impl Work {
    /// All scopes.
    pub const ALL: [Work; 2] = [Work::Anything, Work::Moves];

    /// Its name on the command line, and in a file.
    pub fn name(self) -> &'static str {
        match self {
            Work::Anything => "device",
            Work::Moves => "moves",
        }
    }

    /// What it is about.
    pub fn about(self) -> &'static str {
        match self {
            Work::Anything => {
                "one device: small workloads, crashes anywhere, whatever the disk kept of its cache"
            }
            Work::Moves => {
                "one device: values that are moved between writes, checkpoints and states that are sent and received; \
                 crashes anywhere"
            }
        }
    }

    /// The scope of that name.
    pub fn named(name: &str) -> Option<Work> {
        Work::ALL.into_iter().find(|work| work.name() == name)
    }
}
