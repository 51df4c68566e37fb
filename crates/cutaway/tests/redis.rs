//! Honest answers over the Redis protocol: what is said of a command is true of all of it.

mod common;

use std::collections::BTreeMap;
use std::process::Command;

use common::{Cluster, Redis, Reply, bulk, ok};

/// Sends requests in one go, and reads a reply for each.
fn pipeline(redis: &mut Redis, requests: impl Iterator<Item = String>) -> Vec<Reply> {
    let mut replies = Vec::new();
    let requests: Vec<String> = requests.collect();
    for some in requests.chunks(1000) {
        redis.send(some.iter().map(|request| format!("{request}\r\n")).collect::<String>().as_bytes());
        replies.extend(some.iter().map(|_| redis.read().expect("the connection is open")));
    }
    replies
}

fn error(reply: Reply) -> String {
    let Reply::Error(text) = reply else { panic!("an error was due: {reply:?}") };
    text
}

fn int(n: i64) -> Reply {
    Reply::Integer(n)
}

#[test]
fn a_command_over_more_keys_than_may_be_under_way_does_all_of_them() {
    let cluster = Cluster::new(&["--shards", "2", "--image-size", "64M"]);
    let mut redis = cluster.redis(1);
    let keys: Vec<String> = (0..20_000).map(|n| format!("key:{n}")).collect();
    pipeline(&mut redis, keys.iter().map(|key| format!("SET {key} x")));
    let all = |command| [&[command][..], &keys.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    assert_eq!(redis.call(&all("EXISTS")), int(20_000));
    assert!(matches!(redis.call(&all("MGET")), Reply::List(l) if l.iter().all(|v| *v == bulk("x"))));
    assert_eq!(redis.call(&all("DEL")), int(20_000));
    assert_eq!(redis.call(&["DBSIZE"]), int(0));
}

#[test]
fn a_key_that_cannot_be_leaves_the_others_alone() {
    let cluster = Cluster::new(&[]);
    let mut redis = cluster.redis(1);
    redis.call(&["SET", "a", "1"]);
    let long = "k".repeat(1025);
    for command in ["DEL", "UNLINK"] {
        assert!(error(redis.call(&[command, "a", &long])).starts_with("ERR the key has 1025 bytes"));
        assert!(error(redis.call(&[command, "a", ""])).starts_with("ERR the key has 0 bytes"));
    }
    assert_eq!(redis.call(&["GET", "a"]), bulk("1"));
}

#[test]
fn a_command_that_did_half_says_so() {
    // One shard of two has lost its majority: what lies there cannot be deleted, the rest can.
    let cluster = Cluster::new(&["--shards", "2"]);
    let mut redis = cluster.redis(1);
    let keys: Vec<String> = (0..20).map(|n| format!("k{n}")).collect();
    keys.iter().for_each(|key| drop(redis.call(&["SET", key, "x"])));
    cluster.ok(&["pause", "n2"]);
    cluster.ok(&["pause", "n3"]);
    let all = [&["DEL"][..], &keys.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    let said = error(redis.call(&all));
    // Nobody knows what became of writes that were sent; but never is it said that nothing happened.
    assert!(said.starts_with("UNKNOWN ") && said.contains("of 20 keys"), "{said}");
}

#[test]
fn nothing_behind_a_refused_transaction_is_done_before_its_end() {
    let cluster = Cluster::new(&[]);
    let mut redis = cluster.redis(1);
    assert!(error(redis.call(&["MULTI"])).contains("docs/redis.md"));
    for command in
        [&["SET", "a", "1"][..], &["DEL", "a"], &["GET", "a"], &["NOSUCH"], &["MULTI"], &["WATCH", "a"]]
    {
        assert!(error(redis.call(command)).contains("not done"), "{command:?}");
    }
    assert!(error(redis.call(&["EXEC"])).starts_with("EXECABORT"));
    assert_eq!(redis.call(&["GET", "a"]), Reply::Null, "nothing was done");
    assert!(error(redis.call(&["EXEC"])).contains("without MULTI"));

    // In one pipeline, as clients send it; and the other ways out.
    for (end, reply) in [("DISCARD", ok()), ("RESET", Reply::Simple("RESET".into()))] {
        let sent = ["MULTI", "SET a 1", end, "SET b 2", "GET a"].map(String::from);
        let replies = pipeline(&mut redis, sent.into_iter());
        assert!(matches!((&replies[0], &replies[1]), (Reply::Error(_), Reply::Error(_))));
        assert_eq!(replies[2..], [reply, ok(), Reply::Null]);
    }
}

#[test]
fn commands_over_all_keys_see_what_stands_before_them_in_the_pipeline_and_nothing_behind() {
    let cluster = Cluster::new(&["--shards", "2"]);
    let mut redis = cluster.redis(1);
    let step = |n: usize| {
        [
            "DBSIZE".into(),
            "KEYS *".into(),
            "SCAN 0 COUNT 1000".into(),
            format!("SET k{n:03} x"),
            "RANDOMKEY".into(),
        ]
    };
    let replies = pipeline(&mut redis, (0..100).flat_map(step));
    for (n, replies) in replies.chunks(5).enumerate() {
        assert_eq!(replies[0], int(n as i64));
        let keys: Vec<_> = (0..n).map(|n| bulk(&format!("k{n:03}"))).collect();
        assert_eq!(replies[1], Reply::List(keys));
        let Reply::List(scan) = &replies[2] else { panic!("{:?}", replies[2]) };
        assert!(matches!(&scan[1], Reply::List(keys) if keys.len() == n && scan[0] == bulk("0")), "{scan:?}");
        assert_eq!(replies[3], ok());
        assert!(matches!(&replies[4], Reply::Bulk(key) if key.starts_with(b"k")));
    }
}

/// One page of a scan: the next cursor and the keys.
fn page(redis: &mut Redis, cursor: &str, options: &[&str]) -> (String, Vec<String>) {
    let reply = redis.call(&[&["SCAN", cursor][..], options].concat());
    let Reply::List(parts) = &reply else { panic!("{reply:?}") };
    let text = |reply: &Reply| match reply {
        Reply::Bulk(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{other:?}"),
    };
    let [cursor, Reply::List(keys)] = &parts[..] else { panic!("{parts:?}") };
    (text(cursor), keys.iter().map(text).collect())
}

#[test]
fn a_scan_goes_on_at_any_gateway_in_any_life_of_it_and_misses_nothing_while_keys_come_and_go() {
    let cluster = Cluster::new(&["--gateways", "2", "--shards", "2"]);
    pipeline(&mut cluster.redis(1), (0..2000).map(|n| format!("SET key:{n:04} x")));
    let (mut cursor, mut seen, mut pages) = ("0".to_string(), BTreeMap::<String, u32>::new(), 0);
    loop {
        // A connection of its own for each page, at one gateway and the other in turns, of which one begins a new life.
        let gateway = 1 + pages % 2;
        if pages == 7 {
            cluster.ok(&["restart", "g2"]);
        }
        let (next, keys) = page(&mut cluster.redis(gateway), &cursor, &["COUNT", "50"]);
        assert!(next.parse::<u64>().unwrap() < 1 << 53, "no client's number is too small for it");
        // Every other key goes away once it was seen, the last of the page among them; and others come.
        let gone = keys.iter().filter(|key| key.ends_with(['1', '3', '5', '7', '9']));
        let come = (0..10).map(|n| format!("SET new:{pages}:{n} x"));
        pipeline(&mut cluster.redis(1), gone.map(|key| format!("DEL {key}")).chain(come));
        keys.into_iter().for_each(|key| *seen.entry(key).or_default() += 1);
        (cursor, pages) = (next, pages + 1);
        if cursor == "0" {
            break;
        }
    }
    assert!(pages > 10, "{pages} pages");
    for n in 0..2000 {
        assert_eq!(seen.get(&format!("key:{n:04}")), Some(&1), "key:{n:04}");
    }
}

#[test]
fn a_version_is_a_fencing_token() {
    let cluster = Cluster::new(&[]);
    let mut redis = cluster.redis(1);
    assert_eq!(redis.call(&["GETVER", "lock"]), Reply::Null);
    assert_eq!(redis.call(&["SETNX", "lock", "a"]), int(1));
    assert_eq!(redis.call(&["SETNX", "lock", "b"]), int(0));
    let Reply::List(held) = redis.call(&["GETVER", "lock"]) else { panic!("it has a value") };
    let [Reply::Integer(version), value] = &held[..] else { panic!("{held:?}") };
    assert_eq!(*value, bulk("a"));
    let (token, stale) = (version.to_string(), (version - 1).to_string());
    assert_eq!(redis.call(&["SET", "lock", "x", "IFVER", &stale]), Reply::Null);
    assert_eq!(redis.call(&["DELEX", "lock", "IFVER", &stale]), int(0));
    assert_eq!(redis.call(&["SET", "lock", "c", "IFVER", &token]), ok());
    assert_eq!(redis.call(&["DELEX", "lock", "IFVER", &token]), int(0), "it was written since");
    let Reply::List(held) = redis.call(&["GETVER", "lock"]) else { panic!("it has a value") };
    let Reply::Integer(newer) = held[0] else { panic!("{held:?}") };
    assert!(newer > *version, "tokens grow");
    assert_eq!(redis.call(&["DELEX", "lock", "IFVER", &newer.to_string()]), int(1));
    assert_eq!(redis.call(&["EXISTS", "lock"]), int(0));
}

#[test]
fn what_clients_and_tools_ask_is_answered() {
    let cluster = Cluster::new(&[]);
    let mut redis = cluster.redis(1);
    redis.call(&["SET", "k", "value"]);
    // By this word a client's library knows that it is the token, and not the command.
    assert!(matches!(redis.call(&["AUTH", "any"]), Reply::Error(why) if why.starts_with("WRONGPASS ")));
    assert_eq!(redis.call(&["TYPE", "k"]), Reply::Simple("string".into()));
    assert_eq!(redis.call(&["TYPE", "none"]), Reply::Simple("none".into()));
    assert_eq!(redis.call(&["TOUCH", "k", "none"]), int(1));
    assert_eq!(redis.call(&["RANDOMKEY"]), bulk("k"));
    assert_eq!(redis.call(&["KEYS", "?"]), Reply::List(vec![bulk("k")]));
    assert_eq!(redis.call(&["MEMORY", "USAGE", "k"]), int(6));
    assert_eq!(redis.call(&["UNLINK", "k", "none"]), int(1));
    assert_eq!(redis.call(&["RANDOMKEY"]), Reply::Null);
    redis.call(&["SET", "k", "value"]);

    let text = |reply| match reply {
        Reply::Bulk(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    let info = text(redis.call(&["INFO"]));
    for line in ["arch_bits:64", "redis_mode:standalone", "cluster_enabled:0", "role:master", "db0:keys=1,"] {
        assert!(info.contains(line), "no {line} in\n{info}");
    }
    let info = text(redis.call(&["INFO", "Clients", "keyspace"]));
    assert!(
        info.starts_with("# Clients\r\nconnected_clients:1\r\n") && info.contains("# Keyspace"),
        "{info}"
    );
    assert!(!info.contains("arch_bits"), "{info}");

    let id = redis.call(&["CLIENT", "ID"]);
    let Reply::Integer(id) = id else { panic!("{id:?}") };
    let clients =
        |redis: &mut Redis, filter: &[&str]| text(redis.call(&[&["CLIENT", "LIST"], filter].concat()));
    assert_eq!(clients(&mut redis, &["TYPE", "normal"]).lines().count(), 1);
    assert_eq!(clients(&mut redis, &["TYPE", "pubsub"]), "");
    assert!(clients(&mut redis, &["ID", "999", &id.to_string()]).starts_with(&format!("id={id} ")));
    assert!(error(redis.call(&["CLIENT", "LIST", "TYPE", "tourist"])).contains("Unknown client type"));
    assert!(error(redis.call(&["CLIENT", "LIST", "ID", "x"])).contains("Invalid client ID"));

    let Reply::List(names) = redis.call(&["COMMAND", "LIST", "FILTERBY", "PATTERN", "s*"]) else { panic!() };
    assert_eq!(names, ["scan", "select", "set", "setnx", "strlen"].map(bulk));
    let Reply::List(docs) = redis.call(&["COMMAND", "DOCS", "get", "nosuch"]) else { panic!() };
    assert!(docs.len() == 2 && docs[0] == bulk("get"), "{docs:?}");
    assert!(
        matches!(redis.call(&["COMMAND", "INFO", "set", "nosuch"]), Reply::List(l) if l[1] == Reply::Null)
    );
    assert!(error(redis.call(&["FLUSHALL"])).contains("docs/redis.md"));
    assert_eq!(
        error(redis.call(&["NOSUCH", "x"])),
        "ERR unknown command 'NOSUCH', with args beginning with: 'x'"
    );
}

#[test]
fn a_request_that_is_too_long_gets_its_reason_before_the_connection_ends() {
    let cluster = Cluster::new(&[]);
    let mut redis = cluster.redis(1);
    let bytes = dataplane::VALUE_BYTES_MAX + 1;
    let mut request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${bytes}\r\n").into_bytes();
    request.extend(vec![b'x'; bytes + 2]);
    redis.send(&request);
    assert!(error(redis.read().unwrap()).contains("at most"));
    assert_eq!(redis.read(), None);
    assert_eq!(cluster.redis(1).call(&["GET", "k"]), Reply::Null);
}

#[test]
fn redis_cli_counts_looks_for_big_keys_and_helps() {
    if !common::installed("redis-cli") {
        return;
    }
    let cluster = Cluster::new(&[]);
    let port = cluster.port.to_string();
    let mut redis = cluster.redis(1);
    (0..50).for_each(|n| drop(redis.call(&["SET", &format!("key:{n}"), &"x".repeat(n + 1)])));
    let cli = |arguments: &[&str]| {
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let big = cli(&["--bigkeys"]);
    assert!(big.contains("Sampled 50 keys") && big.contains("key:49\"' has 50 bytes"), "{big}");
    let memory = cli(&["--memkeys"]);
    assert!(memory.contains("Sampled 50 keys") && memory.contains("56 bytes"), "{memory}");
    let help = cli(&["help", "getver"]);
    assert!(help.contains("GETVER key") || help.contains("GETVER"), "{help}");
    let error = cli(&["multi"]);
    assert!(error.contains("not supported"), "{error}");
}
