//! A cluster as it is deployed: every process started from one file, connections encrypted, strangers turned away.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use common::{eventually, free_port, installed, program, signal};
use rustix::process::Signal;
use secure::authority::{Authority, Wanted};
use secure::names;
use tempfile::TempDir;

/// A process that is ended with the test, whatever happens.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file, what lies beside it, and the processes that were started from it.
struct Deployed {
    home: TempDir,
    port: u16,
    processes: Vec<(String, Process)>,
}

const CLUSTER: [u8; 16] = [0x5a; 16];

impl Deployed {
    /// A file for three nodes and a gateway, with this at its end.
    fn described(tls: bool, more: &str) -> Deployed {
        let (home, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut text = format!("cluster = \"{}\"\nimage-size = \"16M\"\ndata = \"data\"\n", "5a".repeat(16));
        if tls {
            text += "[tls]\ncerts = \"certs\"\n";
        }
        // Each at an address of its own.
        for n in 1..=3 {
            text += &format!("[nodes.n{n}]\naddress = \"127.0.0.{}:{port}\"\n", n + 1);
        }
        text += &format!(
            "[gateways.g1]\nredis = \"127.0.0.1:{}\"\nhttp = \"127.0.0.1:{}\"\n",
            port + 1,
            port + 2
        );
        fs::write(home.path().join("cluster.toml"), text + more).unwrap();
        Deployed { home, port, processes: Vec::new() }
    }

    /// The same with certificates and images, and everything running.
    fn running(tls: bool, more: &str) -> Deployed {
        let mut deployed = Deployed::described(tls, more);
        if tls {
            deployed.ok(&["certs", "certs", "--deploy", "cluster.toml", "--client", "alice"]);
        }
        for n in ["n1", "n2", "n3"] {
            deployed.ok(&["format", "--founding", "--deploy", "cluster.toml", "--name", n]);
            deployed.start("node", n);
        }
        deployed.start("gateway", "g1");
        deployed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut program = program();
        program.args(arguments).current_dir(self.home.path()).stdin(Stdio::null());
        program.env("CUTAWAY_GATEWAY", format!("127.0.0.1:{}", self.port + 2)).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must not work; its code, and what it says.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} works");
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn start(&mut self, command: &str, name: &str) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path(&format!("{name}.log")));
        let mut child = program()
            .args([command, "--deploy", "cluster.toml", "--name", name])
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let process = Process(child);
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{name}: {line:?} {}", self.log(name));
        // Somebody has to take what else it says.
        std::thread::spawn(move || lines.lines().count());
        self.processes.push((name.into(), process));
    }

    fn stop(&mut self, name: &str) {
        let at = self.processes.iter().position(|(known, _)| known == name).unwrap();
        let mut process = self.processes.remove(at).1;
        signal(process.0.id() as i32, Signal::TERM);
        eventually("it stops", || process.0.try_wait().unwrap());
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// Waits until a process has told this.
    fn told(&self, name: &str, what: &str) {
        eventually(&format!("{name} tells {what:?}"), || self.log(name).contains(what).then_some(()));
    }

    fn sign(&self, folder: &str, member: &str, name: String, days: i64) {
        let dir = self.path(folder);
        let (authority, _) = Authority::open(&dir, &"5a".repeat(16)).unwrap();
        authority.sign(&dir, &Wanted { file: member.into(), names: vec![name], days }).unwrap();
    }

    /// A gateway of the same addresses, that shows what lies in `folder` as g1.pem.
    fn stranger(&self, folder: &str) -> Process {
        let text = fs::read_to_string(self.path("cluster.toml")).unwrap();
        let (redis, http) = (self.port + 5, self.port + 6);
        let text = text
            .replace("certs = \"certs\"", &format!("certs = \"{folder}\""))
            .replace(&format!("127.0.0.1:{}", self.port + 1), &format!("127.0.0.1:{redis}"))
            .replace(&format!("127.0.0.1:{}", self.port + 2), &format!("127.0.0.1:{http}"));
        fs::write(self.path("stranger.toml"), text).unwrap();
        let log = fs::File::create(self.path("stranger.log")).unwrap();
        let child = program()
            .args(["gateway", "--deploy", "stranger.toml", "--name", "g1"])
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Process(child.unwrap())
    }

    /// The value of a key, through the stranger's HTTP port; none if it answers nothing.
    fn through_stranger(&self, ca: &str) -> Output {
        let at = format!("127.0.0.1:{}", self.port + 6);
        self.run(&["get", "fruit", "--gateway", &at, "--ca", ca])
    }
}

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
    use server::hello::{Greeting, Hello, IMAGE_VERSION};
    use tokio::io::AsyncWriteExt;

    let certs = deployed.path("certs");
    let shown =
        secure::files::Shown::read(&certs.join(format!("{shown}.pem")), &certs.join(format!("{shown}.key")));
    let roots = secure::files::authorities(&certs.join("ca.pem")).unwrap();
    let config = secure::identity::dialling(roots, Some(&shown.unwrap())).unwrap();
    let hello = Hello {
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
        match Greeting::read(&mut stream, &mut bytes::BytesMut::new()).await.unwrap().unwrap() {
            Greeting::Refused(why) => why,
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
}

#[test]
fn what_contradicts_the_file_is_refused_by_its_name() {
    let deployed = Deployed::described(false, "");
    let node = ["node", "--deploy", "cluster.toml", "--name", "n1"];
    let peer = "n1=127.0.0.9:1";
    let other = "00".repeat(16);
    for more in [
        ["--cluster", &other],
        ["--node", "n2"],
        ["--listen", "127.0.0.1:1"],
        ["--image", "x.img"],
        ["--peer", peer],
        ["--dir", "."],
    ] {
        let (code, why) = deployed.refused(&[&node[..], &more].concat());
        assert!(code == 2 && why.contains(more[0]), "{code} {why}");
    }
    let format = ["format", "--founding", "--deploy", "cluster.toml", "--name", "n1"];
    for more in [["--shards", "2"], ["--members", "n1,n2"], ["--size", "1G"], ["--cluster", &other]] {
        let (code, why) = deployed.refused(&[&format[..], &more].concat());
        assert!(code == 2 && why.contains(more[0]), "{code} {why}");
    }
    let (code, why) = deployed.refused(&["gateway", "--deploy", "cluster.toml", "--name", "g2"]);
    assert!(code == 2 && why.contains("no g2") && why.contains("g1"), "{code} {why}");
}

#[test]
fn nothing_listens_beyond_loopback_without_tls_unless_somebody_insists() {
    let home = Deployed::described(false, "");
    let cluster = "5a".repeat(16);
    let (code, why) = home.refused(&["up", "--ephemeral", "--bind", "0.0.0.0"]);
    assert!(code == 2 && why.contains("--insecure") && why.contains("deploy example"), "{code} {why}");
    let node = ["node", "--cluster", &cluster, "--node", "n1", "--listen", "0.0.0.0:1", "--image", "x"];
    let (code, why) = home.refused(&[&node[..], &["--peer", "n1=h:1"]].concat());
    assert!(code == 2 && why.contains("--insecure"), "{code} {why}");
    let gateway = ["gateway", "--cluster", &cluster, "--gateway", "g1", "--node", "n1=h:1"];
    let (code, why) = home.refused(&[&gateway[..], &["--http", "0.0.0.0:1"]].concat());
    assert!(code == 2 && why.contains("--insecure"), "{code} {why}");
    // Told to, it does, and says loudly what that means.
    let (_, why) = home.refused(&[&node[..], &["--peer", "n1=h:1", "--insecure"]].concat());
    assert!(why.contains("INSECURE"), "{why}");
}

/// Are there Python and its parser for YAML?
fn yaml() -> bool {
    let asked = std::process::Command::new("python3").args(["-c", "import yaml"]).output();
    let there = asked.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("\n*** SKIPPED: python3 with PyYAML is not installed, so no document was parsed ***\n");
    }
    there
}

#[test]
fn documents_are_yaml_that_others_read_as_it_is_meant() {
    if !yaml() {
        return;
    }
    let deployed = Deployed::described(true, "");
    fs::write(deployed.path("compose.yaml"), deployed.ok(&["deploy", "compose", "cluster.toml"])).unwrap();
    let mut text = fs::read_to_string(deployed.path("cluster.toml")).unwrap();
    for n in 1..=3 {
        let pod = format!("cutaway-n{n}-0.cutaway:7420\"\nlisten = \"0.0.0.0:7420");
        text = text.replace(&format!("127.0.0.{}:{}", n + 1, deployed.port), &pod);
    }
    let text = text.replace("127.0.0.1:", "0.0.0.0:").replace("\"data\"", "\"/data\"");
    fs::write(deployed.path("pods.toml"), text.replace("\"certs\"", "\"/etc/cutaway/certs\"")).unwrap();
    let kubernetes = ["deploy", "kubernetes", "pods.toml"];
    fs::write(deployed.path("pods.yaml"), deployed.ok(&kubernetes)).unwrap();
    fs::write(deployed.path("found.yaml"), deployed.ok(&[&kubernetes[..], &["--found"]].concat())).unwrap();
    let script = "
import yaml
services = yaml.safe_load(open('compose.yaml'))['services']
assert list(services) == ['n1', 'n2', 'n3', 'g1'], services
assert services['n1']['command'][0] == 'node' and services['n1']['command'][-1] == 'n1'
pods = list(yaml.safe_load_all(open('pods.yaml')))
sets = [d for d in pods if d['kind'] == 'StatefulSet']
assert [s['metadata']['name'] for s in sets] == ['cutaway-n1', 'cutaway-n2', 'cutaway-n3', 'cutaway-g1']
for s in sets:
    labels = s['spec']['template']['metadata']['labels']
    assert s['spec']['selector']['matchLabels'].items() <= labels.items()
    pod = s['spec']['template']['spec']
    mounted = {m['name'] for m in pod['containers'][0]['volumeMounts']}
    assert mounted == {v['name'] for v in pod['volumes']}, (mounted, pod['volumes'])
    assert 'readinessProbe' in pod['containers'][0] and 'podAntiAffinity' in pod['affinity']
services = {d['metadata']['name']: d for d in pods if d['kind'] == 'Service'}
assert services['cutaway']['spec']['clusterIP'] == 'None'
claims = [d for d in yaml.safe_load_all(open('found.yaml')) if d['kind'] == 'PersistentVolumeClaim']
assert [c['metadata']['name'] for c in claims] == ['cutaway-n1', 'cutaway-n2', 'cutaway-n3']
";
    let parsed =
        std::process::Command::new("python3").args(["-c", script]).current_dir(deployed.home.path()).output();
    let parsed = parsed.unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
}

#[test]
fn a_unit_is_one_that_systemd_takes() {
    if !installed("systemd-analyze") {
        return;
    }
    let deployed = Deployed::described(true, "");
    // It looks whether the program is there.
    let own = std::path::absolute(Path::new(program().get_program())).unwrap();
    for name in ["n1", "g1"] {
        let unit = deployed.ok(&["deploy", "systemd", "cluster.toml", "--name", name]);
        let unit = unit.replace("/usr/local/bin/cutaway", own.to_str().unwrap());
        let file = deployed.path(&format!("cutaway-{name}.service"));
        fs::write(&file, unit.replace("User=cutaway", "User=root")).unwrap();
        let verified =
            std::process::Command::new("systemd-analyze").arg("verify").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        let own_lines: Vec<_> = said.lines().filter(|line| line.contains("cutaway")).collect();
        assert!(verified.status.success() && own_lines.is_empty(), "{said}");
    }
}
