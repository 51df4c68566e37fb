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
        "line 3, `deliver n1 to`: word 3, `to`: a node or a gateway, such as n1 or g1, could stand there (`deliver nX nY \
         [NAME [I]]`)"
    );
    assert_eq!(
        wrong("> cluster 3\n> frames many\n"),
        "line 2, `frames many`: word 2, `many`: a number up to 1048576 could stand there (`frames N`)"
    );
    assert_eq!(wrong("> write 1 to n1\n"), "a schedule begins with `> cluster N` or `> device NAME`");
    assert_eq!(
        wrong("cluster 3\n"),
        "line 1, `cluster 3`: a note begins with `# `, a setting or a step with `> `"
    );
    assert!(
        wrong("> cluster 3\n> wirte 1 to n1\n").starts_with("line 2, `wirte 1 to n1`: `wirte` is no step")
    );
    assert!(wrong("> cluster 77\n").contains("a number up to 9"));
    assert!(wrong(&"> cluster 3\n".repeat(200_000)).contains("at most"));
}
