//! Honest answers of the command line: what is printed can be typed, what failed says so, what is suggested works.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Cluster, eventually, free_port, program, signal};
use rustix::process::Signal;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the command that an error proposes, as a shell does.
fn pasted(output: &Output) -> Output {
    let said = stderr(output);
    let next =
        said.lines().find_map(|line| line.trim().strip_prefix("next: ")).expect("it proposes something");
    let command = next.split(", ").next().unwrap();
    Command::new("sh").args(["-c", command]).output().unwrap()
}

#[test]
fn what_list_prints_is_what_get_and_del_take() {
    let cluster = Cluster::new(&["--shards", "2"]);
    let mut redis = cluster.redis(1);
    let mut keys: Vec<Vec<u8>> = (0..=255).map(|byte| vec![b'k', byte]).collect();
    keys.extend([&b"--json"[..], b"a\\nb", b" x ", "\u{fc}\u{202e}".as_bytes()].map(Vec::from));
    for (n, key) in keys.iter().enumerate() {
        let (key, value) = (key.as_slice(), n.to_string());
        redis.send(format!("*3\r\n$3\r\nSET\r\n${}\r\n", key.len()).as_bytes());
        redis.send(&[key, format!("\r\n${}\r\n{value}\r\n", value.len()).as_bytes()].concat());
        assert_eq!(redis.read(), Some(common::ok()));
    }
    let listed = cluster.ok(&["list"]);
    assert_eq!(listed.lines().count(), keys.len());
    keys.sort();
    let shown: Vec<_> = listed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    // A process for each would take long: some that matter.
    for text in shown.iter().filter(|text| text.contains('\\') || text.contains(' ')).step_by(20) {
        cluster.ok(&["get", text]);
        assert!(cluster.ok(&["list", text]).starts_with(&format!("{text}\t")), "{text}");
    }
    for odd in ["\\x2d-json", "a\\\\nb", " x ", "k\\x00", "k\\n", "k\\xff"] {
        assert!(shown.contains(&odd), "{odd} in {shown:?}");
        assert_eq!(cluster.ok(&["del", odd]).trim(), "OK, deleted");
    }
    assert_eq!(cluster.run(&["get", "C:\\dir"]).status.code(), Some(2));
}

#[test]
fn a_value_goes_to_standard_output_as_it_is() {
    let cluster = Cluster::new(&[]);
    cluster.ok(&["put", "k", "v"]);
    let home = tempfile::tempdir().unwrap();
    let output = program()
        .args(["get", "k", "--out", "-", "--gateway", &cluster.http(1)])
        .current_dir(home.path())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"v"[..]));
    assert!(!home.path().join("-").exists());
    assert_eq!(cluster.run(&["get", "k", "--out", "-", "--json"]).status.code(), Some(2));
}

/// Accepts connections, lets `answer` deal with each, and closes it.
fn impostor(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
    });
    address.to_string()
}

#[test]
fn an_outcome_is_unknown_only_if_something_was_sent() {
    let put = |gateway: &str| {
        let output = program().args(["put", "k", "v", "--gateway", gateway]).output().unwrap();
        (output.status.code().unwrap(), stderr(&output))
    };
    let nobody = format!("127.0.0.1:{}", free_port());
    for (gateway, code) in [
        (&nobody[..], 1),
        ("no-such-host.invalid:7401", 1),
        ("[::1]:1", 1),
        ("::1", 2),
        ("http://127.0.0.1:7401", 2),
        ("127.0.0.1", 2),
        ("127.0.0.1:99999", 2),
        ("127.0.0.1:7401/x", 2),
    ] {
        let (got, said) = put(gateway);
        assert_eq!(got, code, "{gateway}: {said}");
        assert!(code == 2 || said.contains("next: "), "{said}");
    }
    // Somebody took it; what they did with it nobody knows.
    for answer in [
        &b""[..],
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 3\r\n\r\n...",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 503 Busy\r\ncontent-length: 3\r\n\r\n...",
    ] {
        let (code, said) = put(&impostor(answer));
        assert_eq!(code, 3, "{}: {said}", answer.escape_ascii());
        assert!(said.contains("may have taken effect") && said.contains("next: "), "{said}");
    }
    let reading = program().args(["get", "k", "--gateway", &impostor(b"")]).output().unwrap();
    assert_eq!(reading.status.code(), Some(1), "a read has no effect");
}

/// A cluster's files, and a trace, for the commands that need some.
struct Files {
    cluster: Cluster,
    home: tempfile::TempDir,
}

impl Files {
    fn new() -> Files {
        let (cluster, home) = (Cluster::new(&[]), tempfile::tempdir().unwrap());
        cluster.ok(&["put", "k", "v"]);
        let trace = home.path().join("trace.jsonl");
        let traced = program().args(["sim", "--seed", "3", "--trace"]).arg(trace).output().unwrap();
        assert!(traced.status.success());
        Files { cluster, home }
    }

    /// Every command that prints something and ends, as words.
    fn commands(&self) -> Vec<Vec<String>> {
        let (gateway, image) = (self.cluster.http(1), self.cluster.dir.join("n1/shard-0.img"));
        let (image, home) = (image.display(), self.home.path().display());
        [
            "--help".into(),
            "put --help".into(),
            "--version".into(),
            format!("put a 1 --gateway {gateway}"),
            format!("get k --gateway {gateway}"),
            format!("get k --json --gateway {gateway}"),
            format!("list --gateway {gateway}"),
            format!("list --json --gateway {gateway}"),
            format!("status --gateway {gateway}"),
            format!("resume n1 --gateway {gateway}"),
            format!("inspect {image}"),
            format!("verify {image}"),
            "check".into(),
            "check --scope failover --states 1000".into(),
            "sim --seeds 1".into(),
            "why epoch-fence".into(),
            "quiz --json --questions 1".into(),
            format!("view {home}/trace.jsonl --html {home}/page.html"),
            format!("del none --gateway {gateway}"),
        ]
        .iter()
        .map(|line| line.split(' ').map(String::from).collect())
        .collect()
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_result_that_cannot_be_written_is_an_error_and_a_reader_that_left_is_none() {
    let files = Files::new();
    for words in files.commands() {
        let full = std::fs::File::create("/dev/full").unwrap();
        let output = program().args(&words).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("cannot be written"), "{words:?}: {}", stderr(&output));

        // Both pipes are closed at their other end before anything is written.
        let mut child = program();
        let mut child = child
            .args(&words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{words:?} ends quietly");
    }
    // An error that nobody reads is still an error, and no panic.
    let mut child = program();
    let mut child = child
        .args(["get", "none", "--gateway", &files.cluster.http(1)])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn suggestions_work_when_they_are_pasted() {
    let cluster = Cluster::new(&[]);
    cluster.ok(&["put", "there", "x"]);
    let missing = cluster.run(&["get", "it's not here"]);
    let list = pasted(&missing);
    assert!(list.status.success() && list.stdout.starts_with(b"there\t"), "{}", stderr(&missing));

    cluster.ok(&["put", "my key", "x"]);
    let refused = cluster.run(&["put", "my key", "y", "--if-absent"]);
    let get = pasted(&refused);
    assert!(String::from_utf8_lossy(&get.stdout).contains("\"version\""), "{}", stderr(&refused));

    let killed = cluster.ok(&["kill", "n2"]);
    let (_, next) = killed.trim().split_once("next: ").unwrap();
    for command in next.split(", then ") {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
    cluster.caught_up("n2", 0);
}

#[test]
fn a_start_that_fails_is_suggested_again_with_all_its_other_options() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("my data");
    let port = free_port();
    let _taken = TcpListener::bind(("127.0.0.1", port + 1)).unwrap();
    let mut up = program();
    up.args(["up", "--dir"]).arg(&dir).args([
        "--nodes",
        "3",
        "--image-size=16M",
        "--port",
        &port.to_string(),
    ]);
    let said = stderr(&up.output().unwrap());
    let suggested = said.lines().find_map(|line| line.trim().strip_prefix("next: ")).unwrap();
    assert!(
        suggested.contains(&format!("up --dir '{}' --nodes 3 --image-size=16M --port ", dir.display())),
        "{said}"
    );
    let other = suggested.split("--port ").nth(1).unwrap().split(',').next().unwrap();
    assert!(TcpListener::bind(("127.0.0.1", other.parse().unwrap())).is_ok(), "it is free: {other}");
}

#[test]
fn what_up_proposes_names_its_own_addresses_of_both_families() {
    if TcpListener::bind("[::1]:0").is_err() {
        return eprintln!("\n*** SKIPPED: there is no IPv6 here ***\n");
    }
    let home = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut up = program()
        .args(["up", "--ephemeral", "--bind", "::1", "--image-size", "16M", "--port", &port.to_string()])
        .env("TMPDIR", home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stdout = up.stdout.take().unwrap();
    let mut some = [0; 4096];
    while !said.contains("Ctrl-C") {
        let n = stdout.read(&mut some).unwrap();
        assert!(n > 0, "it is up: {said}");
        said += std::str::from_utf8(&some[..n]).unwrap();
    }
    let commands =
        said.lines().map(str::trim).filter(|line| line.contains(" put greeting") || line.contains(" status"));
    for command in commands {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
    assert!(said.contains(&format!("redis-cli -h ::1 -p {port}")), "{said}");

    // Whoever closes the terminal leaves nothing behind.
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    signal(up.id() as i32, Signal::HUP);
    eventually("it ends", || up.try_wait().unwrap());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "its directory is gone");
}

#[test]
#[cfg(target_os = "linux")]
fn a_cluster_started_with_nohup_outlives_its_terminal() {
    let home = tempfile::tempdir().unwrap();
    let port = free_port().to_string();
    let path = program().get_program().to_owned();
    let mut up = Command::new("nohup")
        .arg(path)
        .args(["up", "--json", "--image-size", "16M", "--port", &port, "--dir"])
        .arg(home.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = [0];
    assert_eq!(up.stdout.as_mut().unwrap().read(&mut first).unwrap(), 1, "it is up");
    signal(up.id() as i32, Signal::HUP);
    let http = format!("127.0.0.1:{}", port.parse::<u16>().unwrap() + 1);
    let put = program().args(["put", "k", "v", "--gateway", &http]).output().unwrap();
    assert!(put.status.success(), "{}", stderr(&put));
    assert!(up.try_wait().unwrap().is_none());
    signal(up.id() as i32, Signal::TERM);
    up.wait().unwrap();
}

#[test]
fn a_file_that_is_something_else_is_not_written_over() {
    let home = tempfile::tempdir().unwrap();
    let [trace, page, other] = ["trace.jsonl", "page.html", "notes.txt"].map(|name| home.path().join(name));
    std::fs::write(&other, "mine").unwrap();
    let sim = |file: &Path| program().args(["sim", "--seed", "1", "--trace"]).arg(file).output().unwrap();
    let view = |html: &Path| program().arg("view").arg(&trace).arg("--html").arg(html).output().unwrap();
    assert!(sim(&trace).status.success());
    assert!(sim(&trace).status.success(), "what it wrote itself it writes again");
    assert!(view(&page).status.success());
    assert!(view(&page).status.success());
    let before = std::fs::read(&trace).unwrap();
    for refused in [view(&trace), view(&other), sim(&other), sim(&page)] {
        assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("is left as it is"));
    }
    assert!(std::fs::read(&trace).unwrap() == before);
    assert_eq!(std::fs::read(&other).unwrap(), b"mine");
}

#[test]
fn the_greatest_seed_is_a_seed_like_any_other() {
    for seed in [u64::MAX, u64::MAX - 1] {
        let output = program().args(["sim", "--seed", &seed.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("1 schedules"));
    }
    let output = program()
        .args(["quiz", "--json", "--questions", "2", "--seed", &u64::MAX.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
