//! A simulation that is played: a saved one, or that of a seed; at once, or event by event.

use std::path::Path;

use lab::replay::{Replay, verdict};
use lab::tell;
use sim::text::{self, Script};
use sim::{Options, Schedule};
use trace::Mechanism;

use super::session::{self, Line, number};
use super::until::Until;
use crate::failure::{Failure, say, say_wrapped};
use crate::files;

/// The commands: what one types, and what it does.
const COMMANDS: &[(&str, &str)] = &[
    ("next [N]", "go on to the next event that is told, or N of them (also: Enter)"),
    ("back [N]", "go one event back, or N"),
    ("goto N", "go to behind event N"),
    ("steps [WORD]", "list what is on its way, and the steps of the schedule that are still to come"),
    (
        "do STEP",
        "add a fault, or what a client asks, at this moment: `do kill n1 for 200ms`, `do c1 put k1 v`",
    ),
    ("state [nX]", "show the state, or all that is known of one process"),
    ("why N", "show the causes of event N, back to the beginning, with file and guard"),
    ("branches", "list the schedules that were left"),
    ("branch N", "go over to one of them"),
    ("without M", "take mechanism M out, and run the same schedule"),
    ("with M", "put it back in"),
    ("verdict", "say how the run ends"),
    ("save FILE", "write the schedule"),
    ("help", "list the commands"),
    ("quit", "leave"),
];

/// The simulation whose text a file holds, if that is what it holds.
pub fn saved(name: &str) -> Result<Option<Script>, Failure> {
    let Some(text) = std::fs::read_to_string(name).ok().filter(|text| text::is_simulation(text)) else {
        return Ok(None);
    };
    text::parse(&text).map(Some).map_err(|wrong| Failure::usage(format!("{name}: {wrong}")))
}

/// The simulation of a seed.
pub fn of_seed(seed: u64, off: &[Mechanism]) -> Script {
    let options = Options { without: off.to_vec(), ..Options::default() };
    Script::new(Schedule::generate(seed, &options), &options)
}

/// Plays `script` as far as `until` says.
pub fn play(
    script: Script,
    off: Vec<Mechanism>,
    until: Option<Until>,
    interactive: bool,
    trace: Option<&Path>,
) -> Result<(), Failure> {
    let mut replay = Replay::new(script, &off).map_err(Failure::error)?;
    trace.map_or(Ok(()), |file| files::write(file, &replay.report().trace, files::TRACE))?;
    let all = replay.len();
    let end = match &until {
        Some(until) => (1..=all).find(|n| until.is_met(*n, replay.event(*n).into_iter())).unwrap_or(all),
        None if interactive => 0,
        None => all,
    };
    replay.goto(end);
    if interactive {
        return session::run(Stepping { replay, off });
    }
    replay.tell().iter().for_each(say_wrapped);
    Ok(())
}

/// A run that somebody steps through.
struct Stepping {
    replay: Replay,
    /// The mechanisms that are out.
    off: Vec<Mechanism>,
}

impl Line for Stepping {
    fn prompt(&self) -> String {
        format!("{}/{}> ", self.replay.at(), self.replay.len())
    }

    fn begin(&self) {
        let script = self.replay.script();
        script.setting().iter().chain(&script.step_lines()).for_each(|line| say(format!("> {line}")));
        self.show_state(None).unwrap_or_else(say_wrapped);
        self.replay.state().iter().for_each(|state| say_wrapped(format!("({})", tell::signs(state))));
    }

    fn commands(&self) -> &'static [(&'static str, &'static str)] {
        COMMANDS
    }

    fn obey(&mut self, command: &str, rest: &str) -> Result<(), String> {
        let at = self.replay.at();
        match command {
            "" | "next" | "n" => self.next(number(rest, 1)?),
            "back" | "b" => self.goto(at.saturating_sub(number(rest, 1)?)),
            "goto" | "g" => self.goto(number(rest, 0)?),
            "steps" | "s" => self.steps(rest),
            "do" | "d" => self.take(rest),
            "state" => self.show_state((!rest.is_empty()).then_some(rest)),
            "why" | "w" => {
                let lines = self.replay.causes(number(rest, at)?);
                lines.ok_or(format!("no event {rest} is told"))?.iter().for_each(say_wrapped);
                Ok(())
            }
            "branches" => {
                self.branches();
                Ok(())
            }
            "branch" => self.branch(number(rest, 1)?),
            "without" => self.switch(rest, false),
            "with" => self.switch(rest, true),
            "verdict" | "v" => {
                say_wrapped(verdict(self.replay.report()));
                Ok(())
            }
            "save" => session::save(rest, &self.replay.script().to_string()),
            other => Err(session::no_command(other)),
        }
    }
}

impl Stepping {
    fn next(&mut self, events: usize) -> Result<(), String> {
        for _ in 0..events {
            let n = self.replay.at() + 1;
            self.replay.goto(n);
            say_wrapped(self.replay.line(n).ok_or("that was the last event; `verdict` says how it ended")?);
            if n == self.replay.len() {
                say_wrapped(verdict(self.replay.report()));
            }
        }
        Ok(())
    }

    fn goto(&mut self, n: usize) -> Result<(), String> {
        self.replay.goto(n);
        self.replay.line(self.replay.at()).iter().for_each(say_wrapped);
        self.show_state(None)
    }

    fn show_state(&self, of: Option<&str>) -> Result<(), String> {
        let lines = tell::describe(&self.replay.state()?, of);
        lines.ok_or(format!("there is no {}", of.unwrap_or_default()))?.iter().for_each(say_wrapped);
        Ok(())
    }

    fn steps(&mut self, word: &str) -> Result<(), String> {
        let lines = self.replay.ahead()?;
        let some: Vec<&String> = lines.iter().filter(|line| line.contains(word)).collect();
        if some.is_empty() {
            say("nothing of that kind is to come");
        }
        some.iter().for_each(|line| say_wrapped(format!("  {line}")));
        Ok(())
    }

    fn take(&mut self, step: &str) -> Result<(), String> {
        self.replay.take(step)?;
        let left = self.replay.branches().len();
        say(format!("(the schedule has this step now; the one that was left is branch {left})"));
        Ok(())
    }

    fn branches(&self) {
        for (n, script) in self.replay.branches().iter().enumerate() {
            let last = script.step_lines().pop().unwrap_or_default();
            say(format!("{}. {} steps, the last: {last}", n + 1, script.steps()));
        }
        if self.replay.branches().is_empty() {
            say("no schedule was left yet");
        }
    }

    fn branch(&mut self, number: usize) -> Result<(), String> {
        if number == 0 || !self.replay.branch(number - 1)? {
            return Err(format!("there is no branch {number}"));
        }
        self.show_state(None)
    }

    fn switch(&mut self, id: &str, back_in: bool) -> Result<(), String> {
        let mechanism = session::switched(&mut self.off, id, back_in)?;
        self.replay.switch(&self.off)?;
        let how = if back_in { "in" } else { "out" };
        say(format!("{mechanism} is {how}; the same schedule was run again"));
        say_wrapped(verdict(self.replay.report()));
        Ok(())
    }
}
