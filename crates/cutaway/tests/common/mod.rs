//! A cluster started as a user would start it, and cleaned up whatever happens.

#![allow(dead_code)] // Each test binary uses its part.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far longer than anything takes; only a test that hangs gets there.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Ports of one cluster, from its first.
const PORTS: u16 = 32;

/// The program under test. Tests of other packages are not told where it is; they have it built, with the profile that
/// they were built with, and find it two directories above themselves.
pub fn program() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let path = BUILT.get_or_init(|| match option_env!("CARGO_BIN_EXE_cutaway") {
        Some(path) => path.into(),
        // Built already, by whoever runs these tests; else now.
        None => std::env::var_os("CUTAWAY_PROGRAM").map(PathBuf::from).unwrap_or_else(|| {
            let build =
                Command::new(env!("CARGO")).args(["build", "-p", "cutaway", "--profile", "test"]).status();
            assert!(build.unwrap().success(), "the program builds");
            let own = std::env::current_exe().unwrap();
            own.parent().unwrap().parent().unwrap().join("cutaway")
        }),
    });
    Command::new(path)
}

/// A first port with nobody on it or behind it. Below the range that outgoing connections take theirs from. The last
/// port behind it, which no cluster uses, is held until this process ends: so test processes that run at the same time
/// keep out of each other's way.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static HELD: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());
    for _ in 0..600 {
        let n = std::process::id().wrapping_mul(7).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let first = 10_000 + (n % 600) as u16 * PORTS;
        let Ok(held) = TcpListener::bind(("127.0.0.1", first + PORTS - 1)) else { continue };
        if (first..first + PORTS - 1).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            HELD.lock().unwrap().push(held);
            return first;
        }
    }
    panic!("no free ports");
}

/// Polls until `done` says something.
pub fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = done() {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "it never came about: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running `up`.
pub struct Cluster {
    up: Child,
    pub dir: PathBuf,
    pub port: u16,
    /// What `up --json` said.
    pub ready: Value,
    /// What `up` says on standard error.
    pub said: Arc<Mutex<String>>,
    _home: Option<tempfile::TempDir>,
}

impl Cluster {
    /// A new cluster with these further options, such as `["--shards", "4"]`.
    pub fn new(options: &[&str]) -> Cluster {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        let usual: &[&str] = if options.contains(&"--image-size") { &[] } else { &["--image-size", "32M"] };
        let mut cluster = Cluster::start_in(&dir, &[options, usual].concat());
        cluster._home = Some(home);
        cluster
    }

    /// A new cluster whose processes have these variables in their environment.
    pub fn with_variables(variables: &[(&str, &str)]) -> Cluster {
        let home = tempfile::tempdir().unwrap();
        let mut program = program();
        program.envs(variables.iter().copied());
        let mut cluster = Cluster::start(program, &home.path().join("data"), &["--image-size", "8M"]);
        cluster._home = Some(home);
        cluster
    }

    /// `up` in `dir`, on free ports.
    pub fn start_in(dir: &Path, options: &[&str]) -> Cluster {
        Cluster::start(program(), dir, options)
    }

    fn start(mut program: Command, dir: &Path, options: &[&str]) -> Cluster {
        let port = free_port();
        let mut up = program
            .args(["up", "--json", "--dir"])
            .arg(dir)
            .args(["--port", &port.to_string()])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(up.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut stderr = up.stderr.take().unwrap();
        if line.is_empty() {
            let mut why = String::new();
            stderr.read_to_string(&mut why).unwrap();
            let _ = up.wait();
            panic!("`up` did not start: {why}");
        }
        // Somebody has to read it, or `up` would block.
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stderr).lines();
            while let Some(Ok(line)) = lines.next() {
                heard.lock().unwrap().extend([&line[..], "\n"]);
            }
        });
        let ready = serde_json::from_str(&line).unwrap();
        Cluster { up, dir: dir.to_owned(), port, ready, said, _home: None }
    }

    /// The HTTP address of gateway `g`, from 1.
    pub fn http(&self, g: u16) -> String {
        format!("127.0.0.1:{}", self.port + 1 + 2 * (g - 1))
    }

    /// Runs a command against the cluster's first gateway.
    pub fn run(&self, arguments: &[&str]) -> Output {
        program().args(arguments).args(["--gateway", &self.http(1)]).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The status document as gateway `g` sees it.
    pub fn status_of(&self, g: u16) -> Value {
        let output = program().args(["status", "--json", "--gateway", &self.http(g)]).output().unwrap();
        serde_json::from_slice(&output.stdout).expect("status is one JSON document")
    }

    /// One shard of the status document.
    pub fn shard(&self, shard: usize) -> Value {
        self.status_of(1)["shards"][shard].clone()
    }

    /// Waits until the shard has a primary that serves, and is not `other_than`.
    pub fn primary(&self, shard: usize, other_than: Option<&str>) -> String {
        eventually("a primary", || {
            self.shard(shard)["primary"].as_str().filter(|p| Some(*p) != other_than).map(String::from)
        })
    }

    /// The process id of a node or gateway, as `up` said when it was ready.
    pub fn pid(&self, name: &str) -> i32 {
        let members =
            self.ready["nodes"].as_array().into_iter().chain(self.ready["gateways"].as_array()).flatten();
        let member = members.into_iter().find(|m| m["name"] == name).expect("the member exists");
        member["pid"].as_i64().unwrap() as i32
    }

    /// Waits until `node` follows the primary and has everything that is committed.
    pub fn caught_up(&self, node: &str, shard: usize) {
        self.caught_up_as(&["following"], node, shard);
    }

    /// Waits until `node` is in one of these states, in the epoch that counts, and has everything that is committed.
    pub fn caught_up_as(&self, states: &[&str], node: &str, shard: usize) {
        eventually(&format!("{node} catches up"), || {
            let shard = self.shard(shard);
            let nodes = shard["nodes"].as_array()?;
            let committed = nodes.iter().filter_map(|n| n["committed_seq"].as_u64()).max()?;
            let own = nodes.iter().find(|n| n["node"] == node)?;
            (states.iter().any(|state| own["state"] == *state)
                && own["epoch"] == shard["epoch"]
                && own["committed_seq"] == committed)
                .then_some(())
        });
    }

    /// Ends `up` as Ctrl-C does, and waits for it.
    pub fn stop(mut self) -> ExitStatus {
        signal(self.up.id() as i32, Signal::INT);
        wait(&mut self.up)
    }

    /// kill -9 of `up` and of every child: the whole machine loses its processes.
    pub fn kill_all(mut self) {
        let pids: Vec<i32> = ["n1", "n2", "n3", "g1"].iter().map(|name| self.pid(name)).collect();
        for pid in pids {
            signal(pid, Signal::KILL);
        }
        self.up.kill().unwrap();
        self.up.wait().unwrap();
    }

    /// kill -9 of `up` alone; returns what its children were.
    pub fn kill_up_alone(mut self) -> Vec<i32> {
        self.up.kill().unwrap();
        self.up.wait().unwrap();
        ["n1", "n2", "n3", "g1"].iter().map(|name| self.pid(name)).collect()
    }

    /// A connection that speaks the Redis protocol to gateway `g`.
    pub fn redis(&self, g: u16) -> Redis {
        redis_at(self.port + 2 * (g - 1))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Ok(None) = self.up.try_wait() {
            signal(self.up.id() as i32, Signal::TERM);
            let start = Instant::now();
            while let Ok(None) = self.up.try_wait() {
                if start.elapsed() > Duration::from_secs(15) {
                    let _ = self.up.kill(); // Its children notice, and end.
                    let _ = self.up.wait();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// One process of a cluster, started without `up`; it is ended with the test, whatever happens.
pub struct Process(Child);

impl Process {
    /// Starts it and waits until it is ready.
    pub fn start<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Process {
        Process::try_start(arguments).unwrap_or_else(|(_, said)| panic!("it is not ready: {said}"))
    }

    /// Starts it; its exit code and what it said, if it ends without being ready.
    pub fn try_start<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Result<Process, (Option<i32>, String)> {
        let mut child = program()
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let output = child.wait_with_output().unwrap();
            return Err((output.status.code(), String::from_utf8(output.stderr).unwrap()));
        }
        assert!(line.starts_with("ready "), "{line:?}");
        // Somebody has to read it, or the process would block.
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Ok(Process(child))
    }

    /// Ends it as an operator does.
    pub fn stop(mut self) {
        signal(self.0.id() as i32, Signal::TERM);
        let status = eventually("it stops", || self.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Signals a process that this test started, directly or through `up`.
pub fn signal(pid: i32, signal: Signal) {
    // An error means that it has ended already.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

/// Is there no process with this id any more?
pub fn is_gone(pid: i32) -> bool {
    rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_err()
}

fn wait(child: &mut Child) -> ExitStatus {
    eventually("`up` ends", || child.try_wait().unwrap())
}

/// A reply of the Redis protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    List(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
}

/// A bare Redis connection.
pub struct Redis {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Redis {
    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads one reply; `None` at the end of the connection.
    pub fn read(&mut self) -> Option<Reply> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let (kind, rest) = line.trim_end().split_at(1);
        Some(match kind {
            "+" => Reply::Simple(rest.into()),
            "-" => Reply::Error(rest.into()),
            ":" => Reply::Integer(rest.parse().unwrap()),
            "_" => Reply::Null,
            "$" if rest == "-1" => Reply::Null,
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.reader.read_exact(&mut bytes).ok()?;
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(bytes)
            }
            "*" => Reply::List((0..rest.parse::<usize>().unwrap()).map_while(|_| self.read()).collect()),
            "%" => Reply::Map(
                (0..rest.parse::<usize>().unwrap())
                    .map_while(|_| Some((self.read()?, self.read()?)))
                    .collect(),
            ),
            other => panic!("unknown reply {other:?}"),
        })
    }

    /// Sends a command as an array of bulk strings, and reads its reply.
    pub fn call(&mut self, arguments: &[&str]) -> Reply {
        self.try_call(arguments).expect("the connection is open")
    }

    /// The same; `None` when the connection ends.
    pub fn try_call(&mut self, arguments: &[&str]) -> Option<Reply> {
        let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            bytes.extend(format!("${}\r\n{argument}\r\n", argument.len()).into_bytes());
        }
        self.stream.write_all(&bytes).ok()?;
        self.read()
    }
}

/// A bare Redis connection to this port.
pub fn redis_at(port: u16) -> Redis {
    try_redis_at(port).expect("somebody listens")
}

/// The same; `None` if nobody listens there.
pub fn try_redis_at(port: u16) -> Option<Redis> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Some(Redis { reader: BufReader::new(stream.try_clone().unwrap()), stream })
}

/// The status of a bare `GET`.
pub fn get(port: u16, path: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{line:?}"))
}

/// The reply `+OK`.
pub fn ok() -> Reply {
    Reply::Simple("OK".into())
}

/// A bulk reply.
pub fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

/// Where `.ci/setup` puts what only optional tests need. If it is not there, the test says so loudly and passes.
pub fn fetched(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let place = cache.join("cutaway").join(name);
    if !place.exists() {
        eprintln!("\n*** SKIPPED: there is no {name}; .ci/setup installs it ***\n");
        return None;
    }
    Some(place)
}

/// Is this program installed? If not, the test says so loudly and passes.
pub fn installed(program: &str) -> bool {
    let found =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("\n*** SKIPPED: {program} is not installed, so nothing was tested with it ***\n");
    }
    found
}
