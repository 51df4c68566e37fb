//! redis-rs, with its default settings and with RESP3.

#[path = "../../crates/cutaway/tests/common/mod.rs"]
mod common;

use common::{Cluster, signal};
use redis::{
    Client, Commands, Connection, ErrorKind, ExistenceCheck, RedisResult, ServerErrorKind, SetOptions,
};

fn connect(cluster: &Cluster, options: &str) -> Connection {
    let client = Client::open(format!("redis://127.0.0.1:{}/{options}", cluster.port)).unwrap();
    client.get_connection().unwrap()
}

#[test]
fn commands_work_in_both_protocol_versions() {
    let cluster = Cluster::new(&["--shards", "2"]);
    for options in ["", "?protocol=resp3"] {
        let mut c = connect(&cluster, options);
        let _: () = c.set("k", "v").unwrap();
        assert_eq!(c.get::<_, String>("k").unwrap(), "v");
        assert_eq!(c.get::<_, Option<String>>("none").unwrap(), None);
        assert_eq!(c.mget::<_, Vec<Option<String>>>(&["k", "none"]).unwrap(), [Some("v".into()), None]);
        assert!(c.exists::<_, bool>("k").unwrap());
        assert_eq!(c.strlen::<_, u64>("k").unwrap(), 1);
        let absent = SetOptions::default().conditional_set(ExistenceCheck::NX);
        assert_eq!(c.set_options::<_, _, Option<String>>("k", "w", absent).unwrap(), None);
        let keys: Vec<String> = c.scan().unwrap().collect::<RedisResult<_>>().unwrap();
        assert_eq!(keys, ["k"]);
        assert_eq!(c.del::<_, u64>(&["k", "none"]).unwrap(), 1);
        let binary: Vec<u8> = (0..=255).collect();
        let _: () = c.set(&binary, &binary).unwrap();
        assert_eq!(c.get::<_, Vec<u8>>(&binary).unwrap(), binary);
        let _: () = c.del(&binary).unwrap();
    }
}

#[test]
fn an_expiry_is_refused_and_not_forgotten() {
    let cluster = Cluster::new(&[]);
    let mut c = connect(&cluster, "");
    let error = c.set_ex::<_, _, ()>("k", "v", 10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError));
    assert_eq!(c.get::<_, Option<String>>("k").unwrap(), None);
}

#[test]
fn a_pipeline_and_a_failover_in_the_middle_of_traffic() {
    let cluster = Cluster::new(&[]);
    let mut c = connect(&cluster, "");
    let mut pipeline = redis::pipe();
    for i in 0..100 {
        pipeline.set(format!("k{i}"), i).ignore();
    }
    let _: () = pipeline.query(&mut c).unwrap();
    signal(cluster.pid(&cluster.primary(0, None)), rustix::process::Signal::KILL);
    let _: () = pipeline.query(&mut c).unwrap();
    assert_eq!(c.get::<_, i32>("k99").unwrap(), 99);
}
