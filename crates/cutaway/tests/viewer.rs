//! The page that `view` writes, in a real browser with real keys and clicks: Chromium, which `.ci/setup` installs.

mod cdp;
mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use cdp::Browser;
use common::program;
use serde_json::{Value, json};

/// A run in which a promise breaks, and its page.
struct Case {
    _folder: tempfile::TempDir,
    events: Vec<Value>,
    html: PathBuf,
}

fn cutaway(args: &[&str], code: i32) {
    let output = program().args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn read(trace: &Path) -> Vec<Value> {
    std::fs::read_to_string(trace).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("broken.jsonl");
        let name = trace.to_str().unwrap();
        cutaway(&["sim", "--seed", "3", "--without", "most-complete-log", "--trace", name], 1);
        cutaway(&["view", name], 0);
        Case { events: read(&trace), html: trace.with_extension("html"), _folder: folder }
    }

    /// A window with the page.
    fn open(&self) -> Option<Browser> {
        let mut browser = Browser::start()?;
        open(&mut browser, &self.html);
        Some(browser)
    }

    /// The place of the first event of a kind, from 0.
    fn first(&self, kind: &str) -> usize {
        self.events.iter().position(|event| event["kind"] == kind).unwrap()
    }
}

fn open(browser: &mut Browser, html: &Path) {
    browser.open(&format!("file://{}", html.display()));
    browser.until("performance.getEntriesByName('ready').length");
}

#[test]
fn the_page_stands_alone_beside_its_trace() {
    let case = Case::new();
    let page = std::fs::read_to_string(&case.html).unwrap();
    for far in ["https://", " src=", "@import", "fetch(", "url("] {
        // What the program says of itself in a guard's comment is no request.
        let script = page.split("<script type=\"application/json\"").next().unwrap();
        assert!(!script.contains(far), "the page asks for something outside: {far}");
    }
    assert!(!page.contains("\nimport ") && !page.contains("\nexport "), "the modules are one script");
    assert_eq!(page.matches("</script>").count(), 3, "data ends no script element");
    assert!(page.contains("default-src 'none'") && !page.contains("unsafe"));
}

#[test]
fn the_page_of_several_traces_does_not_stand_among_them() {
    let case = Case::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("traces")).unwrap();
    let mut names = Vec::new();
    for node in ["n1/0", "n2/0", "n3/0"] {
        let name = format!("traces/{}.jsonl", &node[..2]);
        let of = case.events.iter().filter(|event| event["node"] == node);
        std::fs::write(folder.path().join(&name), of.map(|event| format!("{event}\n")).collect::<String>())
            .unwrap();
        names.push(name);
    }
    let output = program().current_dir(folder.path()).arg("view").args(&names).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("trace.html").exists());
    assert_eq!(std::fs::read_dir(folder.path().join("traces")).unwrap().count(), 3);
}

#[test]
fn it_opens_at_the_broken_promise_with_its_causes_lit_and_the_lost_entry_red() {
    let case = Case::new();
    let Some(mut browser) = case.open() else { return };
    let broken = case.first("promise_broken");
    assert_eq!(browser.value("cutaway.at"), broken);
    assert!(
        browser
            .value("document.getElementById('lamps').querySelector('.red').textContent")
            .as_str()
            .unwrap()
            .contains("P1")
    );
    assert_eq!(browser.value("cutaway.cone"), "past");
    let lost =
        browser.value("[...document.querySelectorAll('.logs .lost-head')].map((head) => head.textContent)");
    let what = case.events[broken]["facts"]["what"].as_str().unwrap();
    let (entry, _) = what.split_once("without entry ").unwrap().1.split_once(',').unwrap();
    assert_eq!(lost, json!([entry]), "{what}");
    assert!(browser.value("document.querySelectorAll('.logs .cell.lost').length").as_u64().unwrap() > 0);
    // The card says which promise, what is taken out, and how it came to this, the first cause first.
    let card = browser.value("document.getElementById('chosen').textContent");
    assert!(card.as_str().unwrap().contains("A write that returned OK is never lost"), "{card}");
    let out = browser.value("document.querySelector('#chosen .chip').textContent");
    assert!(what.ends_with(&format!("; {} is out", out.as_str().unwrap())), "{what}: {out}");
    let chain = browser.value("cutaway.run.chain(cutaway.at, 8)");
    let chain: Vec<usize> =
        chain.as_array().unwrap().iter().map(|at| at.as_u64().unwrap() as usize).collect();
    assert!(chain.len() > 2, "{chain:?}");
    for (cause, effect) in chain.iter().zip(chain[1..].iter().chain([&broken])) {
        assert!(case.events[*effect]["parents"].as_array().unwrap().contains(&case.events[*cause]["id"]));
    }
    // A key that leads nowhere says so beside the verdict, and not instead of it.
    browser.press("End");
    browser.press("e");
    browser.until("document.querySelector('#notice .aside')");
    assert!(
        browser
            .value("document.getElementById('notice').textContent")
            .as_str()
            .unwrap()
            .contains("P1 broken")
    );
    // Before it, the lamp warns; the notice leads back.
    browser.press("Home");
    browser.until("document.querySelector('.lamp.ahead')");
    browser.click("[...document.querySelectorAll('#notice button')][0]");
    browser.until(&format!("cutaway.at === {broken}"));
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[test]
fn keys_lead_through_the_run_and_along_causes() {
    let case = Case::new();
    let Some(mut browser) = case.open() else { return };
    browser.press("Home");
    browser.until("cutaway.at === 0");
    browser.press("j");
    browser.press("j");
    browser.press("k");
    assert_eq!(browser.value("cutaway.at"), 1);
    browser.press("e");
    let elected = case.first("primary_elected");
    assert_eq!(browser.value("cutaway.at"), elected);
    browser.press("[");
    let cause = case.events[elected]["parents"][0].as_str().unwrap();
    let at = browser.value("cutaway.at").as_u64().unwrap() as usize;
    assert_eq!(case.events[at]["id"], cause);
    browser.press("]");
    browser.press("x");
    let fault = [
        "fault_injected",
        "crashed",
        "device_damaged",
        "corruption_found",
        "device_poisoned",
        "device_opened",
    ];
    let at = browser.value("cutaway.at").as_u64().unwrap() as usize;
    assert!(fault.iter().any(|kind| case.events[at]["kind"] == *kind), "{}", case.events[at]);
    browser.press("n");
    let next = browser.value("cutaway.at").as_u64().unwrap() as usize;
    assert!(next > at && case.events[next]["node"] == case.events[at]["node"]);
    browser.press("p");
    browser.press("f");
    assert_eq!(browser.value("cutaway.cone"), "future");
    browser.press("?");
    assert_eq!(browser.value("document.getElementById('help').open"), true);
    let told = browser.value("document.getElementById('help-keys').textContent");
    for key in ["/", "+ -", "[", "b", "?"] {
        assert!(told.as_str().unwrap().contains(key), "{key}");
    }
}

#[test]
fn a_search_leaves_what_it_finds_and_steps_lead_from_one_to_the_next() {
    let case = Case::new();
    let Some(mut browser) = case.open() else { return };
    browser.press("Home");
    browser.press("/");
    browser.type_text("becomes primary");
    let elections = case.events.iter().filter(|event| event["kind"] == "primary_elected").count();
    browser.until(&format!("document.getElementById('count').textContent === '{elections} events'"));
    browser.press("Enter");
    browser.press("j");
    let at = browser.value("cutaway.at").as_u64().unwrap() as usize;
    assert_eq!(case.events[at]["kind"], "primary_elected");
    assert!(at > case.first("primary_elected"));
    browser.press("Escape");
    browser.until(&format!("cutaway.run.shown.length === {}", case.events.len()));
}

#[test]
fn one_looks_closer_or_at_the_whole_and_the_overview_leads_anywhere() {
    let case = Case::new();
    let Some(mut browser) = case.open() else { return };
    let legend = "document.getElementById('legend').textContent";
    for mark in ["a promise breaks", "a fault, or a restart", "is elected", "committed", "refuses"] {
        assert!(browser.value(legend).as_str().unwrap().contains(mark), "{mark}");
    }
    browser.press("0");
    browser.press("+");
    browser.click("document.getElementById('overview')");
    browser.until("cutaway.at !== cutaway.run.broken");
    let at = browser.value("cutaway.at").as_u64().unwrap() as usize;
    let middle = case.events.len() / 2;
    assert!(at.abs_diff(middle) < 20, "{at} is in the middle of {}", case.events.len());
    let place = browser.value("document.getElementById('where').textContent");
    assert!(place.as_str().unwrap().starts_with(&format!("event {} of ", at + 1)), "{place}");
    // For the keyboard, the same is a slider.
    browser.value("(() => { const s = document.getElementById('slider'); s.value = 7; s.dispatchEvent(new Event('input')); })()");
    assert_eq!(browser.value("cutaway.at"), 6);
}

/// The state that is kept every few hundred events, played forth, is the one that is played from the beginning; and it is
/// what the events say.
#[test]
fn the_picture_after_an_event_is_what_all_events_before_it_made() {
    let case = Case::new();
    let Some(mut browser) = case.open() else { return };
    for at in [0, 511, 512, 1300, case.events.len() - 1] {
        let same = format!(
            "(() => {{ const {{ states }} = cutaway; const all = states.kept.splice(1); const near = [all, {at}];
             const far = (() => {{ const kept = states.kept; const state = JSON.parse(JSON.stringify(kept[0]));
                for (let n = 0; n <= near[1]; n++) states.play(state, n); return state; }})();
             states.kept.push(...all); return JSON.stringify(far) === JSON.stringify(states.after(near[1])); }})()"
        );
        assert_eq!(browser.value(&same), true, "event {at}");
    }
    let last = |kind: &str, upto: usize| {
        let node = |event: &&Value| event["node"] == "n1/0" && event["kind"] == kind;
        case.events[..=upto].iter().rfind(node).map(|event| event["facts"].clone())
    };
    // While n1 runs without a restart: its log and its commit point are those of its last events.
    let upto = case
        .events
        .iter()
        .position(|event| event["node"] == "n1/0" && event["kind"] == "crashed")
        .unwrap_or(1500)
        - 1;
    let here =
        browser.value(&format!("cutaway.states.after({upto}).lanes[cutaway.run.lanes.indexOf('n1/0')]"));
    assert_eq!(here["commit"], last("commit_advanced", upto).unwrap()["to"]);
    assert_eq!(here["applied"], last("entry_applied", upto).unwrap()["seq"]);
    let appended = last("entry_appended", upto).unwrap();
    assert_eq!(
        here["cells"].as_array().unwrap().last().unwrap(),
        &json!([appended["seq"], appended["epoch"]])
    );
}

#[test]
fn nothing_keeps_a_screen_reader_out_in_light_or_dark_on_a_desk_or_a_phone() {
    let root = Command::new("npm").args(["root", "-g"]).output().ok();
    let root = root.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_string()));
    let Some(axe) = root.and_then(|root| std::fs::read_to_string(root.join("axe-core/axe.min.js")).ok())
    else {
        return println!("*** SKIPPED: there is no axe-core; .ci/setup installs it");
    };
    let case = Case::new();
    let Some(mut browser) = case.open() else { return };
    browser.value(&format!("(() => {{ {axe} }})()"));
    for (width, height) in [(1280, 800), (390, 844)] {
        browser.size(width, height);
        for theme in ["light", "dark"] {
            browser.value(&format!("(() => {{ document.documentElement.dataset.theme = '{theme}'; dispatchEvent(new Event('resize')); }})()"));
            let found = browser.value(
                "axe.run().then((all) => ({ contrast: all.passes.some((rule) => rule.id === 'color-contrast'), wrong: all.violations.map((rule) => `${rule.id}: ${rule.nodes[0].html}`) }))",
            );
            assert_eq!(found["contrast"], true, "{found}");
            assert_eq!(found["wrong"], json!([]), "{width}x{height} {theme}");
            let wide = browser.value("document.documentElement.scrollWidth - innerWidth");
            assert!(wide.as_i64().unwrap() <= 0, "{width}x{height}: nothing sticks out");
        }
    }
}

/// Prints its figures: `cargo test -p cutaway --test viewer -- --nocapture a_hundred_thousand`.
#[test]
fn a_hundred_thousand_events_are_one_small_file() {
    const EVENTS: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let (trace, long) = (folder.path().join("seed.jsonl"), folder.path().join("long.jsonl"));
    cutaway(&["sim", "--seed", "3", "--trace", trace.to_str().unwrap()], 0);
    // One schedule after the other; each is a new life of its actors, so that no two events have one name.
    let events = read(&trace);
    let mut lines = String::new();
    for n in 0..EVENTS {
        let mut event = events[n % events.len()].clone();
        let later = |id: &Value| {
            let parts: Vec<&str> = id.as_str().unwrap().split(':').collect();
            let life = parts[1].parse::<usize>().unwrap() + 100 * (n / events.len());
            Value::from(format!("{}:{life}:{}", parts[0], parts[2]))
        };
        let id = later(&event["id"]);
        event["id"] = id;
        event["wall"] = json!(event["wall"].as_u64().unwrap() + 4_000_000 * (n / events.len()) as u64);
        event["parents"] = event["parents"].as_array().unwrap().iter().map(later).collect();
        lines += &format!("{event}\n");
    }
    std::fs::write(&long, lines).unwrap();
    let html = folder.path().join("long.html");
    cutaway(&["view", long.to_str().unwrap(), "--html", html.to_str().unwrap()], 0);
    let bytes = std::fs::metadata(&html).unwrap().len();
    println!("{EVENTS} events: a file of {bytes} bytes");
    assert!(bytes < 25_000_000, "{bytes} bytes");
    let Some(mut browser) = Browser::start() else { return };
    open(&mut browser, &html);
    assert_eq!(browser.value("cutaway.run.size"), EVENTS);
    let seeks = browser.value(
        "(() => { const seeks = []; for (let n = 0; n < 60; n++) { const begin = performance.now(); \
         const s = document.getElementById('slider'); s.value = 1 + (n * 7919 * 13) % cutaway.run.size; \
         s.dispatchEvent(new Event('input')); document.body.offsetHeight; seeks.push(performance.now() - begin); } return seeks; })()",
    );
    let mut seeks: Vec<f64> = seeks.as_array().unwrap().iter().map(|seek| seek.as_f64().unwrap()).collect();
    seeks.sort_by(f64::total_cmp);
    println!(
        "ready after {:.0} ms; a seek takes {:.1} ms in the median, {:.1} ms at most",
        browser.value("performance.getEntriesByName('ready')[0].startTime").as_f64().unwrap(),
        seeks[seeks.len() / 2],
        seeks[seeks.len() - 1]
    );
}
