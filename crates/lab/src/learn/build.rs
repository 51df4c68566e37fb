//! The kind *build*: projects of days, in milestones. The grader is the project's own tests and checks, run in the clone that
//! the learner works in; each says what it looks at, since the clone holds a solution as well.

/// One milestone.
#[derive(Clone, Copy, Debug)]
pub struct Milestone {
    /// Its name.
    pub id: &'static str,
    /// What is there afterwards.
    pub asks: &'static str,
    /// What to do first, so that the solution in the clone is not what is graded.
    pub first: &'static str,
    /// What grades it.
    pub graders: &'static [Grader],
}

/// A command that grades, in a clone of the project.
#[derive(Clone, Copy, Debug)]
pub struct Grader {
    /// The command, to be run in the clone's root.
    pub command: &'static str,
    /// What it looks at.
    pub checks: &'static str,
    /// How long it takes, on two cores.
    pub takes: &'static str,
}

/// What has to be built before the clone's own `target/release/cutaway` grades.
pub const PROGRAM: Grader = Grader {
    command: "cargo build --release -p cutaway",
    checks: "makes target/release/cutaway, with what you wrote in it; an installed cutaway has the solution in it",
    takes: "5 minutes, and 1 after each change",
};

const ELECTIONS: &str = "Empty `tick` and `hear` of `Elections` in extensions/elections/src/elections.rs (`hear` returns `Ok(())`).";
const MEMBERSHIP: &str =
    "Have `asked` of `Membership` in extensions/membership/src/membership.rs return `Ok(())` and do nothing.";
const GC: &str =
    "Have `step` of `Gc` in extensions/gc/src/gc.rs return `Ok(Done::default())` and do nothing.";

/// All of them, project by project.
pub const MILESTONES: &[Milestone] = &[
    Milestone {
        id: "build-message",
        asks: "A message by the recipe of docs/extending.md: `Resign` has a primary leave the lead.",
        first: "git apply --include='crates/*/tests/*' docs/extending/1-message.patch   # its tests alone",
        graders: &[Grader {
            command: "cargo test -p dataplane --test primary resign",
            checks: "the recipe's tests, on the message that you wrote; until there is one, they do not compile",
            takes: "1 minute, then seconds",
        }],
    },
    Milestone {
        id: "build-query",
        asks: "A query by the recipe: `Has(key)` says whether a key has a value.",
        first: "git apply --include='crates/*/tests/*' docs/extending/2-query.patch   # its test alone",
        graders: &[Grader {
            command: "cargo test -p node --test node without_reading_it",
            checks: "the recipe's test, on the query that you wrote; until there is one, it does not compile",
            takes: "1 minute, then seconds",
        }],
    },
    Milestone {
        id: "build-mechanism",
        asks: "A mechanism by the recipe, behind build-message: it has a guard, a page and a row.",
        first: "git apply --include='crates/*/tests/*' docs/extending/4-mechanism.patch   # its tests alone",
        graders: &[
            Grader {
                command: "cargo test -p dataplane --test primary resign_in_epoch",
                checks: "the recipe's test of the rule, on what you wrote",
                takes: "seconds, behind build-message",
            },
            Grader {
                command: "cargo test -p lab --test why",
                checks: "your guard on and off; and of every mechanism, yours included: its guard is where it says, its page is \
                         as written, each step of its counterexample is needed",
                takes: "4 minutes, then 1",
            },
        ],
    },
    Milestone {
        id: "build-elections-timeout",
        asks: "Elections: a timeout with its random part handed in. A cluster whose gateways trigger nothing gets a primary.",
        first: ELECTIONS,
        graders: &[
            Grader {
                command: "target/release/cutaway sim --with elections --passive-gateways --seeds 1000",
                checks: "nobody but your extension makes a primary: each seed wants service back (P4)",
                takes: "1 minute",
            },
            Grader {
                command: "cargo test -p elections",
                checks: "what it says and wishes, situation by situation, in the words of words.rs",
                takes: "1 minute, then seconds",
            },
        ],
    },
    Milestone {
        id: "build-elections-rivals",
        asks: "Two candidates at once end in one primary; a candidate that nobody needs deposes nobody (pre-vote).",
        first: ELECTIONS,
        graders: &[Grader {
            command: "target/release/cutaway check --scope elections-rivals",
            checks: "your extension, in every order of events within the bound: no promise breaks (an empty one is safe as well: \
                     build-elections-timeout says whether it does anything)",
            takes: "minutes to hours; --states N stops it before",
        }],
    },
    Milestone {
        id: "build-elections-step-down",
        asks: "A primary that hears no majority steps down.",
        first: ELECTIONS,
        graders: &[Grader {
            command: "target/release/cutaway sim --with elections --passive-gateways --seeds 10000",
            checks: "service returns in each seed, also where a primary is cut off in one direction",
            takes: "5 minutes",
        }],
    },
    Milestone {
        id: "build-membership",
        asks: "Membership: the configuration is an entry of the log; one change at a time, and none before an entry of the own \
               epoch is committed.",
        first: MEMBERSHIP,
        graders: &[
            Grader {
                command: "target/release/cutaway sim --with membership --seeds 10000",
                checks: "your extension, while clients ask for changes: no promise breaks (an empty one is safe as well)",
                takes: "5 minutes",
            },
            Grader {
                command: "target/release/cutaway check --scope membership",
                checks: "the same in every order of events within the bound",
                takes: "minutes to hours; --states N stops it before",
            },
            Grader {
                command: "cargo test -p membership",
                checks: "what it answers and wishes, situation by situation, in the words of words.rs",
                takes: "1 minute, then seconds",
            },
        ],
    },
    Milestone {
        id: "build-gc",
        asks: "Garbage collection: what is copied is durable and referenced before the source is freed; every live value and \
               record is read and verified with a budget, and damage repaired from a peer.",
        first: GC,
        graders: &[
            Grader {
                command: "target/release/cutaway check --scope moves --states 1000000",
                checks: "the engine's part, moves in every order, whoever asks for them: no promise breaks",
                takes: "minutes",
            },
            Grader {
                command: "target/release/cutaway sim --with gc --seeds 10000",
                checks: "your extension under faults: no promise breaks (an empty one is safe as well)",
                takes: "5 minutes",
            },
            Grader {
                command: "cargo test -p gc",
                checks: "what is verified and moved, and in which budget",
                takes: "1 minute, then seconds",
            },
        ],
    },
];

impl Milestone {
    /// Does one of its graders need the clone's own program?
    pub fn needs_program(&self) -> bool {
        self.graders.iter().any(|grader| grader.command.starts_with("target/release/"))
    }
}
