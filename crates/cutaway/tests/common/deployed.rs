//! A cluster as it is deployed: a file, what lies beside it, and the processes that were started from it.

#![allow(dead_code)] // Each test binary uses its part.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::Signal;
use secure::authority::{Authority, Wanted};
use tempfile::TempDir;

use crate::common::{eventually, free_port, program, signal};

/// A process that is ended with the test, whatever happens.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file, what lies beside it, and the processes that were started from it.
pub struct Deployed {
    pub home: TempDir,
    pub port: u16,
    pub processes: Vec<(String, Process)>,
}

pub const CLUSTER: [u8; 16] = [0x5a; 16];

impl Deployed {
    /// A file for three nodes and a gateway, with this at its end.
    pub fn described(tls: bool, more: &str) -> Deployed {
        let (home, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut text = format!("cluster = \"{}\"\nimage-size = \"16M\"\ndata = \"data\"\n", "5a".repeat(16));
        if tls {
            text += "[tls]\ncerts = \"certs\"\n";
        }
        // Each at an address of its own.
        for n in 1..=3 {
            text += &format!("[nodes.n{n}]\naddress = \"127.0.0.{}:{port}\"\n", n + 1);
        }
        text += &format!(
            "[gateways.g1]\nredis = \"127.0.0.1:{}\"\nhttp = \"127.0.0.1:{}\"\n",
            port + 1,
            port + 2
        );
        fs::write(home.path().join("cluster.toml"), text + more).unwrap();
        Deployed { home, port, processes: Vec::new() }
    }

    /// The same with certificates and images, and everything running.
    pub fn running(tls: bool, more: &str) -> Deployed {
        let mut deployed = Deployed::described(tls, more);
        deployed.found();
        deployed
    }

    /// Makes certificates and images, and starts everything.
    pub fn found(&mut self) {
        if fs::read_to_string(self.path("cluster.toml")).unwrap().contains("[tls]") {
            self.ok(&["certs", "certs", "--deploy", "cluster.toml", "--client", "alice"]);
        }
        for n in ["n1", "n2", "n3"] {
            self.ok(&["format", "--founding", "--deploy", "cluster.toml", "--name", n]);
            self.start("node", n);
        }
        self.start("gateway", "g1");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut program = program();
        program.args(arguments).current_dir(self.home.path()).stdin(Stdio::null());
        program.env("CUTAWAY_GATEWAY", format!("127.0.0.1:{}", self.port + 2)).output().unwrap()
    }

    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must not work; its code, and what it says.
    pub fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} works");
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub fn start(&mut self, command: &str, name: &str) {
        self.start_as(program(), command, name, &[]);
    }

    /// The same with a program of another time, or with more options.
    pub fn start_as(&mut self, mut program: Command, command: &str, name: &str, more: &[&str]) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path(&format!("{name}.log")));
        program.args([command, "--deploy", "cluster.toml", "--name", name]).args(more);
        let mut child = program
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let process = Process(child);
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{name}: {line:?} {}", self.log(name));
        // Somebody has to take what else it says.
        std::thread::spawn(move || lines.lines().count());
        self.processes.push((name.into(), process));
    }

    pub fn stop(&mut self, name: &str) {
        let at = self.processes.iter().position(|(known, _)| known == name).unwrap();
        let mut process = self.processes.remove(at).1;
        signal(process.0.id() as i32, Signal::TERM);
        eventually("it stops", || process.0.try_wait().unwrap());
    }

    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// Waits until a process has told this.
    pub fn told(&self, name: &str, what: &str) {
        eventually(&format!("{name} tells {what:?}"), || self.log(name).contains(what).then_some(()));
    }

    pub fn sign(&self, folder: &str, member: &str, name: String, days: i64) {
        let dir = self.path(folder);
        let (authority, _) = Authority::open(&dir, &"5a".repeat(16)).unwrap();
        authority.sign(&dir, &Wanted { file: member.into(), names: vec![name], days }).unwrap();
    }

    /// A gateway of the same addresses, that shows what lies in `folder` as g1.pem.
    pub fn stranger(&self, folder: &str) -> Process {
        let text = fs::read_to_string(self.path("cluster.toml")).unwrap();
        let (redis, http) = (self.port + 5, self.port + 6);
        let text = text
            .replace("certs = \"certs\"", &format!("certs = \"{folder}\""))
            .replace(&format!("127.0.0.1:{}", self.port + 1), &format!("127.0.0.1:{redis}"))
            .replace(&format!("127.0.0.1:{}", self.port + 2), &format!("127.0.0.1:{http}"));
        fs::write(self.path("stranger.toml"), text).unwrap();
        let log = fs::File::create(self.path("stranger.log")).unwrap();
        let child = program()
            .args(["gateway", "--deploy", "stranger.toml", "--name", "g1"])
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Process(child.unwrap())
    }

    /// The value of a key, through the stranger's HTTP port; none if it answers nothing.
    pub fn through_stranger(&self, ca: &str) -> Output {
        let at = format!("127.0.0.1:{}", self.port + 6);
        self.run(&["get", "fruit", "--gateway", &at, "--ca", ca])
    }
}
