//! `quiz`: predict what comes next.

use std::io::{BufRead, stdin};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use lab::why::quiz::{Question, is_right, question};
use serde_json::json;

use crate::failure::{Failure, me, note, say};

/// Show a schedule up to some step and ask what happens next; the answer is computed by playing the schedule
#[derive(Debug, Args)]
pub struct Quiz {
    /// Number of questions
    #[arg(long, default_value_t = 5)]
    questions: u64,
    /// Number of the first question; by default, taken from the clock
    #[arg(long)]
    seed: Option<u64>,
    /// Print the questions with their answers as lines of JSON, without asking
    #[arg(long)]
    json: bool,
}

impl Quiz {
    pub fn run(self) -> Result<(), Failure> {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let seed = self.seed.unwrap_or_else(clock);
        let (mut asked, mut right) = (0, 0);
        for question in (seed..=u64::MAX).chain(0..).filter_map(question).take(self.questions as usize) {
            if self.json {
                say(json!({
                    "mechanism": question.mechanism.id(), "on": question.on, "so_far": question.so_far,
                    "state": question.state, "next": question.next, "choices": question.choices,
                    "answer": question.answer + 1,
                }));
                continue;
            }
            ask(&question);
            let Some(choice) = answer(question.choices.len())? else { break };
            asked += 1;
            let correct = is_right(&question, choice);
            right += u64::from(correct);
            if correct {
                say("   Right.");
            } else {
                say(format!("   No: {}. {}", question.answer + 1, question.choices[question.answer]));
            }
            say(format!("   {}   ({} why {})", question.because, me(), question.mechanism));
        }
        if !self.json {
            say(format!("\n{right} of {asked}"));
        }
        Ok(())
    }
}

fn ask(question: &Question) {
    let with = if question.on { "All mechanisms are on." } else { "One mechanism is missing; which?" };
    say(format!("\n{with} So far:"));
    question.so_far.iter().for_each(|line| say(format!("  {line}")));
    question.state.iter().for_each(|line| say(format!("      {line}")));
    say(format!("Next: {}. What follows?", question.next));
    question.choices.iter().enumerate().for_each(|(n, choice)| say(format!("  {}. {choice}", n + 1)));
}

/// A number from standard input, from 0; `None` when it ends.
fn answer(choices: usize) -> Result<Option<usize>, Failure> {
    loop {
        note("> ");
        let mut line = String::new();
        let read = stdin().lock().read_line(&mut line);
        if read.map_err(|error| Failure::error(format!("cannot read the answer: {error}")))? == 0 {
            return Ok(None);
        }
        match line.trim().parse::<usize>() {
            Ok(n) if (1..=choices).contains(&n) => return Ok(Some(n - 1)),
            _ => note(format!("a number from 1 to {choices}, please\n")),
        }
    }
}
