//! A page of somebody else, in a real browser on this machine, sends what it can to each of our ports: Chromium, which
//! `.ci/setup` installs.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{Cluster, Reply, is_gone};

fn chromium() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let all = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|path| path.is_file())
}

#[test]
fn a_page_of_another_site_writes_nothing_whichever_port_it_sends_to() {
    let Some(chromium) = chromium() else {
        return println!("*** SKIPPED: there is no chromium; .ci/setup installs it");
    };
    let cluster = Cluster::new(&[]);
    let control: serde_json::Value =
        serde_json::from_slice(&std::fs::read(cluster.dir.join("control.json")).unwrap()).unwrap();
    // Redis protocol, HTTP, three nodes, and where `up` takes orders.
    let ports: Vec<u16> = [0, 1, 20, 21, 22]
        .map(|port| cluster.port + port)
        .into_iter()
        .chain([control["port"].as_u64().unwrap() as u16])
        .collect();
    let pids = ["n1", "n2", "n3"].map(|node| cluster.pid(node));
    let page = format!(
        r#"<!doctype html><body><script type="module">
        const bodies = ["\r\nSET pwned 1\r\n", "\r\nSET pwned 1\r\n*3\r\n$3\r\nSET\r\n$5\r\npwned\r\n$1\r\n1\r\n"];
        // The first is a name that its owner lets resolve to this machine; to the second, browsers send headers that
        // break the Redis protocol by chance.
        const hosts = ["shop.example", "127.0.0.1"];
        const sent = [];
        for (const port of {ports:?}) for (const body of bodies) for (const host of hosts)
            for (const path of ["/", "/v1/kv/pwned", "/SET%20pwned%201", "/v1/members/n1/kill"]) for (const method of ["POST", "GET"]) {{
                const init = {{ method, mode: "no-cors" }};
                if (method === "POST") init.body = body;
                sent.push(fetch(`http://${{host}}:${{port}}${{path}}`, init).then(() => 1, () => 0));
            }}
        for (const port of {ports:?}) {{
            const form = new FormData();
            form.append("x", "\r\nSET pwned 1\r\n");
            navigator.sendBeacon(`http://shop.example:${{port}}/v1/kv/pwned`, form);
        }}
        const answered = (await Promise.all(sent)).reduce((a, b) => a + b, 0);
        document.body.textContent = `RESULT sent ${{sent.length}} answered ${{answered}} END`;
        </script></body>"#
    );
    let folder = tempfile::tempdir().unwrap();
    // From loopback to loopback: about pages from elsewhere, the browser itself would ask.
    let site = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = site.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in site.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                page.len()
            );
            let _ = stream.write_all((head + &page).as_bytes());
        }
    });
    let output = Command::new(chromium)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-proxy-server",
            "--dump-dom",
            "--virtual-time-budget=20000",
        ])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg("--host-resolver-rules=MAP shop.example 127.0.0.1")
        .arg(format!("http://shop.example:{}/", address.port()))
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    // The page has run; the port of the HTTP interface has answered some of it, with refusals.
    assert!(dom.contains("RESULT sent 192 answered"), "{dom}");
    assert_eq!(cluster.redis(1).call(&["GET", "pwned"]), Reply::Null);
    assert!(pids.into_iter().all(|pid| !is_gone(pid)), "nobody took an order");
    assert_eq!(cluster.shard(0)["nodes"][0]["pid"], pids[0], "nor was anything started anew");
}
