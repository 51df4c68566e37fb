//! What a client can do: command line, HTTP, Redis protocol.

mod common;

use std::process::Command;

use common::{Cluster, Reply, bulk, eventually, ok, program};
use ureq::Agent;
use ureq::http::{Method, Request};

#[test]
fn the_command_line_stores_finds_lists_and_deletes() {
    let cluster = Cluster::new(&[]);
    assert_eq!(cluster.ok(&["put", "greeting", "hello"]).split(',').next(), Some("OK"));
    assert_eq!(cluster.ok(&["get", "greeting"]), "hello");

    let missing = cluster.run(&["get", "nobody"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(missing.stdout.is_empty());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("next: "));

    cluster.ok(&["put", "a/b c%\u{fc}", "x"]);
    cluster.ok(&["put", "empty", ""]);
    let listed = cluster.ok(&["list"]);
    let keys: Vec<_> = listed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(keys, ["a/b c%\u{fc}", "empty", "greeting"]);
    assert_eq!(cluster.ok(&["get", "empty"]), "");
    assert_eq!(cluster.ok(&["get", "a/b c%\u{fc}"]), "x");
    assert_eq!(cluster.ok(&["list", "gr"]).lines().count(), 1);

    assert_eq!(cluster.ok(&["del", "greeting"]).trim(), "OK, deleted");
    assert_eq!(cluster.ok(&["del", "greeting"]).trim(), "OK, there was nothing to delete");
    assert_eq!(cluster.run(&["get", "greeting"]).status.code(), Some(1));
}

#[test]
fn a_file_of_any_bytes_comes_back_as_it_was() {
    let cluster = Cluster::new(&[]);
    let home = tempfile::tempdir().unwrap();
    let (there, back) = (home.path().join("there"), home.path().join("back"));
    let bytes: Vec<u8> = (0..1_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&there, &bytes).unwrap();
    cluster.ok(&["put", "file", "--file", there.to_str().unwrap()]);
    cluster.ok(&["get", "file", "--out", back.to_str().unwrap()]);
    assert!(std::fs::read(&back).unwrap() == bytes);
}

#[test]
fn a_key_that_is_empty_or_too_long_harms_nobody() {
    // In an earlier prototype an empty key made the gateway depose a healthy primary.
    let cluster = Cluster::new(&[]);
    let before = cluster.shard(0);
    assert_eq!(cluster.run(&["put", "", "x"]).status.code(), Some(2));
    let mut redis = cluster.redis(1);
    assert!(matches!(redis.call(&["SET", "", "x"]), Reply::Error(e) if e.starts_with("ERR")));
    assert!(matches!(redis.call(&["GET", &"k".repeat(1025)]), Reply::Error(e) if e.starts_with("ERR")));
    assert_eq!(redis.call(&["SET", &"k".repeat(1024), "x"]), ok());
    let after = cluster.shard(0);
    assert_eq!((&before["epoch"], &before["primary"]), (&after["epoch"], &after["primary"]));
}

#[test]
fn a_write_conditional_on_a_version_takes_effect_once() {
    let cluster = Cluster::new(&[]);
    cluster.ok(&["put", "k", "1", "--if-absent"]);
    assert_eq!(cluster.run(&["put", "k", "2", "--if-absent"]).status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_str(&cluster.ok(&["get", "k", "--json"])).unwrap();
    let version = found["version"].to_string();
    cluster.ok(&["put", "k", "3", "--if-version", &version]);
    assert_eq!(cluster.run(&["put", "k", "4", "--if-version", &version]).status.code(), Some(1));
    assert_eq!(cluster.run(&["del", "k", "--if-version", &version]).status.code(), Some(1));
    assert_eq!(cluster.ok(&["get", "k"]), "3");
}

#[test]
fn nobody_at_the_gateways_address_is_an_error_with_a_way_out() {
    let port = common::free_port();
    let output =
        program().args(["put", "k", "v", "--gateway", &format!("127.0.0.1:{port}")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "it was certainly not sent, so its outcome is known");
    assert!(String::from_utf8_lossy(&output.stderr).contains("next: "));
}

/// Status, ETag and body of an HTTP request.
fn http(
    cluster: &Cluster,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Option<String>, Vec<u8>) {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(format!("http://{}{path}", cluster.http(1)));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = match method {
        "PUT" => agent.run(request.body(body).unwrap()),
        _ => agent.run(request.body(()).unwrap()),
    }
    .unwrap();
    let etag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
    let limit = 64 << 20;
    (response.status().as_u16(), etag, response.body_mut().with_config().limit(limit).read_to_vec().unwrap())
}

#[test]
fn http_gives_versions_and_keeps_conditions() {
    let cluster = Cluster::new(&[]);
    let put =
        |headers: &[(&str, &str)], value: &str| http(&cluster, "PUT", "/v1/kv/k", headers, value.as_bytes());
    let (status, first, _) = put(&[("if-none-match", "*")], "one");
    assert_eq!(status, 200);
    let first = first.unwrap();
    assert_eq!(put(&[("if-none-match", "*")], "two").0, 412);
    let (status, second, _) = put(&[("if-match", &first)], "two");
    assert_eq!(status, 200);
    assert_eq!(put(&[("if-match", &first)], "three").0, 412);
    assert_eq!(put(&[("if-match", "nonsense")], "three").0, 400);

    let (status, tag, body) = http(&cluster, "GET", "/v1/kv/k", &[], b"");
    assert_eq!((status, &tag, &body[..]), (200, &second, &b"two"[..]));
    assert_eq!(http(&cluster, "GET", "/v1/kv/k", &[("if-none-match", &tag.unwrap())], b"").0, 304);
    assert_eq!(http(&cluster, "DELETE", "/v1/kv/k", &[("if-match", &first)], b"").0, 412);
    assert_eq!(http(&cluster, "DELETE", "/v1/kv/k", &[("if-match", "*")], b"").0, 200);
    assert_eq!(http(&cluster, "GET", "/v1/kv/k", &[], b"").0, 404);
    assert_eq!(http(&cluster, "PUT", "/v1/kv/", &[], b"x").0, 400, "the empty key");
    assert_eq!(http(&cluster, "PUT", &format!("/v1/kv/{}", "k".repeat(1025)), &[], b"x").0, 400);
    assert_eq!(http(&cluster, "GET", "/v2/kv", &[], b"").0, 404);
}

#[test]
fn http_lists_page_by_page_and_takes_any_bytes_as_key() {
    let cluster = Cluster::new(&["--shards", "2"]);
    for key in ["a", "b%2Fc", "b%00%FF", "b/d", "e"] {
        assert_eq!(http(&cluster, "PUT", &format!("/v1/kv/{key}"), &[], b"x").0, 200);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (status, _, body) = http(&cluster, "GET", &format!("/v1/kv?prefix=b&limit=2{after}"), &[], b"");
        assert_eq!(status, 200);
        let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let keys = page["keys"].as_array().unwrap();
        assert!(keys.len() <= 2);
        seen.extend(keys.iter().map(|key| key["key_encoded"].as_str().unwrap().to_owned()));
        match page["after"].as_str() {
            Some(last) => after = format!("&after={last}"),
            None => break,
        }
    }
    assert_eq!(seen, ["b%00%FF", "b%2Fc", "b%2Fd"]);
    assert_eq!(http(&cluster, "GET", "/v1/kv?limit=0", &[], b"").0, 400);
    assert_eq!(http(&cluster, "GET", "/v1/kv?colour=red", &[], b"").0, 400);
}

#[test]
fn http_takes_the_longest_value_and_refuses_a_longer_one() {
    let cluster = Cluster::new(&["--image-size", "128M"]);
    let longest = vec![7u8; dataplane::VALUE_BYTES_MAX];
    assert_eq!(http(&cluster, "PUT", "/v1/kv/big", &[], &longest).0, 200);
    assert!(http(&cluster, "GET", "/v1/kv/big", &[], b"").2 == longest);
    let mut longer = longest;
    longer.push(7);
    assert_eq!(http(&cluster, "PUT", "/v1/kv/big", &[], &longer).0, 413);
}

#[test]
fn a_web_page_can_neither_write_nor_pretend_to_be_this_host() {
    let cluster = Cluster::new(&[]);
    let own = format!("http://{}", cluster.http(1));
    assert_eq!(http(&cluster, "PUT", "/v1/kv/k", &[("origin", "https://evil.example")], b"x").0, 403);
    assert_eq!(http(&cluster, "PUT", "/v1/kv/k", &[("origin", "null")], b"x").0, 403);
    assert_eq!(http(&cluster, "PUT", "/v1/kv/k", &[("origin", &own)], b"x").0, 200);
    assert_eq!(http(&cluster, "GET", "/v1/kv/k", &[("host", "evil.example")], b"").0, 403);
    // The control port of `up` does nothing without the token.
    let control = server::control::Control::read(&cluster.dir).unwrap();
    let agent: Agent = Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let url = format!("http://127.0.0.1:{}/v1/members/n1/kill", control.port);
    assert_eq!(agent.post(&url).send_empty().unwrap().status().as_u16(), 403);
    assert_eq!(
        agent
            .post(&url)
            .header("x-cutaway-token", &control.token)
            .header("origin", "http://evil.example")
            .send_empty()
            .unwrap()
            .status()
            .as_u16(),
        403
    );
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(cluster.dir.join("control.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "only its owner may read the token");
}

#[test]
fn health_and_metrics_say_what_they_know() {
    let cluster = Cluster::new(&["--shards", "2"]);
    cluster.ok(&["put", "k", "v"]);
    for path in ["/livez", "/readyz"] {
        let (status, _, body) = http(&cluster, "GET", path, &[], b"");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, 200);
        assert_eq!(body["reasons"], serde_json::json!([]));
    }
    let (_, _, metrics) = http(&cluster, "GET", "/metrics", &[], b"");
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.contains("cutaway_requests_total{kind=\"put\",result=\"ok\"} 1"), "{metrics}");
    assert!(metrics.contains("cutaway_has_primary{shard=\"1\"} 1"), "{metrics}");

    eventually("the replicas say what they used", || {
        let (_, _, metrics) = http(&cluster, "GET", "/metrics", &[], b"");
        let metrics = String::from_utf8(metrics).unwrap();
        let sum = |name: &str| {
            let lines = metrics.lines().filter(|line| line.starts_with(&format!("cutaway_{name}{{")));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
        };
        let used = (sum("device_syncs_total") > 0, sum("device_written_bytes_total") > 0);
        (used == (true, true)).then_some(())
    });

    // Two of three nodes gone: the gateway lives, and is not ready.
    cluster.ok(&["kill", "n1"]);
    cluster.ok(&["kill", "n2"]);
    common::eventually("not ready", || (http(&cluster, "GET", "/readyz", &[], b"").0 == 503).then_some(()));
    assert_eq!(http(&cluster, "GET", "/livez", &[], b"").0, 200);
}

#[test]
fn the_redis_protocol_in_both_versions() {
    let cluster = Cluster::new(&["--shards", "2"]);
    let mut redis = cluster.redis(1);
    assert_eq!(redis.call(&["PING"]), Reply::Simple("PONG".into()));
    assert_eq!(redis.call(&["GET", "k"]), Reply::Null);
    assert_eq!(redis.call(&["SET", "k", "v"]), ok());
    assert_eq!(redis.call(&["SET", "k", "w", "NX"]), Reply::Null);
    assert_eq!(redis.call(&["SET", "new", "w", "XX"]), Reply::Null);
    assert_eq!(redis.call(&["SET", "k", "w", "xx"]), ok());
    assert_eq!(redis.call(&["GET", "k"]), bulk("w"));
    assert_eq!(redis.call(&["STRLEN", "k"]), Reply::Integer(1));
    assert_eq!(redis.call(&["STRLEN", "none"]), Reply::Integer(0));
    redis.call(&["SET", "l", "x"]);
    assert_eq!(redis.call(&["MGET", "k", "none", "l"]), Reply::List(vec![bulk("w"), Reply::Null, bulk("x")]));
    assert_eq!(redis.call(&["EXISTS", "k", "k", "none"]), Reply::Integer(2));
    assert_eq!(redis.call(&["DBSIZE"]), Reply::Integer(2));
    assert_eq!(redis.call(&["DEL", "k", "k", "none"]), Reply::Integer(1));

    for unsupported in [
        &["SET", "k", "v", "EX", "10"][..],
        &["SET", "k", "v", "GET"],
        &["EXPIRE", "l", "1"],
        &["SELECT", "1"],
    ] {
        assert!(matches!(redis.call(unsupported), Reply::Error(_)), "{unsupported:?}");
    }
    assert_eq!(redis.call(&["GET", "k"]), Reply::Null, "a refused SET stores nothing");

    let Reply::List(hello) = redis.call(&["HELLO"]) else { panic!("version 2 has no maps") };
    assert!(hello.contains(&bulk("proto")));
    let Reply::Map(hello) = redis.call(&["HELLO", "3", "SETNAME", "tester"]) else {
        panic!("version 3 has maps")
    };
    assert!(hello.contains(&(bulk("proto"), Reply::Integer(3))));
    assert_eq!(redis.call(&["GET", "k"]), Reply::Null);
    assert_eq!(redis.call(&["CLIENT", "GETNAME"]), bulk("tester"));
    assert!(matches!(redis.call(&["HELLO", "4"]), Reply::Error(e) if e.starts_with("NOPROTO")));
    assert!(matches!(redis.call(&["CONFIG", "GET", "append*"]), Reply::Map(pairs) if pairs.len() == 2));
    assert!(matches!(redis.call(&["ROLE"]), Reply::List(role) if role[0] == bulk("master")));
    assert!(matches!(redis.call(&["INFO"]), Reply::Bulk(text) if text.starts_with(b"# Server")));
    assert!(matches!(redis.call(&["COMMAND", "COUNT"]), Reply::Integer(n) if n > 10));

    redis.send(b"PING\r\nSET inline \"a b\"\r\nGET inline\r\nQUIT\r\nPING\r\n");
    assert_eq!(redis.read(), Some(Reply::Simple("PONG".into())));
    assert_eq!(redis.read(), Some(ok()));
    assert_eq!(redis.read(), Some(bulk("a b")));
    assert_eq!(redis.read(), Some(ok()));
    assert_eq!(redis.read(), None, "nothing is answered after QUIT");
}

#[test]
fn a_pipeline_is_answered_as_if_its_requests_ran_one_after_the_other() {
    let cluster = Cluster::new(&["--shards", "4"]);
    let mut redis = cluster.redis(1);
    let mut sent = Vec::new();
    for i in 0..300 {
        sent.extend(
            format!("SET k{} {i}\r\nGET k{}\r\nSET same {i}\r\nDBSIZE\r\n", i % 7, i % 7).into_bytes(),
        );
    }
    redis.send(&sent);
    for i in 0..300i64 {
        assert_eq!(redis.read(), Some(ok()));
        assert_eq!(redis.read(), Some(bulk(&i.to_string())));
        assert_eq!(redis.read(), Some(ok()));
        assert_eq!(redis.read(), Some(Reply::Integer((i + 1).min(7) + 1)));
    }
    assert_eq!(redis.call(&["GET", "same"]), bulk("299"));
}

#[test]
fn a_scan_meets_every_key_once_over_all_shards() {
    let cluster = Cluster::new(&["--shards", "4"]);
    let mut redis = cluster.redis(1);
    let mut pipeline = String::new();
    (0..250).for_each(|i| pipeline += &format!("SET user:{i:03} x\r\nSET other:{i:03} x\r\n"));
    redis.send(pipeline.as_bytes());
    (0..500).for_each(|_| assert_eq!(redis.read(), Some(ok())));

    let (mut cursor, mut seen) = ("0".to_string(), Vec::new());
    loop {
        let Reply::List(reply) = redis.call(&["SCAN", &cursor, "MATCH", "*er:1?[0-4]", "COUNT", "17"]) else {
            panic!("a scan answers with a list")
        };
        let [Reply::Bulk(next), Reply::List(keys)] = &reply[..] else { panic!("{reply:?}") };
        seen.extend(keys.iter().cloned());
        cursor = String::from_utf8(next.clone()).unwrap();
        if cursor == "0" {
            break;
        }
    }
    let mut expected: Vec<_> = ["other", "user"]
        .iter()
        .flat_map(|kind| (100..200).filter(|i| i % 10 < 5).map(move |i| bulk(&format!("{kind}:{i}"))))
        .collect();
    let text = |reply: &Reply| format!("{reply:?}");
    expected.sort_by_key(text);
    seen.sort_by_key(text);
    assert_eq!(seen, expected);
    assert!(matches!(redis.call(&["SCAN", "987654"]), Reply::List(_)), "any number is a place to go on from");
}

#[test]
fn hostile_bytes_end_their_own_connection_and_nothing_else() {
    let cluster = Cluster::new(&[]);
    for hostile in
        [&b"*1000000000\r\n"[..], b"*1\r\n$1000000000\r\n", b"*1\r\n*1\r\n", b"*1\r\n$3\r\nabcde\r\n"]
    {
        let mut redis = cluster.redis(1);
        redis.send(hostile);
        assert!(matches!(redis.read(), Some(Reply::Error(e)) if e.contains("Protocol error")));
        assert_eq!(redis.read(), None);
    }
    // Garbage at the port that nodes speak to each other on.
    for garbage in [&[0xff; 64][..], &[8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], b"GET / HTTP/1.1\r\n\r\n"] {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", cluster.port + 20)).unwrap();
        stream.write_all(garbage).unwrap();
    }
    cluster.ok(&["put", "k", "v"]);
    assert_eq!(cluster.ok(&["get", "k"]), "v");
}

#[test]
fn explain_tells_the_story_of_a_request_over_all_processes() {
    let cluster = Cluster::new(&[]);
    let put = cluster.run(&["put", "greeting", "hello", "--explain"]);
    assert!(put.status.success());
    assert!(String::from_utf8_lossy(&put.stdout).starts_with("OK"));
    let story = String::from_utf8(put.stderr).unwrap();
    let primary = cluster.primary(0, None);
    for expected in [
        "g1 ",
        &format!("{primary}/0"),
        "takes on put greeting",
        "appends entry",
        "syncs batch",
        "applies entry",
        "because of",
    ] {
        assert!(story.contains(expected), "no {expected:?} in\n{story}");
    }
    for node in ["n1/0", "n2/0", "n3/0"] {
        assert!(story.contains(node), "{node} took part in\n{story}");
    }
    assert!(story.trim_end().ends_with("reply: written"), "{story}");

    let get = cluster.run(&["get", "greeting", "--explain"]);
    assert_eq!(String::from_utf8_lossy(&get.stdout), "hello");
    let story = String::from_utf8(get.stderr).unwrap();
    assert!(story.contains("read-confirmation"), "{story}");
    assert!(story.trim_end().ends_with("reply: value"), "{story}");

    // What nobody asks about is not recorded.
    cluster.ok(&["put", "quiet", "x"]);
    let again = String::from_utf8(cluster.run(&["get", "greeting", "--explain"]).stderr).unwrap();
    assert!(!again.contains("quiet"));
}

#[test]
fn a_deletion_and_each_page_of_a_listing_tell_their_stories() {
    let cluster = Cluster::new(&[]);
    let mut redis = cluster.redis(1);
    (0..1001).for_each(|n| assert_eq!(redis.call(&["SET", &format!("k{n:04}"), "x"]), ok()));

    let del = cluster.run(&["del", "k1000", "--explain"]);
    assert_eq!(String::from_utf8_lossy(&del.stdout).trim(), "OK, deleted");
    let story = String::from_utf8(del.stderr).unwrap();
    for expected in ["takes on delete k1000", "appends entry", "applies entry"] {
        assert!(story.contains(expected), "no {expected:?} in\n{story}");
    }
    assert!(story.trim_end().ends_with("reply: deleted"), "{story}");

    cluster.ok(&["put", "k1000", "x"]);
    let list = cluster.run(&["list", "k", "--explain"]);
    assert_eq!(String::from_utf8_lossy(&list.stdout).lines().count(), 1001);
    let story = String::from_utf8(list.stderr).unwrap();
    assert_eq!(story.matches("takes on list k*").count(), 2, "{story}");
    assert!(story.contains("read-confirmation") && story.contains("reply: 1000 keys"), "{story}");
    assert!(story.trim_end().ends_with("reply: 1 key"), "{story}");
}

#[test]
fn redis_cli_works_with_its_default_settings() {
    if !common::installed("redis-cli") {
        return;
    }
    let cluster = Cluster::new(&[]);
    let port = cluster.port.to_string();
    let cli = |arguments: &[&str]| {
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(cli(&["set", "k", "v"]), "OK");
    assert_eq!(cli(&["get", "k"]), "v");
    assert_eq!(cli(&["-3", "get", "k"]), "v");
    assert_eq!(cli(&["--scan"]), "k");
    assert_eq!(cli(&["dbsize"]), "1");
    assert_eq!(cli(&["del", "k"]), "1");
    assert!(cli(&["client", "list"]).contains("cmd=client"));
}

#[test]
fn redis_benchmark_runs_set_and_get() {
    if !common::installed("redis-benchmark") {
        return;
    }
    let cluster = Cluster::new(&[]);
    let output = Command::new("redis-benchmark")
        .args(["-p", &cluster.port.to_string(), "-t", "set,get", "-n", "2000", "-c", "20", "-q"])
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("SET: ") && text.contains("GET: "), "{text}");
    assert!(!text.to_lowercase().contains("error"), "{text}");
}
