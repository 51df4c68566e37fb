//! The pages of `docs/mechanisms/`: made from the same runs as the stories, and from the registry's words.

use std::fmt::Write as _;

use trace::Mechanism;
use trace::mechanism::PROMISES;

use super::narrate::try_command;
use super::{Case, Verdict, class, examine, narrate, registry, why_none};
use crate::schedule::Schedule;
use crate::tell::{self, departure, verdict};

/// The page about one mechanism.
pub fn chapter(mechanism: Mechanism) -> Result<String, String> {
    let entry = registry::entry(mechanism);
    let mut page = format!("# `{mechanism}`\n\n{}\n\n", mechanism.does());
    let promise = usize::from(mechanism.promise());
    let _ = writeln!(page, "| | |\n|---|---|");
    let _ = writeln!(page, "| promise | {promise}. {} |", PROMISES[promise - 1]);
    let _ = writeln!(page, "| class | {} |", class(mechanism));
    if !entry.faults.is_empty() {
        let _ = writeln!(page, "| shown by | {} |", entry.faults);
    }
    if let Some((file, symbol)) = entry.guard {
        let name = file.trim_start_matches("crates/");
        let _ = writeln!(page, "| guard | [`{name}`](../../{file}), `{symbol}` |");
    }
    if let Some(story) = entry.story {
        let _ =
            writeln!(page, "| seen at work in | [`stories/{story}.story`](../../stories/{story}.story) |");
    }
    if !entry.published.is_empty() {
        let _ = writeln!(page, "| published | {} |", entry.published);
    }
    if let Some(choice) = entry.choice {
        let _ = writeln!(page, "| another choice | {choice} |");
    }
    match examine(mechanism)? {
        Verdict::Counterexample(case) => {
            let story = narrate(&case);
            let _ = writeln!(page, "\n## Without it\n\n```text");
            story.before.iter().for_each(|line| page.extend([line.trim_end(), "\n"]));
            let _ = writeln!(page, "```\n\n<details><summary>The answer</summary>\n\n```text");
            let answer = story.after.iter().take_while(|line| !line.starts_with("Try "));
            answer.for_each(|line| page.extend([line.trim_end(), "\n"]));
            let _ = writeln!(page, "```\n\n</details>\n\n{}", to_try(&case)?);
            let _ = writeln!(page, "## The schedule\n\n```text\n{}```", case.schedule);
        }
        other => {
            let why = why_none(mechanism, &other);
            let _ = writeln!(page, "\n## Without it\n\nNo schedule is shown: {why}.");
            if !entry.others.is_empty() {
                let _ = writeln!(page, "\n{}", entry.others);
            }
            if !entry.variation.is_empty() {
                let _ = writeln!(page, "\n{}", entry.variation);
            }
        }
    }
    Ok(page)
}

/// The schedule to try, and what comes of it.
fn to_try(case: &Case) -> Result<String, String> {
    let mechanism = case.mechanism;
    let entry = registry::entry(mechanism);
    let mut text = format!("## Try\n\n{}\n\n```sh\n{}\n```\n\n", entry.variation, try_command(mechanism));
    let trial = entry.trial.ok_or_else(|| format!("{mechanism} has nothing to try"))?;
    let play = trial.parse::<Schedule>()?.play_without(&[mechanism])?;
    text.push_str("<details><summary>What happens</summary>\n\n```text\n");
    let departs = departure(&case.off, &play).map(|how| format!("It departs from the story: {how}."));
    let who = if case.schedule.is_local() { "host" } else { "client" };
    let told = play.acts.iter().enumerate().flat_map(|(at, act)| {
        act.client.iter().map(move |line| format!("Step {}: the {who} learns: {line}.", at + 1))
    });
    let last = play.acts.len().checked_sub(1).map(|last| tell::step(&play, last)).unwrap_or_default();
    let lines = departs.into_iter().chain(told).chain(["The last step:".into()]).chain(last);
    lines.for_each(|line| text.extend([line.trim_end(), "\n"]));
    let _ = writeln!(text, "\n{}\n```\n\n</details>\n", verdict(&play));
    Ok(text.trim_end().to_string() + "\n")
}

/// One line for each mechanism: `docs/mechanisms/README.md` from its table on.
pub fn necessity_table() -> Result<String, String> {
    let mut table = String::from(
        "| without | class | shown by | steps | promise | noticed as |\n|---|---|---|---|---|---|\n",
    );
    for &mechanism in Mechanism::ALL {
        let faults = registry::entry(mechanism).faults;
        let (class, promise) = (class(mechanism), mechanism.promise());
        let _ = match examine(mechanism)? {
            Verdict::Counterexample(case) => writeln!(
                table,
                "| [`{mechanism}`]({mechanism}.md) | {class} | {faults} | {} | {promise} | {} |",
                case.off.length(),
                case.checker()
            ),
            other => writeln!(
                table,
                "| [`{mechanism}`]({mechanism}.md) | {class} | {faults} | - | {promise} | {} |",
                why_none(mechanism, &other)
            ),
        };
    }
    Ok(table)
}
