//! `learn`: exercises that grade themselves.

mod desk;
mod workshop;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use lab::learn::{self, Exercise, Fault, Grade, HINTS, Kind, Rank};
use serde_json::{Value, json};
use trace::Mechanism;

use crate::failure::{Failure, Result, me, note, quote, say, say_wrapped};
use desk::Desk;
use workshop::Workshop;

/// The scratch folder, unless another one is named.
const DIR: &str = "cutaway-learn";
/// How often `--watch` looks whether the answer was saved.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Solve exercises that grade themselves: break a cluster without a mechanism, rebuild a guard, tell an invariant
///
/// Without an exercise, lists them with your best and the par. With one, makes the answer's file in a scratch folder and
/// grades what is in it: `break-…` by playing your schedule, `rebuild-…` and `tell-…` by compiling a copy of the core with
/// your function in it (they need cargo and a clone of the project). Progress stays in the folder. Start anywhere; the
/// solution is shown once you have passed. docs/learn.md introduces it, docs/teaching.md is for teachers.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Learn {
    #[command(subcommand)]
    task: Option<Task>,
    /// Id of an exercise; `next`: the first that you have not passed
    #[arg(value_name = "EXERCISE")]
    exercise: Option<String>,
    #[command(flatten)]
    folder: Folder,
    /// Give another hint
    #[arg(long, requires = "exercise", conflicts_with_all = ["solution", "watch", "json"])]
    hint: bool,
    /// Show the solution of an exercise that you have passed
    #[arg(long, requires = "exercise", conflicts_with_all = ["watch", "json"])]
    solution: bool,
    /// Grade the answer each time that it is saved, until it passes
    #[arg(long, requires = "exercise", conflicts_with = "json")]
    watch: bool,
    /// Print one line of JSON for each exercise, or the grade of one
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Make the scratch folder, with a file for each exercise
    Init {
        /// The folder
        #[arg(value_name = "DIR", default_value = DIR)]
        dir: PathBuf,
    },
    /// Grade every answer of the folder; for CI: exits with 1 if one does not pass
    Check {
        /// Ids of exercises that have to pass; without any, those that were begun
        #[arg(value_name = "EXERCISE")]
        exercises: Vec<String>,
        #[command(flatten)]
        folder: Folder,
        /// Print one line of JSON for each
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Folder {
    /// Folder for answers and progress
    #[arg(long, value_name = "DIR", default_value = DIR)]
    dir: PathBuf,
    /// The source tree to compile; without it, the one that you or this program are in
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
}

impl Folder {
    fn tree(&self) -> Option<&Path> {
        self.tree.as_deref()
    }
}

impl Learn {
    pub fn run(self) -> Result {
        match &self.task {
            Some(Task::Init { dir }) => return init(&Desk::open(dir)?),
            Some(Task::Check { exercises, folder, json }) => {
                return check(&mut Desk::open(&folder.dir)?, folder.tree(), exercises, *json);
            }
            None => {}
        }
        let mut desk = Desk::open(&self.folder.dir)?;
        let Some(id) = &self.exercise else {
            list(&desk, self.json);
            return Ok(());
        };
        let exercise = if id == "next" { next(&desk)? } else { named(id)? };
        if self.solution {
            solution(&desk, &exercise)
        } else if self.hint {
            let given = desk.hint(&exercise.id, HINTS)?;
            say_wrapped(format!("Hint {given} of {HINTS}: {}", exercise.hint(given - 1)));
            Ok(())
        } else {
            answer(&mut desk, &exercise, self.folder.tree(), self.watch, self.json)
        }
    }
}

fn named(id: &str) -> Result<Exercise> {
    learn::exercise(id).map_err(|why| Failure::usage(why).next(format!("{} learn", me())))
}

fn next(desk: &Desk) -> Result<Exercise> {
    let open = learn::exercises().into_iter().find(|exercise| desk.best(&exercise.id).is_none());
    open.ok_or_else(|| {
        Failure::error("you have passed every exercise")
            .next("docs/learn.md has projects that go on from there")
    })
}

/// The first behind `exercise` that is open; behind the last, the first of all.
fn following(desk: &Desk, exercise: &Exercise) -> Option<Exercise> {
    let all = learn::exercises();
    let at = all.iter().position(|other| other.id == exercise.id).unwrap_or(0);
    let open = |exercise: &&Exercise| desk.best(&exercise.id).is_none();
    all[at..].iter().chain(&all[..at]).find(open).cloned()
}

/// `learn …` with the folder, if that is not the usual one.
fn command(desk: &Desk, rest: &str) -> String {
    let dir = if desk.dir() == Path::new(DIR) {
        String::new()
    } else {
        format!(" --dir {}", quote(desk.dir().display()))
    };
    format!("{} learn {rest}{dir}", me())
}

fn init(desk: &Desk) -> Result {
    let mut made = 0;
    for exercise in learn::exercises() {
        made += usize::from(desk.begin(&exercise)?);
    }
    say(format!("{made} files in {}; what was there is as it was.", desk.dir().display()));
    say_wrapped(format!("Begin with one: {}", command(desk, "next --watch")));
    Ok(())
}

fn list(desk: &Desk, json: bool) {
    let all = learn::exercises();
    let passed = all.iter().filter(|exercise| desk.best(&exercise.id).is_some()).count();
    for (kind, name, asks) in Kind::ALL {
        if !json {
            let par = if *kind == Kind::Break { "par" } else { "" };
            say(format!("{:<46} {par:>6} {:>6}", format!("{name}: {asks}"), "yours"));
        }
        for exercise in all.iter().filter(|exercise| exercise.kind == *kind) {
            list_one(desk, exercise, json);
        }
    }
    if !json {
        say(format!("\n{passed} of {} passed.", all.len()));
        if passed < all.len() {
            say_wrapped(format!("Go on with one: {}", command(desk, "next --watch")));
        }
    }
}

fn list_one(desk: &Desk, exercise: &Exercise, json: bool) {
    let best = desk.best(&exercise.id);
    if json {
        let steps = best.filter(|_| exercise.par().is_some());
        say(json!({
            "id": exercise.id, "kind": exercise.kind.name(), "mechanism": exercise.mechanism().map(Mechanism::id),
            "par": exercise.par(),
            "passed": best.is_some(), "steps": steps,
        }));
        return;
    }
    let par = exercise.par().map_or(String::new(), |par| par.to_string());
    let yours = match best {
        None => "-".to_string(),
        Some(0) => "passed".to_string(),
        Some(steps) => steps.to_string(),
    };
    say(format!("  {:<46} {par:>4} {yours:>6}", exercise.id));
}

fn solution(desk: &Desk, exercise: &Exercise) -> Result {
    if desk.best(&exercise.id).is_none() {
        let why = format!("{} is not passed yet: its solution is shown afterwards", exercise.id);
        return Err(Failure::error(why).next(command(desk, &format!("{} --hint", exercise.id))));
    }
    say(exercise.solution().trim_end());
    Ok(())
}

/// Grades an answer, once or until it passes.
fn answer(desk: &mut Desk, exercise: &Exercise, tree: Option<&Path>, watch: bool, json: bool) -> Result {
    let mut text = desk.answer(exercise)?;
    loop {
        let began = Instant::now();
        let grade = graded(desk, exercise, tree, &text)?;
        if exercise.kind != Kind::Break {
            note(format!("Graded in {:.1} s.\n", began.elapsed().as_secs_f64()));
        }
        if json {
            say(row(exercise, &grade));
        } else {
            tell(desk, exercise, &grade);
        }
        match &grade {
            Grade::Passed { .. } => return Ok(()),
            Grade::NotYet { .. } if watch => {
                note(format!("Waiting for {} to be saved; Ctrl-C ends it.\n", desk.file(exercise).display()));
                text = desk.saved(exercise, &text, LOOK_EVERY);
                say("");
            }
            Grade::NotYet { .. } => {
                let edit =
                    format!("edit {}, then {}", desk.file(exercise).display(), command(desk, &exercise.id));
                let hint = command(desk, &format!("{} --hint", exercise.id));
                return Err(Failure::error(format!("{} is not passed yet", exercise.id))
                    .next(format!("{edit}\n  hint: {hint}")));
            }
        }
    }
}

fn graded(desk: &mut Desk, exercise: &Exercise, tree: Option<&Path>, text: &str) -> Result<Grade> {
    let grade = match exercise.grade(text) {
        Some(grade) => grade,
        None => Workshop::new(desk.dir(), tree)?.grade(exercise)?,
    };
    if let Grade::Passed { rank, .. } = &grade {
        desk.passed(&exercise.id, *rank)?;
    }
    Ok(grade)
}

fn row(exercise: &Exercise, grade: &Grade) -> Value {
    let (id, par) = (&exercise.id, exercise.par());
    match grade {
        Grade::Passed { rank, words } => {
            let steps = if let Rank::Steps(steps) = rank { Some(steps) } else { None };
            json!({ "id": id, "passed": true, "steps": steps, "par": par, "words": words })
        }
        Grade::NotYet { fault, words } => {
            json!({ "id": id, "passed": false, "par": par, "fault": fault.name(), "words": words.join("\n") })
        }
    }
}

/// The grade for a person.
fn tell(desk: &Desk, exercise: &Exercise, grade: &Grade) {
    match grade {
        Grade::Passed { rank, words } => passed(desk, exercise, *rank, words),
        Grade::NotYet { fault: Fault::Empty, .. } => introduce(desk, exercise),
        Grade::NotYet { words, .. } => {
            let mut words = words.iter();
            say_wrapped(format!("NOT YET  {}", words.next().map_or("", String::as_str)));
            words.for_each(say_wrapped);
        }
    }
}

/// What a schedule that has no steps yet is to do.
fn introduce(desk: &Desk, exercise: &Exercise) {
    say_wrapped(format!("{}: {}.", exercise.id, exercise.kind.asks()));
    say_wrapped(format!("The rule that is missing: {}", exercise.rule()));
    if let Some(par) = exercise.par() {
        say(format!("Par: {par} {}.", if par == 1 { "step" } else { "steps" }));
    }
    let file = desk.file(exercise).display().to_string();
    say_wrapped(format!("Edit {file}. What can happen next is listed by `steps` in:"));
    let without = exercise.mechanism().map_or(String::new(), |mechanism| format!(" --without {mechanism}"));
    say(format!("  {} play {}{without} --interactive", me(), quote(file)));
}

fn passed(desk: &Desk, exercise: &Exercise, rank: Rank, words: &str) {
    let id = &exercise.id;
    match (rank, exercise.par()) {
        (Rank::Steps(steps), Some(par)) => {
            say_wrapped(format!("PASSED  It betrays, in {steps} steps; par is {par}."));
            say_wrapped(format!("BROKEN  {words}"));
            match steps.cmp(&par) {
                std::cmp::Ordering::Greater => {
                    say_wrapped("A shorter one is known: which of your steps can go?")
                }
                std::cmp::Ordering::Less => say_wrapped("Nobody knew one as short as this: send it in."),
                std::cmp::Ordering::Equal => {}
            }
        }
        _ => say_wrapped(format!("PASSED  {words}")),
    }
    say(format!("The solution: {}", command(desk, &format!("{id} --solution"))));
    if let Some(mechanism) = exercise.mechanism() {
        say(format!("The story:    {} why {mechanism}", me()));
    }
    if let Some(next) = following(desk, exercise) {
        say(format!("Next:         {}", command(desk, &format!("{} --watch", next.id))));
    }
}

/// Grades what was begun, or what is named.
fn check(desk: &mut Desk, tree: Option<&Path>, ids: &[String], json: bool) -> Result {
    let all = match ids {
        [] => learn::exercises().into_iter().filter(|exercise| is_begun(desk, exercise)).collect(),
        ids => ids.iter().map(|id| named(id)).collect::<Result<Vec<_>>>()?,
    };
    if all.is_empty() {
        let what = format!("no exercise was begun in {}", desk.dir().display());
        return Err(Failure::error(what).next(command(desk, "next")));
    }
    let mut open = Vec::new();
    for exercise in &all {
        let text = if desk.file(exercise).exists() { desk.answer(exercise)? } else { exercise.begin() };
        let grade = graded(desk, exercise, tree, &text)?;
        let words = match &grade {
            Grade::Passed { rank: Rank::Steps(steps), .. } => format!("passed, {steps} steps"),
            Grade::Passed { rank: Rank::Whole, .. } => "passed".into(),
            Grade::NotYet { fault, .. } => {
                open.push(exercise.id.clone());
                format!("not yet: {}", fault.name())
            }
        };
        say(if json { row(exercise, &grade).to_string() } else { format!("{:<46} {words}", exercise.id) });
    }
    match &open[..] {
        [] => Ok(()),
        [first, ..] => Err(Failure::error(format!("{} of {} do not pass yet", open.len(), all.len()))
            .next(command(desk, first))),
    }
}

/// An answer as it was made has not been begun.
fn is_begun(desk: &Desk, exercise: &Exercise) -> bool {
    desk.file(exercise).exists() && desk.answer(exercise).is_ok_and(|text| text != exercise.begin())
}
