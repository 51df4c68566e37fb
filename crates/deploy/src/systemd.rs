//! A unit for systemd: one member, started from the file, with nothing that it does not need.
//!
//! The node that fails is started again, because it recovers; one that was told of damage (exit code 4) or of a mistake in
//! the file (2) is not, because it would say the same again.

use std::path::{Path, PathBuf};

use crate::cluster::Deployment;
use crate::words;

/// Where a program lies that is installed, by hand or from a package.
const PROGRAMS: [&str; 2] = ["/usr/local/bin/cutaway", "/usr/bin/cutaway"];

/// The unit of a member; `None` if there is no such member. It starts `own`, the program that runs now, if that is installed.
pub fn unit(cluster: &Deployment, member: &str, insecure: bool, own: &Path) -> Option<String> {
    let node = words::node(member).ok().and_then(|n| cluster.nodes.get(&n));
    let gateway = words::gateway(member).ok().and_then(|g| cluster.gateways.get(&g));
    let (command, what) = match (node, gateway) {
        (Some(_), _) => ("node", "storage node"),
        (None, Some(_)) => ("gateway", "gateway"),
        (None, None) => return None,
    };
    let file = std::path::absolute(&cluster.file).unwrap_or_else(|_| cluster.file.clone());
    let program = PROGRAMS.iter().find(|program| Path::new(program) == own).unwrap_or(&PROGRAMS[0]);
    let insecure = if insecure { " --insecure" } else { "" };
    let mut unit = format!(
        "# /etc/systemd/system/cutaway-{member}.service
[Unit]
Description=Cutaway {what} {member}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
User=cutaway
ExecStart={program} {command} --deploy {} --name {member}{insecure}
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=2 4
# A gateway finishes what is under way; a node writes nothing at its end that it would need.
TimeoutStopSec=10
LimitNOFILE=1048576
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=true
ProtectKernelTunables=true
ProtectControlGroups=true
RestrictAddressFamilies=AF_INET AF_INET6
MemoryDenyWriteExecute=true
",
        word(&file)
    );
    for folder in node.map(|node| folders(&node.images)).unwrap_or_default() {
        unit += &format!("ReadWritePaths={}\n", word(&folder));
    }
    unit += "\n[Install]\nWantedBy=multi-user.target\n";
    Some(unit)
}

/// The folders of the images; of a block device, the device.
fn folders(images: &[PathBuf]) -> Vec<PathBuf> {
    let place = |image: &PathBuf| {
        let image = std::path::absolute(image).unwrap_or_else(|_| image.clone());
        match image.parent() {
            Some(above) if !image.starts_with("/dev") => above.to_owned(),
            _ => image,
        }
    };
    let mut all: Vec<_> = images.iter().map(place).collect();
    all.sort();
    all.dedup();
    all
}

/// A path as systemd takes it: `%` begins one of its own words, and a blank ends the path.
fn word(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"");
    if text.contains([' ', '\t']) { format!("\"{text}\"") } else { text }
}
