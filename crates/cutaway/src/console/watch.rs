//! Samples the cluster while somebody watches.
//!
//! A page asks for what is no longer what it has seen, and is answered as soon as there is that, or after a while. Between
//! two samples lies a multiple of the time that the last one took: a cluster that is busy is looked at less often.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::supervisor::Cluster;
use tokio::sync::Notify;

/// Two samples are at least so far apart, and at most.
const INTERVAL: Duration = Duration::from_millis(250);
const INTERVAL_MAX: Duration = Duration::from_secs(2);
/// The part of the time that goes into looking: one in so many.
const SHARE: u32 = 20;
/// A page that has seen everything is answered by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// The last sample, for all who watch.
#[derive(Default)]
pub struct Watch {
    seen: Mutex<Seen>,
    newer: Condvar,
    watching: AtomicUsize,
    asked: Notify,
}

#[derive(Default)]
struct Seen {
    /// Counts the samples that differed from the one before; 0: there is none yet.
    version: u64,
    members: Arc<Value>,
    /// When it was taken, in milliseconds since the Unix epoch.
    at: u64,
    /// What each member showed last.
    known: BTreeMap<String, Value>,
}

impl Watch {
    /// Begins, within a `LocalSet`.
    pub fn start(cluster: Rc<Cluster>) -> Arc<Watch> {
        let watch = Arc::new(Watch::default());
        let samples = watch.clone();
        tokio::task::spawn_local(async move {
            loop {
                if samples.watching.load(Ordering::SeqCst) == 0 {
                    samples.asked.notified().await;
                }
                let begun = Instant::now();
                samples.see(cluster.look().await);
                tokio::time::sleep((begun.elapsed() * SHARE).clamp(INTERVAL, INTERVAL_MAX)).await;
            }
        });
        watch
    }

    fn see(&self, mut members: Value) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for member in members.as_array_mut().into_iter().flatten() {
            let now = member["looks"].take();
            let silent = now.is_null() || now.as_array().is_some_and(|shards| shards.contains(&Value::Null));
            let known = seen.known.entry(member["name"].to_string()).or_default();
            *known = filled(now, known);
            (member["looks"], member["stale"]) = (known.clone(), silent.into());
        }
        if *seen.members == members && seen.version > 0 {
            return;
        }
        seen.version += 1;
        seen.members = Arc::new(members);
        seen.at = server::clock::wall_micros() / 1000;
        self.newer.notify_all();
    }

    /// The members as they were last seen, with what they show of one shard.
    pub fn latest(&self, shard: u64) -> Value {
        let members = self.seen.lock().unwrap_or_else(PoisonError::into_inner).members.clone();
        of_shard(&members, shard as usize)
    }

    /// What is newer than the version `since`, of one shard; or that nothing is, after a while. Call it on a thread of its
    /// own.
    pub fn after(&self, asked: &Value) -> Value {
        let (since, shard) = (asked["since"].as_u64().unwrap_or(0), asked["shard"].as_u64().unwrap_or(0));
        self.watching.fetch_add(1, Ordering::SeqCst);
        self.asked.notify_one();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |seen: &mut Seen| seen.version == since || seen.version == 0;
        let (seen, _) =
            self.newer.wait_timeout_while(seen, PATIENCE, old).unwrap_or_else(PoisonError::into_inner);
        self.watching.fetch_sub(1, Ordering::SeqCst);
        let (version, at, members) = (seen.version, seen.at, seen.members.clone());
        drop(seen);
        let same = version == since;
        let members = if same { Value::Null } else { of_shard(&members, shard as usize) };
        json!({ "version": version, "at": at, "members": members })
    }
}

/// What a member shows; where that is nothing, what it showed last: it is gone, or stands still, or one of its replicas is
/// in the middle of a sync.
fn filled(now: Value, last: &Value) -> Value {
    match (now, last) {
        (Value::Null, last) => last.clone(),
        (Value::Array(now), Value::Array(last)) if now.len() == last.len() => {
            now.into_iter().zip(last).map(|(now, last)| filled(now, last)).collect()
        }
        (now, _) => now,
    }
}

/// The members, with what they show of one shard.
fn of_shard(members: &Value, shard: usize) -> Value {
    let one = |member: &Value| {
        let mut one = member.clone();
        let looks = &member["looks"];
        one["shards"] = json!(looks.as_array().or(looks["shards"].as_array()).map(Vec::len));
        match looks {
            Value::Array(shards) => one["looks"] = shards.get(shard).cloned().unwrap_or_default(),
            Value::Object(_) => one["looks"]["shards"] = json!([looks["shards"][shard]]),
            _ => {}
        }
        one
    };
    members.as_array().into_iter().flatten().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_shown_what_is_new_and_only_its_own_shard_of_it() {
        let watch = Watch::default();
        let members = json!([
            { "name": "n1", "looks": [{ "last": 1 }, { "last": 2 }] },
            { "name": "g1", "looks": { "shards": [{ "epoch": 1 }, { "epoch": 4 }], "in_flight": 0 } },
            { "name": "n2", "looks": null },
        ]);
        watch.see(members.clone());
        watch.see(members);
        let told = watch.after(&json!({ "since": 0, "shard": 1 }));
        assert_eq!(told["version"], 1, "the same again is nothing new");
        assert_eq!(told["members"][0]["looks"], json!({ "last": 2 }));
        assert_eq!(told["members"][1]["looks"], json!({ "shards": [{ "epoch": 4 }], "in_flight": 0 }));
        assert_eq!((&told["members"][0]["shards"], &told["members"][2]["shards"]), (&json!(2), &Value::Null));
        assert_eq!(watch.after(&json!({ "since": 0, "shard": 9 }))["members"][0]["looks"], Value::Null);
    }

    #[test]
    fn who_shows_nothing_is_shown_as_it_was_last_and_said_to_be() {
        let watch = Watch::default();
        let sees = |looks: Value| {
            watch.see(json!([{ "name": "n1", "looks": looks }]));
            let told = watch.after(&json!({ "since": 0, "shard": 0 }))["members"][0].clone();
            (told["looks"]["last"].clone(), told["stale"].clone())
        };
        assert_eq!(sees(json!([{ "last": 4 }, { "last": 7 }])), (json!(4), json!(false)));
        assert_eq!(sees(json!([null, { "last": 8 }])), (json!(4), json!(true)));
        assert_eq!(sees(Value::Null), (json!(4), json!(true)));
        assert_eq!(sees(json!([{ "last": 5 }, { "last": 8 }])), (json!(5), json!(false)));
    }

    #[test]
    fn who_has_seen_everything_waits_until_there_is_more() {
        let watch = Arc::new(Watch::default());
        watch.see(json!([{ "name": "n1" }]));
        let waits = watch.clone();
        let waiting = std::thread::spawn(move || waits.after(&json!({ "since": 1 })));
        while watch.watching.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        watch.see(json!([{ "name": "n1", "paused": true }]));
        assert_eq!(waiting.join().unwrap()["version"], 2);
        assert_eq!(watch.watching.load(Ordering::SeqCst), 0);
    }
}
