//! `up`: a whole cluster on this machine, every node and gateway a child process.
//!
//! Either the whole cluster stands or nothing is left of the attempt: directory, lock, numbers and ports are checked before
//! the first child starts; a child that ends while starting takes all others with it. Afterwards nothing is started
//! again by itself: what somebody killed, to see what happens, stays dead until they say `restart`.
//!
//! Signals go only to children whose end this process has not yet been told of, so never to a process that got the same
//! number later: the number is forgotten in the very step that learns of the end, on the one thread that sends signals.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use dataplane::NodeId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

use crate::control;
use crate::founding::{self, FoundingError};
use crate::manifest::{Manifest, ManifestError, image_path, random};

/// Most nodes, and most gateways: their ports must not meet.
pub const MEMBERS_MAX: u32 = 10;
/// Most shards.
pub const SHARDS_MAX: u32 = 64;
/// Nodes listen from this far above the first port.
const NODE_PORTS: u16 = 20;
/// A cluster that does not serve by then is announced all the same.
const SERVING_PATIENCE: Duration = Duration::from_secs(15);
/// A child told to drain gets this long.
const DRAIN_PATIENCE: Duration = Duration::from_secs(4);
/// Lines of a failed child's log that are shown.
const LOG_LINES: usize = 12;

/// What `up` is asked for.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The data directory.
    pub dir: PathBuf,
    /// How many nodes; the manifest's number, or 3.
    pub nodes: Option<u32>,
    /// How many shards; the manifest's number, or 1.
    pub shards: Option<u32>,
    /// How many gateways; the manifest's number, or 1.
    pub gateways: Option<u32>,
    /// The first port; the manifest's, or 7400.
    pub port: Option<u16>,
    /// The address that everything listens on.
    pub bind: IpAddr,
    /// Bytes of each image; the manifest's, or 256 MiB divided among a node's shards, but at least 32 MiB.
    pub image_bytes: Option<u64>,
    /// Host names that HTTP requests may be addressed to.
    pub host_names: Vec<String>,
    /// Bytes of memory for values in each replica.
    pub cache_bytes: u64,
}

/// Why a cluster was not started.
#[derive(Debug)]
pub enum UpFailure {
    /// Another `up` holds the directory.
    Locked(PathBuf),
    /// The directory was founded with another number.
    Mismatch {
        /// Of what.
        what: &'static str,
        /// In the manifest.
        founded: u64,
        /// Asked for.
        asked: u64,
        /// The directory.
        dir: PathBuf,
    },
    /// A number outside its bounds.
    Bounds(String),
    /// The directory's content.
    Founding(FoundingError),
    /// Somebody listens there already.
    Port(SocketAddr, io::Error),
    /// A child ended while starting.
    Child {
        /// Its name.
        name: String,
        /// How it ended.
        how: String,
        /// The end of its log.
        last_lines: String,
        /// Where the whole log is.
        log: PathBuf,
    },
    /// It was told to stop before the cluster stood.
    Interrupted,
    /// The operating system refused something.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for UpFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UpFailure::Locked(dir) => write!(f, "another cluster is up in {}", dir.display()),
            UpFailure::Mismatch { what, founded, asked, dir } => {
                write!(f, "{} was founded with {founded} {what}, which cannot become {asked}", dir.display())
            }
            UpFailure::Bounds(why) => f.write_str(why),
            UpFailure::Founding(e) => e.fmt(f),
            UpFailure::Port(address, e) => write!(f, "{address} cannot be listened on: {e}"),
            UpFailure::Child { name, how, last_lines, log } => {
                write!(f, "{name} ended while starting ({how}); the end of {}:\n{last_lines}", log.display())
            }
            UpFailure::Interrupted => f.write_str("told to stop before the cluster stood"),
            UpFailure::Io(path, e) => write!(f, "{}: {e}", path.display()),
        }
    }
}

impl From<FoundingError> for UpFailure {
    fn from(e: FoundingError) -> UpFailure {
        UpFailure::Founding(e)
    }
}

impl From<ManifestError> for UpFailure {
    fn from(e: ManifestError) -> UpFailure {
        UpFailure::Founding(FoundingError::Manifest(e))
    }
}

/// One process of the cluster: what it is started as, and its present run.
struct Member {
    arguments: Vec<String>,
    log: PathBuf,
    /// What people are shown, in order.
    facts: serde_json::Map<String, serde_json::Value>,
    run: Option<Run>,
}

/// A started child.
struct Run {
    /// Forgotten when the child's end is learned.
    pid: Rc<RefCell<Option<Pid>>>,
    orders: mpsc::UnboundedSender<&'static str>,
    progress: watch::Receiver<Progress>,
    /// Where this run's log begins.
    log_start: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum Progress {
    Starting,
    Ready,
    Serving,
    Ended(String),
}

impl Run {
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match *self.pid.borrow() {
            Some(pid) => Ok(kill_process(pid, signal)?),
            None => Ok(()),
        }
    }
}

/// A running cluster.
pub struct Cluster {
    /// Where its data lies.
    pub dir: PathBuf,
    /// What it was founded as.
    pub manifest: Manifest,
    members: RefCell<BTreeMap<String, Member>>,
    /// Held as long as the cluster is up.
    _lock: File,
}

/// What can be done to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
    /// Start, after stopping what still runs.
    Restart,
    /// Every frame in and out is dropped, by the node itself.
    Isolate,
    /// Frames pass again.
    Heal,
}

impl std::str::FromStr for Action {
    type Err = ();
    fn from_str(name: &str) -> Result<Action, ()> {
        Ok(match name {
            "kill" => Action::Kill,
            "pause" => Action::Pause,
            "resume" => Action::Resume,
            "restart" => Action::Restart,
            "isolate" => Action::Isolate,
            "heal" => Action::Heal,
            _ => return Err(()),
        })
    }
}

impl Cluster {
    /// Checks everything, founds the cluster if the directory is new, starts all children, and waits until it serves.
    /// Call it within a `LocalSet`. When `stop` resolves before that, everything is stopped again.
    pub async fn start(
        options: &UpOptions,
        stop: impl Future<Output = ()>,
    ) -> Result<Rc<Cluster>, UpFailure> {
        let dir = prepare_dir(&options.dir)?;
        let lock = lock(&dir)?;
        let before = Manifest::read(&dir)?;
        let manifest = reconcile(options, before.as_ref(), &dir)?;
        let members = members(&dir, &manifest, options);
        await_ports(&dir, &manifest, options.bind).await?;
        match &before {
            None => {
                let (dir, manifest) = (dir.clone(), manifest.clone());
                let founding = tokio::task::spawn_blocking(move || founding::found(&dir, &manifest));
                founding.await.expect("founding does not panic")?;
            }
            Some(before) => {
                founding::check_images(&dir, before)?;
                if *before != manifest {
                    manifest.write(&dir)?;
                }
            }
        }
        let cluster = Rc::new(Cluster { dir, manifest, members: RefCell::new(members), _lock: lock });
        let started = tokio::select! {
            started = cluster.start_all() => started,
            () = stop => Err(UpFailure::Interrupted),
        };
        if let Err(failure) = started {
            cluster.stop().await;
            return Err(failure);
        }
        Ok(cluster)
    }

    async fn start_all(&self) -> Result<(), UpFailure> {
        let names = |prefix| move |name: &String| name.starts_with(prefix);
        let all: Vec<String> = self.members.borrow().keys().cloned().collect();
        let nodes = all.iter().filter(|name| names('n')(name));
        let gateways: Vec<_> = all.iter().filter(|name| names('g')(name)).collect();
        for name in nodes.clone() {
            self.spawn(name)?;
        }
        for name in nodes {
            self.reached(name, Progress::Ready).await?;
        }
        for name in &gateways {
            self.spawn(name)?;
        }
        for name in &gateways {
            self.reached(name, Progress::Ready).await?;
        }
        let serving = async {
            for name in &gateways {
                self.reached(name, Progress::Serving).await?;
            }
            Ok::<_, UpFailure>(())
        };
        match tokio::time::timeout(SERVING_PATIENCE, serving).await {
            Ok(result) => result?,
            Err(_) => {
                tracing::warn!(
                    "not every shard has a primary after {SERVING_PATIENCE:?}; see `cutaway status`"
                )
            }
        }
        // A majority serves without a node that was ready and ended meanwhile; a good start it is not.
        for name in &all {
            self.reached(name, Progress::Ready).await?;
        }
        Ok(())
    }

    fn spawn(&self, name: &str) -> Result<(), UpFailure> {
        let mut members = self.members.borrow_mut();
        let member = members.get_mut(name).expect("only members are started");
        let failed = |e| UpFailure::Io(member.log.clone(), e);
        fs::create_dir_all(member.log.parent().expect("a log lies in its member's directory"))
            .map_err(failed)?;
        let log = OpenOptions::new().create(true).append(true).open(&member.log).map_err(failed)?;
        let log_start = log.metadata().map_err(failed)?.len();
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(&member.arguments)
            .process_group(0) // Ctrl-C in the terminal is for `up` alone.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pid = child.id().and_then(|id| Pid::from_raw(id as i32));
        let pid = Rc::new(RefCell::new(pid));
        let (orders, mut inbox) = mpsc::unbounded_channel::<&'static str>();
        let (tell, progress) = watch::channel(Progress::Starting);

        let mut stdin = child.stdin.take().expect("piped");
        tokio::task::spawn_local(async move {
            while let Some(order) = inbox.recv().await {
                // A child that has ended takes no orders; its end is told elsewhere.
                let _ = stdin.write_all(format!("{order}\n").as_bytes()).await;
            }
        });
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let told = tell.clone();
        tokio::task::spawn_local(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                match line.split(' ').next() {
                    Some("ready") => drop(told.send_if_modified(|p| advance(p, Progress::Ready))),
                    Some("serving") => drop(told.send_if_modified(|p| advance(p, Progress::Serving))),
                    _ => (),
                }
            }
        });
        let (running, name) = (pid.clone(), name.to_owned());
        tokio::task::spawn_local(async move { watch_end(child, running, tell, name).await });
        member.run = Some(Run { pid, orders, progress, log_start });
        Ok(())
    }

    async fn reached(&self, name: &str, wanted: Progress) -> Result<(), UpFailure> {
        let (mut progress, log, log_start) = {
            let members = self.members.borrow();
            let member = &members[name];
            let run = member.run.as_ref().expect("it was started");
            (run.progress.clone(), member.log.clone(), run.log_start)
        };
        let far_enough = |p: &Progress| *p == wanted || matches!(p, Progress::Serving | Progress::Ended(_));
        let how = match progress.wait_for(far_enough).await.as_deref() {
            Ok(Progress::Ended(how)) => how.clone(),
            Ok(_) => return Ok(()),
            Err(_) => "gone".into(),
        };
        let last_lines = last_lines(&log, log_start).unwrap_or_default();
        Err(UpFailure::Child { name: name.to_owned(), how, last_lines, log })
    }

    /// What people and scripts are told of each member: name, pid, addresses.
    pub fn facts(&self) -> Vec<serde_json::Map<String, serde_json::Value>> {
        let members = self.members.borrow();
        let facts = members.values().map(|member| {
            let mut facts = member.facts.clone();
            let pid = member.run.as_ref().and_then(|run| *run.pid.borrow());
            facts.insert("pid".into(), json!(pid.map(|pid| pid.as_raw_nonzero().get())));
            facts
        });
        facts.collect()
    }

    /// Does something to a member, and waits until it is done. The sentence says what was done.
    pub async fn act(&self, name: &str, action: Action) -> Result<String, String> {
        let signal = |signal| -> Result<(), String> {
            let members = self.members.borrow();
            let member = members.get(name).ok_or_else(|| self.nobody(name))?;
            let run = member.run.as_ref().filter(|run| run.pid.borrow().is_some());
            let run = run.ok_or(format!("{name} is down; next: cutaway restart {name}"))?;
            run.signal(signal).map_err(|e| format!("{name} cannot be signalled: {e}"))
        };
        match action {
            Action::Kill => {
                signal(Signal::KILL)?;
                self.ended(name).await;
                Ok(format!("{name} is killed; next: cutaway status, then cutaway restart {name}"))
            }
            Action::Pause => {
                signal(Signal::STOP)?;
                Ok(format!("{name} is paused; next: cutaway resume {name}"))
            }
            Action::Resume => {
                signal(Signal::CONT)?;
                Ok(format!("{name} runs again"))
            }
            Action::Isolate | Action::Heal => {
                if name.starts_with('g') {
                    return Err(format!("{name} is a gateway; only storage nodes can be isolated"));
                }
                signal(Signal::CONT)?; // A paused node could not obey.
                if action == Action::Isolate {
                    self.order(name, "isolate");
                    Ok(format!("{name} is cut off from everybody; next: cutaway heal {name}"))
                } else {
                    self.order(name, "heal");
                    Ok(format!("{name} is connected again"))
                }
            }
            Action::Restart => {
                if !self.members.borrow().contains_key(name) {
                    return Err(self.nobody(name));
                }
                self.drain(name).await;
                self.spawn(name).map_err(|e| e.to_string())?;
                self.reached(name, Progress::Ready).await.map_err(|e| e.to_string())?;
                Ok(format!("{name} is up again"))
            }
        }
    }

    fn nobody(&self, name: &str) -> String {
        let members = self.members.borrow();
        let names: Vec<_> = members.keys().map(String::as_str).collect();
        format!("there is no {name:?} here; there are {}", names.join(", "))
    }

    fn order(&self, name: &str, order: &'static str) {
        let members = self.members.borrow();
        if let Some(run) = members.get(name).and_then(|member| member.run.as_ref()) {
            let _ = run.orders.send(order); // It may have ended meanwhile.
        }
    }

    async fn ended(&self, name: &str) {
        let progress =
            self.members.borrow().get(name).and_then(|m| m.run.as_ref()).map(|run| run.progress.clone());
        if let Some(mut progress) = progress {
            let _ = progress.wait_for(|p| matches!(p, Progress::Ended(_))).await;
        }
    }

    /// Lets a member finish what is under way; after [`DRAIN_PATIENCE`] it is killed.
    async fn drain(&self, name: &str) {
        let signal = |signal| {
            let members = self.members.borrow();
            let run = members.get(name).and_then(|member| member.run.as_ref());
            run.map_or(Ok(()), |run| run.signal(signal))
        };
        // Errors mean that it has ended already, which is what is wanted.
        let _ = signal(Signal::CONT);
        self.order(name, "drain");
        if tokio::time::timeout(DRAIN_PATIENCE, self.ended(name)).await.is_err() {
            tracing::warn!("{name} does not stop by itself and is killed");
            let _ = signal(Signal::KILL);
            self.ended(name).await;
        }
    }

    /// Stops everything: first the gateways, which finish what clients wait for, then the nodes.
    pub async fn stop(&self) {
        let names: Vec<String> = self.members.borrow().keys().cloned().collect();
        for kind in ['g', 'n'] {
            let of_kind = names.iter().filter(|name| name.starts_with(kind));
            let drains: Vec<_> = of_kind.map(|name| self.drain(name)).collect();
            let mut drains: Vec<_> = drains.into_iter().map(Box::pin).collect();
            // All at once, and until the slowest is done.
            std::future::poll_fn(|cx| {
                drains.retain_mut(|drain| drain.as_mut().poll(cx).is_pending());
                if drains.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
    }
}

fn advance(progress: &mut Progress, to: Progress) -> bool {
    let later = !matches!(progress, Progress::Ended(_)) && *progress != to;
    if later {
        *progress = to;
    }
    later
}

async fn watch_end(
    mut child: Child,
    pid: Rc<RefCell<Option<Pid>>>,
    tell: watch::Sender<Progress>,
    name: String,
) {
    let how = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(e) => e.to_string(),
    };
    // The number may belong to somebody else from now on.
    *pid.borrow_mut() = None;
    tracing::info!("{name} has ended: {how}");
    tell.send_replace(Progress::Ended(how));
}

/// The end of what was written to the log after `start`.
fn last_lines(log: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(end.saturating_sub(16 << 10))))?;
    let mut bytes = Vec::new();
    file.take(16 << 10).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
    Ok(shown.iter().map(|line| format!("  {line}\n")).collect())
}

fn prepare_dir(dir: &Path) -> Result<PathBuf, UpFailure> {
    fs::create_dir_all(dir).map_err(|e| UpFailure::Io(dir.to_owned(), e))?;
    dir.canonicalize().map_err(|e| UpFailure::Io(dir.to_owned(), e))
}

fn lock(dir: &Path) -> Result<File, UpFailure> {
    let path = dir.join("lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|e| UpFailure::Io(path.clone(), e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(UpFailure::Locked(dir.to_owned())),
        Err(TryLockError::Error(e)) => Err(UpFailure::Io(path, e)),
    }
}

/// A node's images take 256 MiB together, as long as none gets too small to be useful: filling them with zeros is most of
/// what a founding waits for.
fn usual_image_bytes(shards: u32) -> u64 {
    ((256 << 20) / u64::from(shards.max(1))).max(32 << 20)
}

/// What the cluster is, from what is asked and what the directory was founded as.
fn reconcile(options: &UpOptions, before: Option<&Manifest>, dir: &Path) -> Result<Manifest, UpFailure> {
    let fixed = |what, asked: Option<u64>, founded: Option<u64>, usual| match (asked, founded) {
        (Some(asked), Some(founded)) if asked != founded => {
            Err(UpFailure::Mismatch { what, founded, asked, dir: dir.to_owned() })
        }
        (asked, founded) => Ok(founded.or(asked).unwrap_or(usual)),
    };
    let nodes = fixed("nodes", options.nodes.map(u64::from), before.map(|m| m.nodes.into()), 3)? as u32;
    let shards = fixed("shards", options.shards.map(u64::from), before.map(|m| m.shards.into()), 1)? as u32;
    let image_bytes = fixed(
        "bytes per image",
        options.image_bytes,
        before.map(|m| m.image_bytes),
        usual_image_bytes(shards),
    )?;
    let gateways = options.gateways.or(before.map(|m| m.gateways)).unwrap_or(1);
    let port = options.port.or(before.map(|m| m.port)).unwrap_or(7400);
    for (what, number, most) in
        [("nodes", nodes, MEMBERS_MAX), ("gateways", gateways, MEMBERS_MAX), ("shards", shards, SHARDS_MAX)]
    {
        if !(1..=most).contains(&number) {
            return Err(UpFailure::Bounds(format!("{number} {what} are not possible: 1 to {most} are")));
        }
    }
    if port == 0 || port.checked_add(NODE_PORTS + MEMBERS_MAX as u16).is_none() {
        return Err(UpFailure::Bounds(format!(
            "port {port} is not possible: ports up to {} beyond it are used",
            NODE_PORTS + MEMBERS_MAX as u16
        )));
    }
    let cluster = before.map_or_else(random, Manifest::cluster_id);
    Ok(Manifest::new(cluster, nodes, shards, gateways, port, image_bytes))
}

fn node_port(manifest: &Manifest, node: u32) -> u16 {
    manifest.port + NODE_PORTS + node as u16 - 1
}

fn gateway_ports(manifest: &Manifest, gateway: u32) -> (u16, u16) {
    let redis = manifest.port + 2 * (gateway as u16 - 1);
    (redis, redis + 1)
}

/// Checks the ports. A control file that nobody withdrew tells of an `up` that was killed: its children end by themselves,
/// and are given the time.
async fn await_ports(dir: &Path, manifest: &Manifest, bind: IpAddr) -> Result<(), UpFailure> {
    let patience = if dir.join(control::FILE).exists() { DRAIN_PATIENCE } else { Duration::ZERO };
    let start = tokio::time::Instant::now();
    loop {
        match check_ports(manifest, bind) {
            Err(_) if start.elapsed() < patience => tokio::time::sleep(Duration::from_millis(50)).await,
            result => {
                control::withdraw(dir);
                return result;
            }
        }
    }
}

/// Who else listens on our ports is told before anything is started.
fn check_ports(manifest: &Manifest, bind: IpAddr) -> Result<(), UpFailure> {
    let nodes = (1..=manifest.nodes).map(|n| node_port(manifest, n));
    let gateways = (1..=manifest.gateways).flat_map(|g| {
        let (redis, http) = gateway_ports(manifest, g);
        [redis, http]
    });
    for port in gateways.chain(nodes) {
        let address = SocketAddr::new(bind, port);
        TcpListener::bind(address).map_err(|e| UpFailure::Port(address, e))?;
    }
    Ok(())
}

/// The address that children of one machine reach each other at.
fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}

fn members(dir: &Path, manifest: &Manifest, options: &UpOptions) -> BTreeMap<String, Member> {
    let mut members = BTreeMap::new();
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let nodes: Vec<String> = (1..=manifest.nodes)
        .map(|n| format!("n{n}={}", SocketAddr::new(reachable(options.bind), node_port(manifest, n))))
        .collect();
    for n in 1..=manifest.nodes {
        let name = format!("n{n}");
        let listen = SocketAddr::new(options.bind, node_port(manifest, n));
        let mut arguments: Vec<String> =
            ["node", "--supervised", "--cluster", &manifest.cluster, "--node", &name]
                .map(String::from)
                .into();
        arguments.extend(["--listen".into(), listen.to_string()]);
        nodes.iter().for_each(|peer| arguments.extend(["--peer".into(), peer.clone()]));
        for shard in 0..manifest.shards {
            arguments.extend(["--image".into(), text(image_path(dir, NodeId(n), shard))]);
        }
        arguments.extend(["--cache".into(), options.cache_bytes.to_string()]);
        add(&mut members, dir, name, arguments, json!({ "listen": listen }));
    }
    for g in 1..=manifest.gateways {
        let name = format!("g{g}");
        let (redis, http) = gateway_ports(manifest, g);
        let (redis, http) = (SocketAddr::new(options.bind, redis), SocketAddr::new(options.bind, http));
        let mut arguments: Vec<String> =
            ["gateway", "--supervised", "--cluster", &manifest.cluster, "--gateway", &name]
                .map(String::from)
                .into();
        arguments.extend(["--shards".into(), manifest.shards.to_string()]);
        arguments.extend(["--redis".into(), redis.to_string(), "--http".into(), http.to_string()]);
        arguments.extend(["--dir".into(), text(dir.to_owned())]);
        nodes.iter().for_each(|node| arguments.extend(["--node".into(), node.clone()]));
        options.host_names.iter().for_each(|host| arguments.extend(["--host".into(), host.clone()]));
        add(&mut members, dir, name, arguments, json!({ "redis": redis, "http": http }));
    }
    members
}

fn add(
    members: &mut BTreeMap<String, Member>,
    dir: &Path,
    name: String,
    arguments: Vec<String>,
    addresses: serde_json::Value,
) {
    let mut facts = serde_json::Map::new();
    facts.insert("name".into(), json!(name));
    facts.extend(addresses.as_object().cloned().unwrap_or_default());
    let log = dir.join(&name).join("log");
    members.insert(name.clone(), Member { arguments, log, facts, run: None });
}
