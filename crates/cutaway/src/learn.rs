//! `learn`: exercises that grade themselves.

mod build;
mod cargo;
mod desk;
mod progress;
mod words;
mod workshop;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use lab::learn::{self, Exercise, Fault, Grade, HINTS, Kind, Rank};
use serde_json::json;
use trace::Mechanism;

use crate::failure::{Failure, Result, me, note, say, say_wrapped};
use desk::{DIR, Desk, command};
use words::{row, tell};
use workshop::Workshop;

/// How often `--watch` looks whether the answer was saved.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Solve exercises that grade themselves: break a cluster without a mechanism, rebuild a guard, tell an invariant
///
/// Without an exercise, lists them with your best and the par. With one, makes the answer's file in a scratch folder, says
/// what is asked, and grades what you write there: `break-…` by playing your schedule, `rebuild-…` and `tell-…` by compiling
/// a copy of the core with your function in it (they need cargo and a clone of the project; minutes the first time). An
/// answer that does not pass exits with 1; one that is not begun is no failure. Progress stays in the folder. Start
/// anywhere; the solution is shown once you have passed. docs/learn.md introduces it, docs/teaching.md is for teachers.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Learn {
    #[command(subcommand)]
    task: Option<Task>,
    /// Id of an exercise; `next`: the first that you have not passed; `break`, `rebuild`, `tell` or `build` lists one kind
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
        /// Compile the core as well: minutes, for which no learner waits later
        #[arg(long)]
        compile: bool,
        /// The source tree to compile; without it, the one that you or this program are in
        #[arg(long, value_name = "DIR", requires = "compile")]
        tree: Option<PathBuf>,
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
            Some(Task::Init { dir, compile, tree }) => {
                return init(&Desk::open(dir)?, compile.then_some(tree.as_deref()));
            }
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
        let alone = !(self.hint || self.solution || self.watch);
        if let Some((kind, ..)) = Kind::ALL.iter().find(|(_, name, _)| alone && name == id) {
            list_kind(&desk, *kind, self.json);
            return Ok(());
        }
        if alone && build::is_about(id) {
            return build::show(id, self.json);
        }
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
    if Kind::ALL.iter().any(|(_, name, _)| *name == id) || build::is_about(id) {
        let why = format!("{id} is not one exercise to be graded");
        return Err(Failure::usage(why).next(format!("{} learn {id}", me())));
    }
    learn::exercise(id).map_err(|why| Failure::usage(why).next(format!("{} learn", me())))
}

fn next(desk: &Desk) -> Result<Exercise> {
    let open = learn::exercises().into_iter().find(|exercise| desk.best(&exercise.id).is_none());
    open.ok_or_else(|| {
        Failure::error("you have passed every exercise")
            .next("docs/learn.md has projects that go on from there")
    })
}

/// Makes every file, and compiles the core if a source tree is named or to be found.
fn init(desk: &Desk, compile: Option<Option<&Path>>) -> Result {
    let mut made = 0;
    for exercise in learn::exercises() {
        made += usize::from(desk.begin(&exercise)?);
    }
    say(format!("{made} files in {}; what was there is as it was.", desk.dir().display()));
    if let Some(tree) = compile {
        compile_as_it_is(desk, tree)?;
    }
    say_wrapped(format!("Begin with one: {}", command(desk, "next --watch")));
    Ok(())
}

/// Compiles the core with an exercise in it that nobody has begun: what it takes later is seconds.
fn compile_as_it_is(desk: &Desk, tree: Option<&Path>) -> Result {
    let exercise = learn::exercises().into_iter().find(|exercise| {
        exercise.kind == Kind::Rebuild && desk.answer(exercise).is_ok_and(|text| exercise.is_untouched(&text))
    });
    let Some(exercise) = exercise else {
        say("Every guard was begun: the next grade compiles the core.");
        return Ok(());
    };
    match Workshop::new(desk.dir(), tree)?.made(&exercise)? {
        Ok(_) => say("The core is compiled."),
        Err(words) => return Err(Failure::error(words.join("\n"))),
    }
    Ok(())
}

fn list(desk: &Desk, json: bool) {
    let all = learn::exercises();
    let passed = all.iter().filter(|exercise| desk.best(&exercise.id).is_some()).count();
    Kind::ALL.iter().for_each(|(kind, ..)| list_kind(desk, *kind, json));
    if !json {
        say("build: projects of days");
        say(format!("  {}", command(desk, "build")));
        say(format!("\n{passed} of {} passed.", all.len()));
        if passed < all.len() {
            say_wrapped(format!("Go on with one: {}", command(desk, "next --watch")));
        }
    }
}

fn list_kind(desk: &Desk, kind: Kind, json: bool) {
    if !json {
        let par = if kind == Kind::Break { "par" } else { "" };
        say(format!("{:<46} {par:>6} {:>6}", format!("{}: {}", kind.name(), kind.asks()), "yours"));
    }
    for exercise in learn::exercises().iter().filter(|exercise| exercise.kind == kind) {
        list_one(desk, exercise, json);
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
        let is_compiled = exercise.kind != Kind::Break && !exercise.is_untouched(&text);
        if is_compiled {
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
            // Whoever looks at an exercise has not failed it.
            Grade::NotYet { fault: Fault::Empty, .. } => return Ok(()),
            Grade::NotYet { .. } => {
                let edit =
                    format!("edit {}, then {}", desk.file(exercise).display(), command(desk, &exercise.id));
                let hint = command(desk, &format!("{} --hint", exercise.id));
                return Err(Failure::unmet().next(format!("{edit}\n  hint: {hint}")));
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
    desk.file(exercise).exists() && desk.answer(exercise).is_ok_and(|text| !exercise.is_untouched(&text))
}
