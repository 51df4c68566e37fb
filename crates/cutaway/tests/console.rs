//! The console of `up`: the page of a real cluster, clicked at in a real browser, and asked by whoever should not.

mod cdp;
mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;

use cdp::Browser;
use common::{Cluster, PATIENCE, Reply, is_gone, program};
use serde_json::{Value, json};

/// Where the console is.
struct Console {
    address: String,
}

impl Console {
    fn of(cluster: &Cluster) -> Console {
        let address = cluster.ready["console"].as_str().expect("`up` prints the address of its console");
        assert!(address.starts_with("http://127.0.0.1:"), "{address}");
        Console { address: address.into() }
    }

    fn host(&self) -> &str {
        self.address.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    fn token(&self) -> &str {
        self.address.split("#t=").nth(1).unwrap()
    }

    /// The status of a question with these headers, and the answer.
    fn asks(&self, path: &str, question: &Value, headers: &[(&str, &str)]) -> (u16, String) {
        let body = question.to_string();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(self.host()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A refusal may come before everything is sent.
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (code, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_string())
    }

    /// An answer to the page itself.
    fn answers(&self, path: &str, question: &Value) -> Value {
        let own = format!("http://{}", self.host());
        let (code, body) = self.asks(
            path,
            question,
            &[
                ("Host", self.host()),
                ("Origin", &own),
                ("X-Cutaway-Token", self.token()),
                ("Content-Type", "application/json"),
            ],
        );
        assert_eq!(code, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// What keeps a screen reader out of the page as it is; empty if nothing does, or if axe-core is not there.
fn violations(browser: &mut Browser) -> Value {
    let root = Command::new("npm").args(["root", "-g"]).output().ok();
    let root = root.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    let axe =
        root.and_then(|root| std::fs::read_to_string(Path::new(&root).join("axe-core/axe.min.js")).ok());
    let Some(axe) = axe else {
        println!("*** SKIPPED: there is no axe-core; .ci/setup installs it");
        return json!([]);
    };
    browser.value(&format!("{axe}; 0"));
    browser.value(
        "axe.run().then((found) => found.violations.map((rule) => `${rule.id}: ${rule.nodes[0].html}`))",
    )
}

/// A node of the page's picture.
fn node(name: &str) -> String {
    format!("cutaway.answer.state.nodes.find((node) => node.name === '{name}')")
}

/// The node that serves and is not this one.
fn leader_but(name: &str) -> String {
    format!("cutaway.answer.state.nodes.find((node) => !node.down && node.serving && node.name !== '{name}')")
}

/// Clicks what has this name in the picture, and in its menu what begins with these words.
fn act(browser: &mut Browser, name: &str, words: &str) {
    browser.click(&format!("document.querySelector('.picture [data-name=\"{name}\"]')"));
    browser.click(&format!(
        "[...document.querySelectorAll('.menu-item')].find((item) => item.textContent.startsWith('{words}'))"
    ));
}

fn open(browser: &mut Browser, console: &Console) {
    browser.open(&console.address);
    browser.until("globalThis.cutaway?.answer && document.querySelectorAll('.node').length === 3");
}

#[test]
fn a_value_is_put_the_primary_killed_by_a_click_the_takeover_told_and_the_node_restarted() {
    let Some(mut browser) = Browser::start() else { return };
    let cluster = Cluster::new(&["--image-size", "8M"]);
    let console = Console::of(&cluster);
    open(&mut browser, &console);
    assert!(!browser.value("location.href").as_str().unwrap().contains(console.token()));
    browser.until("document.querySelector('.node.primary')");

    // A request, with its way through the processes.
    browser.click("document.getElementById('ask-value')");
    browser.value("document.getElementById('ask-value').select()");
    browser.type_text("grüezi <b>");
    // A machine that is slow may lack the events of some process, which are waited for only so long.
    let told = |browser: &mut Browser| {
        browser.click("document.getElementById('ask-send')");
        browser.until("document.querySelector('.told-line').textContent.includes('OK, version')");
        browser.until("!cutaway.telling && document.querySelectorAll('.steps li').length > 0");
        let hops = "cutaway.story.flatMap((step) => step.hops.map((from) => from[0] + step.lane[0])).join()";
        browser.value(hops).as_str().unwrap().to_string()
    };
    let whole = (0..20).map(|_| told(&mut browser)).find(|hops| hops.contains("gn") && hops.contains("nn"));
    assert!(whole.is_some(), "from the gateway to the primary, and from there to a backup");
    assert_eq!(cluster.ok(&["get", "greeting"]), "grüezi <b>");

    // The primary dies by a click, and the page tells who follows, and why.
    let first = cluster.primary(0, None);
    act(&mut browser, &first, "kill");
    browser.until(&format!("{}.down?.includes('SIGKILL')", node(&first)));
    browser.press("t");
    browser.until(&format!(
        "(() => {{ const leads = {};
            const notice = document.getElementById('notice').textContent;
            const told = [...document.querySelectorAll('.takeover')].find((one) =>
                one.textContent.includes(`${{leads?.name}} epoch ${{leads?.promised}}`));
            return notice.includes(`${{leads?.name}} serves shard 0 in epoch ${{leads?.promised}}`)
                && told?.querySelector('.why').textContent; }})()",
        leader_but(&first)
    ));
    assert_eq!(violations(&mut browser), json!([]));
    browser.press("c");
    browser.until("document.querySelectorAll('#panel-charts .chart').length === 9");
    assert_eq!(violations(&mut browser), json!([]));

    // It comes back as a backup; what was put is there.
    act(&mut browser, &first, "restart");
    browser.until(&format!("{0}.down === null && {0}.log.at(-1)?.epoch > 1", node(&first)));
    browser.press("q");
    browser.value("document.getElementById('ask-op').value = 'get'");
    browser.press("Escape");
    browser.click("document.getElementById('ask-send')");
    browser.until("document.querySelector('.told-line').textContent.includes('grüezi <b> (version')");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn a_node_is_cut_off_and_a_gateway_paused_and_the_situation_goes_on_in_the_lab() {
    let Some(mut browser) = Browser::start() else { return };
    let cluster = Cluster::new(&["--image-size", "8M", "--gateways", "2"]);
    let console = Console::of(&cluster);
    open(&mut browser, &console);
    let first = cluster.primary(0, None);
    cluster.ok(&["put", "a", "1"]);
    act(&mut browser, "g2", "pause");
    browser.until("document.querySelector('.gateway.down')?.dataset.name === 'g2'");

    // Cut off, the old primary goes on believing that it leads; another one does.
    act(&mut browser, &first, "isolate");
    browser.until(&format!("{}.tag === 'isolated'", node(&first)));
    browser.until(&leader_but(&first));
    // A slow machine may see further takeovers: what is compared was the same before and after.
    let seen = "cutaway.answer.state.nodes.map((node) => [node.role, node.promised])";
    let there = loop {
        let before = browser.value(seen);
        browser.press("l");
        browser.until("document.querySelector('dialog[open] #to-the-lab')");
        if browser.value(seen) == before {
            break before;
        }
        browser.value("document.querySelector('dialog[open]').close()");
    };
    let told =
        browser.value("document.querySelector('dialog[open]').textContent").as_str().unwrap().to_string();
    assert!(
        told.contains(&format!("{first} is cut off there")) && told.contains("keys and values"),
        "{told}"
    );
    let lab = browser.value("document.getElementById('to-the-lab').href").as_str().unwrap().to_string();

    // The menu of a node that is cut off heals it.
    browser.value("document.querySelector('dialog[open]').close()");
    act(&mut browser, &first, "heal");
    browser.until(&format!("{0}.tag === null && {0}.log.at(-1)?.epoch > 1", node(&first)));
    act(&mut browser, "g2", "resume");
    browser.until("!document.querySelector('.gateway.down')");

    browser.open(&lab);
    browser.until("globalThis.cutaway?.answer && cutaway.line.steps.length > 2 && cutaway.line.at === cutaway.line.steps.length");
    let here = browser.value(seen);
    for at in 0..3 {
        let otherwise = format!("n{}: it", at + 1);
        assert!(here[at] == there[at] || told.contains(&otherwise), "{here} is not {there}: {lab}\n{told}");
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn what_was_recorded_is_saved_as_a_trace_that_view_reads() {
    let cluster = Cluster::new(&["--image-size", "8M"]);
    let console = Console::of(&cluster);
    assert!(console.answers("/trace", &json!({}))["events"] == 0, "nobody asked for any");
    assert_eq!(console.answers("/record", &json!({ "on": true })), json!({ "recording": true }));
    cluster.ok(&["put", "a", "1"]);
    assert_eq!(console.answers("/record", &json!({ "on": false })), json!({ "recording": false }));
    let told = console.answers("/trace", &json!({}));
    let lines = told["lines"].as_str().unwrap();
    let sentences: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["sentence"].as_str().unwrap().into())
        .collect();
    assert_eq!(told["events"], sentences.len());
    for (who, what) in
        [("g1", "takes on put a"), ("n", "receives request"), ("n", "acknowledges to"), ("n", "commits")]
    {
        assert!(sentences.iter().any(|s| s.starts_with(who) && s.contains(what)), "{who} {what}: {lines}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (trace, page) = (folder.path().join("trace.jsonl"), folder.path().join("trace.html"));
    std::fs::write(&trace, lines).unwrap();
    let view = program().arg("view").arg(&trace).arg("--html").arg(&page).output().unwrap();
    assert!(view.status.success(), "{}", String::from_utf8_lossy(&view.stderr));
    // The story of a request is told whether or not something was recorded before.
    let asked = json!({ "via": "g1", "op": "get", "key": "a" });
    let told = console.answers("/ask", &asked);
    assert!(told["reply"]["value"] == "1" && told["events"].as_array().unwrap().len() > 5, "{told}");
}

#[test]
fn nobody_acts_who_lacks_the_token_or_comes_from_another_site() {
    let cluster = Cluster::new(&["--image-size", "8M"]);
    let console = Console::of(&cluster);
    let (host, token) = (console.host().to_string(), console.token().to_string());
    let own = format!("http://{host}");
    let all: [(&str, &str); 4] = [
        ("Host", &host),
        ("Origin", &own),
        ("X-Cutaway-Token", &token),
        ("Content-Type", "application/json"),
    ];
    let questions = [
        ("/act", json!({ "member": "n1", "action": "kill" })),
        ("/ask", json!({ "via": "g1", "op": "put", "key": "pwned", "value": "1" })),
        ("/record", json!({ "on": true })),
        ("/trace", json!({})),
        ("/watch", json!({ "since": 0 })),
        ("/rebuild", json!({})),
        ("/play", json!({ "schedule": "> cluster 3\n" })),
    ];
    for (path, question) in &questions {
        for (name, value, refused) in [
            ("X-Cutaway-Token", None, 403),
            ("X-Cutaway-Token", Some("0".repeat(32)), 403),
            ("Origin", Some("http://shop.example".to_string()), 403),
            ("Origin", Some("null".to_string()), 403),
            ("Host", Some("shop.example".to_string()), 421),
            ("Content-Type", Some("text/plain".to_string()), 415),
        ] {
            let others = all.iter().filter(|(other, _)| *other != name).copied();
            let headers: Vec<(&str, &str)> =
                others.chain(value.as_deref().map(|value| (name, value))).collect();
            let (code, body) = console.asks(path, question, &headers);
            assert_eq!(code, refused, "{path} {name} {value:?}: {body}");
        }
    }
    // Nor does the page itself name anything but members and their actions.
    for question in [
        json!({ "member": "../n1", "action": "kill" }),
        json!({ "member": "n9", "action": "kill" }),
        json!({ "member": "n1", "action": "format" }),
        json!({ "member": "n1" }),
        json!({ "action": "kill" }),
    ] {
        assert!(console.answers("/act", &question)["error"].is_string(), "{question}");
    }
    assert!(["n1", "n2", "n3"].iter().all(|name| !is_gone(cluster.pid(name))), "nobody took an order");
    assert_eq!(cluster.redis(1).call(&["GET", "pwned"]), Reply::Null);
    let seen = console.answers("/watch", &json!({ "since": 0 }));
    assert!(seen["members"].as_array().unwrap().iter().all(|m| m["looks"]["recording"] != true), "{seen}");
}
