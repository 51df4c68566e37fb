//! `quiz`: predict what comes next.

use std::io::{BufRead, stdin};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use lab::why::quiz::{Question, deciding, question, question_about};
use serde_json::json;

use crate::failure::{Failure, me, note, say, say_wrapped};
use crate::play::read;

/// Numbers that are tried for one question: not every number is one.
const TRIES: u64 = 1000;

/// Show a schedule up to some step and ask what happens next; the answer is computed by playing the schedule
///
/// Answer with the number of a choice, or with several: there may be more than one right answer, and each is accepted.
/// `?` gives a hint, `q` or Ctrl-D leaves with the score.
#[derive(Debug, Args)]
pub struct Quiz {
    /// Number of questions
    #[arg(long, default_value_t = 5)]
    questions: u64,
    /// Number of the first question; by default, taken from the clock
    #[arg(long)]
    seed: Option<u64>,
    /// Ask about this schedule, or story, instead of the stored counterexamples
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    /// Print the questions with their answers as lines of JSON, without asking
    #[arg(long)]
    json: bool,
}

/// What somebody typed.
enum Answer {
    Choices(Vec<usize>),
    Hint,
    Leave,
}

impl Quiz {
    pub fn run(self) -> Result<(), Failure> {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let seed = self.seed.unwrap_or_else(clock);
        let numbers = (seed..=u64::MAX).chain(0..).take(TRIES.saturating_mul(self.questions) as usize);
        let (mut asked, mut right) = (0, 0);
        for question in self.questions(numbers)?.take(self.questions as usize) {
            asked += 1;
            if self.json {
                say(as_json(&question));
                continue;
            }
            show(&question, asked, self.questions);
            let Some(choices) = ask(&question)? else {
                asked -= 1;
                break;
            };
            right += u64::from(choices.iter().all(|choice| question.right.contains(choice)));
            tell(&question, &choices);
        }
        if !self.json {
            say(format!("\n{right} of {asked} right"));
        }
        if asked == 0 && self.json {
            return Err(Failure::error("there is nothing to ask about this schedule"));
        }
        Ok(())
    }

    fn questions(
        &self,
        numbers: impl Iterator<Item = u64> + 'static,
    ) -> Result<Box<dyn Iterator<Item = Question>>, Failure> {
        let Some(file) = &self.schedule else { return Ok(Box::new(numbers.filter_map(question))) };
        let schedule = read(file)?;
        let deciding =
            deciding(&schedule).map_err(|why| Failure::usage(format!("{}: {why}", file.display())))?;
        let mut numbers = numbers.peekable();
        let first = numbers.peek().copied().unwrap_or_default();
        let mut tried = (first..=u64::MAX).chain(0..).take(TRIES as usize);
        if !tried.any(|number| question_about(&schedule, &deciding, number).is_some()) {
            let what =
                format!("{}: nothing happens in this schedule that one could ask about", file.display());
            return Err(Failure::usage(what).next(format!("{} play {}", me(), file.display())));
        }
        Ok(Box::new(numbers.filter_map(move |number| question_about(&schedule, &deciding, number))))
    }
}

fn as_json(question: &Question) -> serde_json::Value {
    let right: Vec<usize> = question.right.iter().map(|n| n + 1).collect();
    json!({
        "mechanism": question.mechanism.map(|mechanism| mechanism.id()), "on": question.on,
        "setting": question.setting, "so_far": question.so_far, "state": question.state,
        "on_its_way": question.on_its_way, "asks": question.asks, "choices": question.choices, "right": right,
        "hints": question.hints, "because": question.because,
    })
}

fn show(question: &Question, number: u64, of: u64) {
    say(format!("\nQuestion {number} of {of}"));
    say_wrapped(&question.setting);
    if !question.so_far.is_empty() {
        say("So far:");
        question.so_far.iter().for_each(|line| say_wrapped(format!("  {line}")));
    }
    say("Now:");
    question.state.iter().for_each(|line| say_wrapped(format!("  | {line}")));
    match question.on_its_way.as_deref() {
        None => {}
        Some([]) => say("  | nothing is on its way"),
        Some(messages) => messages.iter().for_each(|line| say_wrapped(format!("  | {line}"))),
    }
    say_wrapped(&question.asks);
    question.choices.iter().enumerate().for_each(|(n, choice)| say_wrapped(format!("  {}. {choice}", n + 1)));
}

/// The choices that are taken, from 0; `None`: the reader leaves.
fn ask(question: &Question) -> Result<Option<Vec<usize>>, Failure> {
    let mut hints = question.hints.iter();
    loop {
        note("> ");
        match answer(question.choices.len())? {
            Answer::Choices(choices) => return Ok(Some(choices)),
            Answer::Leave => return Ok(None),
            Answer::Hint => {
                let hint = hints.next().map_or("There are no more hints.", String::as_str);
                say_wrapped(format!("   {hint}"));
            }
        }
    }
}

fn answer(choices: usize) -> Result<Answer, Failure> {
    loop {
        let mut line = String::new();
        let read = stdin().lock().read_line(&mut line);
        if read.map_err(|error| Failure::error(format!("cannot read the answer: {error}")))? == 0 {
            return Ok(Answer::Leave);
        }
        let words: Vec<&str> = line.split([' ', ',', '\n', '\r', '\t']).filter(|w| !w.is_empty()).collect();
        match &words[..] {
            ["q" | "quit"] => return Ok(Answer::Leave),
            ["?"] => return Ok(Answer::Hint),
            _ => {}
        }
        let numbers: Option<Vec<usize>> = words.iter().map(|word| word.parse().ok()).collect();
        let numbers = numbers.filter(|n| !n.is_empty() && n.iter().all(|n| (1..=choices).contains(n)));
        match numbers {
            Some(numbers) => return Ok(Answer::Choices(numbers.into_iter().map(|n| n - 1).collect())),
            None => note(format!("a number from 1 to {choices}, ? for a hint, or q to leave\n> ")),
        }
    }
}

fn tell(question: &Question, choices: &[usize]) {
    let (good, bad): (Vec<usize>, Vec<usize>) = choices.iter().partition(|n| question.right.contains(n));
    let named = |n: &usize| format!("{}. {}", n + 1, question.choices[*n]);
    let others = question.right.iter().filter(|n| !choices.contains(n)).map(named);
    let others: Vec<String> = others.collect();
    let line = match (&bad[..], &good[..], &others[..]) {
        ([], _, []) => "Right.".to_string(),
        ([], _, others) => format!("Right; so is {}.", others.join(", and ")),
        (bad, [], others) => {
            let bad: Vec<String> = bad.iter().map(|n| (n + 1).to_string()).collect();
            format!("No, not {}: {}.", bad.join(", "), others.join(", and "))
        }
        (bad, _, _) => {
            let bad: Vec<String> = bad.iter().map(|n| (n + 1).to_string()).collect();
            format!("Not all of it: {} is wrong.", bad.join(", "))
        }
    };
    say_wrapped(format!("   {line}"));
    say_wrapped(format!("   {}", question.because));
    if let Some(mechanism) = question.mechanism {
        say(format!("   ({} why {mechanism})", me()));
    }
}
