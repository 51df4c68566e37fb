//! A compose file: every member as a container, on the network of the machine, so that the addresses of the file hold.
//!
//! Containers on a network of their own would need names in the file, as Kubernetes does. Here the file that runs the
//! processes by hand runs the containers as well.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::cluster::Deployment;

/// The document.
pub fn document(cluster: &Deployment, image: &str, insecure: bool) -> String {
    let mut text = String::from("# docker compose -f compose.yaml up -d\nname: cutaway\nservices:\n");
    for (n, node) in &cluster.nodes {
        let folders = node.images.iter().filter_map(|image| absolute(image).parent().map(Path::to_owned));
        service(&mut text, cluster, ("node", &format!("n{n}")), image, folders.collect(), insecure);
    }
    for g in cluster.gateways.keys() {
        service(&mut text, cluster, ("gateway", &format!("g{g}")), image, Vec::new(), insecure);
    }
    text
}

fn service(
    text: &mut String,
    cluster: &Deployment,
    (command, member): (&str, &str),
    image: &str,
    mut written: Vec<PathBuf>,
    insecure: bool,
) {
    let file = absolute(&cluster.file);
    let mut arguments = vec![command.to_string(), "--deploy".into(), file.display().to_string()];
    arguments.extend(["--name".into(), member.to_string()]);
    arguments.extend(insecure.then(|| "--insecure".to_string()));
    let arguments: Vec<_> = arguments.iter().map(|argument| quoted(argument)).collect();
    let mut read = vec![file];
    read.extend(cluster.certs.as_deref().map(absolute));
    written.sort();
    written.dedup();
    let mounts = written.iter().map(|path| (path, false)).chain(read.iter().map(|path| (path, true)));
    let mut volumes = String::new();
    for (path, read_only) in mounts {
        let path = quoted(&path.display().to_string());
        write!(volumes, "\n      - type: bind\n        source: {path}\n        target: {path}\n        read_only: {read_only}")
            .expect("a string takes it");
    }
    write!(
        text,
        "  {member}:
    image: {image}
    command: [{}]
    network_mode: host
    restart: on-failure
    stop_grace_period: 10s
    read_only: true
    security_opt: [\"no-new-privileges:true\"]
    ulimits:
      nofile: 1048576
    volumes:{volumes}
",
        arguments.join(", ")
    )
    .expect("a string takes it");
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// As YAML takes any text; `$` begins a variable of compose.
fn quoted(text: &str) -> String {
    let plain = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
    format!("\"{plain}\"")
}
