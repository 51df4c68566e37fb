//! Stores in processes of their own, started here and ended here.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Protocol;

/// Longer than any of them takes to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store under load.
pub struct Peer {
    /// Its name in the tables.
    pub name: &'static str,
    /// How to reach it.
    pub protocol: Protocol,
    /// Where.
    pub port: u16,
    processes: Vec<Child>,
    /// Processes that did not start here: the children of the first one.
    pids: Vec<u32>,
}

/// What a cluster of ours is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// Nodes.
    pub nodes: u32,
    /// Shards, each with a replica on each node.
    pub shards: u32,
    /// Length of the image of each replica.
    pub image_bytes: u64,
    /// The extensions, as `up --with` takes them.
    pub with: &'a str,
}

/// What processes have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Seconds of CPU.
    pub cpu: f64,
    /// Bytes that went to block devices, from anybody: what the kernel counts for a process counts whole pages of the
    /// cache, however large, for each byte that is changed in them.
    pub written: u64,
    /// Flushes of the cache of any block device, from anybody.
    pub flushes: u64,
    /// Bytes resident in memory.
    pub resident: u64,
}

impl Peer {
    /// This cluster: `program up`, in the folder `cutaway` of `dir`.
    pub fn cutaway(program: &Path, dir: &Path, shape: Shape) -> io::Result<Peer> {
        let Shape { nodes, shards, image_bytes, with } = shape;
        let port = free_ports(32)?;
        let mut up = Command::new(program)
            .args(["up", "--json", "--image-size", &image_bytes.to_string(), "--port", &port.to_string()])
            .args(["--nodes", &nodes.to_string(), "--shards", &shards.to_string(), "--with", with, "--dir"])
            .arg(dir.join("cutaway"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log(dir, "cutaway")?)
            .spawn()?;
        let mut line = String::new();
        BufReader::new(up.stdout.take().expect("it is piped")).read_line(&mut line)?;
        let pids = children(up.id());
        let peer =
            Peer { name: "cutaway", protocol: Protocol::Redis { wait: 0 }, port, processes: vec![up], pids };
        if line.is_empty() {
            let log = std::fs::read_to_string(dir.join("cutaway.log")).unwrap_or_default();
            let why = log.lines().find(|line| line.starts_with("error")).unwrap_or("it does not say why");
            return Err(io::Error::other(format!("`cutaway up` did not start: {why}")));
        }
        peer.reachable()
    }

    /// The floor: `program bench floor-node` three times, and `program bench floor-gateway`.
    pub fn floor(program: &Path, dir: &Path) -> io::Result<Peer> {
        let port = free_ports(4)?;
        let mut peer = Peer {
            name: "floor",
            protocol: Protocol::Redis { wait: 0 },
            port,
            processes: Vec::new(),
            pids: Vec::new(),
        };
        for n in (0..=3).rev() {
            let mut process = Command::new(program);
            process.args(["bench", if n == 0 { "floor-gateway" } else { "floor-node" }]);
            process.args(["--listen", &(port + n).to_string()]);
            match n {
                0 => process.args(["--primary", &(port + 1).to_string()]),
                _ => process.arg("--file").arg(dir.join(format!("floor-{n}"))),
            };
            if n == 1 {
                let backups = [2, 3].map(|backup| format!("--backup={}", port + backup));
                process.args(backups);
            }
            let process =
                process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log(dir, "floor")?).spawn()?;
            peer.processes.push(process);
        }
        peer.reachable()
    }

    /// One Redis server that syncs each write before it answers; `replicas` more copy it, and each write waits for one.
    pub fn redis(dir: &Path, replicas: u32) -> io::Result<Peer> {
        let (name, wait) = if replicas == 0 { ("redis", 0) } else { ("redis+wait", 1) };
        let port = free_ports(replicas as u16 + 1)?;
        let mut peer =
            Peer { name, protocol: Protocol::Redis { wait }, port, processes: Vec::new(), pids: Vec::new() };
        for n in 0..=replicas as u16 {
            let home = dir.join(format!("{name}-{n}"));
            std::fs::create_dir_all(&home)?;
            let mut server = Command::new("redis-server");
            server
                .args(["--bind", "127.0.0.1", "--port", &(port + n).to_string(), "--save", "", "--dir"])
                .arg(&home)
                .args(["--appendonly", "yes", "--appendfsync", "always"]);
            if n > 0 {
                server.args(["--replicaof", "127.0.0.1", &port.to_string()]);
            }
            let server = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log(dir, name)?).spawn()?;
            peer.processes.push(server);
        }
        peer.reachable()
    }

    /// etcd with three members.
    pub fn etcd(dir: &Path) -> io::Result<Peer> {
        let port = free_ports(6)?;
        let mut peer =
            Peer { name: "etcd", protocol: Protocol::Etcd, port, processes: Vec::new(), pids: Vec::new() };
        for n in 0..3 {
            peer.processes.push(etcd_member(dir, port, n)?);
        }
        peer.reachable()
    }

    /// Ends one of its processes as a crash would, without a word.
    pub fn kill(&mut self, n: usize) {
        let _ = self.processes[n].kill();
        let _ = self.processes[n].wait();
    }

    /// The same for one of the processes that `up` started, and for no other.
    pub fn kill_child(&self, pid: u32) {
        let known = self.pids.contains(&pid).then(|| Pid::from_raw(pid as i32)).flatten();
        known.map(|pid| kill_process(pid, Signal::KILL));
    }

    /// Starts an etcd member again.
    pub fn restart_etcd(&mut self, dir: &Path, n: usize) -> io::Result<()> {
        self.processes[n] = etcd_member(dir, self.port, n as u16)?;
        Ok(())
    }

    fn reachable(mut self) -> io::Result<Peer> {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.processes.iter_mut().any(|process| !matches!(process.try_wait(), Ok(None)));
            if ended || started.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{} did not start", self.name)));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // Elections, and replicas that catch up.
        std::thread::sleep(Duration::from_secs(2));
        Ok(self)
    }

    /// Bytes resident in memory of each of its processes but the first, by name: those that `up` started.
    pub fn residents(&self) -> Vec<(String, u64)> {
        self.pids.iter().filter_map(|&pid| Some((member(pid)?, used(pid)?.1))).collect()
    }

    /// What all its processes have used so far.
    pub fn used(&self) -> Used {
        let own = self.processes.iter().map(Child::id);
        let all = own.chain(self.pids.iter().copied()).filter_map(used);
        let (written, flushes) = disks();
        let begin = Used { written, flushes, ..Used::default() };
        all.fold(begin, |sum, (cpu, resident)| Used {
            cpu: sum.cpu + cpu,
            resident: sum.resident + resident,
            ..sum
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for process in &self.processes {
            // The cluster drains and ends its children.
            let pid = Pid::from_child(process);
            let _ = kill_process(pid, Signal::TERM);
        }
        for process in &mut self.processes {
            let _ = process.wait();
        }
    }
}

fn etcd_member(dir: &Path, port: u16, n: u16) -> io::Result<Child> {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let members: Vec<String> = (0..3).map(|n| format!("m{n}={}", url(port + 3 + n))).collect();
    Command::new("etcd")
        .args(["--name", &format!("m{n}"), "--log-level", "error", "--data-dir"])
        .arg(dir.join(format!("etcd-{n}")))
        .args(["--listen-client-urls", &url(port + n), "--advertise-client-urls", &url(port + n)])
        .args(["--listen-peer-urls", &url(port + 3 + n)])
        .args(["--initial-advertise-peer-urls", &url(port + 3 + n)])
        .args(["--initial-cluster", &members.join(","), "--initial-cluster-state", "new"])
        // Else a long run fills it and it refuses writes.
        .args(["--quota-backend-bytes", "8000000000", "--auto-compaction-retention", "1000"])
        .args(["--auto-compaction-mode", "revision"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log(dir, "etcd")?)
        .spawn()
}

/// Ends every process that this one has started, each in the way that it does itself when it is told to.
pub fn end_all() {
    for pid in children(std::process::id()) {
        Pid::from_raw(pid as i32).map(|pid| kill_process(pid, Signal::TERM));
    }
}

/// Is there such a program?
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn log(dir: &Path, name: &str) -> io::Result<Stdio> {
    let file: PathBuf = dir.join(format!("{name}.log"));
    Ok(File::options().create(true).append(true).open(file)?.into())
}

/// The first of so many free ports in a row, below those that outgoing connections get: one of those could take a port that
/// is free now, and is listened on later.
pub fn free_ports(count: u16) -> io::Result<u16> {
    let blocks = 16_000 / count.max(1);
    let start = std::process::id() as u16 % blocks;
    (0..blocks)
        .map(|n| 10_000 + (start + n) % blocks * count)
        .find(|first| (*first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()))
        .ok_or_else(|| io::Error::other(format!("no {count} ports in a row are free")))
}

/// The processes that a process's first thread has started; Linux tells them.
fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The name of a node or gateway: the word behind `--node` or `--gateway` of its command line.
fn member(pid: u32) -> Option<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|byte| *byte == 0);
    let kind = format!("--{}", str::from_utf8(words.nth(1)?).ok()?);
    words.find(|word| *word == kind.as_bytes())?;
    String::from_utf8(words.next()?.to_vec()).ok()
}

/// Bytes written to all real disks since the machine started, and flushes of their caches; 0 where nobody counts them.
fn disks() -> (u64, u64) {
    let Ok(disks) = std::fs::read_dir("/sys/block") else { return (0, 0) };
    disks
        .filter_map(|disk| {
            let path = disk.ok()?.path();
            let name = path.file_name()?.to_string_lossy().into_owned();
            let made_up = ["loop", "ram", "zram", "dm-", "md"].iter().any(|kind| name.starts_with(kind));
            let stat = std::fs::read_to_string(path.join("stat")).ok().filter(|_| !made_up)?;
            let field = |n| stat.split_whitespace().nth(n).and_then(|field| field.parse::<u64>().ok());
            Some((field(6)? * 512, field(15).unwrap_or_default()))
        })
        .fold((0, 0), |sum, disk| (sum.0 + disk.0, sum.1 + disk.1))
}

/// Seconds of CPU and bytes of memory, from `/proc`, where there is one.
fn used(pid: u32) -> Option<(f64, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields count from behind the name, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().ok()?;
    Some((ticks as f64 / rustix::param::clock_ticks_per_second() as f64, kib * 1024))
}
