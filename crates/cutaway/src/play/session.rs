//! Stepping by hand: commands, and what they print; first for any line of steps, then for a schedule's.

use std::path::Path;

use lab::{Machine, tell};
use trace::Mechanism;

use crate::failure::{Failure, say, say_wrapped};

/// Something to step along.
pub trait Line {
    /// What stands before the cursor.
    fn prompt(&self) -> String;
    /// Shows where it begins.
    fn begin(&self);
    /// What one may type, and what it does.
    fn commands(&self) -> &'static [(&'static str, &'static str)];
    /// Does one of these.
    fn obey(&mut self, command: &str, rest: &str) -> Result<(), String>;
}

/// Reads commands until there are no more.
pub fn run(mut of: impl Line) -> Result<(), Failure> {
    use std::io::{BufRead, stdin};
    of.begin();
    say("(Enter takes the next step; `help` lists the commands.)");
    loop {
        crate::failure::note(of.prompt());
        let mut line = String::new();
        let read = stdin().lock().read_line(&mut line);
        if read.is_err() || read.is_ok_and(|bytes| bytes == 0) {
            return Ok(());
        }
        let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match command {
            "quit" | "q" | "exit" => return Ok(()),
            "help" | "h" | "?" => {
                of.commands().iter().for_each(|(form, does)| say_wrapped(format!("{form:<14} {does}")))
            }
            _ => of.obey(command, rest.trim()).unwrap_or_else(say_wrapped),
        }
    }
}

/// A number that was typed, or the usual one.
pub fn number(word: &str, usual: usize) -> Result<usize, String> {
    if word.is_empty() { Ok(usual) } else { word.parse().map_err(|_| format!("`{word}` is no number")) }
}

/// What is said of a command that there is not.
pub fn no_command(word: &str) -> String {
    format!("`{word}` is no command; `help` lists them")
}

/// Takes a mechanism out, or puts it back in.
pub fn switched(off: &mut Vec<Mechanism>, id: &str, back_in: bool) -> Result<Mechanism, String> {
    let mechanism: Mechanism = lab::mechanism(id)?;
    off.retain(|off| *off != mechanism);
    off.extend((!back_in).then_some(mechanism));
    Ok(mechanism)
}

/// Writes a schedule to a file.
pub fn save(file: &str, text: &str) -> Result<(), String> {
    if file.is_empty() {
        return Err("name a file".into());
    }
    std::fs::write(Path::new(file), text).map_err(|error| format!("cannot write {file}: {error}"))?;
    say(format!("saved; replay it with: {} play {file}", crate::failure::me()));
    Ok(())
}

/// The commands: what one types, and what it does.
const COMMANDS: &[(&str, &str)] = &[
    ("next [N]", "take the next planned step, or N of them (also: Enter)"),
    ("back [N]", "go one step back, or N"),
    ("goto N", "go to where N steps were taken"),
    ("steps [WORD]", "list what could happen next (of it, what contains WORD)"),
    ("do STEP", "take any step; another one than the planned one begins a branch"),
    ("state [nX]", "show the state, or all that is known of one process"),
    ("why S.N", "show the causes of event N of step S, back to the beginning, with file and guard"),
    ("branches", "list the lines that were left"),
    ("branch N", "go over to one of them"),
    ("without M", "take mechanism M out, and play the same steps"),
    ("with M", "put it back in"),
    ("verdict", "say which promises hold"),
    ("save FILE", "write the line of steps as a schedule"),
    ("help", "list the commands"),
    ("quit", "leave"),
];

/// A machine that somebody steps.
pub struct Session {
    pub machine: Machine,
    /// The mechanisms that are out.
    pub off: Vec<Mechanism>,
}

impl Line for Session {
    fn prompt(&self) -> String {
        let all = self.machine.at() + self.machine.ahead().len();
        format!("{}/{all}> ", self.machine.at())
    }

    fn begin(&self) {
        let schedule = self.machine.schedule();
        schedule.setting.iter().for_each(|line| say(format!("> {line}")));
        self.show_state(None);
        say_wrapped(format!("({})", tell::signs(&self.machine.state())));
        self.announce();
    }

    fn commands(&self) -> &'static [(&'static str, &'static str)] {
        COMMANDS
    }

    fn obey(&mut self, command: &str, rest: &str) -> Result<(), String> {
        match command {
            "" | "next" | "n" => number(rest, 1).and_then(|n| self.next(n)),
            "back" | "b" => number(rest, 1).map(|n| self.goto(self.machine.at().saturating_sub(n))),
            "goto" | "g" => number(rest, 0).map(|at| self.goto(at)),
            "steps" | "s" => {
                self.steps(rest);
                Ok(())
            }
            "do" | "d" => self.take(rest),
            "state" => self.state(rest),
            "why" | "w" => self.why(rest),
            "branches" => {
                self.branches();
                Ok(())
            }
            "branch" => number(rest, 1).and_then(|number| self.branch(number)),
            "without" => self.switch(rest, false),
            "with" => self.switch(rest, true),
            "verdict" | "v" => {
                self.verdict();
                Ok(())
            }
            "save" => save(rest, &self.machine.schedule().to_string()),
            other => Err(no_command(other)),
        }
    }
}

impl Session {
    /// The planned step.
    fn announce(&self) {
        match self.machine.ahead().first() {
            Some(step) => say(format!("next: {step}")),
            None => say("No step is planned; `steps` lists what could happen, `do STEP` takes one."),
        }
    }

    fn next(&mut self, steps: usize) -> Result<(), String> {
        for _ in 0..steps {
            if self.machine.advance().is_none() {
                return Err(match self.machine.stopped() {
                    Some(stopped) => format!("a node's own assertion has ended this line: {stopped}"),
                    None => "no further step is planned; `steps` lists what could happen".into(),
                });
            }
            self.show_last();
        }
        self.announce();
        Ok(())
    }

    fn show_last(&self) {
        let play = self.machine.play();
        tell::step(&play, play.acts.len() - 1).iter().for_each(say_wrapped);
        if let Some(broken) = &play.broken {
            say_wrapped(format!("BROKEN  {broken}"));
        }
    }

    fn goto(&mut self, at: usize) {
        self.machine.goto(at);
        self.show_state(None);
        self.announce();
    }

    fn steps(&mut self, word: &str) {
        let all = self.machine.steps();
        let some: Vec<&String> = all.iter().filter(|step| step.contains(word)).collect();
        if some.is_empty() {
            say("nothing of that kind is possible here");
        }
        some.iter().for_each(|step| say(format!("  {step}")));
    }

    fn take(&mut self, step: &str) -> Result<(), String> {
        let branches = self.machine.branches().len();
        self.machine.take(step)?;
        self.show_last();
        if self.machine.branches().len() > branches {
            say(format!("(a branch begins here; the line that was left is branch {})", branches + 1));
        }
        Ok(())
    }

    fn show_state(&self, of: Option<&str>) -> bool {
        let lines = tell::describe(&self.machine.state(), of);
        lines.iter().flatten().for_each(say_wrapped);
        lines.is_some()
    }

    fn state(&mut self, of: &str) -> Result<(), String> {
        let of = (!of.is_empty()).then_some(of);
        if self.show_state(of) { Ok(()) } else { Err(format!("there is no {}", of.unwrap_or_default())) }
    }

    fn why(&mut self, place: &str) -> Result<(), String> {
        let (step, n) = place.split_once('.').ok_or("name an event as it is numbered, such as `why 3.2`")?;
        let (step, n) = (number(step, 0)?, number(n, 0)?);
        let lines = tell::causes(self.machine.acts(), step, n);
        lines.ok_or(format!("there is no event {place}"))?.iter().for_each(say_wrapped);
        Ok(())
    }

    fn branches(&self) {
        for (n, line) in self.machine.branches().iter().enumerate() {
            say(format!(
                "{}. {} steps, the last: {}",
                n + 1,
                line.len(),
                line.last().map_or("", String::as_str)
            ));
        }
        if self.machine.branches().is_empty() {
            say("no line was left yet");
        }
    }

    fn branch(&mut self, number: usize) -> Result<(), String> {
        if number == 0 || !self.machine.branch(number - 1) {
            return Err(format!("there is no branch {number}"));
        }
        self.show_state(None);
        self.announce();
        Ok(())
    }

    fn switch(&mut self, id: &str, back_in: bool) -> Result<(), String> {
        let mechanism = switched(&mut self.off, id, back_in)?;
        let (at, schedule) = (self.machine.at(), self.machine.schedule());
        self.machine = Machine::new(&schedule, lab::without(&self.off))?;
        self.machine.goto(at);
        say(format!(
            "{mechanism} is {}; the same {} steps were played again",
            if back_in { "in" } else { "out" },
            self.machine.at()
        ));
        self.show_state(None);
        self.verdict();
        Ok(())
    }

    fn verdict(&self) {
        for promise in self.machine.verdict() {
            match promise.broken {
                Some(broken) => say_wrapped(format!("P{} BROKEN  {broken}", promise.number)),
                None => say_wrapped(format!("P{} holds   {}", promise.number, promise.words)),
            }
        }
    }
}
