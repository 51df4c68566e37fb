//! The pages of `docs/mechanisms/`: made from the same runs as the stories, and from the registry's words.

use std::fmt::Write as _;

use trace::Mechanism;
use trace::mechanism::PROMISES;

use super::{Verdict, class, examine, narrate, registry, why_none};

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
        let _ = writeln!(page, "| first published | {} |", entry.published);
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
            story.after.iter().for_each(|line| page.extend([line.trim_end(), "\n"]));
            let _ = writeln!(page, "```\n\n</details>\n\n## The schedule\n\n```text\n{}```", case.schedule);
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
