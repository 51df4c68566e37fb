//! The page in the browser alone: `site/build`, its module held against the native program, and the site clicked at.
//!
//! Needs what `site/build` needs, Node and Chromium; what is not there is skipped, and said.

mod cdp;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use cdp::Browser;
use serde_json::{Value, json};

/// The site, built once for all tests of this file.
struct Built {
    folder: PathBuf,
    /// Does the module go on past an assertion that fails?
    unwinds: bool,
}

fn site() -> Option<&'static Built> {
    static SITE: OnceLock<Option<Built>> = OnceLock::new();
    SITE.get_or_init(build).as_ref()
}

fn build() -> Option<Built> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("site");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../site/build");
    let output = Command::new(script).arg(&folder).output().unwrap();
    let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) {
        println!("*** SKIPPED: there is no compiler for WebAssembly; .ci/setup brings one");
        return None;
    }
    assert!(output.status.success(), "site/build: {told}{error}");
    println!("{told}");
    Some(Built { folder, unwinds: !told.contains("does not unwind") })
}

// ---- One core on two machines ----

/// Every counterexample without its mechanism and with it, and every story, as questions of the page.
fn questions() -> Vec<String> {
    let library = lab::page::library();
    let list = |name: &str| library[name].as_array().unwrap().clone();
    let of = |text: &Value, without: Value| json!({ "schedule": text, "without": without }).to_string();
    let mut all = Vec::new();
    for one in list("mechanisms").iter().filter(|one| one["counterexample"].is_string()) {
        all.extend([json!([one["id"]]), json!([])].map(|without| of(&one["counterexample"], without)));
    }
    all.extend(list("stories").iter().map(|story| of(&story["text"], json!([]))));
    all
}

/// What the module answers in Node, one line for each call. `None`: there is no Node.
fn in_node(site: &Path, calls: &[(&str, String)]) -> Option<Vec<String>> {
    const SCRIPT: &str = r#"
        import { readFileSync } from "node:fs";
        const { Core } = await import(process.argv[1]);
        const core = new Core(new WebAssembly.Module(readFileSync(process.argv[2])));
        for (const [name, question] of JSON.parse(readFileSync(0, "utf8"))) {
            try { console.log(core.ask(name, question)); } catch (error) { console.log(`ENDED ${error.message}`); }
        }
    "#;
    // By its name Node takes it for a module.
    let core = site.join("core.mjs");
    std::fs::copy(site.join("core.js"), &core).unwrap();
    let child = Command::new("node")
        .args(["--input-type=module", "-e", SCRIPT])
        .arg(format!("file://{}", core.display()))
        .arg(site.join("cutaway.wasm"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("*** SKIPPED: there is no node; .ci/setup installs it");
        return None;
    };
    child.stdin.take().unwrap().write_all(json!(calls).to_string().as_bytes()).unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().collect::<Result<_, _>>().unwrap();
    assert!(child.wait().unwrap().success());
    Some(lines)
}

/// Prints how many hashes it compared: `cargo test -p cutaway --test site -- --nocapture one_core`.
#[test]
fn one_core_on_two_machines_has_the_same_state_after_every_step() {
    let Some(site) = site() else { return };
    let questions = questions();
    let seeds = (0..200).step_by(25).map(|from| json!([from, from + 25]).to_string());
    let mut calls: Vec<(&str, String)> = seeds.map(|seeds| ("simulate", seeds)).collect();
    for question in questions {
        calls.extend([("states", question.clone()), ("play", question)]);
    }
    let native = |(name, question): &(&str, String)| match *name {
        "simulate" => web::answers::simulate(question),
        "states" => web::answers::states(question),
        _ => web::answers::play(question),
    };
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| in_node(&site.folder, &calls));
        let ours: Vec<String> = calls.iter().map(native).collect();
        (theirs.join().unwrap(), ours)
    });
    let Some(theirs) = theirs else { return };
    assert_eq!(theirs.len(), ours.len());
    let (mut states, mut seeds, mut ended) = (0, 0, 0);
    for (((name, question), theirs), ours) in calls.iter().zip(&theirs).zip(&ours) {
        if theirs.starts_with("ENDED") {
            let played: Value = serde_json::from_str(&web::answers::play(question)).unwrap();
            assert!(!site.unwinds && played["acts"].is_array(), "{theirs}: {question}");
            ended += 1;
            continue;
        }
        assert_eq!(theirs, ours, "{name} {question}");
        let hashes = serde_json::from_str::<Value>(ours).unwrap().as_array().map_or(0, Vec::len);
        *(if *name == "simulate" { &mut seeds } else { &mut states }) += hashes;
    }
    println!("{states} states of schedules and {seeds} seeds are the same; {ended} answers ended the module");
    assert!(states > 800 && seeds == 200, "{states} states, {seeds} seeds");
}

// ---- The site in a browser ----

/// A web host that knows nothing but files, and serves them below `/some/folder/`. It keeps what was asked for.
struct Host {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Host {
    /// `lost` is a file that is not there.
    fn start(folder: &Path, lost: &'static str) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/some/folder/", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (folder, kept) = (folder.to_owned(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, kept) = (folder.clone(), kept.clone());
                std::thread::spawn(move || serve(stream, &folder, lost, &kept));
            }
        });
        Host { address, asked }
    }
}

fn serve(mut stream: TcpStream, folder: &Path, lost: &str, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = first.split(' ').nth(1).unwrap_or_default().to_string();
    let name =
        path.strip_prefix("/some/folder/").map(|name| if name.is_empty() { "index.html" } else { name });
    asked.lock().unwrap().push(path.clone());
    let file = name.filter(|name| *name != lost).and_then(|name| std::fs::read(folder.join(name)).ok());
    let kind = match path.rsplit('.').next() {
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("wasm") => "application/octet-stream",
        _ => "text/html",
    };
    let (status, body) = file.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // A browser may go away midway.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

#[test]
fn the_site_plays_what_is_clicked_and_asks_for_nothing_but_its_own_files() {
    let Some(site) = site() else { return };
    let Some(mut browser) = Browser::start() else { return };
    let host = Host::start(&site.folder, "");
    browser.open(&host.address);
    browser.until("globalThis.cutaway?.answer");
    for (name, words) in [("n1", "write 1"), ("n1", "sync"), ("message n1 n2 Prepare", "deliver")] {
        let before = browser.value("cutaway.line.at").as_u64().unwrap();
        browser.click(&format!("document.querySelector('.picture [data-name=\"{name}\"]')"));
        let item = "[...document.querySelectorAll('.menu-item')]";
        browser.click(&format!("{item}.find((item) => item.textContent.startsWith('{words}'))"));
        browser.until(&format!("cutaway.line.at === {}", before + 1));
    }
    let log = browser.value("cutaway.answer.state.nodes[1].log.length");
    assert!(log.as_u64().unwrap() >= 1, "n2 has the entry");

    browser.press("Home");
    browser.until("cutaway.line.at === 0");
    browser.press("m");
    browser.type_text("epoch-fence");
    browser.until("document.getElementById('on-epoch-fence').checked");

    // From the list: a counterexample opens where the promise breaks.
    browser.open(&format!("{}links.html", host.address));
    // Before its style is there, everything is elsewhere.
    browser.until("document.readyState === 'complete' && document.querySelector('.links')");
    browser.click("[...document.querySelectorAll('a')].find((a) => a.textContent === 'epoch-fence')");
    browser.until("globalThis.cutaway?.answer?.broken_at && cutaway.line.at === cutaway.answer.broken_at");
    browser.until("document.querySelectorAll('.lamp.red').length === 1");
    let notice = browser.value("document.getElementById('notice').textContent");
    assert!(notice.as_str().unwrap().contains("P1: n2 serves without entry 3"), "{notice}");

    // The page has nothing to ask from elsewhere, and may not.
    let refused = "fetch('http://127.0.0.1:1/').then(() => 'answered', () => 'refused')";
    assert_eq!(browser.complaints, Vec::<String>::new());
    assert_eq!(browser.value(refused), "refused");
    assert!(browser.complaints.iter().any(|one| one.contains("Content Security Policy")), "by its policy");
    let asked = host.asked.lock().unwrap().clone();
    for path in &asked {
        let name = path.strip_prefix("/some/folder/").unwrap_or_else(|| panic!("{path} is elsewhere"));
        assert!(name.is_empty() || site.folder.join(name).is_file(), "{path} is no file of the site");
    }
    assert!(asked.iter().any(|path| path.ends_with("cutaway.wasm")));
}

#[test]
fn a_module_that_cannot_be_loaded_is_said() {
    let Some(site) = site() else { return };
    let Some(mut browser) = Browser::start() else { return };
    for lost in ["cutaway.wasm", "worker.js"] {
        let host = Host::start(&site.folder, lost);
        browser.open(&host.address);
        browser.until("document.getElementById('notice')?.textContent.includes('could not be loaded')");
    }
}
