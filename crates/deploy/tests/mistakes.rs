//! A file that describes a cluster: what is good about it, and each mistake with its line.

use std::path::Path;

use deploy::{Deployment, compose, example, kubernetes, systemd};

fn good() -> String {
    example::example(&"5a".repeat(16), 3, 1)
}

fn parse(text: &str, insecure: bool) -> Result<Deployment, String> {
    Deployment::parse(Path::new("dir/cluster.toml"), text, insecure).map_err(|e| e.to_string())
}

/// The line in which `what` stands, from 1.
fn line(text: &str, what: &str) -> usize {
    1 + text.lines().position(|line| line.contains(what)).unwrap_or_else(|| panic!("{what} is in the file"))
}

#[test]
fn the_example_is_good_and_says_what_everybody_needs() {
    let cluster = parse(&good(), false).unwrap();
    assert_eq!((cluster.cluster, cluster.shards), ([0x5a; 16], 1));
    assert_eq!(cluster.members().collect::<Vec<_>>(), ["n1", "n2", "n3", "g1"]);
    assert_eq!(cluster.nodes[&2].address, "127.0.0.3:7420");
    assert_eq!(cluster.nodes[&2].images, [Path::new("dir/data/n2/shard-0.img")]);
    assert_eq!(cluster.files("n2").unwrap().key, Path::new("dir/certs/n2.key"));
    assert_eq!(cluster.image_bytes, 256 << 20);
}

#[test]
fn each_mistake_is_told_with_its_line() {
    // What is changed, into what, the words that tell it, and a word of the line that is blamed.
    let mistakes: &[(&str, &str, &[&str], &str)] = &[
        ("cluster = \"5a5a", "cluster = \"xx5a", &["32 hexadecimal digits"], "xx5a"),
        ("shards = 1 ", "shards = 0 ", &["0 shards"], "shards = 0"),
        ("shards = 1 ", "shards = \"one\" ", &["invalid type"], "shards = "),
        ("shards = 1 ", "shards = 1 shards = 2", &[], "shards = 1"),
        ("shards = 1 ", "shard = 1 ", &["unknown field", "shard"], "shard = 1"),
        ("image-size = \"256M\"", "image-size = \"big\"", &["not a size"], "big"),
        ("image-size = \"256M\"", "image-size = \"1K\"", &["too small"], "1K"),
        ("extensions = []", "extensions = [\"magic\"]", &["magic", "elections"], "magic"),
        ("[nodes.n1]", "[nodes.first]", &["first", "n1, n2"], "[nodes.first]"),
        ("[gateways.g1]", "[gateways.n1]", &["g1, g2"], "[gateways.n1]"),
        ("address = \"127.0.0.2:7420\"", "address = \"127.0.0.2\"", &["HOST:PORT"], "127.0.0.2\""),
        ("address = \"127.0.0.2:7420\"", "address = \"host1:7420\"", &["listen"], "host1"),
        (
            "address = \"127.0.0.2:7420\"",
            "address = \"h:1\"\nlisten = \"7420\"",
            &["IP:PORT"],
            "listen = \"7420\"",
        ),
        (
            "address = \"127.0.0.3:7420\"",
            "address = \"127.0.0.2:7420\"",
            &["n2 and n1", "one address"],
            "[nodes.n2]",
        ),
        (
            "address = \"127.0.0.2:7420\"",
            "address = \"127.0.0.2:7420\"\nport = 1",
            &["unknown field"],
            "port = 1",
        ),
        ("address = \"127.0.0.2:7420\"", "addres = \"127.0.0.2:7420\"", &["unknown field"], "addres = "),
        (
            "address = \"127.0.0.2:7420\"",
            "address = \"127.0.0.2:7420\"\nimages = [\"a\", \"b\"]",
            &["2 image(s) for 1 shard(s)"],
            "images = ",
        ),
        (
            "address = \"127.0.0.4:7420\"",
            "address = \"127.0.0.4:7420\"\nadded = true",
            &["n3 cannot have been added", "membership"],
            "[nodes.n3]",
        ),
        ("data = \"data\"", "", &["n1", "images"], "[nodes.n1]"),
        ("redis = \"127.0.0.5:7400\"", "redis = \"127.0.0.5:7401\"", &["g1 and g1"], "[gateways.g1]"),
        ("redis = \"127.0.0.5:7400\"", "redis = \"127.0.0.2:7420\"", &["n1", "both listen"], "[gateways.g1]"),
        ("http = \"127.0.0.5:7401\"", "http = \"nowhere\"", &["IP:PORT"], "nowhere"),
        ("http = \"127.0.0.5:7401\"", "http = \"127.0.0.5:7401\"\nhosts = [\"a b\"]", &["host name"], "a b"),
        (
            "http = \"127.0.0.5:7401\"",
            "http = \"127.0.0.5:7401\"\npublic-cert = \"p.pem\"",
            &["belong together"],
            "p.pem",
        ),
        ("certificates = \"none\"", "certificates = \"maybe\"", &["maybe", "required"], "maybe"),
    ];
    for (from, to, words, blamed) in mistakes {
        let text = good().replacen(from, to, 1);
        assert_ne!(text, good(), "{from:?} is in the example");
        let why = parse(&text, false).expect_err(to);
        let first = format!("dir/cluster.toml:{}: ", line(&text, blamed));
        assert!(why.lines().any(|line| line.starts_with(&first)), "{to:?}: {first:?} in {why:?}");
        for word in *words {
            assert!(why.contains(word), "{to:?}: {word:?} in {why:?}");
        }
    }
    // All of them at once.
    let text =
        good().replace("shards = 1 ", "shards = 0 ").replace("256M", "256X").replace("\"none\"", "\"x\"");
    assert!(parse(&text, false).unwrap_err().lines().count() >= 3);
    assert!(parse("", false).unwrap_err().contains("cluster"));
    assert!(Deployment::read(Path::new("/no/such/file"), false).is_err());
}

#[test]
fn tokens_are_checked_as_well() {
    let token = |name: &str, access: &str, hash: &str| {
        format!("\n[[tokens]]\nname = {name:?}\naccess = {access:?}\nhash = {hash:?}\n")
    };
    let hash = format!("sha256:{}", "0a".repeat(32));
    let with = |tokens: &str| parse(&(good() + tokens), false);
    assert_eq!(with(&token("app", "read-only", &hash)).unwrap().tokens.len(), 1);
    let twice = token("app", "read-only", &hash) + &token("app", "read-write", &hash);
    for (tokens, words, blamed) in [
        (token("app", "write", &hash), "read-write", "access"),
        (token("app", "read-only", "secret"), "sha256:", "hash"),
        (token("a b", "read-only", &hash), "letters", "a b"),
        (twice, "two tokens", ""),
    ] {
        let text = good() + &tokens;
        let why = parse(&text, false).unwrap_err();
        assert!(why.contains(words), "{why}");
        let first = format!("dir/cluster.toml:{}: ", line(&text, blamed));
        assert!(blamed.is_empty() || why.starts_with(&first), "{why}");
    }
}

#[test]
fn without_tls_nothing_listens_beyond_loopback_unless_somebody_insists() {
    let plain = good().replace("[tls]", "").replace("certs = \"certs\"", "");
    assert!(parse(&plain, false).is_ok(), "loopback is no danger");
    for (from, to) in [("127.0.0.2:7420", "10.0.0.2:7420"), ("127.0.0.5:7401", "0.0.0.0:7401")] {
        let text = plain.replace(from, to);
        let why = parse(&text, false).unwrap_err();
        assert!(why.contains(to) && why.contains("[tls]") && why.contains("--insecure"), "{why}");
        assert!(parse(&text, true).is_ok());
        assert!(parse(&good().replace(from, to), false).is_ok(), "with TLS it may");
    }
    let asks = plain.replace("\"none\"", "\"required\"");
    assert!(parse(&asks, false).unwrap_err().contains("only over TLS"));
}

#[test]
fn whoever_asks_a_node_for_its_metrics_finds_the_address_in_its_certificate() {
    let wanted =
        |text: &str| deploy::certificates::wanted(&parse(text, false).unwrap(), "n1", 1).unwrap().names;
    let plain = good();
    assert_eq!(wanted(&plain).len(), 1, "peers know it by its name alone");
    let name = "[nodes.n1]";
    let told = plain.replace(name, &format!("{name}\nmetrics = \"127.0.0.9:7440\""));
    let names = wanted(&told);
    assert!(
        names.contains(&"127.0.0.9".to_string()) && names.contains(&"localhost".to_string()),
        "{names:?}"
    );
}

#[test]
fn a_unit_starts_its_member_and_writes_only_where_its_images_are() {
    let text = good().replace("data = \"data\"", "data = \"/srv/cut 100%\"");
    let cluster = parse(&text, false).unwrap();
    let unit = systemd::unit(&cluster, "n2", false, Path::new("/usr/bin/cutaway")).unwrap();
    let here = std::env::current_dir().unwrap();
    let file = here.join("dir/cluster.toml");
    assert!(unit.contains(&format!("node --deploy {} --name n2\n", file.display())), "{unit}");
    assert!(unit.contains("ReadWritePaths=\"/srv/cut 100%%/n2\"\n"), "{unit}");
    let gateway = systemd::unit(&cluster, "g1", true, Path::new("target/debug/cutaway")).unwrap();
    // What is installed starts itself; from elsewhere, it will be.
    assert!(
        unit.contains("ExecStart=/usr/bin/cutaway node ") && gateway.contains("=/usr/local/bin/cutaway ")
    );
    assert!(gateway.contains("gateway --deploy") && gateway.contains("--name g1 --insecure\n"));
    assert!(!gateway.contains("ReadWritePaths"), "it stores nothing");
    assert_eq!(systemd::unit(&cluster, "n4", false, Path::new("")), None);
}

/// What Kubernetes asks of the file.
fn pods() -> String {
    let mut text = good()
        .replace("data = \"data\"", "data = \"/data\"")
        .replace("certs = \"certs\"", "certs = \"/etc/cutaway/certs\"")
        .replace("127.0.0.5:", "0.0.0.0:");
    for n in 1..=3 {
        let address = format!("address = \"cutaway-n{n}-0.cutaway:7420\"\nlisten = \"0.0.0.0:7420\"");
        text = text.replace(&format!("address = \"127.0.0.{}:7420\"", n + 1), &address);
    }
    text
}

#[test]
fn manifests_are_printed_only_for_what_could_run_in_pods() {
    let printed = |text: &str| kubernetes::manifests(&parse(text, false).unwrap(), "cutaway:1", false);
    assert!(printed(&pods()).is_ok());
    for (from, to, words) in [
        ("cutaway-n2-0.cutaway:7420", "n2.example:7420", "cutaway-n2-0.cutaway:7420"),
        ("\"/data\"", "\"/srv\"", "volume"),
        ("\"/etc/cutaway/certs\"", "\"certs\"", "/etc/cutaway/certs"),
        ("0.0.0.0:7401", "127.0.0.1:7401", "0.0.0.0"),
    ] {
        let why = printed(&pods().replace(from, to)).unwrap_err();
        assert!(why.contains(words) && why.starts_with("dir/cluster.toml:"), "{why}");
    }
}

#[test]
fn manifests_keep_a_majority_and_found_nothing_by_themselves() {
    let cluster = parse(&pods(), false).unwrap();
    let text = kubernetes::manifests(&cluster, "cutaway:1", false).unwrap();
    assert_eq!(text.matches("kind: StatefulSet").count(), 4);
    assert_eq!(text.matches("kind: PodDisruptionBudget").count(), 2);
    assert_eq!(text.matches("maxUnavailable: 1").count(), 2);
    assert!(text.contains("clusterIP: None") && text.contains("requiredDuringScheduling"));
    assert!(text.contains("httpGet: {path: /readyz, port: http, scheme: HTTPS}"));
    assert!(!text.contains("--founding"), "a lost volume must not be founded again");
    let founding = kubernetes::founding(&cluster, "cutaway:1").unwrap();
    assert_eq!(founding.matches("kind: Job").count(), 3);
    assert_eq!(founding.matches("\"--founding\"").count(), 3);

    let required = parse(&pods().replace("\"none\"", "\"required\""), false).unwrap();
    let text = kubernetes::manifests(&required, "cutaway:1", false).unwrap();
    assert!(!text.contains("httpGet"), "a kubelet has no certificate");
}

#[test]
fn a_compose_file_has_a_service_for_each_member() {
    let text = compose::document(&parse(&good(), false).unwrap(), "cutaway:1", false);
    for member in ["n1", "n2", "n3", "g1"] {
        assert!(text.contains(&format!("\n  {member}:\n    image: cutaway:1\n")), "{text}");
    }
}
