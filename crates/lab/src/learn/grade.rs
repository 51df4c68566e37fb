//! What an answer is worth.

use serde_json::{Value, json};

use super::rebuild::GUARDS;

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grade {
    /// It does what was asked.
    Passed {
        /// How it compares with the best answer that is known.
        rank: Rank,
        /// What it does.
        words: String,
    },
    /// Not yet.
    NotYet {
        /// What is wrong.
        fault: Fault,
        /// The same for the learner, a paragraph each; the first says it in a sentence.
        words: Vec<String>,
    },
}

/// How an answer that passes compares with the best one that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Its steps, where fewer are better.
    Steps(usize),
    /// There is nothing to compare.
    Whole,
}

macro_rules! faults {
    ($($variant:ident $name:literal $words:literal)*) => {
        /// What is wrong with an answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $words] $variant,)*
            /// A wrong answer that is often given: its name.
            Known(&'static str),
        }

        impl Fault {
            /// Its name in JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$variant => $name,)*
                    Fault::Known(name) => name,
                }
            }

            /// The one with this name.
            fn named(name: &str) -> Option<Fault> {
                let wrong = GUARDS.iter().flat_map(|guard| guard.wrong);
                match name {
                    $($name => Some(Fault::$variant),)*
                    name => wrong.map(|wrong| wrong.name).find(|known| *known == name).map(Fault::Known),
                }
            }
        }
    };
}

faults! {
    Unreadable "unreadable" "A line cannot be read."
    OtherBeginning "other-beginning" "It begins with another cluster or device."
    Empty "empty" "Nothing is written yet."
    Impossible "impossible" "A step is not possible where it stands."
    Stopped "stopped" "A replica stopped by an assertion of its own."
    BreaksAnyway "breaks-anyway" "A promise breaks with the rule on as well."
    RuleNotAsked "rule-not-asked" "The missing rule would have had nothing to stop."
    NobodyTold "nobody-told" "No client was told anything."
    StillTrue "still-true" "What clients were told is still true."
    NotCompiled "not-compiled" "The compiler refuses it."
    Endless "endless" "It does not come to an end."
    Betrays "betrays" "A schedule breaks a promise."
    OtherWay "other-way" "A story goes another way."
    SeedBreaks "seed-breaks" "A seed of the simulator breaks a promise."
    StateBreaks "state-breaks" "The exhaustive check reaches a state in which an invariant is broken."
    RejectsCorrect "rejects-correct" "An invariant does not hold in a correct cluster."
    AcceptsWrong "accepts-wrong" "An invariant holds in a wrong cluster."
    Panicked "panicked" "The learner's function panics."
}

impl Grade {
    /// Not yet, for this reason.
    pub fn not_yet(fault: Fault, words: impl IntoIterator<Item = String>) -> Grade {
        Grade::NotYet { fault, words: words.into_iter().collect() }
    }

    /// As a line of JSON.
    pub fn to_json(&self) -> String {
        match self {
            Grade::Passed { rank, words } => {
                let steps = if let Rank::Steps(steps) = rank { Some(steps) } else { None };
                json!({ "passed": true, "steps": steps, "words": [words] }).to_string()
            }
            Grade::NotYet { fault, words } => {
                json!({ "passed": false, "fault": fault.name(), "words": words }).to_string()
            }
        }
    }

    /// Reads such a line. `None`: it is none.
    pub fn from_json(line: &str) -> Option<Grade> {
        let value: Value = serde_json::from_str(line).ok()?;
        let words = value["words"].as_array()?.iter().map(|words| Some(words.as_str()?.to_string()));
        let words: Vec<String> = words.collect::<Option<_>>()?;
        if value["passed"].as_bool()? {
            let rank = value["steps"].as_u64().map_or(Rank::Whole, |steps| Rank::Steps(steps as usize));
            return Some(Grade::Passed { rank, words: words.into_iter().next()? });
        }
        Some(Grade::NotYet { fault: Fault::named(value["fault"].as_str()?)?, words })
    }
}
