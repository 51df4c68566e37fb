//! What the file means.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use extensions::Chosen;
use secure::identity::Asks;
use secure::token::{Access, Known};
use toml::Spanned;

use crate::cluster::{Deployment, GatewayPart, NodePart};
use crate::problem::{Found, Problem, Problems};
use crate::raw::{self, Raw};
use crate::{rules, words};

/// Most shards.
pub const SHARDS_MAX: u32 = 1024;
/// Images that `format` creates, unless the file says otherwise.
const IMAGE_BYTES: u64 = 1 << 30;
/// Smaller ones hold next to nothing.
pub const IMAGE_BYTES_MIN: u64 = 8 << 20;
/// No such file is longer.
const FILE_BYTES_MAX: u64 = 4 << 20;

impl Deployment {
    /// Reads and checks a file. `insecure`: ports beyond loopback need no TLS.
    pub fn read(file: &Path, insecure: bool) -> Result<Deployment, Problems> {
        let failed = |why: String| {
            let problem = Problem { line: 1, what: why };
            Problems { file: file.to_owned(), all: vec![problem] }
        };
        let long = fs::metadata(file).is_ok_and(|about| about.len() > FILE_BYTES_MAX);
        if long {
            return Err(failed("it is too long for a description of a cluster".into()));
        }
        let text = fs::read_to_string(file).map_err(|e| failed(format!("it cannot be read: {e}")))?;
        Deployment::parse(file, &text, insecure)
    }

    /// The same, of a text.
    pub fn parse(file: &Path, text: &str, insecure: bool) -> Result<Deployment, Problems> {
        let mut found = Found::new(text);
        let raw: Raw = match toml::from_str(text) {
            Ok(raw) => raw,
            Err(e) => {
                found.at(e.span().unwrap_or(0..0), e.message().trim().replace('\n', ", "));
                return Err(found.told(file));
            }
        };
        let deployment = Reading { found: &mut found, above: above(file) }.meaning(file, &raw);
        if let Some(deployment) = &deployment {
            rules::check(deployment, insecure, &mut found);
        }
        found.end(file)?;
        Ok(deployment.expect("nothing was wrong"))
    }
}

fn above(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

struct Reading<'a, 'b> {
    found: &'a mut Found<'b>,
    /// What paths are relative to.
    above: PathBuf,
}

impl Reading<'_, '_> {
    fn good<T>(&mut self, value: &Spanned<String>, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        self.found.or(value.span(), parse(value.get_ref()))
    }

    fn path(&mut self, value: &Spanned<String>) -> PathBuf {
        if value.get_ref().is_empty() {
            self.found.at(value.span(), "a path is missing");
        }
        self.above.join(value.get_ref())
    }

    /// `None` only if something was wrong.
    fn meaning(&mut self, file: &Path, raw: &Raw) -> Option<Deployment> {
        let cluster = self.good(&raw.cluster, words::cluster);
        let shards = self.shards(raw);
        let image_bytes = match &raw.image_size {
            None => Some(IMAGE_BYTES),
            Some(size) => self.good(size, |text| {
                let small = || format!("{text:?} is too small for an image: 8M is the least");
                words::size(text)
                    .and_then(|size| Some(size).filter(|s| *s >= IMAGE_BYTES_MIN).ok_or_else(small))
            }),
        };
        let extensions = match &raw.extensions {
            None => Some(Chosen::NONE),
            Some(names) => {
                let chosen = names.get_ref().join(",").parse();
                self.found.or(names.span(), chosen)
            }
        };
        let certs = raw.tls.as_ref().map(|tls| self.path(&tls.certs));
        let asks = self.asks(raw, certs.as_deref());
        let data = raw.data.as_ref().map(|data| self.path(data));
        let (nodes, gateways) =
            (self.nodes(raw, shards?, data.as_deref()), self.gateways(raw, certs.is_some()));
        let tokens = self.tokens(&raw.tokens);
        Some(Deployment {
            file: file.to_owned(),
            cluster: cluster?,
            shards: shards?,
            image_bytes: image_bytes?,
            extensions: extensions?,
            certs,
            asks: asks?,
            nodes,
            gateways,
            tokens,
        })
    }

    fn shards(&mut self, raw: &Raw) -> Option<u32> {
        let Some(shards) = &raw.shards else { return Some(1) };
        let good = (1..=SHARDS_MAX).contains(shards.get_ref());
        let why = format!("{} shards are not possible: 1 to {SHARDS_MAX} are", shards.get_ref());
        self.found.or(shards.span(), good.then_some(*shards.get_ref()).ok_or(why))
    }

    fn asks(&mut self, raw: &Raw, certs: Option<&Path>) -> Option<Asks> {
        let Some(clients) = &raw.clients else { return Some(Asks::Nothing) };
        let (word, span) = (clients.certificates.get_ref().as_str(), clients.certificates.span());
        let ca = clients.ca.as_ref().map(|ca| self.path(ca));
        let ca = ca.or_else(|| certs.map(|certs| certs.join(secure::authority::CA)));
        match (word, ca.filter(|_| certs.is_some())) {
            ("none", _) => return Some(Asks::Nothing),
            ("optional", Some(ca)) => return Some(Asks::Optional(ca)),
            ("required", Some(ca)) => return Some(Asks::Required(ca)),
            ("optional" | "required", None) => {
                self.found.at(span, "clients can show certificates only over TLS: add [tls]");
            }
            _ => {
                let why =
                    format!("certificates = {word:?}: \"none\", \"optional\" and \"required\" are possible");
                self.found.at(span, why);
            }
        }
        None
    }

    fn nodes(&mut self, raw: &Raw, shards: u32, data: Option<&Path>) -> BTreeMap<u32, NodePart> {
        let mut nodes = BTreeMap::new();
        if raw.nodes.is_empty() {
            self.found.on(1, "there is no node: add [nodes.n1], [nodes.n2] and [nodes.n3]");
        }
        for (name, node) in &raw.nodes {
            let number = self.good(name, words::node);
            let address = self.good(&node.address, words::address);
            let listen = self.listen(node);
            let metrics = node.metrics.as_ref().and_then(|metrics| self.good(metrics, words::listen));
            let images = self.images(name, node, shards, data);
            let line = self.found.line(name.span().start);
            let added = node.added.as_ref().is_some_and(|added| *added.get_ref());
            if let (Some(n), Some(address), Some(listen), Some(images)) = (number, address, listen, images) {
                nodes.insert(n, NodePart { address, listen, metrics, images, added, line });
            }
        }
        nodes
    }

    fn listen(&mut self, node: &raw::Node) -> Option<SocketAddr> {
        if let Some(listen) = &node.listen {
            return self.good(listen, words::listen);
        }
        // An address that is none is told already.
        words::address(node.address.get_ref()).ok()?;
        let why =
            "a name says nothing about where to listen: add listen = \"IP:PORT\", such as \"0.0.0.0:7420\"";
        self.found.or(node.address.span(), words::listen(node.address.get_ref()).map_err(|_| why.into()))
    }

    fn images(
        &mut self,
        name: &Spanned<String>,
        node: &raw::Node,
        shards: u32,
        data: Option<&Path>,
    ) -> Option<Vec<PathBuf>> {
        let of_node = |shard: u32| format!("{}/shard-{shard}.img", name.get_ref());
        let (span, why): (Range<usize>, String) = match (&node.images, data) {
            (None, Some(data)) => return Some((0..shards).map(|shard| data.join(of_node(shard))).collect()),
            (None, None) => (
                name.span(),
                format!(
                    "where are the images of {}? Add images = [\"PATH\"], or data = \"FOLDER\" on top",
                    name.get_ref()
                ),
            ),
            (Some(images), _) if images.get_ref().len() == shards as usize => {
                let all = images.get_ref();
                if !all.iter().any(String::is_empty) {
                    return Some(all.iter().map(|image| self.above.join(image)).collect());
                }
                (images.span(), "a path is missing".into())
            }
            (Some(images), _) => {
                let count = images.get_ref().len();
                (
                    images.span(),
                    format!("{count} image(s) for {shards} shard(s): name one for each, in their order"),
                )
            }
        };
        self.found.at(span, why);
        None
    }

    fn gateways(&mut self, raw: &Raw, tls: bool) -> BTreeMap<u32, GatewayPart> {
        let mut gateways = BTreeMap::new();
        for (name, gateway) in &raw.gateways {
            let number = self.good(name, words::gateway);
            let (redis, http) =
                (self.good(&gateway.redis, words::listen), self.good(&gateway.http, words::listen));
            let hosts = gateway.hosts.iter().filter_map(|host| self.good(host, words::host_name)).collect();
            let public = match (&gateway.public_cert, &gateway.public_key) {
                (None, None) => None,
                (Some(cert), Some(key)) => Some((self.path(cert), self.path(key))),
                (Some(one), None) | (None, Some(one)) => {
                    self.found.at(one.span(), "public-cert and public-key belong together: add the other");
                    None
                }
            };
            if let (Some(cert), false) = (&gateway.public_cert, tls) {
                self.found.at(cert.span(), "a certificate is of no use without TLS: add [tls]");
            }
            let line = self.found.line(name.span().start);
            if let (Some(g), Some(redis), Some(http)) = (number, redis, http) {
                gateways.insert(g, GatewayPart { redis, http, hosts, public, line });
            }
        }
        gateways
    }

    fn tokens(&mut self, raw: &[raw::Token]) -> Vec<Known> {
        let mut known: Vec<Known> = Vec::new();
        for token in raw {
            let name = token.name.get_ref();
            let plain =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            if !plain || name.len() > 64 {
                self.found.at(token.name.span(), "a token's name has up to 64 letters, digits, and - _ .");
            }
            if known.iter().any(|other| other.name == *name) {
                self.found.at(token.name.span(), format!("there are two tokens called {name:?}"));
            }
            let access = self.good(&token.access, |word| {
                let why = || format!("access = {word:?}: \"read-only\" and \"read-write\" are possible");
                Access::parse(word).ok_or_else(why)
            });
            let made = Known::new(name, access.unwrap_or(Access::Read), token.hash.get_ref());
            known.extend(self.found.or(token.hash.span(), made));
        }
        known
    }
}
