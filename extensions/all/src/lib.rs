//! All extensions by name, and which of them a cluster was founded with.
//!
//! This is the only place that knows them all. Hosts (the server, the simulator, the lab) hold a [`Chosen`], and give each
//! node that they start the extensions that it stands for ([`Chosen::start`]).

#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use node::Extension;

macro_rules! extensions {
    ($($variant:ident $name:literal $start:expr, $does:literal;)*) => {
        /// One extension.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Name { $(#[doc = $does] $variant,)* }

        impl Name {
            /// All of them.
            pub const ALL: &'static [Name] = &[$(Name::$variant,)*];

            /// As it is called on the command line and in a manifest.
            pub fn id(self) -> &'static str {
                match self { $(Name::$variant => $name,)* }
            }

            /// What it does, in one sentence.
            pub fn does(self) -> &'static str {
                match self { $(Name::$variant => $does,)* }
            }

            fn start(self) -> Box<dyn Extension> {
                match self { $(Name::$variant => Box::new($start),)* }
            }
        }
    };
}

extensions! {
    Elections "elections" elections::Elections::default(),
        "The nodes find out by themselves that no primary lives, and elect one.";
    Gc "gc" gc::Gc::default(),
        "What is stored is verified in the background, and free space made contiguous again.";
    Membership "membership" membership::Membership::default(),
        "Nodes are added, removed and replaced while the cluster serves.";
}

/// Which extensions a cluster was founded with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chosen(u8);

impl Chosen {
    /// None.
    pub const NONE: Chosen = Chosen(0);

    /// These.
    pub const fn of(names: &[Name]) -> Chosen {
        let (mut set, mut at) = (0, 0);
        while at < names.len() {
            set |= 1 << names[at] as u8;
            at += 1;
        }
        Chosen(set)
    }

    /// Is this one among them?
    pub fn has(self, name: Name) -> bool {
        self.0 & (1 << name as u8) != 0
    }

    /// Their names, in the order of [`Name::ALL`].
    pub fn names(self) -> impl Iterator<Item = Name> {
        Name::ALL.iter().copied().filter(move |name| self.has(*name))
    }

    /// Do the members of a shard change?
    pub fn changes_members(self) -> bool {
        self.has(Name::Membership)
    }

    /// One of each, for a node that starts.
    pub fn start(self) -> Vec<Box<dyn Extension>> {
        self.names().map(Name::start).collect()
    }
}

impl fmt::Display for Chosen {
    /// `elections,gc`; of none, nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.names().map(Name::id).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Chosen {
    type Err = String;

    fn from_str(text: &str) -> Result<Chosen, String> {
        let known = || Name::ALL.iter().map(|name| name.id()).collect::<Vec<_>>().join(", ");
        let mut names = Vec::new();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let name = Name::ALL.iter().find(|name| name.id() == word);
            names.push(
                *name.ok_or_else(|| format!("there is no extension {word:?}; there are: {}", known()))?,
            );
        }
        Ok(Chosen::of(&names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_read_again_as_it_was_written() {
        for chosen in [Chosen::NONE, Chosen::of(Name::ALL), Chosen::of(&[Name::Elections])] {
            assert_eq!(chosen.to_string().parse(), Ok(chosen));
        }
        let why = "elections,election".parse::<Chosen>().unwrap_err();
        assert!(why.contains("\"election\"") && why.contains("elections"), "{why}");
    }

    #[test]
    fn no_two_extensions_have_one_number() {
        let mut numbers: Vec<u8> = Chosen::of(Name::ALL).start().iter().map(|one| one.number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), Name::ALL.len());
    }
}
