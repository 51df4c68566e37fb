//! Manifests for Kubernetes: a StatefulSet of one pod for each node, whose volume and name stay; gateways as well, because
//! each has a name of its own.
//!
//! The file needs addresses that a cluster of Kubernetes has: `cutaway-n1-0.cutaway:7420`, with `listen = "0.0.0.0:7420"`,
//! and images below `/data`. What cannot run there is refused here, with its line.
//!
//! Founding is a job of its own, applied once. An init container would found a node again whose volume was lost, and let it
//! vote on what it has forgotten.
//!
//! A budget lets one node go at a time, and nodes keep off each other's machines: a majority stays. A node is made ready by
//! its port, a gateway by `/readyz`, which says whether every shard has a primary.

use std::fmt::Write as _;
use std::path::Path;

use secure::identity::Asks;

use crate::cluster::{Deployment, GatewayPart, NodePart};
use crate::words;

/// Where the file and the certificates are in a pod, and where the volume is.
const FILE: &str = "/etc/cutaway/cluster.toml";
const CERTS: &str = "/etc/cutaway/certs";
const DATA: &str = "/data";
/// The headless service, under whose name the nodes are found.
const SERVICE: &str = "cutaway";

/// The documents, or why the file does not describe what could run there.
pub fn manifests(cluster: &Deployment, image: &str, insecure: bool) -> Result<String, String> {
    fits(cluster)?;
    let mut text = format!(
        "# The file and the certificates of each member come first:
#   kubectl create configmap cutaway --from-file=cluster.toml
#   for m in {}; do kubectl create secret generic cutaway-$m \\
#     --from-file=certs/ca.pem --from-file=certs/$m.pem --from-file=certs/$m.key; done
# and then, once in the life of the cluster: cutaway deploy kubernetes FILE --found | kubectl create -f -
apiVersion: v1
kind: Service
metadata: {{name: {SERVICE}, labels: {{app: cutaway}}}}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{app: cutaway, role: node}}
  ports:
    - {{name: members, port: {}}}
{}",
        cluster.members().collect::<Vec<_>>().join(" "),
        cluster.nodes.values().next().map_or(7420, |node| node.listen.port()),
        one_at_a_time("node"),
    );
    for (n, node) in &cluster.nodes {
        text += &node_set(cluster, &format!("n{n}"), node, image, insecure);
    }
    if !cluster.gateways.is_empty() {
        text += &gateway_service(cluster);
    }
    for (g, gateway) in &cluster.gateways {
        text += &gateway_set(cluster, &format!("g{g}"), gateway, image, insecure);
    }
    Ok(text)
}

/// Could these addresses and paths be those of pods?
fn fits(cluster: &Deployment) -> Result<(), String> {
    let wrong = |line: usize, why: String| Err(format!("{}:{line}: {why}", cluster.file.display()));
    for (n, node) in &cluster.nodes {
        let host = words::host(&node.address);
        let pod = format!("cutaway-n{n}-0.{SERVICE}");
        if host != pod && !host.starts_with(&format!("{pod}.")) {
            let port = node.listen.port();
            return wrong(
                node.line,
                format!("in Kubernetes n{n} is reached at {pod}:{port}: make that its address"),
            );
        }
        if !node.listen.ip().is_unspecified() {
            let why =
                format!("a pod's address is known when it runs: listen = \"0.0.0.0:{}\"", node.listen.port());
            return wrong(node.line, why);
        }
        if let Some(image) = node.images.iter().find(|image| !image.starts_with(DATA)) {
            let why = format!("{} is not on the pod's volume: data = \"{DATA}\"", image.display());
            return wrong(node.line, why);
        }
    }
    for (g, gateway) in &cluster.gateways {
        if ![gateway.redis, gateway.http].iter().all(|address| address.ip().is_unspecified()) {
            return wrong(
                gateway.line,
                format!("a pod's address is known when it runs: let g{g} listen on 0.0.0.0"),
            );
        }
    }
    match &cluster.certs {
        Some(certs) if certs != Path::new(CERTS) => {
            wrong(1, format!("in a pod the certificates are in {CERTS}: make that certs of [tls]"))
        }
        _ => Ok(()),
    }
}

fn arguments(command: &[&str], member: &str, more: &[&str]) -> String {
    let whose = ["--deploy", FILE, "--name", member];
    let words = command.iter().chain(&whose).chain(more);
    words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn volumes(cluster: &Deployment, member: &str) -> (String, String) {
    let mut mounts =
        format!("            - {{name: file, mountPath: {FILE}, subPath: cluster.toml, readOnly: true}}\n");
    let mut volumes = String::from("        - {name: file, configMap: {name: cutaway}}\n");
    if cluster.certs.is_some() {
        writeln!(mounts, "            - {{name: certs, mountPath: {CERTS}, readOnly: true}}")
            .expect("a string takes it");
        writeln!(
            volumes,
            "        - {{name: certs, secret: {{secretName: cutaway-{member}, defaultMode: 288}}}}"
        )
        .expect("a string takes it");
    }
    (mounts, volumes)
}

/// Everything of a set up to its containers.
fn head(member: &str, role: &str, spread: &str) -> String {
    format!(
        "---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: cutaway-{member}, labels: {{app: cutaway}}}}
spec:
  serviceName: {SERVICE}
  replicas: 1
  selector: {{matchLabels: {{app: cutaway, member: {member}}}}}
  template:
    metadata: {{labels: {{app: cutaway, role: {role}, member: {member}}}}}
    spec:
      terminationGracePeriodSeconds: 15
      securityContext: {POD_HARDENED}
      affinity:
        podAntiAffinity:
{spread}"
    )
}

/// Nodes never share a machine: with it, more than one would go.
const APART: &str = "          requiredDuringSchedulingIgnoredDuringExecution:
            - topologyKey: kubernetes.io/hostname
              labelSelector: {matchLabels: {app: cutaway, role: node}}
";
/// Gateways rather not.
const RATHER_APART: &str = "          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              podAffinityTerm:
                topologyKey: kubernetes.io/hostname
                labelSelector: {matchLabels: {app: cutaway, role: gateway}}
";
const POD_HARDENED: &str =
    "{runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: {type: RuntimeDefault}}";
const HARDENED: &str =
    "{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}";

fn node_set(cluster: &Deployment, member: &str, node: &NodePart, image: &str, insecure: bool) -> String {
    let (mounts, volumes) = volumes(cluster, member);
    let more: &[&str] = if insecure { &["--insecure"] } else { &[] };
    let (run, port) = (arguments(&["node"], member, more), node.listen.port());
    format!(
        "{}      containers:
        - name: node
          image: {image}
          args: [{run}]
          ports:
            - {{name: members, containerPort: {port}}}
          readinessProbe: {{tcpSocket: {{port: members}}, periodSeconds: 5}}
          livenessProbe: {{tcpSocket: {{port: members}}, periodSeconds: 10, failureThreshold: 6}}
          securityContext: {HARDENED}
          volumeMounts:
            - {{name: data, mountPath: {DATA}}}
{mounts}      volumes:
        - {{name: data, persistentVolumeClaim: {{claimName: cutaway-{member}}}}}
{volumes}",
        head(member, "node", APART)
    )
}

/// What founds the cluster: the volume of each node, and a job that formats its images.
pub fn founding(cluster: &Deployment, image: &str) -> Result<String, String> {
    fits(cluster)?;
    // A tenth more than the images, for the file system.
    let size = cluster.image_bytes * u64::from(cluster.shards) / (1 << 20) * 11 / 10;
    let one = |n: u32| {
        let member = format!("n{n}");
        let format = arguments(&["format", "--founding"], &member, &[]);
        format!(
            "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: cutaway-{member}}}
spec:
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: {size}Mi}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: cutaway-found-{member}}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      securityContext: {POD_HARDENED}
      containers:
        - name: found
          image: {image}
          args: [{format}]
          securityContext: {HARDENED}
          volumeMounts:
            - {{name: data, mountPath: {DATA}}}
            - {{name: file, mountPath: {FILE}, subPath: cluster.toml, readOnly: true}}
      volumes:
        - {{name: data, persistentVolumeClaim: {{claimName: cutaway-{member}}}}}
        - {{name: file, configMap: {{name: cutaway}}}}
"
        )
    };
    Ok(cluster.founders().map(|(n, _)| one(n)).collect::<Vec<_>>().join("---\n"))
}

fn gateway_service(cluster: &Deployment) -> String {
    let ports = cluster.gateways.values().next().map_or((7400, 7401), |g| (g.redis.port(), g.http.port()));
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: cutaway-gateway, labels: {{app: cutaway}}}}
spec:
  selector: {{app: cutaway, role: gateway}}
  ports:
    - {{name: redis, port: {}}}
    - {{name: http, port: {}}}
{}",
        ports.0,
        ports.1,
        one_at_a_time("gateway"),
    )
}

/// No more than one of them may be taken away at once: a drained host waits for the one before.
fn one_at_a_time(role: &str) -> String {
    format!(
        "---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: cutaway-{role}s}}
spec:
  maxUnavailable: 1
  selector: {{matchLabels: {{app: cutaway, role: {role}}}}}
"
    )
}

fn gateway_set(
    cluster: &Deployment,
    member: &str,
    gateway: &GatewayPart,
    image: &str,
    insecure: bool,
) -> String {
    let (mounts, volumes) = volumes(cluster, member);
    let more: &[&str] = if insecure { &["--insecure"] } else { &[] };
    let run = arguments(&["gateway"], member, more);
    let scheme = if cluster.certs.is_some() { "HTTPS" } else { "HTTP" };
    // A kubelet has no certificate: where one is required, it can only see whether the port is open.
    let probe = |path: &str| match cluster.asks {
        Asks::Required(_) => "tcpSocket: {port: http}".to_string(),
        _ => format!("httpGet: {{path: {path}, port: http, scheme: {scheme}}}"),
    };
    format!(
        "{}      containers:
        - name: gateway
          image: {image}
          args: [{run}]
          ports:
            - {{name: redis, containerPort: {}}}
            - {{name: http, containerPort: {}}}
          readinessProbe: {{{}, periodSeconds: 2}}
          livenessProbe: {{{}, periodSeconds: 10}}
          securityContext: {HARDENED}
          volumeMounts:
{mounts}      volumes:
{volumes}",
        head(member, "gateway", RATHER_APART),
        gateway.redis.port(),
        gateway.http.port(),
        probe("/readyz"),
        probe("/livez"),
    )
}
