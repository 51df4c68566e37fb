//! An exhibit's file: a title, facts as a list, and sections of prose.
//!
//! ```text
//! # What went wrong
//!
//! - system: NAME
//! - year: 2018
//! - guard: `MECHANISM`                    or    - missing: WHAT
//! - source: AUTHORS, "TITLE", PLACE, YEAR <URL>
//!
//! ## What users saw
//! ## The same here
//! ## Where it differs
//! ```

use super::exhibit::{Exhibit, Shown, Source};

/// Reads the file of `id`. An error names what is missing or cannot be read.
pub(super) fn exhibit(id: &'static str, text: &str, own: Option<&'static str>) -> Result<Exhibit, String> {
    let wrong = |what: &str| format!("{id}: {what}");
    let title = text.lines().next().and_then(|line| line.strip_prefix("# "));
    let facts = |name: &str| -> Vec<&str> {
        let facts = text.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
        facts.filter(|(called, _)| *called == name).map(|(_, fact)| fact).collect()
    };
    let fact = |name: &str| match facts(name)[..] {
        [fact] => Ok(fact),
        _ => Err(wrong(&format!("`- {name}: …` stands there once"))),
    };
    let shown = match (&facts("guard")[..], &facts("missing")[..]) {
        ([guard], []) => {
            Shown::Without(crate::mechanism(guard.trim_matches('`')).map_err(|why| wrong(&why))?)
        }
        ([], [missing]) => Shown::Missing(missing.to_string()),
        _ => return Err(wrong("`- guard: …` or `- missing: …`, and one of them")),
    };
    let sources: Vec<Source> = facts("source")
        .into_iter()
        .map(|line| source(line).ok_or_else(|| wrong(&format!("`{line}` ends with <URL>"))))
        .collect::<Result<_, _>>()?;
    let is_shown = matches!(shown, Shown::Without(_));
    let prose = |name: &str, needed: bool| match section(text, name) {
        Some(prose) => Ok(prose),
        None if needed => Err(wrong(&format!("`## {name}` is missing"))),
        None => Ok(String::new()),
    };
    Ok(Exhibit {
        id,
        title: title.ok_or_else(|| wrong("it begins with `# `"))?.to_string(),
        system: fact("system")?.to_string(),
        year: fact("year")?.parse().map_err(|_| wrong("the year is a number"))?,
        seen: prose("What users saw", true)?,
        same: prose("The same here", is_shown)?,
        differs: prose("Where it differs", is_shown)?,
        sources: if sources.is_empty() { return Err(wrong("nobody is cited")) } else { sources },
        shown,
        own,
    })
}

fn source(line: &str) -> Option<Source> {
    let (words, url) = line.strip_suffix('>')?.rsplit_once(" <")?;
    let is_address = url.starts_with("https://") || url.starts_with("http://");
    is_address.then(|| Source { words: words.to_string(), url: url.to_string() })
}

/// The text below a heading, as one paragraph.
fn section(text: &str, name: &str) -> Option<String> {
    let heading = format!("## {name}");
    let below = text.lines().skip_while(|line| *line != heading).skip(1);
    let lines: Vec<&str> = below.take_while(|line| !line.starts_with("## ")).map(str::trim).collect();
    let prose = lines.join(" ").trim().to_string();
    (!prose.is_empty()).then_some(prose)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "# A title\n\n- system: S\n- year: 2020\n- guard: `epoch-fence`\n- source: A, \"B\", 2020 <https://c>\n\n\
                         ## What users saw\n\none\ntwo\n\n## The same here\n\nthree\n\n## Where it differs\n\nfour\n";

    #[test]
    fn a_whole_file_is_read() {
        let read = exhibit("x", WHOLE, None).unwrap();
        assert_eq!((read.title.as_str(), read.year, read.seen.as_str()), ("A title", 2020, "one two"));
        assert_eq!(read.citation(), "A, \"B\", 2020 <https://c>");
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = |what: &str| exhibit("x", &WHOLE.replacen(what, "", 1), None).unwrap_err();
        assert!(without("- guard: `epoch-fence`\n").contains("`- missing: …`"));
        assert!(without("- system: S\n").contains("`- system: …`"));
        assert!(without(" <https://c>").contains("ends with <URL>"));
        assert!(without("- source: A, \"B\", 2020 <https://c>\n").contains("nobody is cited"));
        assert!(without("## Where it differs\n").contains("`## Where it differs` is missing"));
        let fence = exhibit("x", &WHOLE.replace("epoch-fence", "epoch-fense"), None).unwrap_err();
        assert!(fence.contains("did you mean epoch-fence?"), "{fence}");
    }
}
