//! An exhibit as a story for a terminal, and as a page of `docs/museum/`: the published failure, and the run by the narrator
//! of `why`.

use std::fmt::Write as _;

use trace::mechanism::PROMISES;

use super::collection::{exhibits, play};
use super::exhibit::{Exhibit, Shown};
use crate::page::guard_line;
use crate::why::registry;
use crate::why::{Case, retell};

/// The story of an exhibit that was just played; of one that cannot be shown, what is known.
pub fn story(exhibit: &Exhibit, case: Option<&Case>) -> Vec<String> {
    let mut lines = vec![
        format!("{} ({}, {})", exhibit.title, exhibit.system, exhibit.year),
        format!("Seen         {}", exhibit.seen),
    ];
    lines.extend(
        exhibit.sources.iter().map(|source| format!("Published    {}: {}", source.words, source.url)),
    );
    match (&exhibit.shown, case) {
        (Shown::Without(guard), Some(case)) => {
            let promise = usize::from(guard.promise());
            lines.push(format!("Here         {}", exhibit.same));
            lines.push(format!("Differs      {}", exhibit.differs));
            lines.push(String::new());
            lines.push(format!("WITHOUT {guard}, that is, without this rule: {}", guard.does()));
            lines.push(format!("The promise  {promise}. \"{}\"", PROMISES[promise - 1]));
            lines.extend(retell(case));
            if let Some((file, symbol)) = registry::entry(*guard).guard {
                let line = guard_line(file, symbol).map(|line| format!(":{line}")).unwrap_or_default();
                lines.push(format!("Guard        {file}{line}, fn {symbol}"));
            }
            lines.push(format!(
                "Replay       cutaway play {0} --without {guard}; cutaway lab {0}",
                exhibit.id
            ));
            lines.push(format!("More         cutaway why {guard}"));
        }
        (Shown::Missing(what), _) => lines.push(format!("Not shown    This code does not have: {what}.")),
        (Shown::Without(_), None) => {}
    }
    lines
}

/// The page about one exhibit.
pub fn chapter(exhibit: &Exhibit) -> Result<String, String> {
    let mut page = format!("# {}\n\n| | |\n|---|---|\n", exhibit.title);
    let _ = writeln!(page, "| system | {} |\n| year | {} |", exhibit.system, exhibit.year);
    for source in &exhibit.sources {
        let _ = writeln!(page, "| published | {}: <{}> |", source.words, source.url);
    }
    let Some(case) = play(exhibit)? else {
        if let Shown::Missing(what) = &exhibit.shown {
            let _ = writeln!(page, "| not shown | this code does not have: {what} |");
        }
        let _ = writeln!(page, "\n## What users saw\n\n{}", exhibit.seen);
        return Ok(page);
    };
    let guard = case.mechanism;
    let entry = registry::entry(guard);
    let _ = writeln!(page, "| guard | [`{guard}`](../mechanisms/{guard}.md): {} |", guard.does());
    if let Some((file, symbol)) = entry.guard {
        let name = file.trim_start_matches("crates/");
        let _ = writeln!(page, "| in | [`{name}`](../../{file}), `{symbol}` |");
    }
    for (heading, text) in [
        ("What users saw", &exhibit.seen),
        ("The same here", &exhibit.same),
        ("Where it differs", &exhibit.differs),
    ] {
        let _ = writeln!(page, "\n## {heading}\n\n{text}");
    }
    let _ = writeln!(page, "\n## The run without `{guard}`, and what holds it\n\n```text");
    retell(&case).iter().for_each(|line| page.extend([line.trim_end(), "\n"]));
    let _ = writeln!(page, "```\n\n## The schedule\n");
    if !exhibit.is_own() {
        let _ = writeln!(page, "The counterexample of the guard, as it is stored.\n");
    }
    let id = exhibit.id;
    let _ = writeln!(page, "```text\n{}```\n\n```sh", case.schedule);
    let _ = writeln!(page, "cutaway play {id} --without {guard}\ncutaway play {id}\ncutaway lab {id}\n```");
    Ok(page)
}

/// A line for each exhibit: `docs/museum.md` from its table on.
pub fn index() -> Result<String, String> {
    let mut shown =
        String::from("| exhibit | system | year | guard | steps | noticed as |\n|---|---|---|---|---|---|\n");
    let mut others = String::from(
        "\nNot in the core:\n\n| exhibit | system | year | what it takes |\n|---|---|---|---|\n",
    );
    for exhibit in exhibits() {
        let Exhibit { id, title, system, year, .. } = &exhibit;
        let link = format!("[{title}](museum/{id}.md) (`{id}`)");
        match (&exhibit.shown, play(&exhibit)?) {
            (Shown::Missing(what), _) => {
                let _ = writeln!(others, "| {link} | {system} | {year} | {what} |");
            }
            (Shown::Without(guard), case) => {
                let case = case.ok_or_else(|| format!("{id} has no schedule"))?;
                let _ = writeln!(
                    shown,
                    "| {link} | {system} | {year} | [`{guard}`](mechanisms/{guard}.md) | {} | {} |",
                    case.off.length(),
                    case.checker()
                );
            }
        }
    }
    Ok(shown + &others)
}
