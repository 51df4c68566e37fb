//! From arguments to what is asked of the gateway, and from its answers to a reply.
//!
//! A command over several keys is several requests; each is linearizable, the command as a whole is not atomic. (Redis
//! Cluster refuses such commands when the keys lie in different slots; here they work, and this is the price.)

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use dataplane::{Condition, Outcome};
use gateway::{Reply, Request};

use super::glob;
use super::reply::Value;
use super::server::{self, Asked};
use crate::flow;

/// Keys of one `SCAN` step when the client does not say, and at most.
const SCAN_KEYS: (u32, u32) = (10, 10_000);

/// A command that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `GET key`
    Get([Bytes; 1]),
    /// `SET key value [NX|XX]`
    Set([Bytes; 1], Bytes, Condition),
    /// `DEL key…`
    Del(Vec<Bytes>),
    /// `EXISTS key…`
    Exists(Vec<Bytes>),
    /// `MGET key…`
    MGet(Vec<Bytes>),
    /// `STRLEN key`
    StrLen([Bytes; 1]),
    /// `SCAN cursor [MATCH pattern] [COUNT n]`
    Scan(u64, Option<Bytes>, u32),
    /// `DBSIZE`
    DbSize,
    /// About the server or the connection, not about keys.
    Server(Asked),
}

/// What a command has to do with others of its pipeline.
pub enum Touch<'a> {
    /// Nothing.
    Nothing,
    /// It reads these keys.
    Reads(&'a [Bytes]),
    /// It writes these keys.
    Writes(&'a [Bytes]),
    /// It reads any key.
    ReadsAll,
    /// It changes how replies look, so those before it come first.
    Connection,
}

/// Name, arity as Redis counts it (with the name; negative: at least), flag, and where the keys stand: first, last, step.
pub type Row = (&'static str, i64, &'static str, [i64; 3]);

/// The commands there are.
pub const TABLE: &[Row] = &[
    ("client", -2, "", [0, 0, 0]),
    ("command", -1, "", [0, 0, 0]),
    ("config", -2, "admin", [0, 0, 0]),
    ("dbsize", 1, "readonly", [0, 0, 0]),
    ("del", -2, "write", [1, -1, 1]),
    ("echo", 2, "fast", [0, 0, 0]),
    ("exists", -2, "readonly", [1, -1, 1]),
    ("get", 2, "readonly", [1, 1, 1]),
    ("hello", -1, "fast", [0, 0, 0]),
    ("info", -1, "", [0, 0, 0]),
    ("mget", -2, "readonly", [1, -1, 1]),
    ("ping", -1, "fast", [0, 0, 0]),
    ("quit", -1, "fast", [0, 0, 0]),
    ("reset", 1, "fast", [0, 0, 0]),
    ("role", 1, "fast", [0, 0, 0]),
    ("scan", -2, "readonly", [0, 0, 0]),
    ("select", 2, "fast", [0, 0, 0]),
    ("set", -3, "write", [1, 1, 1]),
    ("strlen", 2, "readonly", [1, 1, 1]),
];

/// The command of this name, in whatever case.
pub fn row(name: &[u8]) -> Option<&'static Row> {
    TABLE.iter().find(|(known, ..)| known.as_bytes().eq_ignore_ascii_case(name))
}

impl Command {
    /// Understands a request, or says why not, as an error reply. With the name of the command.
    pub fn parse(arguments: &[Bytes]) -> Result<(&'static str, Command), String> {
        let rest = &arguments[1..];
        let Some((name, arity, ..)) = row(&arguments[0]) else {
            return Err(format!("ERR unknown command '{}'", arguments[0].escape_ascii()));
        };
        let count = arguments.len() as i64;
        if (*arity >= 0 && count != *arity) || count < arity.abs() {
            return Err(format!("ERR wrong number of arguments for '{name}' command"));
        }
        let command = match *name {
            "get" => Command::Get([rest[0].clone()]),
            "set" => Command::Set([rest[0].clone()], rest[1].clone(), set_condition(&rest[2..])?),
            "del" => Command::Del(rest.to_vec()),
            "exists" => Command::Exists(rest.to_vec()),
            "mget" => Command::MGet(rest.to_vec()),
            "strlen" => Command::StrLen([rest[0].clone()]),
            "scan" => scan(rest)?,
            "dbsize" => Command::DbSize,
            _ => Command::Server(server::parse(name, rest)?),
        };
        Ok((name, command))
    }

    /// What this command has to do with others of its pipeline.
    pub fn touches(&self) -> Touch<'_> {
        match self {
            Command::Get(key) | Command::StrLen(key) => Touch::Reads(key),
            Command::Exists(keys) | Command::MGet(keys) => Touch::Reads(keys),
            Command::Set(key, ..) => Touch::Writes(key),
            Command::Del(keys) => Touch::Writes(keys),
            Command::Scan(..) | Command::DbSize => Touch::ReadsAll,
            Command::Server(asked) if asked.changes_connection() => Touch::Connection,
            Command::Server(_) => Touch::Nothing,
        }
    }

    /// What to ask the gateway, in order. `cursors` are the scans under way.
    pub fn requests(&self, cursors: &BTreeMap<u64, Arc<[u8]>>) -> Result<Vec<Request>, String> {
        let bytes = |key: &Bytes| Arc::from(&key[..]);
        let most = flow::short(self.values());
        let get = |key: &Bytes| Request::GetUpTo { key: bytes(key), most };
        Ok(match self {
            Command::Get(key) | Command::StrLen(key) => key.iter().map(get).collect(),
            Command::Exists(keys) | Command::MGet(keys) => keys.iter().map(get).collect(),
            Command::Set([key], value, condition) => {
                vec![Request::Put { key: bytes(key), value: bytes(value), condition: *condition }]
            }
            Command::Del(keys) => {
                let delete = |key| Request::Delete { key: bytes(key), condition: Condition::Always };
                // Naming a key twice deletes it once.
                let mut seen = std::collections::BTreeSet::new();
                keys.iter().filter(|key| seen.insert(*key)).map(delete).collect()
            }
            Command::Scan(cursor, pattern, limit) => {
                let after = match cursor {
                    0 => None,
                    n => Some(cursors.get(n).cloned().ok_or(
                        "ERR this gateway does not know the cursor (any more): start again with cursor 0",
                    )?),
                };
                let prefix = pattern.as_deref().map_or(&b""[..], glob::literal_prefix);
                vec![Request::Scan { prefix: prefix.into(), after, limit: *limit }]
            }
            Command::DbSize => vec![Request::Count],
            Command::Server(_) => Vec::new(),
        })
    }

    /// How many values it asks for. The others need no more than to know how long they are.
    pub fn values(&self) -> usize {
        match self {
            Command::Get(_) => 1,
            Command::MGet(keys) => keys.len(),
            _ => 0,
        }
    }

    /// The reply, from the gateway's answers. `remember` keeps where a scan goes on and returns its cursor.
    pub fn reply(&self, replies: Vec<Reply>, remember: impl FnOnce(Arc<[u8]>) -> u64) -> Value {
        // A command fails with its first failure, the worst first: unknown, then everything else.
        let unknown = replies.iter().find(|r| matches!(r, Reply::Unknown(_)));
        if let Some(failure) = unknown.or(replies.iter().find(|r| failure(r).is_some())).and_then(failure) {
            return Value::Error(failure);
        }
        let found = |reply: Reply| match reply {
            Reply::Value(_, value) => Value::stored(value),
            _ => Value::Nothing,
        };
        let mut replies = replies.into_iter();
        match self {
            Command::Get(_) => replies.next().map_or(Value::Nothing, found),
            Command::MGet(_) => Value::List(replies.map(found).collect()),
            Command::StrLen(_) => match replies.next() {
                Some(Reply::Value(_, value)) => Value::Integer(value.len() as i64),
                Some(Reply::Long(_, bytes)) => Value::Integer(bytes.into()),
                _ => Value::Integer(0),
            },
            Command::Exists(_) => count(replies.filter(|r| matches!(r, Reply::Value(..) | Reply::Long(..)))),
            Command::Del(_) => {
                count(replies.filter(|r| matches!(r, Reply::Done(Outcome::Deleted { existed: true }))))
            }
            Command::Set(..) => match replies.next() {
                Some(Reply::Done(Outcome::ConditionFailed { .. })) => Value::Nothing,
                _ => Value::OK,
            },
            Command::DbSize => match replies.next() {
                Some(Reply::Count(count)) => Value::Integer(count as i64),
                _ => Value::Integer(0),
            },
            Command::Scan(_, pattern, limit) => {
                let Some(Reply::Keys(keys)) = replies.next() else { return Value::Nothing };
                let cursor = match keys.last() {
                    Some((last, ..)) if keys.len() as u32 >= *limit => remember(last.clone()),
                    _ => 0,
                };
                let wanted = |key: &Arc<[u8]>| pattern.as_ref().is_none_or(|p| glob::matches(p, key));
                let keys = keys.into_iter().map(|(key, ..)| key).filter(wanted).map(Value::stored).collect();
                Value::List(vec![Value::text(cursor.to_string()), Value::List(keys)])
            }
            Command::Server(_) => Value::Nothing,
        }
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> Value {
    Value::Integer(items.count() as i64)
}

/// The error reply that stands for a failed request.
fn failure(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Unknown(why) => Some(format!("UNKNOWN it may have taken effect, and may yet: {why}")),
        Reply::Unavailable(why) => Some(format!("UNAVAILABLE it had no effect: {why}")),
        Reply::Invalid(why) => Some(format!("ERR {why}")),
        Reply::Damaged => Some("CORRUPT the stored value is damaged and is not shown".into()),
        _ => None,
    }
}

fn set_condition(options: &[Bytes]) -> Result<Condition, String> {
    let mut condition = Condition::Always;
    for option in options {
        let wanted = match option.to_ascii_uppercase().as_slice() {
            b"NX" => Condition::Absent,
            b"XX" => Condition::Present,
            b"EX" | b"PX" | b"EXAT" | b"PXAT" | b"KEEPTTL" | b"GET" | b"IFEQ" | b"IFNE" | b"IFDEQ"
            | b"IFDNE" => {
                return Err(format!("ERR option {} is not supported here", option.escape_ascii()));
            }
            _ => return Err("ERR syntax error".into()),
        };
        if condition != Condition::Always {
            return Err("ERR syntax error".into());
        }
        condition = wanted;
    }
    Ok(condition)
}

fn scan(arguments: &[Bytes]) -> Result<Command, String> {
    let number = |text: &Bytes| std::str::from_utf8(text).ok().and_then(|t| t.parse::<u64>().ok());
    let cursor = number(&arguments[0]).ok_or("ERR invalid cursor")?;
    let (mut pattern, mut limit) = (None, SCAN_KEYS.0);
    for pair in arguments[1..].chunks(2) {
        let [name, value] = pair else { return Err("ERR syntax error".into()) };
        match name.to_ascii_uppercase().as_slice() {
            b"MATCH" => pattern = Some(value.clone()),
            b"COUNT" => match number(value) {
                Some(n) if n > 0 => limit = n.min(u64::from(SCAN_KEYS.1)) as u32,
                _ => return Err("ERR value is not an integer or out of range".into()),
            },
            b"TYPE" => return Err("ERR option TYPE is not supported here: every value is a string".into()),
            _ => return Err("ERR syntax error".into()),
        }
    }
    Ok(Command::Scan(cursor, pattern, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        let words: Vec<_> = line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        Command::parse(&words).map(|(_, command)| command)
    }

    fn no_scan(_: Arc<[u8]>) -> u64 {
        unreachable!("nothing is scanned")
    }

    #[test]
    fn options_that_are_not_supported_are_errors_and_never_ignored() {
        for line in [
            "SET k v EX 10",
            "SET k v PX 10",
            "SET k v GET",
            "SET k v KEEPTTL",
            "SET k v NX XX",
            "SET k v SOON",
        ] {
            assert!(parse(line).unwrap_err().starts_with("ERR"), "{line}");
        }
        assert!(parse("SCAN 0 TYPE string").is_err());
        assert!(parse("SCAN 0 MATCH").is_err());
        assert!(parse("SCAN x").is_err());
        assert!(parse("GET").unwrap_err().contains("wrong number"));
        assert!(parse("GET a b").unwrap_err().contains("wrong number"));
        assert!(parse("EXPIRE k 1").unwrap_err().contains("unknown command"));
    }

    #[test]
    fn an_unknown_outcome_is_told_even_beside_other_failures() {
        let command = parse("DEL a b").unwrap();
        let replies = vec![Reply::Unavailable("no primary".into()), Reply::Unknown("too late".into())];
        let Value::Error(text) = command.reply(replies, no_scan) else { panic!("an error was due") };
        assert!(text.starts_with("UNKNOWN "), "{text}");
    }

    #[test]
    fn set_nx_on_a_key_that_exists_is_a_null_and_no_error() {
        let command = parse("set k v nx").unwrap();
        assert_eq!(command, Command::Set(["k".into()], "v".into(), Condition::Absent));
        let failed = vec![Reply::Done(Outcome::ConditionFailed { current: Some(7) })];
        assert_eq!(command.reply(failed, no_scan), Value::Nothing);
    }

    #[test]
    fn a_scan_goes_on_behind_the_last_key_it_saw_even_if_the_pattern_hid_it() {
        let command = parse("SCAN 0 MATCH a*z COUNT 2").unwrap();
        let Request::Scan { prefix, limit: 2, after: None } = &command.requests(&BTreeMap::new()).unwrap()[0]
        else {
            panic!("a scan was due")
        };
        assert_eq!(&prefix[..], b"a");
        let keys = vec![(Arc::from(*b"az"), 1, 0), (Arc::from(*b"azq"), 2, 0)];
        let value = command.reply(vec![Reply::Keys(keys)], |after| {
            assert_eq!(&after[..], b"azq");
            42
        });
        assert_eq!(value, Value::List(vec![Value::text("42"), Value::List(vec![Value::text("az")])]));
        assert!(
            parse("SCAN 43").unwrap().requests(&BTreeMap::new()).is_err(),
            "a forgotten cursor is an error"
        );
    }
}
