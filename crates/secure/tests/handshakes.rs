//! Two ends of a connection: who gets through, and what the others are told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secure::TlsError;
use secure::authority::{Authority, CA, Wanted};
use secure::files::Files;
use secure::identity::{self, Asks, Identity};
use secure::line::Line;
use secure::stream::Stream;
use secure::{names, refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CLUSTER: [u8; 16] = [0x5a; 16];

fn files(dir: &Path, member: &str) -> Files {
    let file = |name: String| dir.join(name);
    Files { ca: dir.join(CA), cert: file(format!("{member}.pem")), key: file(format!("{member}.key")) }
}

fn sign(dir: &Path, member: &str, name: String, days: i64) {
    let (authority, _) = Authority::open(dir, "5a5a").unwrap();
    authority.sign(dir, &Wanted { file: member.into(), names: vec![name], days }).unwrap();
}

/// A folder with an authority, and the certificates of n1 and n2.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    (1..=2).for_each(|n| sign(dir.path(), &format!("n{n}"), names::node(n, &CLUSTER), 30));
    dir
}

fn member(dir: &Path, n: u32) -> Identity {
    identity::member(&files(dir, &format!("n{n}")), &names::node(n, &CLUSTER)).unwrap()
}

/// What became of a connection: at the end that was dialled, and at the one that dialled.
async fn connect(
    server: &Identity,
    client: Option<Arc<rustls::ClientConfig>>,
    meant: &str,
    says: &str,
) -> (Result<(), String>, Result<(), String>) {
    let told = |e: std::io::Error| refusal::of_io(&e).unwrap_or_else(|| e.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = server.now().server.clone();
    let dialled = async {
        let mut stream = Stream::accepted(listener.accept().await.unwrap().0, Some(config));
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.map_err(told)?;
        stream.shows(says).map_err(|found| format!("it is {}", found.join(",")))?;
        stream.write_all(b"world").await.map_err(told)?;
        stream.flush().await.map_err(told)
    };
    let dials = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = Stream::dialled(stream, client, meant).unwrap();
        stream.write_all(b"hello").await.map_err(told)?;
        stream.flush().await.map_err(told)?;
        let mut world = [0; 5];
        stream.read_exact(&mut world).await.map_err(told)?;
        if world == *b"world" { Ok(()) } else { Err("something else came".into()) }
    };
    tokio::join!(dialled, dials)
}

#[tokio::test]
async fn members_of_one_cluster_talk_and_each_knows_who_the_other_is() {
    let dir = folder();
    let (server, client) = (member(dir.path(), 1), member(dir.path(), 2));
    let (n1, n2) = (names::node(1, &CLUSTER), names::node(2, &CLUSTER));
    let config = Some(client.now().client.clone());
    assert_eq!(connect(&server, config.clone(), &n1, &n2).await, (Ok(()), Ok(())));

    let (dialled, _) = connect(&server, config.clone(), &n1, &names::node(3, &CLUSTER)).await;
    assert!(dialled.unwrap_err().contains("it is n2.node"), "another member's certificate is not enough");
    let (_, dials) = connect(&server, config, &names::node(3, &CLUSTER), &n2).await;
    let why = dials.unwrap_err();
    assert!(why.contains("not of n3.node") && why.contains("n1.node"), "{why}");
}

#[tokio::test]
async fn strangers_get_nothing_and_both_sides_say_why() {
    let (dir, other) = (folder(), folder());
    let server = member(dir.path(), 1);
    let n1 = names::node(1, &CLUSTER);
    let roots = secure::files::authorities(&dir.path().join(CA)).unwrap();

    let nobody = identity::dialling(roots.clone(), None).unwrap();
    let (dialled, dials) = connect(&server, Some(nobody), &n1, "x").await;
    assert!(dialled.unwrap_err().contains("it shows no certificate"));
    let why = dials.unwrap_err();
    assert!(why.contains("wants a certificate"), "{why}");

    let shown = |dir: &Path, name: &str| {
        let Files { cert, key, .. } = files(dir, name);
        secure::files::Shown::read(&cert, &key).unwrap()
    };
    let foreign = identity::dialling(roots.clone(), Some(&shown(other.path(), "n2"))).unwrap();
    let (dialled, dials) = connect(&server, Some(foreign), &n1, "x").await;
    assert!(dialled.unwrap_err().contains("another authority"));
    let why = dials.unwrap_err();
    assert!(why.contains("refuses our certificate"), "{why}");

    sign(dir.path(), "old", names::node(2, &CLUSTER), -1);
    let expired = identity::dialling(roots, Some(&shown(dir.path(), "old"))).unwrap();
    let (dialled, dials) = connect(&server, Some(expired), &n1, "x").await;
    assert!(dialled.unwrap_err().contains("has expired"));
    let why = dials.unwrap_err();
    assert!(why.contains("expired"), "{why}");

    // Whoever speaks no TLS at all.
    let (dialled, dials) = connect(&server, None, &n1, "x").await;
    assert!(dialled.unwrap_err().contains("does not speak TLS"));
    assert!(dials.is_err());
}

#[test]
fn files_that_are_of_no_use_are_told_by_their_names() {
    let (dir, other) = (folder(), folder());
    let at = |name: &str| dir.path().join(name);
    let load = |files: &Files| identity::member(files, &names::node(1, &CLUSTER)).map(drop);
    let good = files(dir.path(), "n1");
    assert!(load(&good).is_ok());
    let with = |change: fn(&mut Files, &Path, &Path)| {
        let mut files = good.clone();
        change(&mut files, dir.path(), other.path());
        load(&files).unwrap_err()
    };
    sign(dir.path(), "old", names::node(1, &CLUSTER), -1);
    std::fs::write(at("empty.pem"), "").unwrap();
    std::fs::write(at("half.pem"), "-----BEGIN CERTIFICATE-----\nAAAA").unwrap();
    assert!(matches!(with(|f, dir, _| f.cert = dir.join("n2.pem")), TlsError::Key { .. }));
    assert!(matches!(with(|f, dir, _| *f = files(dir, "n2")), TlsError::Name { .. }));
    assert!(matches!(with(|f, _, other| f.ca = other.join(CA)), TlsError::Chain { .. }));
    assert!(matches!(with(|f, dir, _| *f = files(dir, "old")), TlsError::Chain { .. }));
    assert!(matches!(with(|f, dir, _| f.key = dir.join("missing")), TlsError::Io(..)));
    assert!(matches!(with(|f, dir, _| f.cert = dir.join("empty.pem")), TlsError::Content(..)));
    assert!(matches!(with(|f, dir, _| f.cert = dir.join("half.pem")), TlsError::Content(..)));
    assert!(matches!(with(|f, dir, _| f.key = dir.join("n1.pem")), TlsError::Content(..)));
    assert!(matches!(with(|f, _, _| f.cert = PathBuf::from("/dev/zero")), TlsError::Io(..)));
}

#[test]
fn what_changes_is_read_anew_and_what_is_wrong_leaves_the_old_in_use() {
    let dir = folder();
    let identity = member(dir.path(), 1);
    assert!(identity.refresh().is_none(), "nothing has changed");
    let before = identity.now();
    let kept = std::fs::read(dir.path().join("n1.key")).unwrap();
    std::fs::write(dir.path().join("n1.key"), "no key").unwrap();
    assert!(identity.refresh().unwrap().is_err());
    assert!(Arc::ptr_eq(&before.client, &identity.now().client));
    assert!(identity.refresh().is_none(), "it is told once");
    std::fs::write(dir.path().join("n1.key"), kept).unwrap();
    assert!(identity.refresh().unwrap().is_ok());

    sign(dir.path(), "n1", names::node(1, &CLUSTER), 30);
    assert!(identity.refresh().unwrap().is_ok());
    assert!(!Arc::ptr_eq(&before.client, &identity.now().client));
}

#[test]
fn a_door_opens_only_for_its_own_key() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    assert!(identity::door(&at("n1.pem"), &at("n1.key"), &Asks::Required(at(CA))).is_ok());
    assert!(identity::door(&at("n1.pem"), &at("n2.key"), &Asks::Nothing).is_err());
    assert!(identity::door(&at("n1.pem"), &at("n1.key"), &Asks::Optional(at("no.pem"))).is_err());
}

#[tokio::test]
async fn a_line_carries_megabytes_both_ways_through_small_buffers() {
    let dir = folder();
    let (server, client) = (member(dir.path(), 1), member(dir.path(), 2));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let end = |mut stream: Stream| async move {
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        match Line::new(stream).unwrap() {
            Line::Tls(secured) => secured,
            Line::Plain(..) => panic!("it is encrypted"),
        }
    };
    let accepted = async {
        end(Stream::accepted(listener.accept().await.unwrap().0, Some(server.now().server.clone()))).await
    };
    let dialled = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let config = Some(client.now().client.clone());
        end(Stream::dialled(stream, config, &names::node(1, &CLUSTER)).unwrap()).await
    };
    let (one, two) = tokio::join!(accepted, dialled);
    let bytes: Vec<u8> = (0..5_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let send = async |line: &secure::line::Secured| {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match line.try_write(rest) {
                Ok(taken) => rest = &rest[taken..],
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => line.writable().await.unwrap(),
                Err(e) => panic!("{e}"),
            }
        }
        while line.try_flush().is_err() {
            line.writable().await.unwrap();
        }
    };
    let receive = async |line: &secure::line::Secured| {
        let (mut all, mut buf) = (Vec::new(), bytes::BytesMut::new());
        while all.len() < bytes.len() {
            buf.reserve(10_000);
            assert_ne!(line.read_buf(&mut buf).await.unwrap(), 0);
            all.extend_from_slice(&buf.split());
        }
        all
    };
    let ((), (), there, back) = tokio::join!(send(&one), send(&two), receive(&two), receive(&one));
    assert!(there == bytes && back == bytes);
    drop(one);
    let mut buf = bytes::BytesMut::with_capacity(10);
    assert_eq!(two.read_buf(&mut buf).await.unwrap(), 0, "the end is an end");
}
