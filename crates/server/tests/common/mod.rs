//! A harness for what the simulator cannot reach: the real hosts of nodes and gateways, in this process, over loopback, with
//! peers that behave as no program of ours does.

#![allow(dead_code)] // Each test binary uses its part.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dataplane::{
    Address, Epoch, Frame, GatewayId, Message, NodeId, NodeStatus, Outcome, Proof, ReadResult, RoleName,
    ShardId, Tail, WriteResult, wire,
};
use engine::Standing;
use secure::identity::Watched;
use secure::token::Tokens;
use server::child::Orders;
use server::cut::Cut;
use server::founding;
use server::gateway_host::{self, GatewayOptions};
use server::hello::{self, Greeting, Hello, IMAGE_VERSION, VERSION};
use server::node_host::{self, NodeOptions};
use tokio::sync::watch;

/// Far longer than anything takes; only a test that hangs gets there.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The cluster of every test.
pub const CLUSTER: [u8; 16] = [7; 16];

/// An address with nobody on it. It is held until this process ends, by a listener that nobody connects to, under
/// another address of the same port: so test processes that run at the same time keep out of each other's way.
pub fn free_address() -> SocketAddr {
    static HELD: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());
    loop {
        let holder = TcpListener::bind("127.0.0.2:0").unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], holder.local_addr().unwrap().port()));
        if TcpListener::bind(address).is_ok() {
            HELD.lock().unwrap().push(holder);
            return address;
        }
    }
}

/// Polls until `done` says something.
pub fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = done() {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "it never came about: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A host on a thread of its own, stopped when dropped.
pub struct Host {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    fn start(name: &str, run: impl AsyncFnOnce(watch::Receiver<bool>) + Send + 'static) -> Host {
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, run(stopped));
        });
        Host { stop, thread: Some(thread.unwrap()) }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// One gateway and three nodes.
pub struct Cluster {
    gateway: Host,
    nodes: BTreeMap<u32, Host>,
    pub addresses: BTreeMap<NodeId, SocketAddr>,
    pub redis: SocketAddr,
    pub http: SocketAddr,
    home: tempfile::TempDir,
}

impl Cluster {
    /// A new cluster of one shard that serves.
    pub fn new() -> Cluster {
        let home = tempfile::tempdir().unwrap();
        let addresses: BTreeMap<_, _> = (1..=3).map(|n| (NodeId(n), free_address())).collect();
        for &node in addresses.keys() {
            let members: Vec<_> = addresses.keys().copied().collect();
            let identity = founding::identity(CLUSTER, node, &members, 0, 1);
            let path = home.path().join(format!("{node}.img"));
            founding::create(&path, 96 << 20, &identity, Standing::Founding).unwrap();
        }
        let mut nodes = BTreeMap::new();
        for &node in addresses.keys() {
            nodes.insert(node.0, start_node(node, &addresses, home.path().join(format!("{node}.img"))));
        }
        let (redis, http) = (free_address(), free_address());
        let gateway = start_gateway(&addresses, redis, http);
        let cluster = Cluster { gateway, nodes, addresses, redis, http, home };
        eventually("service", || (cluster.client().call(&["SET", "ready", "yes"]) == "+OK").then_some(()));
        cluster
    }

    /// A client of the Redis protocol.
    pub fn client(&self) -> Client {
        Client::connect(self.redis)
    }

    /// Stops a node.
    pub fn stop(&mut self, node: u32) {
        self.nodes.remove(&node);
    }

    /// Starts a node that was stopped.
    pub fn start(&mut self, node: u32) {
        let image = self.home.path().join(format!("n{node}.img"));
        self.nodes.insert(node, start_node(NodeId(node), &self.addresses, image));
    }

    /// How the gateway sees shard 0.
    pub fn shard(&self) -> serde_json::Value {
        let (_, body) = http(self.http, "GET", "/v1/status", &[], b"");
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
        status["shards"][0].clone()
    }

    /// The epoch: each takeover raises it.
    pub fn epoch(&self) -> u64 {
        self.shard()["epoch"].as_u64().unwrap()
    }
}

fn texts(addresses: &BTreeMap<NodeId, SocketAddr>) -> BTreeMap<NodeId, String> {
    addresses.iter().map(|(node, address)| (*node, address.to_string())).collect()
}

fn start_node(node: NodeId, addresses: &BTreeMap<NodeId, SocketAddr>, image: PathBuf) -> Host {
    let options = NodeOptions {
        cluster: CLUSTER,
        node,
        nodes: texts(addresses),
        listen: addresses[&node],
        added: Default::default(),
        extensions: extensions::Chosen::NONE,
        identity: None,
        images: vec![image],
        protocol: VERSION,
        tells: None,
        record: None,
    };
    Host::start(&node.to_string(), async move |stop| {
        node_host::run(options, Orders::alone(stop, Cut::default())).await.unwrap();
    })
}

fn start_gateway(nodes: &BTreeMap<NodeId, SocketAddr>, redis: SocketAddr, http: SocketAddr) -> Host {
    let options = GatewayOptions {
        cluster: CLUSTER,
        gateway: 1,
        nodes: texts(nodes),
        shards: None,
        redis,
        http,
        identity: None,
        door: None,
        tokens: Arc::new(Watched::fixed(Tokens::default())),
        host_names: Vec::new(),
        dir: None,
        protocol: VERSION,
    };
    Host::start("g1", async move |stop| {
        gateway_host::run(options, Orders::alone(stop, Cut::default())).await.unwrap();
    })
}

/// A peer that speaks frames, and does as the test says.
pub struct Peer {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    /// A connection that has not said anything.
    pub fn silent(to: SocketAddr) -> Peer {
        let stream = eventually("the node listens", || TcpStream::connect(to).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { stream, read: Vec::new() }
    }

    /// A gateway's connection about `shard`, which has greeted.
    pub fn gateway(to: SocketAddr, node: NodeId, shard: ShardId) -> Peer {
        let mut peer = Peer::silent(to);
        peer.stream.write_all(&Greeting::Hello(hello(node, shard)).encode()).unwrap();
        let greeting = peer.greeting();
        assert!(matches!(greeting, Some(Greeting::Hello(_))), "{greeting:?}");
        peer
    }

    /// The greeting of the other side; `None` when the connection ends.
    fn greeting(&mut self) -> Option<Greeting> {
        loop {
            if let Some((greeting, bytes)) = Greeting::decode(&self.read, VERSION).unwrap() {
                self.read.drain(..bytes);
                return Some(greeting);
            }
            let mut some = [0; 4096];
            match self.stream.read(&mut some) {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.read.extend_from_slice(&some[..read]),
            }
        }
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame) {
        self.stream.write_all(&bytes(frame)).unwrap();
    }

    /// The next frame; `None` when the connection ends.
    pub fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(length) = wire::frame_bytes(&self.read).unwrap().filter(|n| *n <= self.read.len()) {
                let frame = wire::decode(&self.read[..length]).unwrap();
                self.read.drain(..length);
                return Some(frame);
            }
            let mut some = [0; 65536];
            match self.stream.read(&mut some) {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.read.extend_from_slice(&some[..n]),
            }
        }
    }

    /// The next frame with such a message.
    pub fn until<T>(&mut self, wanted: impl Fn(Message) -> Option<T>) -> T {
        loop {
            let frame = self.read().expect("the connection is open");
            if let Some(found) = wanted(frame.message) {
                return found;
            }
        }
    }
}

/// A node of which every byte is the test's: it greets, says how it is when it is probed, and what it does with everything
/// else, the script says.
pub struct Scripted {
    pub node: NodeId,
    pub address: SocketAddr,
    /// Which epoch it says it leads; 0: it says that it is a backup.
    pub epoch: Arc<AtomicU64>,
}

impl Scripted {
    /// A script gets each frame that is no probe, and the connection; with `false` the connection ends.
    pub fn start(
        node: NodeId,
        script: impl Fn(Frame, &mut TcpStream) -> bool + Clone + Send + 'static,
    ) -> Scripted {
        let (address, epoch) = (free_address(), Arc::<AtomicU64>::default());
        let listener = TcpListener::bind(address).unwrap();
        let leads = epoch.clone();
        // They end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let peer = Peer { stream: stream.unwrap(), read: Vec::new() };
                let (script, leads) = (script.clone(), leads.clone());
                std::thread::spawn(move || Scripted::serve(node, peer, &script, &leads));
            }
        });
        Scripted { node, address, epoch }
    }

    fn serve(
        node: NodeId,
        mut peer: Peer,
        script: &impl Fn(Frame, &mut TcpStream) -> bool,
        epoch: &AtomicU64,
    ) -> Option<()> {
        let Greeting::Hello(theirs) = peer.greeting()? else { return None };
        let own = Hello {
            images: Some(IMAGE_VERSION),
            from: Address::Node(node),
            to: theirs.from,
            shards: Some(1),
            ..theirs
        };
        peer.stream.write_all(&Greeting::Hello(own).encode()).ok()?;
        loop {
            let frame = peer.read()?;
            let Message::Probe { attempt } = frame.message else {
                match script(frame, &mut peer.stream) {
                    true => continue,
                    false => return None,
                }
            };
            let status = scripted_status(epoch.load(Ordering::Relaxed));
            peer.stream.write_all(&bytes(&answer(&frame, Message::Status { attempt, status }))).ok()?;
        }
    }
}

fn scripted_status(epoch: u64) -> NodeStatus {
    let leads = epoch > 0;
    NodeStatus {
        pid: std::process::id(),
        role: if leads { RoleName::Primary } else { RoleName::Backup },
        serving: leads,
        proof: Proof::Proven,
        promised: Epoch(epoch),
        primary: None,
        tail: Tail { epoch: Epoch(epoch), seq: epoch },
        voted_tail: Tail { epoch: Epoch(epoch), seq: epoch },
        durable: epoch,
        committed: epoch,
        cut_off_micros: 0,
        sync_micros: 0,
    }
}

/// What a node says to whom sent this.
pub fn answer(to: &Frame, message: Message) -> Frame {
    Frame { from: to.to, to: to.from, cause: None, message, ..to.clone() }
}

/// A gateway of such nodes, with its clients' address.
pub fn gateway_of(nodes: &[Scripted]) -> (Host, SocketAddr, SocketAddr) {
    let addresses = nodes.iter().map(|node| (node.node, node.address)).collect();
    let (redis, http) = (free_address(), free_address());
    (start_gateway(&addresses, redis, http), redis, http)
}

/// Three nodes, of which the first leads, and all do the same; their gateway's doors.
pub fn scripted(
    script: impl Fn(Frame, &mut TcpStream) -> bool + Clone + Send + 'static,
) -> (Vec<Scripted>, Host, SocketAddr, SocketAddr) {
    let nodes: Vec<_> = (1..=3).map(|node| Scripted::start(NodeId(node), script.clone())).collect();
    nodes[0].epoch.store(1, Ordering::Relaxed);
    let (gateway, redis, http) = gateway_of(&nodes);
    (nodes, gateway, redis, http)
}

/// The same, of nodes that serve reads, take writes, and never answer a write.
pub fn silent_on_writes() -> (Vec<Scripted>, Host, SocketAddr, SocketAddr) {
    scripted(|frame, stream| {
        if matches!(frame.message, Message::Write { .. }) {
            return true;
        }
        reply_to(&frame).is_none_or(|reply| stream.write_all(&bytes(&reply)).is_ok())
    })
}

/// What a node says to a frame that asks for something.
pub fn reply_to(to: &Frame) -> Option<Frame> {
    Some(match &to.message {
        Message::Read { id, .. } => {
            answer(to, Message::ReadAnswer { id: *id, result: ReadResult::Value(7, (*b"value").into()) })
        }
        Message::OpenSession => answer(to, Message::SessionOpened { session: 5 }),
        Message::Write { request, .. } => {
            let result = WriteResult::Done(Outcome::Written(9));
            answer(to, Message::Answer { request: *request, result })
        }
        _ => return None,
    })
}

/// What that gateway says to a node first.
pub fn hello(to: NodeId, shard: ShardId) -> Hello {
    let members = (1..=3).map(NodeId).collect();
    let (from, to) = (gateway(), Address::Node(to));
    let (version, program) = (VERSION, hello::program());
    let (images, shards, extensions) = (None, None, None);
    Hello { version, cluster: CLUSTER, images, from, to, shard, shards, members, extensions, program }
}

/// The gateway that scripted peers say they are.
pub fn gateway() -> Address {
    Address::Gateway(GatewayId { gateway: 9, life: 9 })
}

/// A frame from that gateway to a node about shard 0.
pub fn frame(to: NodeId, message: Message) -> Frame {
    Frame { cluster: CLUSTER, shard: 0, from: gateway(), to: Address::Node(to), cause: None, message }
}

/// A frame as bytes.
pub fn bytes(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    wire::encode(frame, &mut out);
    out
}

/// A client of the Redis protocol.
pub struct Client {
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    /// A client of the gateway there.
    pub fn connect(to: SocketAddr) -> Client {
        let stream = eventually("the gateway listens", || TcpStream::connect(to).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { reader: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    /// Sends a command without waiting for its reply.
    pub fn send(&mut self, arguments: &[&str]) {
        self.stream.write_all(&command(arguments)).unwrap();
    }

    /// The first line of the next reply; of a bulk reply, its content. Empty at the end of the connection.
    pub fn read(&mut self) -> String {
        let mut line = String::new();
        let _ = self.reader.read_line(&mut line);
        let line = line.trim_end().to_owned();
        let Some(length) = line.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()) else { return line };
        let mut bytes = vec![0; length + 2];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => String::from_utf8_lossy(&bytes[..length]).into_owned(),
            Err(_) => String::new(),
        }
    }

    /// Sends a command and reads its reply.
    pub fn call(&mut self, arguments: &[&str]) -> String {
        self.send(arguments);
        self.read()
    }
}

/// A command as bytes.
pub fn command(arguments: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n{argument}\r\n", argument.len()).into_bytes());
    }
    bytes
}

/// One HTTP request: status and body.
pub fn http(to: SocketAddr, method: &str, path: &str, headers: &[&str], body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    headers.iter().for_each(|header| head += &format!("{header}\r\n"));
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer");
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

/// Memory of this process that is resident, in bytes.
#[cfg(target_os = "linux")]
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Is the connection closed by the other side?
pub fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).is_ok() || stream.take_error().ok().flatten().is_some()
}
