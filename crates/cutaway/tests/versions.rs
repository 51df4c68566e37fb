//! Programs of two versions in one cluster: it is updated one process at a time, and back, while clients write.
//!
//! The older program is this one, held back with `--protocol`. With `CUTAWAY_BEFORE=PATH` it is that program.

mod common;
#[path = "common/deployed.rs"]
mod deployed;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::scope;

use common::{Reply, bulk, eventually, ok, program, redis_at, try_redis_at};
use deployed::Deployed;
use serde_json::Value;
use server::hello::{VERSION, VERSION_MIN};

/// Clients at a time.
const CLIENTS: usize = 16;

/// Starts a process of the older program.
fn start_before(deployed: &mut Deployed, command: &str, name: &str) {
    match std::env::var_os("CUTAWAY_BEFORE") {
        Some(before) => deployed.start_as(Command::new(before), command, name, &[]),
        None => {
            deployed.start_as(program(), command, name, &["--protocol", &VERSION_MIN.to_string()]);
        }
    }
}

/// What a gateway says the nodes speak, once all three are connected to it.
fn spoken(http: u16) -> BTreeMap<String, u64> {
    eventually("all nodes are connected", || {
        let mut answer = ureq::get(format!("http://127.0.0.1:{http}/v1/status")).call().ok()?;
        let status: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        let programs = status["programs"].as_object()?.clone();
        let spoken: BTreeMap<_, _> =
            programs.into_iter().map(|(node, runs)| (node, runs["protocol"].as_u64().unwrap())).collect();
        (spoken.len() == 3).then_some(spoken)
    })
}

/// Clients of two gateways. Each writes its keys again and again, and every write has to succeed. If a gateway closes the
/// connection, its clients go to the other one and write that again, as clients do.
struct Load {
    ports: [u16; 2],
    over: AtomicBool,
    /// How many writes were acknowledged.
    done: AtomicU64,
    /// Gateways are being updated.
    moving: AtomicBool,
}

impl Load {
    fn client(&self, client: usize) -> BTreeMap<String, String> {
        let (mut at, mut written) = (client % 2, BTreeMap::new());
        let mut redis = redis_at(self.ports[at]);
        for round in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let (key, value) = (format!("client{client}/{}", round % 20), format!("round {round}"));
            loop {
                match redis.try_call(&["SET", &key, &value]) {
                    Some(reply) => break assert_eq!(reply, ok(), "client {client}, round {round}"),
                    None => assert!(self.moving.load(Ordering::Relaxed), "no gateway was stopped"),
                }
                redis = eventually("one of the gateways is there", || {
                    at = 1 - at;
                    try_redis_at(self.ports[at])
                });
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            written.insert(key, value);
        }
        written
    }

    /// Waits until clients have been served for a while.
    fn goes_on(&self) {
        let before = self.done.load(Ordering::Relaxed);
        eventually("writes are acknowledged", || {
            (self.done.load(Ordering::Relaxed) > before + 100 * CLIENTS as u64).then_some(())
        });
    }
}

#[test]
fn a_cluster_is_updated_one_process_at_a_time_and_back_and_no_request_fails() {
    let second = "[gateways.g2]\nredis = \"127.0.0.1:PORT\"\nhttp = \"127.0.0.1:HTTP\"\n";
    let mut deployed = Deployed::described(false, "");
    let port = deployed.port;
    let second = second.replace("PORT", &(port + 3).to_string()).replace("HTTP", &(port + 4).to_string());
    let text = std::fs::read_to_string(deployed.path("cluster.toml")).unwrap();
    std::fs::write(deployed.path("cluster.toml"), text + &second).unwrap();
    let (nodes, gateways) = (["n1", "n2", "n3"], ["g1", "g2"]);
    for n in nodes {
        deployed.ok(&["format", "--founding", "--deploy", "cluster.toml", "--name", n]);
        start_before(&mut deployed, "node", n);
    }
    gateways.iter().for_each(|g| start_before(&mut deployed, "gateway", g));

    let load = Load {
        ports: [port + 1, port + 3],
        over: AtomicBool::new(false),
        done: AtomicU64::new(0),
        moving: AtomicBool::new(false),
    };
    let written = scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let load = &load;
                scope.spawn(move || load.client(client))
            })
            .collect();
        // Whatever happens, the clients end.
        let updated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            load.goes_on();
            // The nodes first. Older gateways speak as before with each.
            for n in nodes {
                deployed.stop(n);
                deployed.start("node", n);
                load.goes_on();
            }
            load.moving.store(true, Ordering::Relaxed);
            for (g, http) in [("g1", port + 2), ("g2", port + 4)] {
                deployed.stop(g);
                deployed.start("gateway", g);
                assert!(spoken(http).values().all(|version| *version == u64::from(VERSION)));
                load.goes_on();
            }
            // And one of them back.
            deployed.stop("n2");
            start_before(&mut deployed, "node", "n2");
            load.goes_on();
            let speaks = spoken(port + 2);
            assert_eq!(speaks["n2"], u64::from(VERSION_MIN), "{speaks:?}");
            assert_eq!(speaks["n1"], u64::from(VERSION), "{speaks:?}");
            let status = deployed.ok(&["status"]);
            assert!(status.contains(&format!("n2 speaks version {VERSION_MIN} of the protocol")), "{status}");
        }));
        load.over.store(true, Ordering::Relaxed);
        let written: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        updated.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.into_iter().map(|client| client.expect("no request fails")).collect::<Vec<_>>()
    });
    let mut redis = redis_at(port + 1);
    for (key, value) in written.into_iter().flatten() {
        assert_eq!(redis.call(&["GET", &key]), bulk(&value), "{key}");
    }
    assert_eq!(redis.call(&["GET", "client0/none"]), Reply::Null);
}
