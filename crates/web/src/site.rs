//! The page as a static site: files for any web host, in any folder of it.
//!
//! What is inline in the document elsewhere is in files of its own here, so that the page's policy can name its own site and
//! nothing else. The module runs in a worker, which has the policy of its own file's answer: the page compiles nothing, and
//! needs no `wasm-unsafe-eval`.

use lab::Schedule;
use serde_json::Value;
use trace::Mechanism;

use crate::document::{PAGE, STYLE, script, with, with_library};
use crate::url::{Shown, fragment};

/// The program, as `site/build` names it.
pub const MODULE: &str = "cutaway.wasm";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'";

/// Every file but the module: its name and its text.
pub fn files() -> Vec<(&'static str, String)> {
    vec![
        ("index.html", index()),
        ("links.html", links()),
        ("lab.css", STYLE.to_string()),
        ("lab.js", script()),
        ("core.js", include_str!("../../../viewer/lab/core.js").to_string()),
        ("worker.js", include_str!("../../../viewer/lab/worker.js").to_string()),
    ]
}

fn policy() -> String {
    format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">")
}

/// The page, with style and script beside it.
fn index() -> String {
    let worker = "<meta name=\"worker\" content=\"worker.js\">";
    let page = PAGE
        .replacen("<!--POLICY-->", &format!("{}\n{worker}", policy()), 1)
        .replacen(
            "<style nonce=\"NONCE\">\n/*STYLE*/\n</style>",
            "<link rel=\"stylesheet\" href=\"lab.css\">",
            1,
        )
        .replacen(
            "<script type=\"module\" nonce=\"NONCE\">\n/*SCRIPT*/\n</script>",
            "<script type=\"module\" src=\"lab.js\"></script>",
            1,
        )
        .replacen(
            "<div class=\"tools\">",
            "<div class=\"tools\">\n<a href=\"links.html\">All schedules</a>",
            1,
        )
        .replace(" nonce=\"NONCE\"", "");
    with(&with_library(&page), &Value::Null)
}

/// A list of links into the page: every counterexample and every story.
fn links() -> String {
    let counterexample = |entry: &lab::why::registry::Entry| {
        let does = entry.mechanism.does();
        Some(item(entry.counterexample?, &[entry.mechanism], entry.mechanism.id(), does))
    };
    let broken: String = lab::why::registry::entries().filter_map(counterexample).collect();
    let library = lab::page::library();
    let stories = library["stories"].as_array().into_iter().flatten();
    let story = |story: &Value| Some(item(story["text"].as_str()?, &[], story["name"].as_str()?, ""));
    let stories: String = stories.filter_map(story).collect();
    format!(
        "<!DOCTYPE html>\n<!-- written by cutaway -->\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{}\n\
         <title>Cutaway lab: all schedules</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <link rel=\"stylesheet\" href=\"lab.css\">\n</head>\n<body class=\"links\">\n\
         <h1><a href=\"./\">Cutaway lab</a></h1>\n\
         <h2>Without one mechanism, a promise breaks</h2>\n<ul>\n{broken}</ul>\n\
         <h2>Stories: every promise holds</h2>\n<ul>\n{stories}</ul>\n</body>\n</html>\n",
        policy()
    )
}

/// A schedule as a link that opens it.
fn item(schedule: &str, without: &[Mechanism], name: &str, does: &str) -> String {
    let schedule: Schedule = schedule.parse().expect("a schedule of our own");
    let fragment = fragment(&Shown { schedule, without: without.to_vec() });
    let plain = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    format!("<li><a href=\"./#{}\">{}</a> {}</li>\n", plain(&fragment), plain(name), plain(does))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_is_whole_and_names_only_its_own_files() {
        let files = files();
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).chain([MODULE]).collect();
        for (name, text) in &files {
            for left in ["/*STYLE*/", "/*SCRIPT*/", "/*LIBRARY*/", "/*RECORDED*/", "POLICY-->", "NONCE"] {
                assert!(!text.contains(left), "{name}: {left}");
            }
            assert!(!text.contains("https://"), "{name}");
            if name.ends_with(".html") {
                assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains(" onclick="));
                let places = text
                    .split(" src=\"")
                    .skip(1)
                    .chain(text.split("<link rel=\"stylesheet\" href=\"").skip(1));
                for place in places {
                    let place = place.split('"').next().unwrap();
                    assert!(names.contains(&place), "{name} names {place}");
                }
            }
        }
    }

    #[test]
    fn every_link_leads_to_a_schedule_that_can_be_read() {
        let links = links();
        let mut all = 0;
        for link in links.split("href=\"./#").skip(1) {
            let fragment = link.split('"').next().unwrap().replace("&amp;", "&");
            let shown =
                crate::url::read(&format!("#{fragment}")).expect("a schedule").expect("one that is read");
            assert!(!shown.schedule.steps.is_empty());
            all += 1;
        }
        assert!(all > 60, "{all} links");
    }
}
