//! The file that describes a cluster: what contradicts it, what listens where, and what is printed from it.

mod common;
#[path = "common/deployed.rs"]
mod deployed;

use std::fs;
use std::path::Path;

use common::{fetched, installed, program};
use deployed::Deployed;

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

/// The commands of a page, in order.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(String::from).collect()
}

#[test]
fn the_page_on_operations_is_true_from_its_first_command_to_its_last() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap().to_owned();
    let page = fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let mut deployed = Deployed::described(true, "");
    fs::remove_file(deployed.path("cluster.toml")).unwrap();
    let own = std::path::absolute(Path::new(program().get_program())).unwrap();
    let paths = format!("{}:{}", own.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let (port, curl) = (deployed.port, installed("curl"));
    // Other ports than the page's, which somebody may be using, and images that take no time.
    let mine = format!("s/:7420/:{port}/; s/:7400/:{}/; s/:7401/:{}/; s/256M/16M/", port + 1, port + 2);
    let (mut exported, mut run) = (String::new(), 0);
    for line in commands(&page) {
        let line = line.replace(":7401", &format!(":{}", port + 2));
        if let Some(words) = line.strip_suffix(" &") {
            let words: Vec<_> = words.split(' ').collect();
            assert_eq!(
                (words[0], words[2], words[3], words[4]),
                ("cutaway", "--deploy", "cluster.toml", "--name")
            );
            deployed.start(words[1], words[5]);
            continue;
        }
        if line.starts_with("export ") {
            exported = line;
            continue;
        }
        if line.starts_with("curl ") && !curl {
            continue;
        }
        let script = format!("{exported}\n{line}\n");
        let output = std::process::Command::new("bash")
            .args(["-euc", &script])
            .current_dir(deployed.home.path())
            .env("PATH", &paths)
            .env_remove("CUTAWAY_GATEWAY")
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        if line.ends_with("> cluster.toml") {
            let changed = std::process::Command::new("sed")
                .args(["-i", &mine, "cluster.toml"])
                .current_dir(deployed.home.path())
                .status();
            assert!(changed.unwrap().success());
        }
        run += 1;
    }
    assert!(run >= 15, "{run} commands were run");
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
    for validator in [
        &["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"][..],
        &["kubernetes-validate", "--strict", "pods.yaml", "found.yaml"],
    ] {
        let Some(found) = fetched(&format!("validators/bin/{}", validator[0])) else { continue };
        let checked = std::process::Command::new(found)
            .args(&validator[1..])
            .current_dir(deployed.home.path())
            .output()
            .unwrap();
        let said = [checked.stdout, checked.stderr].concat();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&said));
    }
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
