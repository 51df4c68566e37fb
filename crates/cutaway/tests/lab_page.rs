//! `lab`: the page to touch, clicked and typed at in a real browser, and asked by whoever should not.

mod cdp;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cdp::Browser;
use serde_json::{Value, json};

/// The page's process, which ends with the test.
struct Lab {
    child: Child,
    address: String,
}

impl Lab {
    fn start(args: &[&str]) -> Lab {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cutaway"))
            .args(["lab", "--port", "0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("http://127.0.0.1:"), "the first line is the address: {address}");
        Lab { child, address: address.trim().to_string() }
    }

    fn host(&self) -> &str {
        self.address.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    fn token(&self) -> &str {
        self.address.split("#t=").nth(1).unwrap().split('&').next().unwrap()
    }

    /// What comes back for these bytes.
    fn sends(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.host()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // A refusal may come before everything is sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status of a question with these headers.
    fn asks(&self, headers: &[(&str, &str)]) -> (u16, String) {
        let body = json!({ "schedule": "> cluster 3\n> write 1 to n1\n" }).to_string();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("POST /play HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        status(&self.sends(format!("{head}{body}").as_bytes()))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn status(answer: &str) -> (u16, String) {
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    (code.unwrap_or(0), answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_string())
}

fn told(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cutaway")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Clicks what has this name in the picture, and in the menu what begins with these words; then the step is taken.
fn act(browser: &mut Browser, name: &str, words: &str) {
    let before = browser.value("cutaway.line.at").as_u64().unwrap();
    browser.click(&format!("document.querySelector('.picture [data-name=\"{name}\"]')"));
    browser.click(&format!(
        "[...document.querySelectorAll('.menu-item')].find((item) => item.textContent.startsWith('{words}'))"
    ));
    browser.until(&format!("cutaway.line.at === {}", before + 1));
}

fn switch(browser: &mut Browser, mechanism: &str) {
    browser.click("document.getElementById('tab-mechanisms')");
    browser.click("document.querySelector('#panel-mechanisms input[type=search]')");
    browser.value("document.querySelector('#panel-mechanisms input[type=search]').select()");
    browser.type_text(mechanism);
    let was = browser.value("cutaway.line.without.length").as_u64().unwrap();
    browser.click(&format!("document.getElementById('on-{mechanism}')"));
    browser.until(&format!("cutaway.line.without.length !== {was}"));
}

fn notice(browser: &mut Browser) -> String {
    browser.value("document.getElementById('notice').textContent").as_str().unwrap().to_string()
}

/// The counterexample of `epoch-fence`, by hand.
const CLICKS: [(&str, &str); 11] = [
    ("n1", "write 1"),
    ("n1", "sync"),
    ("n2", "take over"),
    ("message n2 n3 PromiseRequest", "deliver"),
    ("message n1 n3 Prepare", "deliver"),
    ("message n3 n2 Promised", "deliver"),
    ("message n2 n3 Prepare", "deliver"),
    ("n2", "sync"),
    ("n3", "sync"),
    ("message n3 n1 PrepareOk", "deliver"),
    ("message n3 n2 PrepareOk", "deliver"),
];

#[test]
fn a_promise_is_broken_by_clicking_told_by_play_and_the_same_clicks_are_refused_by_the_fence() {
    let Some(mut browser) = Browser::start() else { return };
    let lab = Lab::start(&[]);
    browser.open(&lab.address);
    browser.until("globalThis.cutaway?.answer");
    switch(&mut browser, "epoch-fence");
    for (name, words) in CLICKS {
        if browser.value("document.querySelectorAll('.lamp.red').length") == 1 {
            break;
        }
        act(&mut browser, name, words);
    }
    let red =
        browser.value("[...document.querySelectorAll('.lamp.red')].map((lamp) => lamp.textContent).join()");
    assert!(red.as_str().unwrap().contains("P1"), "the lamp is red: {red}");
    assert!(notice(&mut browser).contains("P1: n2 serves without entry 3, which was acknowledged"));
    assert!(browser.value("document.querySelectorAll('.logs .cell.lost').length").as_u64().unwrap() >= 1);

    // The address tells the same story elsewhere.
    let address = browser.value("location.href").as_str().unwrap().to_string();
    assert!(
        address.contains("#s=cluster+3;write+1+to+n1;sync+n1;takeover+n2;") && !address.contains(lab.token())
    );
    let story = told(&["play", &address]);
    assert!(story.contains("BROKEN  P1: n2 serves without entry 3, which was acknowledged"), "{story}");
    let shown =
        browser.value("cutaway.answer.acts.map((act) => act.events.map((event) => event.sentence)).flat()");
    for sentence in shown.as_array().unwrap() {
        assert!(
            story.contains(sentence.as_str().unwrap()),
            "the page says {sentence}, play does not:\n{story}"
        );
    }

    // The same clicks with the fence in.
    switch(&mut browser, "epoch-fence");
    browser.until("document.querySelectorAll('.lamp.red').length === 0");
    browser.click("document.querySelector('[data-mode=free]')");
    browser.until("cutaway.line.at === 0");
    for (name, words) in &CLICKS[..5] {
        act(&mut browser, name, words);
    }
    let says = notice(&mut browser);
    assert!(says.contains("Step 5, refused by epoch-fence") && says.contains("n3 refuses n1"), "{says}");
    // The guard's name leads to its code.
    browser.click("document.querySelector('#notice .chip')");
    browser.until("document.querySelector('dialog[open] pre')?.textContent.includes('fn epoch_fence')");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn the_whole_tour_sees_what_it_says() {
    let Some(mut browser) = Browser::start() else { return };
    let lab = Lab::start(&[]);
    browser.open(&lab.address);
    browser.until("globalThis.cutaway?.answer");
    browser.click("document.querySelector('[data-mode=tour]')");
    browser.until("document.querySelector('.tour progress')");
    let stops = browser.value("document.querySelector('.tour progress').max").as_u64().unwrap();
    assert!(stops >= 8);
    for stop in 0..stops {
        browser.until(&format!("document.querySelector('.tour progress')?.value === {stop}"));
        browser.until("document.querySelector('.tour .choice')");
        browser.click("document.querySelector('.tour .choice')");
        browser.until("document.querySelector('.tour .outcome p')");
        let outcome = browser.value("document.querySelector('.tour .outcome').textContent");
        assert!(!outcome.as_str().unwrap().contains("something else"), "stop {stop}: {outcome}");
        browser.click("document.querySelector('.tour .outcome button.primary')");
    }
    browser.until("document.querySelector('#panel-learn .choices')");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn keys_lead_through_time_and_along_causes_and_open_the_menu_of_a_node() {
    let Some(mut browser) = Browser::start() else { return };
    let lab = Lab::start(&["epoch-fence"]);
    browser.open(&lab.address);
    // It opens where the promise broke.
    browser.until("globalThis.cutaway?.answer?.broken_at && cutaway.line.at === cutaway.answer.broken_at");
    browser.press("Home");
    browser.until("cutaway.line.at === 0");
    browser.press("ArrowRight");
    browser.until("cutaway.line.at === 1");
    browser.press("b");
    browser.until("cutaway.line.at === cutaway.answer.broken_at");
    let event = browser.value("cutaway.chosen");
    browser.press("[");
    browser.until(&format!("JSON.stringify(cutaway.chosen) !== '{event}'"));
    let is_parent = format!(
        "cutaway.answer.acts[{} - 1].events.find((one) => one.n === {}).parents\
         .some(([s, n]) => s === cutaway.chosen[0] && n === cutaway.chosen[1])",
        event[0], event[1]
    );
    assert_eq!(browser.value(&is_parent), true, "it leads to a cause");
    browser.press("?");
    browser.until("document.getElementById('help').open");
    let keys = browser.value("document.querySelectorAll('#help-keys tr').length");
    assert!(keys.as_u64().unwrap() > 10);
    browser.value("document.getElementById('help').close()");
    // A menu by keyboard alone: from the node, down, and back.
    browser.value("document.querySelector('.picture [data-name=n1]').focus()");
    browser.press("Enter");
    browser.until("document.activeElement.classList.contains('menu-item')");
    browser.press("Escape");
    browser.until("!document.querySelector('.menu') && document.activeElement.dataset.name === 'n1'");
    // Everything that can be clicked has a name, and a place in the order of focus.
    let nameless = "[...document.querySelectorAll('button, [role=button], input, textarea')]\
        .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).length";
    assert_eq!(browser.value(nameless), 0);
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn two_runs_are_told_apart_in_a_sentence_and_text_is_played_as_it_is_typed() {
    let Some(mut browser) = Browser::start() else { return };
    let lab = Lab::start(&["epoch-fence"]);
    browser.open(&lab.address);
    browser.until("globalThis.cutaway?.answer?.broken_at");
    browser.click("document.getElementById('compare')");
    browser.click("document.querySelector('.menu-item')");
    browser.until("document.querySelectorAll('.run').length === 2");
    let says = notice(&mut browser);
    assert!(says.contains("part at step 5: without epoch-fence, n3 "), "{says}");
    assert!(says.contains("with epoch-fence, n3 refuses n1"), "{says}");

    browser.click("document.getElementById('compare')");
    browser.until("document.querySelectorAll('.run').length === 1");
    browser.click("document.getElementById('tab-text')");
    let typed = "> cluster 3\n> gateways 1\n> put a;b+c%d ü via g1\n> calm\n";
    browser.value("document.querySelector('#panel-text textarea').select()");
    browser.click("document.querySelector('#panel-text textarea')");
    browser.value("document.querySelector('#panel-text textarea').select()");
    browser.type_text(typed);
    browser.click("document.querySelector('#panel-text button.primary')");
    browser.until("cutaway.line.steps.length === 2");
    // Page and program agree on how an address spells it.
    let address = browser.value("location.href").as_str().unwrap().to_string();
    let story = told(&["play", &address]);
    assert!(story.contains("put a;b+c%d ü via g1"), "{address}\n{story}");
    let again = Lab::start(&["--url", &address]);
    assert!(
        again.address.contains(address.split('#').nth(1).unwrap().split('&').next().unwrap()),
        "{}",
        again.address
    );

    browser.value("document.querySelector('#panel-text textarea').value = '> cluster 3\\n> dance n1'");
    browser.click("document.querySelector('#panel-text button.primary')");
    browser.until("document.getElementById('notice').textContent.includes('dance')");
    assert_eq!(browser.value("cutaway.line.steps.length"), 2, "what cannot be read changes nothing");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn a_page_in_a_file_shows_both_runs_with_nobody_to_ask() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fence.html");
    told(&["why", "epoch-fence", "--html", file.to_str().unwrap()]);
    browser.open(&format!("file://{}", file.display()));
    browser.until("document.querySelectorAll('.run').length === 2 && cutaway.line.at === 11");
    let says = notice(&mut browser);
    assert!(says.contains("P1: n2 serves without entry 3") && says.contains("part at step 5"), "{says}");
    browser.press("Home");
    browser.press("ArrowRight");
    browser.until("cutaway.line.at === 1 && document.querySelectorAll('.picture .message').length === 4");
    browser.click("document.getElementById('tab-mechanisms')");
    browser.click("document.getElementById('on-log-matching')");
    browser.until("document.getElementById('notice').textContent.includes('This file is a recording')");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn only_the_page_itself_with_its_token_is_answered() {
    let lab = Lab::start(&[]);
    let (host, token, kind) = (lab.host().to_string(), lab.token().to_string(), "application/json");
    let own = format!("http://{host}");
    let all: [(&str, &str); 4] =
        [("Host", &host), ("Origin", &own), ("X-Cutaway-Token", &token), ("Content-Type", kind)];
    let with = |name: &str, value: Option<&str>| -> (u16, String) {
        let others = all.iter().filter(|(other, _)| *other != name).copied();
        let headers: Vec<(&str, &str)> = others
            .chain(value.map(|value| (all.iter().find(|(n, _)| *n == name).unwrap().0, value)))
            .collect();
        lab.asks(&headers)
    };
    let (code, body) = lab.asks(&all);
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &answer["at"]), (200, &json!(1)), "{body}");
    let port = host.split(':').nth(1).unwrap();
    for (name, value, refused) in [
        ("X-Cutaway-Token", None, 403),
        ("X-Cutaway-Token", Some("0".repeat(32)), 403),
        ("X-Cutaway-Token", Some(String::new()), 403),
        ("Origin", Some("http://shop.example".into()), 403),
        ("Origin", Some("null".into()), 403),
        ("Origin", Some(format!("https://{host}")), 403),
        ("Origin", Some("http://127.0.0.1:1".into()), 403),
        ("Host", Some(format!("shop.example:{port}")), 421),
        ("Host", Some("127.0.0.1".into()), 421),
        ("Host", None, 421),
        ("Content-Type", Some("text/plain".into()), 415),
        ("Content-Type", None, 415),
    ] {
        let (code, body) = with(name, value.as_deref());
        assert_eq!(code, refused, "{name}: {value:?}: {body}");
        assert!(!body.contains("acts"), "{name}: {value:?} played something: {body}");
    }
    // The page itself is not for other hosts either, and never says the token.
    let page = lab.sends(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    assert_eq!(status(&page).0, 200);
    assert!(
        !page.contains(&token)
            && page.contains("default-src 'none'")
            && page.contains("frame-ancestors 'none'")
    );
    assert_eq!(
        status(&lab.sends(format!("GET / HTTP/1.1\r\nHost: shop.example:{port}\r\n\r\n").as_bytes())).0,
        421
    );
}

#[test]
fn what_is_no_request_of_the_page_is_refused_and_the_next_one_is_answered() {
    let lab = Lab::start(&[]);
    let host = lab.host().to_string();
    let head =
        format!("Host: {host}\r\nX-Cutaway-Token: {}\r\nContent-Type: application/json\r\n", lab.token());
    let long = "x".repeat(20_000);
    let hostile: Vec<(String, u16)> = vec![
        ("\r\n\r\n".into(), 400),
        ("GET /\r\n\r\n".into(), 400),
        (format!("GET / HTTP/1.0\r\n{head}\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{head}"), 400),
        (format!("GET / HTTP/1.1\r\n{head}Bad Header: 1\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{head}Host: {host}\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{head}X: {long}\r\n\r\n"), 431),
        (format!("GET /../../etc/passwd HTTP/1.1\r\n{head}\r\n"), 404),
        (format!("PUT /play HTTP/1.1\r\n{head}\r\n"), 405),
        (format!("POST / HTTP/1.1\r\n{head}\r\n"), 405),
        (format!("POST /play HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 411),
        (format!("POST /play HTTP/1.1\r\n{head}Content-Length: 99999999999999999999\r\n\r\n"), 413),
        (format!("POST /play HTTP/1.1\r\n{head}Content-Length: 300000\r\n\r\n"), 413),
        (format!("POST /play HTTP/1.1\r\n{head}Content-Length: -1\r\n\r\n"), 400),
        (format!("POST /play HTTP/1.1\r\n{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"), 400),
        (format!("POST /play HTTP/1.1\r\n{head}Content-Length: 10\r\n\r\n{{}}"), 400),
    ];
    for (request, refused) in hostile {
        let answer = lab.sends(request.as_bytes());
        assert_eq!(status(&answer).0, refused, "{}: {answer}", &request[..request.len().min(300)]);
    }
    assert_eq!(status(&lab.sends(b"GET / HTTP/1.1\r\n\xff\xfe: 1\r\n\r\n")).0, 400);
    // A question that cannot be answered gets its reason, and no more.
    for (body, reason) in
        [("{}", "schedule"), ("[1", "no JSON"), (r#"{"schedule":"> cluster 99\n"}"#, "cluster")]
    {
        let length = body.len();
        let answer = lab
            .sends(format!("POST /play HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}").as_bytes());
        let (code, told) = status(&answer);
        assert!(code == 200 && told.contains("\"error\"") && told.contains(reason), "{body}: {answer}");
    }
    // Many that never finish keep nobody else out for long.
    let idle: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(&host).unwrap()).collect();
    drop(idle);
    let page = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let answered = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        status(&lab.sends(page.as_bytes())).0 == 200
    });
    assert!(answered, "it answers again");
}

#[test]
fn what_cannot_be_shown_is_refused_with_what_to_do_next() {
    for (args, code, why) in [
        (&["lab", "epoch-fnce"][..], 2, "neither a file nor a mechanism"),
        (&["lab", "--url", "http://127.0.0.1:1/"], 2, "holds no schedule"),
        (&["lab", "--url", "http://127.0.0.1:1/#s=cluster+3;dance+n1"], 2, "dance"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_cutaway")).args(args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && error.contains(why), "{args:?}: {error}");
    }
}
