//! The handshake: what two processes tell each other before anything else.
//!
//! Whoever dials says hello and waits. Whoever is dialled answers with its own hello, or says why not, and closes. Frames
//! follow only after both hellos, and each side has looked at the other's: a process that was started with another
//! cluster, other members or another number of shards, or that has no version in common, is told so, and nothing of it is
//! listened to.
//! Without that, (1) a gateway that takes two shards for one writes a key to shard 0, is told OK, and (2) another gateway
//! reads the key in shard 1, where its old value still is.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | "CUTW" |
//! | 4 | 4 | the version of the protocol that is spoken from here on |
//! | 8 | 4 | length of the rest, at most [`REST_BYTES_MAX`] |
//! | 12 | 1 | 1 hello, 2 refusal |
//! | 13 | … | a hello's fields in the order of [`Hello`], coded as in frames; or why it is refused, as text |
//!
//! The first 13 bytes and the text of a refusal are the same in every version, so that two versions can tell each other
//! that they are two. Whoever dials begins with the newest version that it speaks ([`VERSION`]). If the other does not know
//! that, its refusal is in its own newest version, and the dialler begins again with this one if it speaks it. So two
//! processes of neighbouring versions speak the older one, and a cluster is updated one process at a time. Nobody keeps the
//! version of a peer: each connection begins anew, for the peer may have been updated, or put back.
//!
//! Where connections are encrypted, a certificate tells whether somebody is who they say ([`crate::identity`]); without,
//! whoever says the right thing is believed.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use dataplane::wire::{Code, WireError};
use dataplane::{Address, ClusterId, NodeId, ShardId};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::manifest::hex;

/// Newest version of what nodes and gateways say to each other: handshake, frames, and the state that a transfer carries.
/// Raised with every change of meaning.
pub const VERSION: u32 = 8;
/// Oldest version that this program speaks: that of the program before.
pub const VERSION_MIN: u32 = VERSION - 1;
/// Since this version a hello names the program.
const NAMES_PROGRAM: u32 = 8;
/// Version of the images that this program writes.
pub const IMAGE_VERSION: u32 = engine::FORMAT_VERSION as u32;
/// Longest hello or refusal, without the fixed part.
pub const REST_BYTES_MAX: usize = 4096;

const MAGIC: [u8; 4] = *b"CUTW";
const FIXED_BYTES: usize = 12;
const HELLO: u8 = 1;
const REFUSAL: u8 = 2;

/// In place of a shard: the connection is about the process, and carries probes of all its replicas.
pub const NO_SHARD: ShardId = ShardId::MAX;

/// Who somebody is, whom they mean to talk to, and what they hold for true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The version that is spoken on this connection, from [`VERSION_MIN`] to [`VERSION`].
    pub version: u32,
    /// The cluster.
    pub cluster: ClusterId,
    /// Version of its images; a gateway has none. Of no matter to the other: what is in an image never leaves it as it is.
    pub images: Option<u32>,
    /// Who says it.
    pub from: Address,
    /// Whom they believe to have reached.
    pub to: Address,
    /// The shard that the connection is about, or [`NO_SHARD`].
    pub shard: ShardId,
    /// How many shards the cluster has; a gateway may not know yet.
    pub shards: Option<u32>,
    /// All storage nodes, in order.
    pub members: Vec<NodeId>,
    /// The extensions that the cluster was founded with, by name; a gateway does not know.
    pub extensions: Option<Arc<[u8]>>,
    /// The program, as it calls itself; not said before version 8.
    pub program: Option<Arc<[u8]>>,
}

/// The first thing said on a connection, either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Let us talk.
    Hello(Hello),
    /// We cannot talk; the newest version that the sender speaks, and why.
    Refused(u32, String),
}

/// Why what was said first is not a greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Something else: a browser, or a version from before there was a handshake.
    Magic,
    /// A greeting of another version, and the newest one that is spoken here.
    Version(u32, u32),
    /// A greeting whose bytes make no sense.
    Broken(WireError),
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Foreign::Magic => f.write_str(
                "it does not speak this protocol: it is something else, or a cutaway of an early version",
            ),
            Foreign::Version(theirs, newest) => write!(
                f,
                "it speaks version {theirs} of this protocol, and this cutaway {VERSION_MIN} to {newest}; run \
                 programs on all nodes and gateways that have a version in common"
            ),
            Foreign::Broken(e) => write!(f, "its greeting cannot be read: {e}"),
        }
    }
}

impl Hello {
    fn put(&self, out: &mut Vec<u8>) {
        let Hello { version, cluster, images, from, to, shard, shards, members, extensions, program } = self;
        cluster.put(out);
        images.put(out);
        from.put(out);
        to.put(out);
        shard.put(out);
        shards.put(out);
        members.put(out);
        extensions.put(out);
        if *version >= NAMES_PROGRAM {
            program.put(out);
        }
    }

    fn get(mut bytes: &[u8], version: u32) -> Result<Hello, WireError> {
        let bytes = &mut bytes;
        let hello = Hello {
            version,
            cluster: Code::get(bytes)?,
            images: Code::get(bytes)?,
            from: Code::get(bytes)?,
            to: Code::get(bytes)?,
            shard: Code::get(bytes)?,
            shards: Code::get(bytes)?,
            members: Code::get(bytes)?,
            extensions: Code::get(bytes)?,
            program: if version >= NAMES_PROGRAM { Code::get(bytes)? } else { None },
        };
        if bytes.is_empty() { Ok(hello) } else { Err(WireError::Length) }
    }
}

impl Greeting {
    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        let (version, kind, mut rest) = match self {
            Greeting::Hello(hello) => {
                let mut fields = Vec::new();
                hello.put(&mut fields);
                (hello.version, HELLO, fields)
            }
            Greeting::Refused(version, why) => (*version, REFUSAL, why.clone().into_bytes()),
        };
        rest.truncate(REST_BYTES_MAX - 1);
        let mut out = MAGIC.to_vec();
        out.extend(version.to_le_bytes());
        out.extend((1 + rest.len() as u32).to_le_bytes());
        out.push(kind);
        out.append(&mut rest);
        out
    }

    /// The greeting at the front of `bytes`, and how long it is; `None` while it is not all there. What cannot become one
    /// is told at the first byte that shows it. A hello in a version beyond `newest` is none of this process.
    pub fn decode(bytes: &[u8], newest: u32) -> Result<Option<(Greeting, usize)>, Foreign> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err(Foreign::Magic);
        }
        let number = |at: usize| bytes.get(at..at + 4).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]]));
        let (Some(version), Some(len)) = (number(4), number(8)) else { return Ok(None) };
        if len as usize > REST_BYTES_MAX {
            return Err(Foreign::Broken(WireError::TooLong(len)));
        }
        let end = FIXED_BYTES + len as usize;
        let Some(rest) = bytes.get(FIXED_BYTES..end) else { return Ok(None) };
        let greeting = match rest.split_first() {
            Some((&REFUSAL, why)) => {
                // It goes to logs and terminals.
                let why = String::from_utf8_lossy(why).chars().filter(|c| !c.is_control()).collect();
                Greeting::Refused(version, why)
            }
            _ if !(VERSION_MIN..=newest).contains(&version) => return Err(Foreign::Version(version, newest)),
            Some((&HELLO, hello)) => Greeting::Hello(Hello::get(hello, version).map_err(Foreign::Broken)?),
            Some((&kind, _)) => return Err(Foreign::Broken(WireError::UnknownVariant(kind))),
            None => return Err(Foreign::Broken(WireError::Length)),
        };
        Ok(Some((greeting, end)))
    }

    /// Reads the greeting that a connection begins with; what was read behind it stays in `buf`.
    pub async fn read(
        stream: &mut (impl AsyncRead + Unpin),
        buf: &mut BytesMut,
        newest: u32,
    ) -> io::Result<Result<Greeting, Foreign>> {
        loop {
            match Greeting::decode(buf, newest) {
                Ok(None) => (),
                Ok(Some((greeting, bytes))) => {
                    buf.advance(bytes);
                    return Ok(Ok(greeting));
                }
                Err(foreign) => return Ok(Err(foreign)),
            }
            if stream.read_buf(buf).await? == 0 {
                let why =
                    "it closed the connection instead of a greeting, as a cutaway of an early version does";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
        }
    }
}

impl Hello {
    /// What keeps this process and the sender of `other` apart, and what to do about it; `None` if nothing does. The same
    /// rule at both ends.
    pub fn disagreement(&self, other: &Hello) -> Option<String> {
        let (me, them) = (self.from, other.from);
        let gateway = [me, them].into_iter().find(|a| matches!(a, Address::Gateway(_)));
        let node = if gateway == Some(me) { other } else { self };
        let formatted_wrong = || {
            format!(
                "if {them} is the wrong one, stop it, and its peers fill it again: cutaway format --joining --overwrite \
                 --cluster {} --node {them} --shard {} --shards {} --members {} IMAGE",
                hex(&self.cluster),
                other.shard,
                self.shards.unwrap_or(1),
                names(&self.members).replace(' ', ""),
            )
        };
        if self.cluster != other.cluster {
            let (own, theirs) = (hex(&self.cluster), hex(&other.cluster));
            let next = match gateway {
                Some(g) => format!("start {g} with --cluster {}, or mend its --node", hex(&node.cluster)),
                None => "mend the --peer that leads from the one to the other".into(),
            };
            return Some(format!("{me} is of cluster {own}, and {them} of cluster {theirs}; {next}"));
        }
        if self.to != them || other.to != me {
            let (meant, found) = if self.to == them { (other.to, me) } else { (self.to, them) };
            return Some(format!("the address that was given for {meant} leads to {found}; mend it"));
        }
        // Where members change, a gateway is started with any that it can reach.
        let learns = gateway.is_some() && node.changes_members();
        if self.members != other.members && !learns {
            let (own, theirs) = (names(&self.members), names(&other.members));
            let next = match gateway {
                Some(g) => format!("start {g} with one --node for each of {}", names(&node.members)),
                None => formatted_wrong(),
            };
            return Some(format!("for {me} the nodes are {own}, and for {them} {theirs}; {next}"));
        }
        if let (Some(own), Some(theirs)) = (self.shards, other.shards)
            && own != theirs
        {
            let next = match gateway {
                Some(g) => format!("start {g} without --shards: it learns the number from the nodes"),
                None => formatted_wrong(),
            };
            return Some(format!("for {me} the cluster has {own} shard(s), and for {them} {theirs}; {next}"));
        }
        if let (Some(own), Some(theirs)) = (self.extensions_named(), other.extensions_named())
            && own != theirs
        {
            return Some(format!(
                "for {me} the cluster was founded with {own}, and for {them} with {theirs}; start both with the cluster.json \
                 of the founding"
            ));
        }
        let shards = self.shards.or(other.shards);
        let exists = self.shard == NO_SHARD || shards.is_none_or(|shards| self.shard < shards);
        (!exists || self.shard != other.shard)
            .then(|| format!("{me} speaks of shard {}, and {them} of shard {}", self.shard, other.shard))
    }
}

impl Hello {
    /// Was the cluster founded with members that change?
    fn changes_members(&self) -> bool {
        let names = String::from_utf8_lossy(self.extensions.as_deref().unwrap_or_default()).into_owned();
        names.parse().is_ok_and(extensions::Chosen::changes_members)
    }

    /// The program, for people.
    pub fn program_named(&self) -> Option<String> {
        self.program.as_deref().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// The extensions of the cluster, for people.
    pub fn extensions_named(&self) -> Option<String> {
        let names = String::from_utf8_lossy(self.extensions.as_deref()?).into_owned();
        Some(if names.is_empty() { "no extension".into() } else { names })
    }
}

/// This program, as it calls itself.
pub fn program() -> Option<Arc<[u8]>> {
    Some(env!("CARGO_PKG_VERSION").as_bytes().into())
}

/// Nodes for people.
pub fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use dataplane::GatewayId;

    use super::*;

    fn gateway() -> Hello {
        let (from, to) = (Address::Gateway(GatewayId { gateway: 1, life: 9 }), Address::Node(NodeId(2)));
        let members = (1..=3).map(NodeId).collect();
        let (version, program) = (VERSION, program());
        let (images, shards, extensions) = (None, None, None);
        Hello { version, cluster: [5; 16], images, from, to, shard: 0, shards, members, extensions, program }
    }

    fn node() -> Hello {
        let Hello { from, to, .. } = gateway();
        let extensions = Some(b"elections"[..].into());
        Hello { from: to, to: from, images: Some(3), shards: Some(2), extensions, ..gateway() }
    }

    #[test]
    fn a_greeting_comes_back_as_it_was_said_and_not_before_it_is_whole() {
        for greeting in [Greeting::Hello(node()), Greeting::Refused(VERSION, "so much for that".into())] {
            let mut bytes = greeting.encode();
            for cut in 0..bytes.len() {
                assert_eq!(Greeting::decode(&bytes[..cut], VERSION), Ok(None));
            }
            let len = bytes.len();
            bytes.extend(b"a frame");
            assert_eq!(Greeting::decode(&bytes, VERSION), Ok(Some((greeting, len))));
        }
    }

    #[test]
    fn no_bytes_at_all_are_taken_for_a_greeting_that_was_not_said() {
        assert_eq!(
            Greeting::decode(b"P", VERSION),
            Err(Foreign::Magic),
            "an HTTP request, at its first byte"
        );
        let bytes = Greeting::Hello(node()).encode();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let decoded = Greeting::decode(&bytes, VERSION);
                let same = Ok(Some((Greeting::Hello(node()), bytes.len())));
                assert!(decoded != same, "bit {bit} of byte {at} says nothing");
            }
        }
        let mut long = bytes.clone();
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(Greeting::decode(&long, VERSION), Err(Foreign::Broken(WireError::TooLong(_)))));
    }

    #[test]
    fn the_version_before_is_understood_and_says_less() {
        let before = Hello { version: VERSION_MIN, program: None, ..node() };
        let bytes = Greeting::Hello(before.clone()).encode();
        assert_eq!(Greeting::decode(&bytes, VERSION), Ok(Some((Greeting::Hello(before), bytes.len()))));
    }

    #[test]
    fn a_version_that_is_too_new_or_too_old_is_named_and_its_refusal_is_understood() {
        let of_version = |greeting: Greeting, version: u32| {
            let mut bytes = greeting.encode();
            bytes[4..8].copy_from_slice(&version.to_le_bytes());
            bytes
        };
        for version in [0, VERSION_MIN - 1, VERSION + 1, u32::MAX] {
            let bytes = of_version(Greeting::Hello(node()), version);
            assert_eq!(Greeting::decode(&bytes, VERSION), Err(Foreign::Version(version, VERSION)));
        }
        let bytes = Greeting::Hello(node()).encode();
        assert_eq!(
            Greeting::decode(&bytes, VERSION_MIN),
            Err(Foreign::Version(VERSION, VERSION_MIN)),
            "it was held back"
        );
        let refused = Greeting::Refused(77, "too new".into());
        let bytes = refused.encode();
        assert_eq!(Greeting::decode(&bytes, VERSION), Ok(Some((refused, bytes.len()))));
    }

    #[test]
    fn whoever_agrees_in_everything_may_talk_and_nobody_else() {
        assert_eq!(gateway().disagreement(&node()), None);
        assert_eq!(node().disagreement(&gateway()), None);
        let with = |change: fn(&mut Hello)| {
            let mut hello = gateway();
            change(&mut hello);
            let why = node().disagreement(&hello).expect("they disagree");
            let own = hello.disagreement(&node()).expect("and so they do from the other end");
            (why, own)
        };
        type Change = fn(&mut Hello);
        let changes: [(Change, &[&str]); 6] = [
            (|h| h.cluster = [6; 16], &["0606", "--cluster 0505"]),
            (|h| h.to = Address::Node(NodeId(1)), &["n1", "leads to n2"]),
            (|h| h.members.truncate(2), &["n1, n2, n3", "--node"]),
            (|h| h.shards = Some(1), &["shard", "1", "2", "without --shards"]),
            (|h| h.shard = 2, &["shard"]),
            (|h| h.extensions = Some([].into()), &["no extension", "elections"]),
        ];
        for (change, words) in changes {
            let (why, own) = with(change);
            for word in words {
                assert!(why.contains(word) && own.contains(word), "{word:?} in {why:?} and {own:?}");
            }
        }
    }
}
