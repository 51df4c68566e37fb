//! Every exercise, whatever its kind.

use trace::Mechanism;

use super::betray::{self, Betray};
use super::grade::Grade;
use super::rebuild::{self, GUARDS, Rebuild};
use super::tell::{self, TELLS, Tell};
use crate::nearest::unknown;
use crate::why::registry;

/// Hints that an exercise has.
pub const HINTS: usize = 3;

/// What an exercise asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A schedule that betrays a client.
    Break,
    /// A guard.
    Rebuild,
    /// An invariant.
    Tell,
}

impl Kind {
    /// Every kind, in the order in which they are listed: its name, and what it asks for.
    pub const ALL: &'static [(Kind, &'static str, &'static str)] = &[
        (Kind::Break, "break", "write the shortest schedule that betrays a client"),
        (Kind::Rebuild, "rebuild", "write an emptied guard of the core again"),
        (Kind::Tell, "tell", "write an invariant as a function"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it asks for.
    pub fn asks(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Kind, &'static str, &'static str) {
        Kind::ALL.iter().find(|(kind, ..)| *kind == self).expect("the table has every kind")
    }
}

/// One exercise.
#[derive(Clone, Debug)]
pub struct Exercise {
    /// Its name.
    pub id: String,
    /// What it asks for.
    pub kind: Kind,
    /// What it asks for.
    pub(super) task: Task,
}

/// What is known of it.
#[derive(Clone, Debug)]
pub(super) enum Task {
    Break(Betray),
    Rebuild(Rebuild),
    Tell(Tell),
}

/// All of them, kind by kind, from easy to hard.
pub fn exercises() -> Vec<Exercise> {
    let breaks =
        betray::all().into_iter().map(|betray| (betray.mechanism.id(), Kind::Break, Task::Break(betray)));
    let rebuilds = GUARDS.iter().map(|guard| (guard.mechanism.id(), Kind::Rebuild, Task::Rebuild(*guard)));
    let tells = TELLS.iter().map(|tell| (tell.name, Kind::Tell, Task::Tell(*tell)));
    let all = breaks.chain(rebuilds).chain(tells);
    all.map(|(name, kind, task)| Exercise { id: id(kind, name), kind, task }).collect()
}

/// The id of the exercise of this kind about `name`.
pub(super) fn id(kind: Kind, name: &str) -> String {
    format!("{}-{name}", kind.name())
}

/// The one called `id`.
pub fn exercise(id: &str) -> Result<Exercise, String> {
    let all = exercises();
    match all.iter().find(|exercise| exercise.id == id) {
        Some(exercise) => Ok(exercise.clone()),
        None => Err(unknown("exercise", id, all.iter().map(|exercise| exercise.id.as_str()))),
    }
}

impl Exercise {
    /// The mechanism that it is about, if that is one.
    pub fn mechanism(&self) -> Option<Mechanism> {
        match &self.task {
            Task::Break(betray) => Some(betray.mechanism),
            Task::Rebuild(rebuild) => Some(rebuild.mechanism),
            Task::Tell(_) => None,
        }
    }

    /// Steps of the shortest answer that is known, where answers are schedules.
    pub fn par(&self) -> Option<usize> {
        match &self.task {
            Task::Break(betray) => Some(betray.par),
            _ => None,
        }
    }

    /// The rule that it is about.
    pub fn rule(&self) -> &'static str {
        match &self.task {
            Task::Break(betray) => betray.mechanism.does(),
            Task::Rebuild(rebuild) => rebuild.mechanism.does(),
            Task::Tell(tell) => tell.words,
        }
    }

    /// Wrong answers that are often given, and recognised.
    pub fn wrong(&self) -> &'static [super::Wrong] {
        match &self.task {
            Task::Rebuild(rebuild) => rebuild.wrong,
            _ => &[],
        }
    }

    /// Clusters that an invariant has to reject: those without one of these.
    pub fn rejects(&self) -> Vec<Mechanism> {
        match &self.task {
            Task::Tell(tell) => tell.rejects(),
            _ => Vec::new(),
        }
    }

    /// The known answer as it runs, if an invariant is asked for.
    pub fn invariant(&self) -> Option<super::Holds> {
        match &self.task {
            Task::Tell(tell) => Some(tell.known()),
            _ => None,
        }
    }

    /// The name of the answer's file.
    pub fn file(&self) -> String {
        let ending = if self.kind == Kind::Break { "schedule" } else { "rs" };
        format!("{}.{ending}", self.id)
    }

    /// What the answer's file holds at first.
    pub fn begin(&self) -> String {
        match &self.task {
            Task::Break(betray) => betray.begin(),
            Task::Rebuild(rebuild) => rebuild.begin(),
            Task::Tell(tell) => tell.begin(),
        }
    }

    /// Hint number `n`, from 0; each says more than the one before.
    pub fn hint(&self, n: usize) -> String {
        match (&self.task, n) {
            (Task::Break(betray), n) => betray.hint(n),
            (Task::Rebuild(rebuild), 0) => rebuild.hint.to_string(),
            (Task::Rebuild(rebuild), 1) => registry::entry(rebuild.mechanism).short.to_string(),
            (Task::Rebuild(rebuild), _) => registry::entry(rebuild.mechanism).others.to_string(),
            (Task::Tell(tell), n @ 0..=1) => tell.hints[n].to_string(),
            (Task::Tell(tell), _) => {
                let ids: Vec<&str> = tell.rejects().iter().map(|mechanism| mechanism.id()).collect();
                format!("It has to reject the clusters without {}.", ids.join(", "))
            }
        }
    }

    /// The answer that is known. It is shown to those who have passed.
    pub fn solution(&self) -> String {
        match &self.task {
            Task::Break(betray) => betray.solution.to_string(),
            Task::Rebuild(rebuild) => rebuild.solution(),
            Task::Tell(tell) => tell.solution(),
        }
    }

    /// The guard with another body, as an answer; `None`: no guard is asked for.
    pub fn with_body(&self, body: &str) -> Option<String> {
        match &self.task {
            Task::Rebuild(rebuild) => Some(rebuild.with_body(body)),
            _ => None,
        }
    }

    /// Is this the answer's file as it was made, but for comments and blanks?
    pub fn is_untouched(&self, text: &str) -> bool {
        let comment = if self.kind == Kind::Break { "#" } else { "//" };
        let code = |text: &str| {
            let lines =
                text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(comment));
            lines.map(str::to_string).collect::<Vec<_>>()
        };
        code(text) == code(&self.begin())
    }

    /// What an answer is worth; `None`: it has to be compiled first ([`super::parts`]).
    pub fn grade(&self, text: &str) -> Option<Grade> {
        match &self.task {
            Task::Break(betray) => Some(betray.grade(text)),
            Task::Rebuild(guard) => self.is_untouched(text).then(|| rebuild::untouched(guard)),
            Task::Tell(tell) => self.is_untouched(text).then(|| tell::untouched(tell)),
        }
    }
}
