//! What is shipped beside the program is true of it: metrics that alerts and panels ask for, files that a package names,
//! options that units pass.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Cluster, fetched, program};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The names in a text that begin as our metrics do.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("cutaway_")).map(String::from).collect()
}

/// Every name under which a gateway gives samples.
fn exposed(cluster: &Cluster) -> BTreeSet<String> {
    let body = ureq::get(format!("http://{}/metrics", cluster.http(1))).call().unwrap();
    let text = body.into_body().read_to_string().unwrap();
    let mut names = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        match kind {
            "histogram" => names.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}"))),
            _ => drop(names.insert(name.to_string())),
        }
    }
    names
}

#[test]
fn alerts_and_panels_ask_for_metrics_that_there_are() {
    let cluster = Cluster::new(&["--image-size", "8M"]);
    cluster.ok(&["put", "fruit", "apple"]);
    cluster.ok(&["get", "fruit"]);
    let exposed = exposed(&cluster);
    assert!(exposed.len() >= 15, "{exposed:?}");
    for file in ["packaging/prometheus/cutaway.rules.yml", "packaging/grafana/cutaway.json"] {
        let asked = metrics_in(&read(file));
        assert!(asked.len() >= 8, "{file}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&exposed).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}; there are {exposed:?}");
    }
    let shown = metrics_in(&read("packaging/grafana/cutaway.json"));
    let is_shown = |name: &String| {
        let of = |end: &str| shown.contains(name.trim_end_matches(end));
        shown.contains(name)
            || ["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end))
            || of("_total")
    };
    let hidden: Vec<_> = exposed.iter().filter(|name| !is_shown(name)).collect();
    assert!(hidden.is_empty(), "the dashboard shows all of them: {hidden:?}");
}

#[test]
fn the_dashboard_has_panels_that_do_not_overlap_and_queries_in_each() {
    let dashboard: Value = serde_json::from_str(&read("packaging/grafana/cutaway.json")).unwrap();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let number = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(number("x") + number("w") <= 24, "{panel}");
        for x in number("x")..number("x") + number("w") {
            for y in number("y")..number("y") + number("h") {
                assert!(taken.insert((x, y)), "{} lies on another", panel["title"]);
            }
        }
        let targets = panel["targets"].as_array().unwrap();
        assert!(
            targets.iter().all(|target| !metrics_in(target["expr"].as_str().unwrap()).is_empty()),
            "{panel}"
        );
    }
}

#[test]
fn promtool_takes_the_alerts() {
    let Some(promtool) = fetched("prometheus/usr/bin/promtool") else { return };
    let rules = root().join("packaging/prometheus/cutaway.rules.yml");
    let checked = Command::new(promtool).args(["check", "rules"]).arg(rules).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_package_names_files_that_there_are() {
    let manifest = read("crates/cutaway/Cargo.toml");
    let (_, deb) = manifest.split_once("[package.metadata.deb]").unwrap();
    let quoted = deb.split('"').skip(1).step_by(2).filter(|word| word.starts_with("../../"));
    let named: Vec<_> = quoted.map(|word| word.trim_start_matches("../../")).collect();
    assert!(named.len() >= 10, "{named:?}");
    let script = read("packaging/deb");
    for path in named {
        // What is made at packaging, the script makes.
        let made = path.strip_prefix("target/package/");
        let folder = path.strip_suffix("/*.md").unwrap_or(path);
        let there = made.map_or(root().join(folder).exists(), |made| {
            let (folder, name) = made.rsplit_once('/').unwrap();
            script.contains(&format!("$made/{folder}"))
                && (name == "*.1" || script.contains(&format!("/{name}")))
        });
        assert!(there, "{path}");
    }
    for unit in ["cutaway-node", "cutaway-gateway"] {
        assert!(deb.contains(&format!("unit-name = \"{unit}\"")));
        assert!(root().join(format!("packaging/systemd/{unit}.service")).exists(), "{unit}");
    }
}

#[test]
fn units_start_what_their_examples_say() {
    for (command, variable) in [("node", "CUTAWAY_NODE"), ("gateway", "CUTAWAY_GATEWAY_ARGUMENTS")] {
        let unit = read(&format!("packaging/systemd/cutaway-{command}.service"));
        assert!(unit.contains(&format!("ExecStart=/usr/bin/cutaway {command} ${variable}\n")), "{unit}");
        assert!(unit.contains(&format!("EnvironmentFile=/etc/cutaway/{command}.conf\n")), "{unit}");
        let example = read(&format!("packaging/etc/{command}.conf.example"));
        let (_, arguments) = example.split_once(&format!("\n{variable}=\"")).unwrap();
        let arguments = arguments.split('"').next().unwrap();
        // Understood, and then told.
        let mut understood = program();
        let output = understood.arg(command).args(arguments.split(' ')).arg("--help").output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn units_are_ones_that_systemd_understands() {
    let units = ["node", "gateway"].map(|n| root().join(format!("packaging/systemd/cutaway-{n}.service")));
    match Command::new("systemd-analyze").arg("verify").args(&units).output() {
        Ok(output) => {
            // That the program is not installed here, and its manual not, is no fault of a unit.
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let faults = said.lines().filter(|line| {
                line.contains("cutaway-") && !line.contains("not executable") && !line.contains("man ")
            });
            assert_eq!(faults.collect::<Vec<_>>(), Vec::<&str>::new());
        }
        Err(_) => println!("*** SKIPPED: units are checked with systemd-analyze"),
    }
}
