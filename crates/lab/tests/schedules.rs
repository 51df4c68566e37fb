//! `docs/schedules.md` is what the parser takes.
//!
//! `UPDATE_STORIES=1 cargo test -p lab --test schedules` writes its tables anew.

use std::path::Path;

use lab::cluster::{SETTINGS, STEPS, Step};
use lab::{Machine, Schedule, device};
use trace::Mechanisms;

fn page() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schedules.md")
}

fn table(forms: &[(&str, &str)]) -> String {
    let rows: Vec<String> = forms.iter().map(|(form, does)| format!("| `{form}` | {does} |\n")).collect();
    format!("| line | means |\n|---|---|\n{}", rows.concat())
}

/// The table at the head of a file of `sim::text`.
fn module_table(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../sim/src/text/{file}.rs"));
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! ")).filter(|line| line.starts_with('|'));
    rows.map(|row| format!("{row}\n")).collect()
}

fn list(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| format!("- `{line}`\n")).collect()
}

#[test]
fn the_page_lists_what_the_parser_takes() {
    let old = std::fs::read_to_string(page()).unwrap();
    let mut new = old.clone();
    let mut put = |name: &str, text: String| {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let (head, rest) = new.split_once(&begin).unwrap();
        let tail = rest.split_once(&end).unwrap().1;
        new = format!("{head}{begin}\n{text}\n{end}{tail}");
    };
    put("settings", table(SETTINGS));
    put("steps", table(STEPS));
    put("devices", list(device::start_names().into_iter().map(String::from)));
    put("host", list(device::host_steps()));
    put("device steps", table(device::STEPS));
    put("simulation setting", module_table("setting"));
    put("faults", module_table("fault"));
    put("operations", module_table("ask"));
    if std::env::var_os("UPDATE_STORIES").is_some() {
        std::fs::write(page(), new).unwrap();
    } else {
        assert_eq!(old, new, "docs/schedules.md is out of date; see above how to write it anew");
    }
}

/// A line of a form: each placeholder with a value, with what is optional or without it.
fn example(form: &str, optional: bool) -> String {
    let mut line = String::new();
    let mut depth = 0;
    for part in form.split_inclusive(['[', ']', ' ']) {
        let word = part.trim_end_matches(['[', ']', ' ']);
        if depth == 0 || optional {
            let value = match word {
                "nX" => "n1",
                "nY" => "n2",
                "nZ" => "n3",
                "gX" => "g1",
                "N" | "K" | "E" | "I" => "1",
                "KEY" => "a",
                "VALUE" => "v",
                "NAME" => "Prepare",
                "NAME,…" => "elections",
                "BLOCK" => "log-last",
                "HARM" => "rot",
                "…" => "",
                other => other,
            };
            line.push_str(value);
            line.push(' ');
        }
        depth += part.matches('[').count();
        depth -= part.matches(']').count();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_form_of_the_page_parses_and_is_written_as_it_was_read() {
    for (form, _) in STEPS {
        for optional in [false, true] {
            let line = example(form, optional);
            let step: Step = line.parse().unwrap_or_else(|why| panic!("`{line}`: {why}"));
            assert_eq!(step.to_string(), line);
        }
    }
    for (form, _) in &SETTINGS[1..] {
        let text = format!("> cluster 3\n> {}\n", example(form, true));
        let schedule: Schedule = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(schedule.to_string(), text);
        Machine::new(&schedule, Mechanisms::all()).unwrap();
    }
}

/// What stands for a value in a form of a simulation, and a value.
const VALUES: [(&str, &str); 5] = [("T..T", "1ms..2ms"), ("T", "1ms"), ("P", "1%"), ("N", "1"), ("M", "1")];

/// The forms of a table of `sim::text`, each with what is optional and without it.
fn module_lines(file: &str) -> Vec<String> {
    let table = module_table(file);
    let cells = table.lines().skip(2).map(|row| row.split(" | ").next().unwrap());
    let forms = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|form| !form.contains('…'));
    let value = |word: &str| {
        VALUES.iter().find(|(name, _)| *name == word).map_or(word.to_string(), |(_, v)| v.to_string())
    };
    let fill = |line: String| line.split_whitespace().map(value).collect::<Vec<_>>().join(" ");
    let without = |form: &str| {
        let mut parts = form.split(['[', ']']);
        let mut kept = String::new();
        while let Some(part) = parts.next() {
            kept.push_str(part);
            parts.next();
        }
        kept
    };
    forms.flat_map(|form| [fill(without(form)), fill(form.replace(['[', ']'], " "))]).collect()
}

#[test]
fn every_form_of_a_simulation_parses() {
    let reads = |text: String| sim::text::parse(&text).unwrap_or_else(|why| panic!("{text}{why}"));
    let mut lines = 0;
    for line in module_lines("setting").iter().filter(|line| !line.starts_with("simulation")) {
        reads(format!("> simulation 1\n> {line}\n"));
        lines += 1;
    }
    for line in module_lines("fault").into_iter().chain(module_lines("ask")) {
        reads(format!("> simulation 1\n> shards 2\n> clients 1 keys 2\n> at 1ms {line}\n"));
        lines += 1;
    }
    assert!(lines > 40, "{lines}");
}

#[test]
fn the_example_of_the_page_can_be_played() {
    let text = std::fs::read_to_string(page()).unwrap();
    let example = text.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let schedule: Schedule = example.parse().unwrap();
    let play = schedule.play(Mechanisms::all()).unwrap();
    assert!(play.acts.iter().all(|act| act.skipped.is_none()), "{play:#?}");
}

#[test]
fn an_error_names_the_line_the_word_and_what_could_stand_there() {
    let wrong = |text: &str| text.parse::<Schedule>().map(|_| ()).unwrap_err();
    assert_eq!(
        wrong("# a note\n> cluster 3\n> deliver n1 to\n"),
        "line 3, `deliver n1 to`: `to` cannot stand there; what can: n1 to n9, or g1 to g9 (`deliver nX nY [NAME [I]]`)"
    );
    assert_eq!(
        wrong("> cluster 3\n> frames many\n"),
        "line 2, `frames many`: `many` cannot stand there; what can: a number from 0 to 1048576 (`frames N`)"
    );
    assert_eq!(wrong("> write 1 to n1\n"), "a schedule begins with `> cluster N` or `> device NAME`");
    assert_eq!(
        wrong("cluster 3\n"),
        "line 1, `cluster 3`: a note begins with `# `, a setting or a step with `> `"
    );
    assert!(
        wrong("> cluster 3\n> wirte 1 to n1\n").starts_with("line 2, `wirte 1 to n1`: `wirte` is no step")
    );
    assert!(wrong("> cluster 77\n").contains("a number from 0 to 9"));
    assert!(wrong(&"> cluster 3\n".repeat(200_000)).contains("at most"));
}
