//! The pages of `docs/mechanisms/`: made from the same runs as the stories, and from the registry's words.

use std::fmt::Write as _;

use trace::mechanism::PROMISES;
use trace::{Kind, Mechanism};

use super::examine::{Case, Verdict, class, examine, why_none};
use super::narrate::narrate;
use super::narrate::{EVENTS_MAX, try_command};
use super::registry;
use crate::play::Play;
use crate::schedule::Schedule;
use crate::tell::events::{plain, told};
use crate::tell::{departure, verdict};

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
    let lines = departs.into_iter().chain(outcome(&play, case.schedule.is_local()));
    lines.for_each(|line| text.extend([line.trim_end(), "\n"]));
    let _ = writeln!(text, "\n{}\n```\n\n</details>\n", verdict(&play));
    Ok(text.trim_end().to_string() + "\n")
}

/// What comes of a play: what was answered, its last step, and how things stand then.
fn outcome(play: &Play, local: bool) -> Vec<String> {
    let who = if local { "host" } else { "client" };
    let mut lines = Vec::new();
    for (at, act) in play.acts.iter().enumerate() {
        let reads = act.events.iter().filter(|event| matches!(event.kind, Kind::ReadAnswered { .. }));
        lines.extend(reads.map(|event| format!("Step {}: {}", at + 1, plain(event))));
        let told = act.client.iter().filter(|line| !line.contains("the read is answered"));
        lines.extend(told.map(|line| format!("Step {}: the {who} learns: {line}", at + 1)));
    }
    if let Some((last, act)) = play.acts.iter().enumerate().next_back() {
        lines.push(format!("Step {}, the last: {}", last + 1, act.words));
        let (events, folded) = told(&act.events, EVENTS_MAX, &[], local);
        lines.extend(events.into_iter().map(|(_, line)| format!("    {line}")));
        lines.extend((folded > 0).then(|| format!("    ({folded} more events, of ordinary replication)")));
        lines.push("At the end:".into());
        lines.extend(act.state.iter().map(|line| format!("    {line}")));
    }
    lines.extend(play.readers.iter().cloned());
    lines
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
