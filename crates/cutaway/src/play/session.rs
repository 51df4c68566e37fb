//! Stepping through a schedule by hand: commands, and what they print.

use std::path::Path;

use lab::{Machine, tell};
use trace::Mechanism;

use crate::failure::{Failure, say, say_wrapped};

/// The commands: what one types, and what it does.
pub const COMMANDS: &[(&str, &str)] = &[
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

/// A machine, and what is to be done with it.
pub struct Session {
    machine: Machine,
    /// The mechanisms that are out.
    off: Vec<Mechanism>,
}

impl Session {
    /// What stands before the cursor.
    pub fn prompt(&self) -> String {
        let all = self.machine.at() + self.machine.ahead().len();
        format!("{}/{all}> ", self.machine.at())
    }

    /// Where it begins.
    pub fn begin(&self) {
        let schedule = self.machine.schedule();
        schedule.setting.iter().for_each(|line| say(format!("> {line}")));
        self.show_state(None);
        self.announce();
    }

    /// The planned step.
    fn announce(&self) {
        match self.machine.ahead().first() {
            Some(step) => say(format!("next: {step}")),
            None => say("No step is planned; `steps` lists what could happen, `do STEP` takes one."),
        }
    }

    /// Does what a line says. `false`: the end.
    pub fn obey(&mut self, line: &str) -> bool {
        let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let rest = rest.trim();
        let done = match command {
            "" | "next" | "n" => self.number(rest, 1).and_then(|n| self.next(n)),
            "back" | "b" => self.number(rest, 1).map(|n| self.goto(self.machine.at().saturating_sub(n))),
            "goto" | "g" => self.number(rest, 0).map(|at| self.goto(at)),
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
            "branch" => self.number(rest, 1).and_then(|number| self.branch(number)),
            "without" => self.switch(rest, false),
            "with" => self.switch(rest, true),
            "verdict" | "v" => {
                self.verdict();
                Ok(())
            }
            "save" => self.save(rest),
            "help" | "h" | "?" => {
                COMMANDS.iter().for_each(|(form, does)| say(format!("{form:<14} {does}")));
                Ok(())
            }
            "quit" | "q" | "exit" => return false,
            other => Err(format!("`{other}` is no command; `help` lists them")),
        };
        if let Err(why) = done {
            say_wrapped(why);
        }
        true
    }

    fn number(&self, word: &str, usual: usize) -> Result<usize, String> {
        if word.is_empty() { Ok(usual) } else { word.parse().map_err(|_| format!("`{word}` is no number")) }
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
        let (step, n) = (self.number(step, 0)?, self.number(n, 0)?);
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
        let mechanism: Mechanism = lab::mechanism(id)?;
        self.off.retain(|off| *off != mechanism);
        self.off.extend((!back_in).then_some(mechanism));
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

    fn save(&self, file: &str) -> Result<(), String> {
        if file.is_empty() {
            return Err("name a file".into());
        }
        std::fs::write(Path::new(file), self.machine.schedule().to_string())
            .map_err(|error| format!("cannot write {file}: {error}"))?;
        say(format!("saved; replay it with: {} play {file}", crate::failure::me()));
        Ok(())
    }
}

/// Reads commands until there are no more.
pub fn run(machine: Machine, off: Vec<Mechanism>) -> Result<(), Failure> {
    use std::io::{BufRead, stdin};
    let mut session = Session { machine, off };
    session.begin();
    say("(Enter takes the next step; `help` lists the commands.)");
    loop {
        crate::failure::note(session.prompt());
        let mut line = String::new();
        let read = stdin().lock().read_line(&mut line);
        if read.is_err() || read.is_ok_and(|bytes| bytes == 0) || !session.obey(&line) {
            return Ok(());
        }
    }
}
