//! `deploy`, `certs`, `token`: the file that describes a cluster, and what it needs beside it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use deploy::{Deployment, certificates, compose, example, kubernetes, systemd, words};
use secure::authority::{Authority, CA};
use secure::token;
use server::manifest::{hex, random};

use crate::deployed;
use crate::failure::{Failure, Result, me, note, quote, say};

/// Describe a cluster in one file, check it, and print what starts its processes
#[derive(Debug, Args)]
pub struct Deploy {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print a file to begin with: a new cluster on this machine, with TLS
    Example {
        /// Storage nodes
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
        nodes: u32,
        /// Gateways
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=9))]
        gateways: u32,
    },
    /// Check the file; with --name, the certificates of that member as well
    Check {
        #[command(flatten)]
        file: File,
        /// The member that is to run on this machine, such as n1
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Print the systemd unit of one member, or of all
    Systemd {
        #[command(flatten)]
        file: File,
        /// The member, such as n1
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Print a compose file: all members as containers of one machine
    Compose {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        image: Image,
    },
    /// Print manifests for Kubernetes: StatefulSets, services, disruption budgets
    Kubernetes {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        image: Image,
        /// Print what founds the cluster instead, to be created once: volumes, and jobs that format them
        #[arg(long)]
        found: bool,
    },
}

#[derive(Debug, Args)]
struct File {
    /// The file
    file: PathBuf,
    /// Allow ports beyond loopback without TLS
    #[arg(long)]
    insecure: bool,
}

impl File {
    fn read(&self) -> Result<Deployment> {
        deployed::read(&self.file, self.insecure)
    }
}

#[derive(Debug, Args)]
struct Image {
    /// Container image that holds the program
    #[arg(long, default_value = "cutaway:latest", value_parser = container_image)]
    image: String,
}

/// It goes into a document as it is.
fn container_image(text: &str) -> std::result::Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"./:@_-".contains(&b);
    match !text.is_empty() && text.bytes().all(plain) {
        true => Ok(text.into()),
        false => Err("it is named like registry.example/cutaway:1".into()),
    }
}

impl Deploy {
    /// Runs the command.
    pub fn run(self) -> Result {
        match self.what {
            What::Example { nodes, gateways } => {
                say(example::example(&hex(&random::<16>()), nodes, gateways).trim_end());
                Ok(())
            }
            What::Check { file, name } => check(&file.read()?, name.as_deref()),
            What::Systemd { file, name } => {
                let cluster = file.read()?;
                let names = members(&cluster, name.as_slice())?;
                let own = std::env::current_exe().unwrap_or_default();
                let units =
                    names.iter().filter_map(|name| systemd::unit(&cluster, name, file.insecure, &own));
                say(units.collect::<Vec<_>>().join("\n").trim_end());
                Ok(())
            }
            What::Compose { file, image } => {
                say(compose::document(&file.read()?, &image.image, file.insecure).trim_end());
                Ok(())
            }
            What::Kubernetes { file, image, found } => {
                let cluster = file.read()?;
                let printed = match found {
                    true => kubernetes::founding(&cluster, &image.image),
                    false => kubernetes::manifests(&cluster, &image.image, file.insecure),
                };
                say(printed.map_err(Failure::usage)?.trim_end());
                Ok(())
            }
        }
    }
}

/// These members, or all if none is named.
fn members(cluster: &Deployment, asked: &[String]) -> Result<Vec<String>> {
    let all: Vec<_> = cluster.members().collect();
    match asked.iter().find(|name| !all.contains(name)) {
        Some(name) => Err(deployed::unknown(cluster, name)),
        None if asked.is_empty() => Ok(all),
        None => Ok(asked.to_vec()),
    }
}

fn check(cluster: &Deployment, name: Option<&str>) -> Result {
    let file = cluster.file.display();
    for name in members(cluster, name.map(String::from).as_slice())?.iter().filter(|_| name.is_some()) {
        let told = certificates::check(cluster, name).map_err(|e| deployed::unusable(cluster, name, e))?;
        told.into_iter().for_each(|what| note(format!("warning: {what}\n")));
        let images = words::node(name).ok().and_then(|n| cluster.nodes.get(&n)).map(|node| &node.images);
        for image in images.into_iter().flatten().filter(|image| !image.exists()) {
            note(format!(
                "warning: {} is not there; for a new cluster: {} format --founding --deploy {} --name {name}\n",
                image.display(),
                me(),
                quote(file.to_string())
            ));
        }
    }
    let secured = if cluster.certs.is_some() { "TLS" } else { "no TLS" };
    let tokens = match cluster.tokens.len() {
        0 => "no tokens: whoever reaches a gateway reads and writes".to_string(),
        n => counted(n, "token"),
    };
    say(format!(
        "{file} is good: {}, {}, {}, {secured}, {tokens}",
        counted(cluster.nodes.len(), "node"),
        counted(cluster.gateways.len(), "gateway"),
        counted(cluster.shards as usize, "shard")
    ));
    Ok(())
}

/// So many of them.
fn counted(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

/// Make certificates for a cluster, and a laboratory authority that signs them
///
/// DIR gets ca.pem and ca.key, and NAME.pem with NAME.key for each member of the file. What is there stays, unless it is to
/// be renewed; running members take what is new within seconds. Keep ca.key off the machines of the cluster: whoever has it
/// is any member.
#[derive(Debug, Args)]
pub struct Certs {
    /// The folder
    dir: PathBuf,
    /// File that describes the cluster
    #[arg(long, value_name = "FILE")]
    deploy: PathBuf,
    /// Only for this member; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// A certificate for a client as well; may be repeated
    #[arg(long, value_name = "NAME", value_parser = client_name)]
    client: Vec<String>,
    /// How long the certificates are valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Make new ones in place of those that are there
    #[arg(long)]
    renew: bool,
}

fn client_name(text: &str) -> std::result::Result<String, String> {
    let member = words::node(text).is_ok() || words::gateway(text).is_ok();
    let good = words::host_name(text).is_ok_and(|name| name == text)
        && !text.contains('.')
        && !member
        && text != "ca";
    if good {
        Ok(text.into())
    } else {
        Err("a client has a name of small letters, digits and -, and no member's".into())
    }
}

impl Certs {
    /// Runs the command.
    pub fn run(self) -> Result {
        let cluster = deployed::read(&self.deploy, true)?;
        let (authority, new) = Authority::open(&self.dir, &hex(&cluster.cluster)).map_err(Failure::error)?;
        if new {
            say(format!("{}: a new authority", self.dir.join(CA).display()));
        }
        let days = i64::from(self.days);
        let asked = members(&cluster, &self.only)?;
        let members = asked.iter().filter_map(|name| certificates::wanted(&cluster, name, days));
        let clients = self.client.iter().map(|name| certificates::of_client(&cluster, name, days));
        for wanted in members.chain(clients) {
            let file = self.dir.join(format!("{}.pem", wanted.file));
            if file.exists() && !self.renew {
                say(format!("{}: there already; --renew makes a new one", file.display()));
                continue;
            }
            authority.sign(&self.dir, &wanted).map_err(Failure::error)?;
            say(format!("{}: for {}, {} days", file.display(), wanted.names.join(", "), self.days));
        }
        Ok(())
    }
}

/// Make a token that clients show to gateways
///
/// The token itself is printed once, on the first line, and kept nowhere. Below it stands what goes into the file that
/// describes the cluster; gateways know it once they are started again.
#[derive(Debug, Args)]
pub struct Token {
    /// Whose it is
    #[arg(value_parser = token_name)]
    name: String,
    /// It reads, and writes nothing
    #[arg(long)]
    read_only: bool,
}

fn token_name(text: &str) -> std::result::Result<String, String> {
    let plain = !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain { Ok(text.into()) } else { Err("a token's name has up to 64 letters, digits, and - _ .".into()) }
}

impl Token {
    /// Runs the command.
    pub fn run(self) -> Result {
        let (token, hash) = token::make().map_err(Failure::error)?;
        let access = if self.read_only { "read-only" } else { "read-write" };
        say(format!(
            "{token}\n\n[[tokens]]\nname = \"{}\"\naccess = \"{access}\"\nhash = \"{hash}\"",
            self.name
        ));
        Ok(())
    }
}
