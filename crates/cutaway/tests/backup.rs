//! A running cluster is copied, under load and with its primary killed; a new cluster is founded from the copy.

mod common;
#[path = "common/deployed.rs"]
mod deployed;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use backup::Digester;
use common::{Cluster, eventually, program, signal};
use deployed::Deployed;
use rustix::process::Signal;
use serde_json::Value;

/// Of each key, every value that was acknowledged, by the entry that wrote it.
type History = BTreeMap<String, BTreeMap<u64, Option<Vec<u8>>>>;

/// Writes through a gateway, and remembers what was acknowledged.
struct Client {
    agent: ureq::Agent,
    http: String,
}

impl Client {
    fn new(http: &str) -> Client {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Client { agent, http: http.into() }
    }

    /// The version of what was written; `None` if nobody knows whether it was.
    fn put(&self, key: &str, value: &[u8]) -> Option<u64> {
        let answer = self.agent.put(format!("http://{}/v1/kv/{key}", self.http)).send(value).ok()?;
        let tag = answer.headers().get("etag")?.to_str().ok()?;
        tag.trim_matches('"').parse().ok()
    }

    fn get(&self, key: &str) -> Option<(u64, Vec<u8>)> {
        let mut answer = self.agent.get(format!("http://{}/v1/kv/{key}", self.http)).call().unwrap();
        let version = answer.headers().get("etag")?.to_str().ok()?.trim_matches('"').parse().ok()?;
        Some((version, answer.body_mut().read_to_vec().unwrap()))
    }
}

/// Clients that write until they are told to stop; none of their writes may have an unknown outcome, if `sure`.
struct Load {
    stop: Arc<AtomicBool>,
    history: Arc<Mutex<History>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(http: &str) -> Load {
        let (stop, history) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<History>>::default());
        let client = |n: usize| {
            let (stop, history, client) = (stop.clone(), history.clone(), Client::new(http));
            std::thread::spawn(move || {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (key, value) =
                        (format!("c{n}-{:02}", round % 40), vec![b'a' + n as u8; 1 + round * 37 % 3000]);
                    if let Some(version) = client.put(&key, &value) {
                        history.lock().unwrap().entry(key).or_default().insert(version, Some(value));
                    }
                }
            })
        };
        let threads = (0..3).map(client).collect();
        Load { stop, history, threads }
    }

    /// What is acknowledged by now.
    fn history(&self) -> History {
        self.history.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.history.lock().unwrap().values().map(BTreeMap::len).sum()
    }

    /// Waits until so many more writes are acknowledged.
    fn goes_on(&self, more: usize) {
        let enough = self.count() + more;
        eventually("the clients go on", || (self.count() >= enough).then_some(()));
    }

    fn stop(self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        Arc::into_inner(self.history).unwrap().into_inner().unwrap()
    }
}

fn ran(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn json(output: Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The digest of each shard, as of the entry that the backup says.
fn digests(history: &History, backup: &Value) -> Vec<(u64, String)> {
    let shards = backup["shards"].as_array().unwrap();
    let digest = |shard: &Value| {
        let (number, seq) = (shard["shard"].as_u64().unwrap() as u32, shard["seq"].as_u64().unwrap());
        let mut digester = Digester::default();
        for (key, values) in history {
            if gateway::shard_of(key.as_bytes(), shards.len() as u32) == number
                && let Some((version, Some(value))) = values.range(..=seq).next_back()
            {
                digester.add(key.as_bytes(), *version, value);
            }
        }
        let (keys, digest) = digester.finish();
        (keys, digest.to_string())
    };
    shards.iter().map(digest).collect()
}

/// What a command says of each shard.
fn told(said: &Value) -> Vec<(u64, String)> {
    let shards = said["shards"].as_array().unwrap().iter();
    shards.map(|s| (s["keys"].as_u64().unwrap(), s["digest"].as_str().unwrap().to_string())).collect()
}

/// Everything that was acknowledged before the backup began is in it.
fn reaches(backup: &Value, before: &History) {
    let shards = backup["shards"].as_array().unwrap();
    for (key, values) in before {
        let shard = gateway::shard_of(key.as_bytes(), shards.len() as u32) as usize;
        let (last, _) = values.last_key_value().unwrap();
        assert!(shards[shard]["seq"].as_u64() >= Some(*last), "{key} of entry {last} is not in {backup}");
    }
}

#[test]
fn a_copy_under_load_is_the_state_as_of_one_entry_and_a_new_cluster_has_it() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str| home.path().join(name).to_str().unwrap().to_string();
    let (full, later) = (file("full.backup"), file("later.backup"));
    let cluster = Cluster::new(&["--shards", "2"]);
    let client = Client::new(&cluster.http(1));
    let mut first = History::new();
    for n in 0..200 {
        let (key, value) = (format!("p{n:03}"), vec![n as u8; n * 100]);
        let version = client.put(&key, &value).unwrap();
        first.entry(key).or_default().insert(version, Some(value));
    }
    (0..20).for_each(|n| drop(cluster.ok(&["del", &format!("p{n:03}")])));
    (0..20).for_each(|n| drop(first.remove(&format!("p{n:03}"))));

    let load = Load::start(&cluster.http(1));
    load.goes_on(200);
    let before = load.history();
    let backed = json(cluster.run(&["backup", &full, "--json"]));
    reaches(&backed, &before);
    reaches(&backed, &first);
    // Between the two, keys come, change and go.
    load.goes_on(200);
    (20..30).for_each(|n| drop(cluster.ok(&["del", &format!("p{n:03}")])));
    let before = load.history();
    let again = json(cluster.run(&["backup", &later, "--since", &full, "--json"]));
    reaches(&again, &before);
    load.goes_on(100);
    let written = load.stop();

    let mut history = written;
    history.extend(first);
    assert_eq!(told(&backed), digests(&history, &backed), "what the backup says of itself");
    assert_eq!(told(&json(ran(&["verify", "--json", &full]))), digests(&history, &backed));
    (20..30).for_each(|n| drop(history.remove(&format!("p{n:03}"))));
    assert_eq!(told(&json(ran(&["verify", "--json", &full, &later]))), digests(&history, &again));

    // From the first alone, and from both.
    let old = file("old");
    json(ran(&["restore", &full, "--dir", &old, "--image-size", "32M", "--json"]));
    let new = home.path().join("new");
    let args = ["restore", &full, &later, "--dir", new.to_str().unwrap(), "--image-size", "32M", "--json"];
    let restored = json(ran(&args));
    assert_eq!(told(&restored), digests(&history, &again));
    for node in ["n1", "n2", "n3"] {
        for (shard, (keys, digest)) in told(&restored).into_iter().enumerate() {
            let image = new.join(format!("{node}/shard-{shard}.img"));
            let state = json(ran(&["verify", "--json", image.to_str().unwrap()]))["state"].clone();
            assert_eq!((state["keys"].as_u64(), state["digest"].as_str()), (Some(keys), Some(&digest[..])));
            assert_eq!(state["seq"], again["shards"][shard]["seq"], "an image is as of the same entry");
        }
    }

    let second = Cluster::start_in(&new, &[]);
    assert_ne!(second.status_of(1)["cluster"], cluster.status_of(1)["cluster"], "another cluster");
    let client = Client::new(&second.http(1));
    for (key, values) in &history {
        let seq = again["shards"][gateway::shard_of(key.as_bytes(), 2) as usize]["seq"].as_u64().unwrap();
        let as_of = values.range(..=seq).next_back();
        let wanted = as_of.map(|(version, value)| (*version, value.clone().unwrap()));
        assert_eq!(client.get(key), wanted, "{key}");
    }
    assert_eq!(client.get("p025"), None, "what was deleted stays deleted");
    // A version that a client holds is good for its condition, and new entries are behind the old.
    let (version, _) = client.get("p100").unwrap();
    let tag = format!("\"{version}\"");
    let put = client.agent.put(format!("http://{}/v1/kv/p100", client.http)).header("If-Match", tag);
    assert_eq!(put.send(&b"new"[..]).unwrap().status(), 200);
    assert!(client.get("p100").unwrap().0 > version);
    // It fails over as any other does.
    second.ok(&["kill", "primary"]);
    assert!(client.put("after", b"x").is_some());
    assert_eq!(client.get("p100").unwrap().1, b"new");
}

#[test]
fn a_primary_that_is_killed_does_not_end_a_backup() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out.backup");
    let cluster = Cluster::new(&[]);
    let client = Client::new(&cluster.http(1));
    // Values enough for many pieces.
    let value = vec![7; 500_000];
    let mut history = History::new();
    for n in 0..16 {
        let version = client.put(&format!("large{n}"), &value).unwrap();
        history.entry(format!("large{n}")).or_default().insert(version, Some(value.clone()));
    }
    let load = Load::start(&cluster.http(1));
    load.goes_on(30);
    let backup = program()
        .args(["backup", "--json", "--gateway", &cluster.http(1)])
        .arg(&out)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    signal(cluster.pid(&cluster.primary(0, None)), Signal::KILL);
    let backed = json(backup.wait_with_output().unwrap());
    load.goes_on(30);
    history.extend(load.stop());
    // A write whose answer was lost may be in it, and its client never knew of which entry it is.
    let verified = told(&json(ran(&["verify", "--json", out.to_str().unwrap()])));
    assert_eq!(verified, told(&backed));
    assert!(verified[0].0 >= 16, "{backed}");
}

#[test]
fn a_replica_that_stands_still_is_left_for_another() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out.backup");
    let cluster = Cluster::new(&["--image-size", "8M"]);
    cluster.ok(&["put", "fruit", "apple"]);
    // Backups are asked first, in their order.
    let primary = cluster.primary(0, None);
    let first = ["n1", "n2"].into_iter().find(|node| *node != primary).unwrap();
    signal(cluster.pid(first), Signal::STOP);
    let backed = json(cluster.run(&["backup", out.to_str().unwrap(), "--json"]));
    signal(cluster.pid(first), Signal::CONT);
    assert_eq!(told(&json(ran(&["verify", "--json", out.to_str().unwrap()]))), told(&backed));
    assert_eq!(backed["keys"], 1);
}

#[test]
fn without_a_majority_a_backup_says_what_to_do_and_leaves_no_file() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out.backup");
    let cluster = Cluster::new(&["--image-size", "8M"]);
    cluster.ok(&["put", "k", "v"]);
    ["n1", "n2"].iter().for_each(|node| drop(cluster.ok(&["kill", node])));
    let output = cluster.run(&["backup", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", error(&output));
    assert!(error(&output).contains("no replica of shard 0 gave its state"), "{}", error(&output));
    assert!(error(&output).contains("status"), "{}", error(&output));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing is left behind");
}

/// Two backups of a small cluster, one on the other.
fn two_backups(home: &Path) -> [String; 2] {
    let files = ["full.backup", "later.backup"].map(|name| home.join(name).to_str().unwrap().to_string());
    let cluster = Cluster::new(&["--image-size", "8M"]);
    cluster.ok(&["put", "fruit", "apple"]);
    cluster.ok(&["backup", &files[0]]);
    cluster.ok(&["put", "fruit", "pear"]);
    cluster.ok(&["backup", &files[1], "--since", &files[0]]);
    files
}

#[test]
fn a_flipped_byte_a_cut_file_and_a_wrong_base_are_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let [full, later] = two_backups(home.path());
    let bad = home.path().join("bad.backup");
    let bad = bad.to_str().unwrap();
    let dir = home.path().join("restored");
    let dir = dir.to_str().unwrap();
    let whole = std::fs::read(&full).unwrap();
    let refused = |arguments: &[&str], code: i32, words: &[&str]| {
        let output = ran(arguments);
        let said = error(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
        assert!(said.contains("next: "), "{arguments:?}: {said}");
        let images = Path::new(dir).join("n1");
        assert!(!images.exists(), "{arguments:?} left images behind");
    };
    let mut flipped = whole.clone();
    *flipped.iter_mut().rev().nth(70).unwrap() ^= 1;
    std::fs::write(bad, flipped).unwrap();
    refused(&["verify", bad], 4, &[bad, "damaged at byte"]);
    refused(&["restore", bad, "--dir", dir, "--image-size", "8M"], 4, &[bad, "damaged at byte"]);
    std::fs::write(bad, &whole[..whole.len() - 9]).unwrap();
    refused(&["verify", bad], 4, &[bad, "it was cut"]);
    refused(&["restore", bad, "--dir", dir, "--image-size", "8M"], 4, &[bad, "it was cut"]);
    refused(&["restore", &later, "--dir", dir], 1, &[&later, "must stand before it"]);
    refused(&["restore", &later, &full, "--dir", dir], 1, &[&later, "must stand before it"]);
    refused(&["verify", &full, &full], 1, &[&full, "stands alone or first"]);
    std::fs::write(bad, "something else").unwrap();
    refused(&["restore", bad, "--dir", dir], 1, &[bad, "it is no backup"]);
    // A directory that has something in it, and an image that is there, are left as they are.
    refused(&["restore", &full, "--dir", home.path().to_str().unwrap()], 1, &["is not empty"]);

    // The base of another cluster.
    let other = Cluster::new(&["--image-size", "8M"]);
    let output = other.run(&["backup", bad, "--since", &full]);
    assert!(error(&output).contains("is no backup of this program"), "{}", error(&output));
    std::fs::remove_file(bad).unwrap();
    let output = other.run(&["backup", bad, "--since", &full]);
    assert!(error(&output).contains("is no base for this backup: it is of cluster"), "{}", error(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_deployment_is_restored_from_the_file_that_describes_it() {
    let home = tempfile::tempdir().unwrap();
    let [full, later] = two_backups(home.path());
    let mut new = Deployed::described(false, "");
    let restore = |deployed: &Deployed, more: &[&str]| {
        let args = ["restore", &full, &later, "--deploy", "cluster.toml", "--name"];
        deployed.run(&[&args[..], more].concat())
    };
    for name in ["n1", "n2", "n3"] {
        let output = restore(&new, &[name]);
        assert!(output.status.success(), "{}", error(&output));
    }
    // What is there stays.
    let why = error(&restore(&new, &["n1"]));
    assert!(why.contains("n1/shard-0.img is there"), "{why}");
    let (code, why) = new.refused(&["restore", &full, "--deploy", "cluster.toml", "--name", "n4"]);
    assert!(code == 2 && why.contains("no n4"), "{code} {why}");
    let (code, why) =
        new.refused(&["restore", &full, "--deploy", "cluster.toml", "--name", "n1", "--nodes", "1"]);
    assert!(code == 2 && why.contains("--nodes"), "{code} {why}");
    for name in ["n1", "n2", "n3"] {
        new.start("node", name);
    }
    new.start("gateway", "g1");
    assert_eq!(new.ok(&["get", "fruit"]).trim(), "pear");

    // A backup of this cluster cannot be restored into it, nor into one with other shards.
    new.ok(&["backup", "mine"]);
    let text = std::fs::read_to_string(new.path("cluster.toml")).unwrap();
    let of_file = ["restore", "mine", "--deploy", "other.toml", "--name", "n1"];
    for (text, told) in [
        (text.clone(), "would be taken for one"),
        (format!("shards = 2\n{}", text.replace("5a5a", "5b5b")), "with 1 shards"),
    ] {
        std::fs::write(new.path("other.toml"), text).unwrap();
        let (code, why) = new.refused(&of_file);
        assert!(code == 2 && why.contains(told) && why.contains("into that file"), "{code} {why}");
    }
}
