//! From arguments to what is asked of the gateway, and from its answers to a reply.
//!
//! A command over several keys is several requests; each is linearizable, the command as a whole is not atomic. (Redis
//! Cluster refuses such commands when the keys lie in different slots; here they work, and this is the price.) All
//! arguments are looked at before the first request leaves, and a failure half way says how far it came.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use dataplane::{Condition, KEY_BYTES_MAX, Op, Outcome, Query};
use gateway::{Reply, Request};

use super::asked::{self, Asked};
use super::reply::{Value, failed};
use super::table::{self, Row, wrong_number};
use super::walk::{PAGE_KEYS_MAX, Walk};
use crate::budget;

/// Keys of one `SCAN` step when the client does not say.
const SCAN_KEYS: usize = 10;

/// A command that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Reads one key.
    Read([Bytes; 1], Read),
    /// `SET key value [NX|XX|IFVER version]`, `SETNX key value`
    Set([Bytes; 1], Bytes, Condition, Told),
    /// `DEL key…`, `UNLINK key…`
    Del(Vec<Bytes>),
    /// `DELEX key IFVER version`
    DelEx([Bytes; 1], u64),
    /// `EXISTS key…`, `TOUCH key…`
    Exists(Vec<Bytes>),
    /// `MGET key…`
    MGet(Vec<Bytes>),
    /// `DBSIZE`
    DbSize,
    /// `INFO [section]…`
    Info(Vec<Bytes>),
    /// Goes over all keys.
    Walk(Walk),
    /// About the server or the connection, not about keys.
    Server(Asked),
}

/// What is told of a key that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Read {
    Get,
    GetVer,
    StrLen,
    Type,
    MemoryUsage,
}

/// How a `SET` says whether its condition held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// `OK`, or nothing.
    Ok,
    /// 1 or 0.
    Number,
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

impl Command {
    /// Understands a request, or says why not, as an error reply. With the name of the command.
    pub fn parse(arguments: &[Bytes]) -> Result<(&'static str, Command), String> {
        let rest = &arguments[1..];
        let Some(Row { name, arity, .. }) = table::row(&arguments[0]) else {
            return Err(table::refusal(arguments));
        };
        let count = arguments.len() as i64;
        if (*arity >= 0 && count != *arity) || count < arity.abs() {
            return Err(wrong_number(name));
        }
        let read = |what| Command::Read([rest[0].clone()], what);
        let command = match *name {
            "get" => read(Read::Get),
            "getver" => read(Read::GetVer),
            "strlen" => read(Read::StrLen),
            "type" => read(Read::Type),
            "memory" => Command::Read([memory_usage(rest)?], Read::MemoryUsage),
            "set" => Command::Set([rest[0].clone()], rest[1].clone(), set_condition(&rest[2..])?, Told::Ok),
            "setnx" => Command::Set([rest[0].clone()], rest[1].clone(), Condition::Absent, Told::Number),
            "del" | "unlink" => {
                // Naming a key twice deletes it once.
                let mut seen = BTreeSet::new();
                Command::Del(rest.iter().filter(|key| seen.insert(*key)).cloned().collect())
            }
            "delex" => match &rest[1].to_ascii_uppercase()[..] {
                b"IFVER" => Command::DelEx([rest[0].clone()], number(&rest[2])?),
                _ => return Err("ERR syntax error".into()),
            },
            "exists" | "touch" => Command::Exists(rest.to_vec()),
            "mget" => Command::MGet(rest.to_vec()),
            "scan" => scan(rest)?,
            "keys" => Command::Walk(Walk::Keys(rest[0].clone())),
            "randomkey" => Command::Walk(Walk::Random),
            "dbsize" => Command::DbSize,
            "info" => Command::Info(rest.iter().map(|section| section.to_ascii_lowercase().into()).collect()),
            _ => Command::Server(asked::parse(name, rest)?),
        };
        // Before the first effect, or it would be said of a half that it is the whole.
        if let Some(key) = command.keys().iter().find(|key| !(1..=KEY_BYTES_MAX).contains(&key.len())) {
            return Err(format!("ERR the key has {} bytes; it must have 1 to {KEY_BYTES_MAX}", key.len()));
        }
        Ok((name, command))
    }

    fn keys(&self) -> &[Bytes] {
        match self {
            Command::Read(key, _) | Command::Set(key, ..) | Command::DelEx(key, _) => key,
            Command::Exists(keys) | Command::MGet(keys) | Command::Del(keys) => keys,
            Command::DbSize | Command::Info(_) | Command::Walk(_) | Command::Server(_) => &[],
        }
    }

    /// What this command has to do with others of its pipeline.
    pub fn touches(&self) -> Touch<'_> {
        match self {
            Command::Read(..) | Command::Exists(_) | Command::MGet(_) => Touch::Reads(self.keys()),
            Command::Set(..) | Command::Del(_) | Command::DelEx(..) => Touch::Writes(self.keys()),
            Command::DbSize | Command::Info(_) | Command::Walk(_) => Touch::ReadsAll,
            Command::Server(asked) if asked.changes_connection() => Touch::Connection,
            Command::Server(_) => Touch::Nothing,
        }
    }

    /// What to ask the gateway, in order.
    pub fn requests(&self) -> VecDeque<Request> {
        let bytes = |key: &Bytes| Arc::from(&key[..]);
        let most = budget::short(self.values());
        let get = |key: &Bytes| Request::Read(Query::GetUpTo(bytes(key), most));
        let delete = |key: &Bytes, condition| Request::Write(Op::Delete { key: bytes(key), condition });
        match self {
            Command::Read(..) | Command::Exists(_) | Command::MGet(_) => {
                self.keys().iter().map(get).collect()
            }
            Command::Set([key], value, condition, _) => {
                [Request::Write(Op::Put { key: bytes(key), value: bytes(value), condition: *condition })]
                    .into()
            }
            Command::Del(keys) => keys.iter().map(|key| delete(key, Condition::Always)).collect(),
            Command::DelEx([key], version) => [delete(key, Condition::Version(*version))].into(),
            Command::DbSize => [Request::Read(Query::Count)].into(),
            Command::Info(_) | Command::Walk(_) | Command::Server(_) => VecDeque::new(),
        }
    }

    /// How many values it asks for. The others need no more than to know how long they are.
    pub fn values(&self) -> usize {
        match self {
            Command::Read(_, Read::Get | Read::GetVer) => 1,
            Command::MGet(keys) => keys.len(),
            _ => 0,
        }
    }

    /// How long the value is that it stores.
    pub fn value_bytes(&self) -> usize {
        match self {
            Command::Set(_, value, ..) => value.len(),
            _ => 0,
        }
    }

    /// How much its reply may take before anybody knows how long it is.
    pub fn reply_bytes(&self) -> usize {
        match self {
            Command::Walk(walk) => walk.reply_bytes(),
            _ => self.values() * budget::short(self.values()) as usize,
        }
    }

    /// The reply, from the gateway's answers: of each request, or up to the first that failed and of those that were under
    /// way then.
    pub fn reply(&self, replies: Vec<Reply>) -> Value {
        if let Some(error) = self.failure(&replies) {
            return Value::Error(error);
        }
        let deleted = |reply: &Reply| matches!(reply, Reply::Done(Outcome::Deleted { existed: true }));
        let there = |reply: &Reply| matches!(reply, Reply::Value(..) | Reply::Long(..));
        match self {
            Command::MGet(_) => {
                Value::List(replies.into_iter().map(|reply| told(reply, Read::Get, 0)).collect())
            }
            Command::Exists(_) => count(replies.iter().filter(|reply| there(reply))),
            Command::Del(_) | Command::DelEx(..) => count(replies.iter().filter(|reply| deleted(reply))),
            Command::Read([key], what) => {
                replies.into_iter().next().map_or(Value::Nothing, |reply| told(reply, *what, key.len()))
            }
            Command::Set(_, _, _, how) => {
                let held = matches!(replies[..], [Reply::Done(Outcome::Written(_))]);
                match how {
                    Told::Number => Value::Integer(held.into()),
                    Told::Ok if held => Value::OK,
                    Told::Ok => Value::Nothing,
                }
            }
            Command::DbSize => match replies[..] {
                [Reply::Count(count)] => Value::Integer(count as i64),
                _ => Value::Nothing,
            },
            Command::Info(_) | Command::Walk(_) | Command::Server(_) => Value::Nothing,
        }
    }

    /// The error that stands for the whole command, if a part of it failed. Of writes to several keys it says what became
    /// of each part.
    fn failure(&self, replies: &[Reply]) -> Option<String> {
        let first = replies.iter().find(|reply| failed(reply).is_some())?;
        let unknown: Vec<_> = replies.iter().filter(|reply| matches!(reply, Reply::Unknown(_))).collect();
        // The worst first: unknown, then everything else.
        let (code, why) = failed(unknown.first().copied().unwrap_or(first))?;
        let total = self.keys().len();
        let done = replies.iter().filter(|reply| matches!(reply, Reply::Done(_))).count();
        let writes = matches!(self, Command::Set(..) | Command::Del(_) | Command::DelEx(..));
        Some(match (code, unknown.len()) {
            ("UNKNOWN", _) if total == 1 => format!("UNKNOWN it may have taken effect, and may yet: {why}"),
            ("UNKNOWN", unknown) => format!(
                "UNKNOWN {done} of {total} keys are done, {unknown} may be or may yet, the others had no effect: {why}"
            ),
            ("UNAVAILABLE", _) if writes && done > 0 => {
                format!("PARTIAL {done} of {total} keys are done, the others had no effect: {why}")
            }
            ("UNAVAILABLE", _) if writes => format!("UNAVAILABLE it had no effect: {why}"),
            _ => format!("{code} {why}"),
        })
    }
}

/// What is told of a value that was read, under a key of so many bytes.
fn told(reply: Reply, what: Read, key_bytes: usize) -> Value {
    let (version, value) = match (reply, what) {
        (Reply::Value(version, value), Read::Get | Read::GetVer) => (version, value),
        (Reply::Value(_, value), _) => return measured(what, key_bytes, value.len()),
        (Reply::Long(_, bytes), _) => return measured(what, key_bytes, bytes as usize),
        (_, Read::StrLen) => return Value::Integer(0),
        (_, Read::Type) => return Value::Simple("none"),
        (_, Read::Get | Read::GetVer | Read::MemoryUsage) => return Value::Nothing,
    };
    match what {
        Read::Get => Value::stored(value),
        _ => Value::List(vec![Value::Integer(version as i64), Value::stored(value)]),
    }
}

/// What is told of a value without showing it.
fn measured(what: Read, key_bytes: usize, value_bytes: usize) -> Value {
    match what {
        Read::Type => Value::Simple("string"),
        Read::MemoryUsage => Value::Integer((key_bytes + value_bytes) as i64),
        _ => Value::Integer(value_bytes as i64),
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> Value {
    Value::Integer(items.count() as i64)
}

fn number<N: std::str::FromStr>(text: &Bytes) -> Result<N, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or("ERR value is not an integer or out of range".into())
}

fn set_condition(options: &[Bytes]) -> Result<Condition, String> {
    let mut condition = Condition::Always;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let wanted = match option.to_ascii_uppercase().as_slice() {
            b"NX" => Condition::Absent,
            b"XX" => Condition::Present,
            b"IFVER" => Condition::Version(number(options.next().ok_or("ERR syntax error")?)?),
            b"EX" | b"PX" | b"EXAT" | b"PXAT" | b"KEEPTTL" => {
                let option = option.escape_ascii();
                return Err(format!(
                    "ERR option {option} is not supported: nothing expires here (docs/redis.md, Expiry)"
                ));
            }
            b"GET" | b"IFEQ" | b"IFNE" | b"IFDEQ" | b"IFDNE" => {
                let option = option.escape_ascii();
                return Err(format!(
                    "ERR option {option} is not supported: a condition is NX, XX or IFVER (docs/redis.md, Fencing tokens)"
                ));
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
    let cursor = number(&arguments[0]).map_err(|_| "ERR invalid cursor")?;
    let (mut pattern, mut count) = (None, SCAN_KEYS);
    for pair in arguments[1..].chunks(2) {
        let [name, value] = pair else { return Err("ERR syntax error".into()) };
        match name.to_ascii_uppercase().as_slice() {
            b"MATCH" => pattern = Some(value.clone()),
            b"COUNT" => match number::<i64>(value)? {
                n if n > 0 => count = (n as usize).min(PAGE_KEYS_MAX),
                _ => return Err("ERR syntax error".into()),
            },
            // Every value is a string. Of other types there is nothing; a cursor behind all says so.
            b"TYPE" if value.eq_ignore_ascii_case(b"string") => (),
            b"TYPE" => return Ok(Command::Walk(Walk::Scan { cursor: u64::MAX, pattern, count })),
            _ => return Err("ERR syntax error".into()),
        }
    }
    Ok(Command::Walk(Walk::Scan { cursor, pattern, count }))
}

fn memory_usage(arguments: &[Bytes]) -> Result<Bytes, String> {
    let is = |at: usize, word: &str| arguments[at].eq_ignore_ascii_case(word.as_bytes());
    match arguments.len() {
        2 if is(0, "usage") => Ok(arguments[1].clone()),
        4 if is(0, "usage") && is(2, "samples") => number::<u32>(&arguments[3]).map(|_| arguments[1].clone()),
        _ => Err("ERR only MEMORY USAGE key [SAMPLES count] is supported".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        let words: Vec<_> = line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        Command::parse(&words).map(|(_, command)| command)
    }

    fn error(line: &str, replies: Vec<Reply>) -> String {
        let Value::Error(text) = parse(line).unwrap().reply(replies) else { panic!("an error was due") };
        text
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
            "SET k v IFVER",
            "SET k v IFVER x",
            "SET k v NX IFVER 1",
            "DELEX k IFEQ v",
        ] {
            assert!(parse(line).unwrap_err().starts_with("ERR"), "{line}");
        }
        assert!(parse("SCAN 0 MATCH").is_err());
        assert!(parse("SCAN 0 COUNT 0").is_err());
        assert!(parse("SCAN x").is_err());
        assert!(parse("SCAN -1").is_err());
        assert!(parse("GET").unwrap_err().contains("wrong number"));
        assert!(parse("GET a b").unwrap_err().contains("wrong number"));
        assert!(parse("EXPIRE k 1").unwrap_err().contains("nothing expires"));
    }

    #[test]
    fn a_key_that_cannot_be_is_refused_before_the_others_are_touched() {
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        for command in ["DEL", "UNLINK", "EXISTS", "TOUCH", "MGET"] {
            assert!(parse(&format!("{command} a {long} b")).unwrap_err().contains("1025 bytes"), "{command}");
        }
        for line in ["GET ", "SET  v", "DELEX  IFVER 1", "DEL a ", &format!("TYPE {long}")] {
            assert!(parse(line).unwrap_err().starts_with("ERR the key has"), "{line}");
        }
    }

    #[test]
    fn an_unknown_outcome_is_told_even_beside_other_failures() {
        let replies = vec![Reply::Unavailable("no primary".into()), Reply::Unknown("too late".into())];
        assert!(error("DEL a b", replies).starts_with("UNKNOWN 0 of 2 keys are done, 1 may be"));
    }

    #[test]
    fn a_command_that_did_a_part_never_says_that_it_had_no_effect() {
        let gone = || Reply::Done(Outcome::Deleted { existed: false });
        let failed = || Reply::Unavailable("no primary".into());
        assert_eq!(
            error("DEL a b c", vec![gone(), failed()]),
            "PARTIAL 1 of 3 keys are done, the others had no effect: no primary"
        );
        assert_eq!(error("DEL a b c", vec![failed(), failed()]), "UNAVAILABLE it had no effect: no primary");
        assert_eq!(
            error("DEL a b c", vec![gone(), Reply::Unknown("late".into())]),
            "UNKNOWN 1 of 3 keys are done, 1 may be or may yet, the others had no effect: late"
        );
        assert_eq!(error("MGET a b", vec![Reply::Missing, failed()]), "UNAVAILABLE no primary");
    }

    #[test]
    fn set_nx_on_a_key_that_exists_is_a_null_and_no_error() {
        let command = parse("set k v nx").unwrap();
        assert_eq!(command, Command::Set(["k".into()], "v".into(), Condition::Absent, Told::Ok));
        let failed = || vec![Reply::Done(Outcome::ConditionFailed { current: Some(7) })];
        assert_eq!(command.reply(failed()), Value::Nothing);
        assert_eq!(parse("setnx k v").unwrap().reply(failed()), Value::Integer(0));
        assert_eq!(parse("delex k ifver 6").unwrap().reply(failed()), Value::Integer(0));
    }

    #[test]
    fn the_version_is_read_with_the_value_and_can_be_required() {
        let found = vec![Reply::Value(7, Arc::from(*b"v"))];
        let told = parse("GETVER k").unwrap().reply(found);
        assert_eq!(told, Value::List(vec![Value::Integer(7), Value::text("v")]));
        let requests = parse("SET k v IFVER 7").unwrap().requests();
        assert!(matches!(requests[0], Request::Write(Op::Put { condition: Condition::Version(7), .. })));
        let requests = parse("DELEX k IFVER 7").unwrap().requests();
        assert!(matches!(requests[0], Request::Write(Op::Delete { condition: Condition::Version(7), .. })));
    }

    #[test]
    fn of_types_that_there_are_not_a_scan_finds_nothing_and_ends() {
        assert_eq!(parse("SCAN 0 TYPE STRING"), parse("SCAN 0"));
        assert!(matches!(parse("SCAN 0 TYPE hash"), Ok(Command::Walk(Walk::Scan { cursor: u64::MAX, .. }))));
    }
}
