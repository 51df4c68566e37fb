//! `up`: a cluster on this machine.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Args;
use deploy::words;
use extensions::Chosen;
use serde_json::{Value, json};
use server::child::{self, stopped};
use server::control;
use server::founding::FoundingError;
use server::plan::{MEMBERS_MAX, UpFailure, UpOptions};
use server::supervisor::Cluster;
use store::FileError;
use tempfile::TempDir;

use crate::client::GatewayArgs;
use crate::console;
use crate::deployed::FromFile;
use crate::failure::{Failure, Result, again, me, note, quote, say};
use crate::live::{News, Traces};
use crate::process::local_runtime;
use crate::status::table;

/// Run a cluster on this machine until Ctrl-C, with one process per node and gateway
///
/// Data and ports persist: run it again on the same directory, and the cluster recovers. The number of nodes and shards
/// is fixed when the directory is created; gateways and port may change. A killed process stays dead until `restart`.
///
/// Prints the address of a console: a page, on this machine only, that shows the cluster and acts on it. Whoever has that
/// address can do so.
#[derive(Debug, Args)]
pub struct Up {
    /// Storage nodes, 3 for a new cluster
    #[arg(long)]
    nodes: Option<u32>,
    /// Shards, 1 for a new cluster
    #[arg(long)]
    shards: Option<u32>,
    /// Gateways, 1 for a new cluster
    #[arg(long)]
    gateways: Option<u32>,
    /// Extensions of a new cluster, for good: elections
    #[arg(long, value_name = "EXTENSION,…")]
    with: Option<Chosen>,
    /// Data directory
    #[arg(long, default_value = "./cutaway-data")]
    dir: PathBuf,
    /// First port, 7400 for a new cluster: Redis protocol on PORT, HTTP on PORT+1, nodes from PORT+20
    #[arg(long)]
    port: Option<u16>,
    /// Address to listen on; beyond loopback only with --insecure. For a cluster with TLS, see `deploy`
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Listen beyond loopback without TLS: everybody who reaches the ports reads and writes everything
    #[arg(long)]
    insecure: bool,
    /// Host name to accept in HTTP requests, besides IP addresses and localhost
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Size of each replica's image, such as 256M or 4G, for a new cluster; by default all images of a node have 1G
    /// together. The space is allocated at once
    #[arg(long, value_parser = words::size, value_name = "SIZE")]
    image_size: Option<u64>,
    /// Use a temporary directory, removed at exit
    #[arg(long, conflicts_with = "dir")]
    ephemeral: bool,
    /// Record every event of each node in this directory, from now on, for `spec check` and `view`. Slow: a line is written
    /// for each
    #[arg(long, value_name = "DIR")]
    trace: Option<PathBuf>,
    /// Hold every step of a new cluster against the specification in `spec/` while it runs, and tell the first one of each
    /// shard that it does not allow. The cluster runs no faster than its steps are judged
    #[arg(long, conflicts_with = "trace")]
    validate: bool,
    /// Print one line of JSON when the cluster is ready
    #[arg(long)]
    json: bool,
}

/// A cluster that serves says so within this time after its start.
const NOTICE_AFTER: Duration = Duration::from_millis(100);

impl Up {
    /// Runs the command.
    pub fn run(self) -> Result {
        let temporary = match self.ephemeral {
            true => Some(tempfile::Builder::new().prefix("cutaway-").tempdir().map_err(Failure::error)?),
            false => None,
        };
        let port = SocketAddr::new(self.bind, self.port.unwrap_or(7400));
        FromFile { deploy: None, name: None, insecure: self.insecure }.may_listen(
            "the cluster",
            port,
            false,
        )?;
        let (validate, nodes) = (self.validate, self.nodes.unwrap_or(3));
        let mut options = UpOptions {
            dir: temporary.as_ref().map_or(self.dir, |dir| dir.path().to_owned()),
            nodes: self.nodes,
            shards: self.shards,
            gateways: self.gateways,
            port: self.port,
            bind: self.bind,
            image_bytes: self.image_size,
            extensions: self.with,
            host_names: self.hosts,
            trace: self.trace,
        };
        if let Some(traces) = &mut options.trace {
            // Each child has a folder of its own.
            *traces = std::path::absolute(&*traces).map_err(Failure::error)?;
            std::fs::create_dir_all(&*traces)
                .map_err(|why| Failure::error(format!("cannot create {}: {why}", traces.display())))?;
        }
        // Nothing is left of a temporary directory.
        let kept = if temporary.is_some() { PathBuf::from(".") } else { options.dir.clone() };
        // Numbers that are not possible are refused below.
        let validation = match validate && (1..=MEMBERS_MAX).contains(&nodes) {
            true => Some(Validation::begin(&options.dir, nodes, kept)?),
            false => None,
        };
        if let Some(validation) = &validation {
            options.trace = Some(validation.pipes.path().to_owned());
        }
        child::end_with_panics();
        serve(options, self.json)?;
        validation.map_or(Ok(()), Validation::end)
    }
}

/// The cluster, until it is stopped.
fn serve(options: UpOptions, json: bool) -> Result {
    local_runtime(async move {
        let child::Orders { mut stop, .. } = child::listen(false).map_err(Failure::error)?;
        let mut early = stop.clone();
        let cluster = Cluster::start(&options, async move { stopped(&mut early).await }).await;
        let cluster = match cluster {
            Ok(cluster) => cluster,
            Err(UpFailure::Interrupted) => return Ok(()),
            Err(failure) => return Err(advise(failure)),
        };
        if let Err(e) = control::serve(cluster.clone()).await {
            cluster.stop().await;
            return Err(Failure::error(format!("cannot take orders for the cluster: {e}")));
        }
        let console = match console::serve(&cluster, gateways(&cluster)) {
            Ok(address) => address,
            Err(why) => {
                cluster.stop().await;
                return Err(Failure::error(format!("the cluster has no console: {why}")));
            }
        };
        let serving = async {
            if tokio::time::timeout(NOTICE_AFTER, cluster.serving()).await.is_err() {
                let (me, at) = (me(), first_gateway(&cluster).0.flag());
                eprintln!("not every shard has a primary yet; `{me} status{at}` tells how far it is");
                cluster.serving().await.map_err(advise)?;
            }
            Ok::<_, Failure>(())
        };
        let served = tokio::select! {
            served = serving => Some(served),
            () = stopped(&mut stop) => None,
        };
        match served {
            Some(Ok(())) => say(announce(&cluster, &console, json).trim_end()),
            Some(Err(failure)) => {
                control::withdraw(&cluster.dir);
                cluster.stop().await;
                return Err(failure);
            }
            None => {}
        }
        stopped(&mut stop).await;
        control::withdraw(&cluster.dir);
        if !json {
            note("stopping: gateways first, then nodes\n");
        }
        cluster.stop().await;
        Ok(())
    })
}

/// `--validate`: the nodes write their traces into pipes, and a thread judges what comes out.
struct Validation {
    pipes: TempDir,
    stop: Arc<AtomicBool>,
    judge: JoinHandle<(u64, usize)>,
}

impl Validation {
    fn begin(dir: &Path, nodes: u32, kept: PathBuf) -> Result<Validation> {
        if dir.join("cluster.json").exists() {
            let why = format!("{} has a cluster already, and what it did before is not known", dir.display());
            let next = format!(
                "{}, or follow traces that begin with the cluster: {} spec check --live DIR",
                again(&[("--dir", Some("NEW".into()))]),
                me()
            );
            return Err(Failure::error(why).next(next));
        }
        let pipes = tempfile::Builder::new().prefix("cutaway-").tempdir().map_err(Failure::error)?;
        for node in 1..=nodes {
            let pipe = pipes.path().join(format!("n{node}.jsonl"));
            let made = Command::new("mkfifo").arg("-m").arg("600").arg(&pipe).status();
            if !made.is_ok_and(|made| made.success()) {
                return Err(Failure::error(format!("cannot make the pipe {} with mkfifo", pipe.display())));
            }
        }
        let traces = Traces::of(pipes.path(), nodes, kept).map_err(Failure::error)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let judge = std::thread::spawn(move || {
            let mut mismatches = 0;
            let steps = traces.follow(&stopped, |news| {
                match news {
                    News::Found(found, kept) => {
                        mismatches += 1;
                        let told = crate::spec::told(&found.mismatch);
                        note(format!(
                            "the specification does not allow this:\n{told}\n  kept: {}\n",
                            kept.display()
                        ));
                    }
                    News::Over(why) => note(format!("not validated any more: {why}\n")),
                    News::Steps(_) => {}
                }
                false
            });
            (steps, mismatches)
        });
        Ok(Validation { pipes, stop, judge })
    }

    /// The cluster has ended: what it wrote last, and the result.
    fn end(self) -> Result {
        self.stop.store(true, Ordering::Relaxed);
        let (steps, mismatches) = self.judge.join().map_err(|_| Failure::error("the validation panicked"))?;
        note(format!("validated: {steps} steps of the specification, {mismatches} mismatches\n"));
        match mismatches {
            0 => Ok(()),
            _ => Err(Failure::error("the specification does not allow a step of this cluster")),
        }
    }
}

/// What to try after a failed start.
fn advise(failure: UpFailure) -> Failure {
    let me = me();
    let next = match &failure {
        UpFailure::Locked(dir) => {
            format!("stop the other `up`, or choose another directory than {} with --dir", dir.display())
        }
        UpFailure::Mismatch { what, founded, .. } => match *what {
            "nodes" | "shards" => {
                let command = again(&[(&format!("--{what}"), Some(founded.to_string()))]);
                format!("{command}, or found a new cluster with --dir OTHER")
            }
            _ => again(&[("--image-size", None)]),
        },
        UpFailure::Extensions { founded, .. } => {
            let with = Some(founded.to_string()).filter(|names| !names.is_empty());
            format!("{}, or found a new cluster with --dir OTHER", again(&[("--with", with)]))
        }
        UpFailure::Bounds(_) => format!("{me} up --help"),
        UpFailure::Port(address, _) => {
            let port = suggest_port(*address).to_string();
            format!("{}, or stop who listens there", again(&[("--port", Some(port))]))
        }
        UpFailure::Founding(FoundingError::Missing(path)) => {
            format!(
                "put the file back, or let the replica be filled from its peers: {me} format --joining {}",
                quote(path.display())
            )
        }
        UpFailure::Founding(FoundingError::Foreign(path, _)) => {
            let dir = path.parent().and_then(|p| p.parent()).unwrap_or(path);
            format!("put back {}, or choose another directory with --dir", dir.join("cluster.json").display())
        }
        UpFailure::Founding(FoundingError::File(_, FileError::Io(e)))
            if e.kind() == ErrorKind::StorageFull =>
        {
            format!("{}, or make room for the images", again(&[("--image-size", Some("256M".into()))]))
        }
        UpFailure::Founding(_) | UpFailure::Io(..) | UpFailure::Interrupted => {
            format!("mend the cause and run {} again, or choose another directory with --dir", again(&[]))
        }
        UpFailure::Child { name, .. } => {
            format!(
                "mend the cause and run {} again; everything else has been stopped ({name}'s whole log is named above)",
                again(&[])
            )
        }
    };
    let damaged = matches!(&failure, UpFailure::Child { how, .. } if how.ends_with(": 4"));
    if damaged { Failure::corruption(failure).next(next) } else { Failure::error(failure).next(next) }
}

/// A first port behind the busy one where nobody seems to be.
fn suggest_port(busy: SocketAddr) -> u16 {
    let free = |port: &u16| {
        let all = (*port..port + 32).map(|port| SocketAddr::new(busy.ip(), port));
        all.map(TcpListener::bind).all(|listener| listener.is_ok())
    };
    let candidates = (busy.port() / 100 + 1..650).chain(75..650).map(|hundred| hundred * 100);
    candidates.take(700).find(free).unwrap_or(7500)
}

/// Where somebody on this machine reaches who listens there.
fn reached_at(listens: &str) -> SocketAddr {
    let mut address = listens.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 7400)));
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(std::net::Ipv6Addr::LOCALHOST.into()),
        _ => (),
    }
    address
}

/// Every gateway, with where it serves HTTP.
fn gateways(cluster: &Cluster) -> Vec<(String, GatewayArgs)> {
    let one = |facts: serde_json::Map<String, Value>| {
        let gateway = reached_at(facts.get("http")?.as_str()?).to_string();
        Some((facts.get("name")?.as_str()?.to_string(), GatewayArgs::at(gateway)))
    };
    cluster.facts().into_iter().filter_map(one).collect()
}

/// Where the first gateway is reached: over HTTP, and over the Redis protocol.
fn first_gateway(cluster: &Cluster) -> (GatewayArgs, SocketAddr) {
    let first = cluster.facts().into_iter().find(|facts| facts["name"] == "g1").unwrap_or_default();
    let at = |what: &str| reached_at(first.get(what).and_then(Value::as_str).unwrap_or_default());
    (GatewayArgs::at(at("http").to_string()), at("redis"))
}

fn announce(cluster: &Cluster, console: &str, as_json: bool) -> String {
    let facts = cluster.facts();
    let of = |kind: char| {
        let own = facts.iter().filter(move |f| f["name"].as_str().is_some_and(|name| name.starts_with(kind)));
        own.cloned().map(Value::Object).collect::<Vec<_>>()
    };
    let (nodes, gateways) = (of('n'), of('g'));
    let m = &cluster.manifest.borrow();
    if as_json {
        let line = json!({
            "cluster": m.cluster, "dir": cluster.dir, "port": m.port, "shards": m.shards, "pid": std::process::id(),
            "nodes": nodes, "gateways": gateways, "console": console, "extensions": m.extensions,
        });
        return format!("{line}\n");
    }
    let text = |value: &Value| value.as_str().map_or(value.to_string(), String::from);
    let mut rows = vec![["name", "pid", "listens on"].map(String::from)];
    for node in &nodes {
        rows.push([text(&node["name"]), text(&node["pid"]), text(&node["listen"])]);
    }
    for gateway in &gateways {
        let listens =
            format!("{} (Redis protocol), {} (HTTP)", text(&gateway["redis"]), text(&gateway["http"]));
        rows.push([text(&gateway["name"]), text(&gateway["pid"]), listens]);
    }
    let me = me();
    let (http, redis) = first_gateway(cluster);
    let at = http.flag();
    let host = if redis.ip() == Ipv4Addr::LOCALHOST { String::new() } else { format!(" -h {}", redis.ip()) };
    format!(
        "Cutaway is up: {} nodes, {} shard(s), {} gateway(s).\n\n{}\n  data: {}\n  console: {console}\n\n\
         Try, in another terminal:\n  {me} put greeting hello{at}\n  {me} kill primary{at}\n  {me} get greeting --explain{at}\n  \
         {me} status{at}\n  redis-cli{host} -p {} set greeting hi\n\nCtrl-C stops everything. Start it again, and nothing is lost.\n",
        m.nodes,
        m.shards,
        m.gateways,
        table(&rows),
        cluster.dir.display(),
        redis.port(),
    )
}
