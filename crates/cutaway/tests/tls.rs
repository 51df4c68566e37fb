//! Connections that are encrypted, strangers that are turned away, and clients that show certificates or tokens.

mod common;
#[path = "common/deployed.rs"]
mod deployed;

use std::fs;

use common::{eventually, program};
use deployed::{CLUSTER, Deployed};
use secure::names;

const CA: &str = "certs/ca.pem";

#[test]
fn three_nodes_and_a_gateway_from_one_file_serve_over_tls_and_survive_a_kill() {
    let mut deployed = Deployed::running(true, "");
    assert!(deployed.ok(&["deploy", "check", "cluster.toml", "--name", "n1"]).contains("TLS"));
    deployed.ok(&["put", "fruit", "apple", "--ca", CA]);
    assert_eq!(deployed.ok(&["get", "fruit", "--ca", CA]), "apple");
    let large: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
    fs::write(deployed.path("large"), &large).unwrap();
    deployed.ok(&["put", "large", "--file", "large", "--ca", CA]);
    deployed.ok(&["get", "large", "--out", "back", "--ca", CA]);
    assert!(fs::read(deployed.path("back")).unwrap() == large);

    drop(deployed.processes.remove(0)); // kill -9
    deployed.ok(&["put", "fruit", "pear", "--ca", CA]);
    deployed.start("node", "n1");
    assert_eq!(deployed.ok(&["get", "fruit", "--ca", CA]), "pear");

    // Whoever speaks no TLS, or believes another authority, gets nothing, and is told.
    let (code, why) = deployed.refused(&["put", "fruit", "plum"]);
    assert!(code == 1 && why.contains("--ca FILE"), "{code} {why}");
    deployed.sign("other", "g1", names::gateway(1, &CLUSTER), 30);
    let (code, why) = deployed.refused(&["put", "fruit", "plum", "--ca", "other/ca.pem"]);
    assert!(code == 1 && why.contains("another authority"), "{code} {why}");
    assert_eq!(deployed.ok(&["get", "fruit", "--ca", CA]), "pear");
}

#[test]
fn a_gateway_that_cannot_show_who_it_is_gets_nothing_and_both_sides_tell() {
    let deployed = Deployed::running(true, "");
    deployed.ok(&["put", "fruit", "apple", "--ca", CA]);
    // The authority of another cluster stands for it; and its own folder is in order, so it starts.
    deployed.sign("foreign", "g1", names::gateway(1, &CLUSTER), 30);
    let stranger = deployed.stranger("foreign");
    deployed.told("n1", "another authority");
    deployed.told("stranger", "another authority");
    assert!(!deployed.through_stranger("foreign/ca.pem").status.success());
    drop(stranger);

    // It starts with what is good, and shows what has expired: nobody who was let in is let in for ever.
    fs::create_dir(deployed.path("old")).unwrap();
    for file in ["ca.pem", "ca.key", "g1.pem", "g1.key"] {
        fs::copy(deployed.path("certs").join(file), deployed.path("old").join(file)).unwrap();
    }
    deployed.sign("old", "g1", names::gateway(1, &CLUSTER), -1);
    let mut expired = deployed.stranger("old");
    let status = eventually("it ends", || expired.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    deployed.told("stranger", "expired");
    assert!(deployed.log("stranger").contains("--renew"), "{}", deployed.log("stranger"));
}

#[test]
fn a_member_with_another_members_certificate_is_turned_away_by_name() {
    let deployed = Deployed::running(true, "");
    // A client of the same authority, by hand: it says that it is n2, and shows the certificate of alice.
    let told = greet_as_node_two(&deployed, "alice");
    assert!(told.contains("alice.client.") && told.contains("n2.node."), "{told}");
    deployed.told("n1", "it says that it is n2, and shows the certificate of alice.client.");
    // The right one is heard.
    assert_eq!(greet_as_node_two(&deployed, "n2"), "");
}

/// Says hello to n1 as n2, with this certificate. Returns why it was refused; nothing if it was not.
fn greet_as_node_two(deployed: &Deployed, shown: &str) -> String {
    use dataplane::{Address, NodeId};
    use server::hello::{Greeting, Hello, IMAGE_VERSION, VERSION};
    use tokio::io::AsyncWriteExt;

    let certs = deployed.path("certs");
    let shown =
        secure::files::Shown::read(&certs.join(format!("{shown}.pem")), &certs.join(format!("{shown}.key")));
    let roots = secure::files::authorities(&certs.join("ca.pem")).unwrap();
    let config = secure::identity::dialling(roots, Some(&shown.unwrap())).unwrap();
    let hello = Hello {
        version: VERSION,
        program: None,
        cluster: CLUSTER,
        images: Some(IMAGE_VERSION),
        from: Address::Node(NodeId(2)),
        to: Address::Node(NodeId(1)),
        shard: 0,
        shards: Some(1),
        members: (1..=3).map(NodeId).collect(),
        extensions: Some([].into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.2", deployed.port)).await.unwrap();
        let name = names::node(1, &CLUSTER);
        let mut stream = secure::stream::Stream::dialled(stream, Some(config), &name).unwrap();
        stream.write_all(&Greeting::Hello(hello).encode()).await.unwrap();
        stream.flush().await.unwrap();
        match Greeting::read(&mut stream, &mut bytes::BytesMut::new(), VERSION).await.unwrap().unwrap() {
            Greeting::Refused(_, why) => why,
            Greeting::Hello(_) => String::new(),
        }
    })
}

#[test]
fn certificates_that_change_are_taken_without_a_restart() {
    let mut deployed = Deployed::running(true, "");
    deployed.ok(&["put", "fruit", "apple", "--ca", CA]);
    // A new authority: first everybody believes both, then everybody shows what the new one signed.
    let old = fs::read_to_string(deployed.path(CA)).unwrap();
    deployed.ok(&["certs", "new", "--deploy", "cluster.toml"]);
    let new = fs::read_to_string(deployed.path("new/ca.pem")).unwrap();
    fs::write(deployed.path(CA), old + &new).unwrap();
    let all = ["n1", "n2", "n3", "g1"];
    all.iter().for_each(|name| deployed.told(name, "read anew"));
    for name in all {
        for file in [format!("{name}.key"), format!("{name}.pem")] {
            fs::rename(deployed.path("new").join(&file), deployed.path("certs").join(&file)).unwrap();
        }
    }
    fs::write(deployed.path(CA), new).unwrap();
    // The gateway shows the new certificate to clients.
    eventually("the new certificate", || {
        deployed.run(&["get", "fruit", "--ca", "new/ca.pem"]).status.success().then_some(())
    });
    // And nodes that were started again, with the new alone, are let in by those that were not.
    deployed.stop("n1");
    deployed.start("node", "n1");
    deployed.stop("n2");
    deployed.ok(&["put", "fruit", "pear", "--ca", CA]);
    assert_eq!(deployed.ok(&["get", "fruit", "--ca", CA]), "pear");
}

#[test]
fn clients_that_must_show_certificates_get_nothing_without() {
    let deployed = Deployed::running(true, "[clients]\ncertificates = \"required\"\n");
    let (code, why) = deployed.refused(&["put", "fruit", "apple", "--ca", CA]);
    assert!(code == 1 && why.contains("wants a certificate"), "{code} {why}");
    let shown = ["--ca", CA, "--cert", "certs/alice.pem", "--cert-key", "certs/alice.key"];
    deployed.ok(&[&["put", "fruit", "apple"], &shown[..]].concat());
    assert_eq!(deployed.ok(&[&["get", "fruit"], &shown[..]].concat()), "apple");
}

/// A token, and its part of the file.
fn token(home: &Deployed, arguments: &[&str]) -> (String, String) {
    let printed = home.ok(&[&["token"], arguments].concat());
    let (token, part) = printed.split_once("\n\n").unwrap();
    (token.to_string(), part.to_string())
}

#[test]
fn tokens_are_asked_for_in_both_protocols() {
    let desk = Deployed::described(false, "");
    let (writer, one) = token(&desk, &["app"]);
    let (reader, two) = token(&desk, &["dashboard", "--read-only"]);
    assert!(!one.contains(&writer), "the file has the hash alone");
    let deployed = Deployed::running(false, &format!("{one}\n{two}\n"));
    fs::write(deployed.path("writer"), format!("{writer}\n")).unwrap();
    fs::write(deployed.path("reader"), &reader).unwrap();
    fs::write(deployed.path("wrong"), "cutaway_0000").unwrap();
    deployed.ok(&["put", "fruit", "apple", "--token-file", "writer"]);
    assert_eq!(deployed.ok(&["get", "fruit", "--token-file", "reader"]), "apple");
    for (token, words) in [("reader", "may only read"), ("wrong", "cutaway token")] {
        let (code, why) = deployed.refused(&["put", "fruit", "plum", "--token-file", token]);
        assert!(code == 1 && why.contains(words), "{code} {why}");
    }
    let (code, why) = deployed.refused(&["get", "fruit"]);
    assert!(code == 1 && why.contains("Bearer") && why.contains("--token-file"), "{code} {why}");
    assert_eq!(deployed.refused(&["status"]).0, 1);
    for probe in ["/livez", "/readyz"] {
        assert_eq!(common::get(deployed.port + 2, probe), 200, "{probe} is open");
    }
    assert_eq!(common::get(deployed.port + 2, "/metrics"), 401);

    let mut redis = common::redis_at(deployed.port + 1);
    let mut says = |arguments: &[&str]| format!("{:?}", redis.call(arguments));
    assert!(says(&["GET", "fruit"]).contains("NOAUTH"));
    assert!(says(&["HELLO", "3"]).contains("NOAUTH"));
    assert!(says(&["AUTH", "wrong"]).contains("WRONGPASS"));
    assert!(says(&["AUTH", "app", &reader]).contains("WRONGPASS"), "it is the dashboard's");
    assert!(says(&["AUTH", &reader]).contains("OK"));
    assert!(says(&["GET", "fruit"]).contains("Bulk"));
    assert!(says(&["SET", "fruit", "plum"]).contains("NOPERM"));
    assert!(says(&["HELLO", "3", "AUTH", "default", &writer]).contains("Map"));
    assert!(says(&["SET", "fruit", "pear"]).contains("OK"));
    assert!(says(&["AUTH", "wrong"]).contains("WRONGPASS"));
    assert!(says(&["GET", "fruit"]).contains("NOAUTH"), "what was shown before counts no longer");
    assert!(says(&["RESET"]).contains("RESET"));
    assert!(says(&["DBSIZE"]).contains("NOAUTH"));
    assert_eq!(deployed.ok(&["get", "fruit", "--token-file", "reader"]), "pear");

    // The reader's token is taken out while a connection of it is open. A file that is wrong changes nothing.
    assert!(says(&["AUTH", &reader]).contains("OK"));
    let file = deployed.path("cluster.toml");
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{whole}\nnonsense")).unwrap();
    deployed.told("g1", "the list of tokens stays what it was");
    assert!(says(&["GET", "fruit"]).contains("Bulk"));
    fs::write(&file, whole.replace(two.trim(), "")).unwrap();
    deployed.told("g1", "the list of tokens is read anew");
    assert!(says(&["GET", "fruit"]).contains("NOAUTH"));
    assert_eq!(deployed.refused(&["get", "fruit", "--token-file", "reader"]).0, 1);
    assert_eq!(deployed.ok(&["get", "fruit", "--token-file", "writer"]), "pear");
}

/// Asks n1 over its other port.
fn https(deployed: &Deployed, port: u16, path: &str, token: Option<&str>) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let roots = secure::files::authorities(&deployed.path(CA)).unwrap();
    let config = secure::identity::dialling(roots, None).unwrap();
    let token = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.2\r\nConnection: close\r\n{token}\r\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.2", port)).await.unwrap();
        let name = names::node(1, &CLUSTER);
        let mut stream = secure::stream::Stream::dialled(stream, Some(config), &name).unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    });
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}

#[test]
fn a_node_tells_of_itself_to_whoever_has_a_token_and_logs_what_a_program_can_read() {
    let desk = Deployed::described(false, "");
    let (reader, line) = token(&desk, &["prometheus", "--read-only"]);
    let mut deployed = Deployed::described(true, &line);
    let file = deployed.path("cluster.toml");
    let about = deployed.port + 7;
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("[nodes.n2]", &format!("metrics = \"127.0.0.2:{about}\"\n[nodes.n2]"));
    fs::write(&file, text).unwrap();
    deployed.found();
    let ask = |path: &str, token: Option<&str>| https(&deployed, about, path, token);
    assert_eq!(ask("/livez", None).0, 200);
    assert_eq!(ask("/metrics", None).0, 401);
    eventually("n1 votes", || (ask("/readyz", None).0 == 200).then_some(()));
    let (status, text) = ask("/metrics", Some(&reader));
    assert!(status == 200 && text.contains("cutaway_node_votes{shard=\"0\"} 1\n"), "{text}");
    assert_eq!(ask("/v1/status", Some(&reader)).0, 404, "it is no gateway");
    // A program reads what it logs.
    deployed.stop("n1");
    fs::write(deployed.path("n1.log"), "").unwrap();
    let mut json = program();
    json.env("CUTAWAY_LOG", "json");
    deployed.start_as(json, "node", "n1", &[]);
    deployed.told("n1", "is open");
    for line in deployed.log("n1").lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["message"].is_string() && event["level"].is_string(), "{line}");
    }
}

#[test]
fn a_node_is_added_by_its_part_of_the_file_and_another_is_removed() {
    let mut deployed = Deployed::described(true, "");
    let file = deployed.path("cluster.toml");
    let text = format!("extensions = [\"membership\"]\n{}", fs::read_to_string(&file).unwrap());
    fs::write(&file, &text).unwrap();
    deployed.found();
    deployed.ok(&["put", "fruit", "apple", "--ca", CA]);

    let address = format!("127.0.0.9:{}", deployed.port);
    fs::write(&file, format!("{text}[nodes.n4]\naddress = \"{address}\"\nadded = true\n")).unwrap();
    deployed.ok(&["certs", "certs", "--deploy", "cluster.toml", "--only", "n4"]);
    let (code, why) = deployed.refused(&["format", "--founding", "--deploy", "cluster.toml", "--name", "n4"]);
    assert!(code == 2 && why.contains("--joining"), "{code} {why}");
    deployed.ok(&["format", "--joining", "--deploy", "cluster.toml", "--name", "n4"]);
    deployed.start("node", "n4");
    deployed.ok(&["add", "n4", "--at", &address, "--ca", CA]);
    deployed.ok(&["remove", "n1", "--ca", CA]);
    assert_eq!(deployed.ok(&["get", "fruit", "--ca", CA]), "apple");
}
