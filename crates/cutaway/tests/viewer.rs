//! The page that `view` writes, in a real browser: Chromium, which `.ci/setup` installs. A script is put
//! behind the page's own; it presses keys, and leaves in the page what it saw.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Which of these programs is there?
fn program(names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let all = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|path| path.is_file())
}

fn cutaway(args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_cutaway")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What `script` puts into `result`, run in `page` by Chromium; `waits` if it awaits something. `None`: there is no
/// Chromium.
fn in_browser(folder: &Path, page: &str, script: &str, waits: bool) -> Option<Value> {
    let Some(chromium) = program(&["chromium", "chromium-browser", "google-chrome"]) else {
        println!("*** SKIPPED: there is no chromium; .ci/setup installs it");
        return None;
    };
    // Data in the page may contain this text, but only behind the modules.
    let ending = "</body>";
    let (head, tail) = page.rsplit_once(ending).unwrap();
    let test = format!(
        "{head}<script type=\"module\">\nconst app = globalThis.cutaway;\nconst result = {{}};\n\
         const press = (key) => document.dispatchEvent(new KeyboardEvent('keydown', {{ key, bubbles: true }}));\n\
         try {{\n{script}\n}} catch (error) {{ result.error = String(error) + error.stack; }}\n\
         const out = document.createElement('pre');\nout.id = 'result';\nout.textContent = JSON.stringify(result);\n\
         document.body.replaceChildren(out);\n</script>{ending}{tail}"
    );
    let file = folder.join("test.html");
    std::fs::write(&file, test).unwrap();
    let output = Command::new(chromium)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1600,1000", "--dump-dom"])
        // Lets promises of the script come true before the page is read; its clock is no real one then.
        .args(waits.then_some("--virtual-time-budget=60000"))
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let (_, rest) = dom.split_once("<pre id=\"result\">").unwrap_or_else(|| panic!("no result in the page"));
    let text =
        rest.split_once("</pre>").unwrap().0.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let result: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(result["error"], Value::Null, "the page's script failed");
    Some(result)
}

/// The page of a seed's trace.
fn case(folder: &Path) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    let (trace, html) = (path("case.jsonl"), path("case.html"));
    cutaway(&["sim", "--seed", "3", "--trace", &trace]);
    cutaway(&["view", &trace, "--html", &html]);
    std::fs::read_to_string(html).unwrap()
}

#[test]
fn the_page_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let page = case(folder.path());
    for far in ["http://", "https://", "src=", "@import", "fetch("] {
        assert!(!page.contains(far), "the page asks for something outside: {far}");
    }
    assert!(!page.contains("\nimport ") && !page.contains("\nexport "), "the modules are one script");
}

#[test]
fn keys_lead_through_the_run_and_along_causes() {
    let folder = tempfile::tempdir().unwrap();
    let page = case(folder.path());
    let script = r##"
        result.title = document.title;
        const at = () => app.view.chosen;
        result.begin = app.run.sentence(at());
        app.choose(app.run.rows.findIndex((_, n) => app.run.messages.has(n)));
        const first = at();
        press("j");
        result.next = at() - first;
        press("k");
        result.back = at() - first;
        press("J");
        result.lane = [app.run.lane(first), app.run.lane(at())];
        press("K");
        const cause = app.run.event(first).parents[0];
        press("[");
        result.effect = at() === cause;
        press("]");
        app.choose(first);
        result.cause = at() - first;
        press("f");
        result.future = app.view.marked.size > 1 && app.view.marked.has(first);
        press("p");
        result.past = [...app.view.marked].every((event) => event <= first);
        press("s");
        press("j");
        result.pinned = document.getElementById("pinned").textContent.includes(app.run.sentence(first));
        press("/");
        result.focus = document.activeElement.id;
        app.filter("sync");
        result.filtered = app.run.shown.length > 0 && app.run.shown.every((n) => app.run.matches(n, "sync"));
        app.filter("");
        press("?");
        document.getElementById("filter").blur();
        press("?");
        result.help = document.getElementById("help").open;
        document.getElementById("help").close();
        document.getElementById("twin").open = true;
        app.texts();
        result.texts = document.querySelectorAll("#texts li").length;
        result.around = document.querySelector("#texts [aria-current]").textContent === app.run.sentence(at());
        result.live = document.getElementById("live").textContent === app.run.sentence(at());
    "##;
    let Some(seen) = in_browser(folder.path(), &page, script, false) else { return };
    assert_eq!(seen["title"], "case.jsonl");
    assert_eq!((&seen["next"], &seen["back"]), (&1.into(), &0.into()));
    assert_eq!(seen["lane"][0], seen["lane"][1]);
    assert_eq!((&seen["effect"], &seen["cause"]), (&true.into(), &0.into()));
    for held in ["future", "past", "pinned", "filtered", "help", "live", "around"] {
        assert_eq!(seen[held], true, "{held}: {seen}");
    }
    assert_eq!(seen["focus"], "filter");
    assert!(seen["texts"].as_u64().unwrap() > 20, "{seen}");
}

/// An arrow is one journey: from the event that sent it to the first one of the other lane that heard of it. What the world
/// does is no message, and what is lost has a cross and no arrow.
#[test]
fn arrows_are_drawn_once_for_each_message_and_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (trace, html) = (path("seed.jsonl"), path("seed.html"));
    cutaway(&["sim", "--seed", "2", "--trace", &trace]);
    cutaway(&["view", &trace, "--html", &html]);
    let script = r#"
        const world = app.run.lanes.indexOf("world");
        const journeys = [];
        for (const [at, parents] of app.run.messages) {
            for (const parent of parents) journeys.push([app.run.lane(parent), app.run.lane(at), parent, at]);
        }
        result.many = journeys.length > 500;
        result.ofTheWorld = journeys.filter(([from, to]) => from === world || to === world).length;
        result.within = journeys.filter(([from, to]) => from === to).length;
        result.twice = journeys.length - new Set(journeys.map(([, to, parent]) => `${parent} ${to}`)).size;
        result.backwards = journeys.filter(([, , parent, at]) => parent > at).length;
        const rows = [...Array(app.run.size).keys()].map((at) => app.run.event(at));
        const lost = rows.filter((event) => event.kind === "MessageLost");
        result.crosses = lost.length > 20 && lost.every((event) => event.lost && event.from >= 0 && event.lane !== world);
        result.clocks = rows.some((event) => event.clock !== event.time);
    "#;
    let page = std::fs::read_to_string(&html).unwrap();
    let Some(seen) = in_browser(folder.path(), &page, script, false) else { return };
    assert_eq!(
        (&seen["many"], &seen["crosses"], &seen["clocks"]),
        (&true.into(), &true.into(), &true.into())
    );
    for wrong in ["ofTheWorld", "within", "twice", "backwards"] {
        assert_eq!(seen[wrong], 0, "{wrong}: {seen}");
    }
}

#[test]
fn nothing_keeps_a_screen_reader_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = program(&["npm"]).and_then(|npm| Command::new(npm).args(["root", "-g"]).output().ok());
    let root = root.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    let axe =
        root.and_then(|root| std::fs::read_to_string(Path::new(&root).join("axe-core/axe.min.js")).ok());
    let Some(axe) = axe else {
        println!("*** SKIPPED: there is no axe-core; .ci/setup installs it");
        return;
    };
    let page = case(folder.path()).replacen(
        "<script type=\"application/json\"",
        &format!("<script>{axe}</script><script type=\"application/json\""),
        1,
    );
    let script = "document.getElementById('twin').open = true; app.texts();\n\
                  const found = await axe.run();\n\
                  result.rules = found.passes.length;\n\
                  result.contrast = found.passes.some((rule) => rule.id === 'color-contrast');\n\
                  result.violations = found.violations.map((rule) => `${rule.id}: ${rule.nodes[0].html}`);";
    let Some(seen) = in_browser(folder.path(), &page, script, true) else { return };
    assert!(seen["rules"].as_u64().unwrap() > 10 && seen["contrast"] == true, "{seen}");
    assert_eq!(seen["violations"], serde_json::json!([]), "{seen:#}");
}

/// Prints its figures: `cargo test -p cutaway --test viewer -- --nocapture a_hundred_thousand`.
#[test]
fn a_hundred_thousand_events_are_one_small_file() {
    const EVENTS: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let (trace, long) = (folder.path().join("seed.jsonl"), folder.path().join("long.jsonl"));
    cutaway(&["sim", "--seed", "3", "--trace", trace.to_str().unwrap()]);
    // One schedule after the other; each is a new life of its actors, so that no two events have one name.
    let text = std::fs::read_to_string(&trace).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
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
        event["parents"] = event["parents"].as_array().unwrap().iter().map(later).collect();
        lines += &format!("{event}\n");
    }
    std::fs::write(&long, lines).unwrap();
    let html = folder.path().join("long.html");
    cutaway(&["view", long.to_str().unwrap(), "--html", html.to_str().unwrap()]);
    let page = std::fs::read_to_string(&html).unwrap();
    println!("{EVENTS} events: a file of {} bytes", page.len());
    assert!(page.len() < 15_000_000, "{} bytes", page.len());
    let script = r#"
        result.events = app.run.size;
        result.ready = performance.getEntriesByName("ready")[0].startTime;
        result.seeks = [];
        for (let n = 0; n < 60; n++) {
            const begin = performance.now();
            app.choose((n * 7919 * 13) % app.run.size);
            result.seeks.push(performance.now() - begin);
        }
        result.drawn = app.view.canvas.width > 0;
    "#;
    let Some(seen) = in_browser(folder.path(), &page, script, false) else { return };
    assert_eq!((&seen["events"], &seen["drawn"]), (&EVENTS.into(), &true.into()));
    let mut seeks: Vec<f64> = seen["seeks"].as_array().unwrap().iter().map(|s| s.as_f64().unwrap()).collect();
    seeks.sort_by(f64::total_cmp);
    println!(
        "ready after {:.0} ms; a seek takes {:.1} ms in the median, {:.1} ms at most",
        seen["ready"].as_f64().unwrap(),
        seeks[seeks.len() / 2],
        seeks[seeks.len() - 1]
    );
}
