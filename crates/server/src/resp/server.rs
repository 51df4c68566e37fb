//! The commands that ask about the server or the connection. They answer what clients ask on connecting, truthfully: one
//! database, no password, everything persisted.

use bytes::Bytes;

use super::command::wrong_number;
use super::info::line;
use super::reply::Value;
use super::table::{Row, TABLE, matching, row};
use super::{Connection, Info, glob};

/// A version of Redis that clients read as "speaks RESP3 and HELLO, has no later extensions".
pub const REDIS_VERSION: &str = "7.0.0";

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Asked {
    Ping(Option<Bytes>),
    Echo(Bytes),
    Hello {
        version: Option<u8>,
        name: Option<String>,
    },
    ClientId,
    ClientGetName,
    ClientSetName(String),
    ClientSetInfo {
        library: Option<String>,
        version: Option<String>,
    },
    ClientInfo,
    ClientList(Which),
    CommandCount,
    /// Of these, or of all.
    CommandInfo(Option<Vec<Bytes>>),
    CommandDocs(Option<Vec<Bytes>>),
    CommandList(Vec<&'static Row>),
    ConfigGet(Vec<Bytes>),
    Role,
    Select,
    Quit,
    Reset,
}

/// Which connections are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Which {
    All,
    None,
    Ids(Vec<u64>),
}

impl Asked {
    /// Must earlier replies leave first?
    pub fn changes_connection(&self) -> bool {
        matches!(self, Asked::Hello { .. } | Asked::Quit | Asked::Reset)
    }
}

/// Understands a command that is not about keys.
pub fn parse(name: &str, rest: &[Bytes]) -> Result<Asked, String> {
    let sub = rest.first().map(|word| word.to_ascii_uppercase());
    let behind = rest.get(1..).unwrap_or_default();
    let arguments = |n: usize| {
        let named = || format!("{name}|{}", rest[0].to_ascii_lowercase().escape_ascii());
        if behind.len() == n { Ok(behind) } else { Err(wrong_number(&named())) }
    };
    let some = || (!behind.is_empty()).then(|| behind.to_vec());
    Ok(match (name, sub.as_deref()) {
        ("ping", _) if rest.len() <= 1 => Asked::Ping(rest.first().cloned()),
        ("ping", _) => return Err(wrong_number(name)),
        ("echo", _) => Asked::Echo(rest[0].clone()),
        ("hello", _) => hello(rest)?,
        ("quit", _) => Asked::Quit,
        ("reset", _) => Asked::Reset,
        ("role", _) => Asked::Role,
        ("select", Some(b"0")) => Asked::Select,
        ("select", _) => return Err("ERR DB index is out of range: there is only database 0".into()),
        ("config", Some(b"GET")) if !behind.is_empty() => Asked::ConfigGet(behind.to_vec()),
        ("config", _) => return Err("ERR only CONFIG GET is supported here".into()),
        ("command", None) => Asked::CommandInfo(None),
        ("command", Some(b"COUNT")) => arguments(0).map(|_| Asked::CommandCount)?,
        ("command", Some(b"INFO")) => Asked::CommandInfo(some()),
        ("command", Some(b"DOCS")) => Asked::CommandDocs(some()),
        ("command", Some(b"LIST")) => Asked::CommandList(command_list(behind)?),
        ("client", Some(b"ID")) => arguments(0).map(|_| Asked::ClientId)?,
        ("client", Some(b"GETNAME")) => arguments(0).map(|_| Asked::ClientGetName)?,
        ("client", Some(b"SETNAME")) => Asked::ClientSetName(word(&arguments(1)?[0])?),
        ("client", Some(b"INFO")) => arguments(0).map(|_| Asked::ClientInfo)?,
        ("client", Some(b"LIST")) => Asked::ClientList(which(behind)?),
        ("client", Some(b"SETINFO")) => {
            let pair = arguments(2)?;
            let value = Some(word(&pair[1])?);
            match pair[0].to_ascii_uppercase().as_slice() {
                b"LIB-NAME" => Asked::ClientSetInfo { library: value, version: None },
                b"LIB-VER" => Asked::ClientSetInfo { library: None, version: value },
                _ => return Err(format!("ERR Unrecognized option '{}'", pair[0].escape_ascii())),
            }
        }
        (_, Some(sub)) => {
            return Err(format!(
                "ERR unknown subcommand '{}' of '{name}' (docs/redis.md)",
                sub.escape_ascii()
            ));
        }
        (_, None) => return Err(wrong_number(name)),
    })
}

/// The filter of `CLIENT LIST`.
fn which(options: &[Bytes]) -> Result<Which, String> {
    let Some((option, values)) = options.split_first() else { return Ok(Which::All) };
    match (&option.to_ascii_uppercase()[..], values) {
        (b"TYPE", [kind]) => match &kind.to_ascii_lowercase()[..] {
            b"normal" => Ok(Which::All),
            b"master" | b"replica" | b"slave" | b"pubsub" => Ok(Which::None),
            _ => Err(format!("ERR Unknown client type '{}'", kind.escape_ascii())),
        },
        (b"ID", [_, ..]) => {
            let id = |text: &Bytes| std::str::from_utf8(text).ok()?.parse().ok();
            let ids = values.iter().map(|text| id(text).ok_or("ERR Invalid client ID".to_string()));
            ids.collect::<Result<_, _>>().map(Which::Ids)
        }
        _ => Err("ERR syntax error".into()),
    }
}

/// The filter of `COMMAND LIST`.
fn command_list(options: &[Bytes]) -> Result<Vec<&'static Row>, String> {
    let [by, kind, value] = options else {
        return if options.is_empty() { Ok(TABLE.iter().collect()) } else { Err("ERR syntax error".into()) };
    };
    let value = value.to_ascii_lowercase();
    match (&by.to_ascii_uppercase()[..], &kind.to_ascii_uppercase()[..]) {
        (b"FILTERBY", b"PATTERN") => Ok(matching(&value).collect()),
        (b"FILTERBY", b"MODULE") => Ok(Vec::new()),
        (b"FILTERBY", b"ACLCAT") => {
            let category = |row: &Row| row.categories().any(|category| category.as_bytes() == value);
            Ok(TABLE.iter().filter(|row| category(row)).collect())
        }
        _ => Err("ERR syntax error".into()),
    }
}

/// A name that can stand in `CLIENT LIST`.
fn word(bytes: &Bytes) -> Result<String, String> {
    if bytes.len() > 256 || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err("ERR names have up to 256 printable characters without blanks".into());
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn hello(rest: &[Bytes]) -> Result<Asked, String> {
    let mut rest = rest.iter();
    let version = match rest.next().map(|v| &v[..]) {
        None => None,
        Some(b"2") => Some(2),
        Some(b"3") => Some(3),
        Some(_) => return Err("NOPROTO unsupported protocol version".into()),
    };
    let mut name = None;
    while let Some(option) = rest.next() {
        match option.to_ascii_uppercase().as_slice() {
            b"SETNAME" => name = Some(word(rest.next().ok_or("ERR syntax error in HELLO")?)?),
            // Taking any password would make a client believe that there is one.
            b"AUTH" => {
                return Err("ERR there are no users and no passwords here: connect without AUTH".into());
            }
            _ => return Err("ERR syntax error in HELLO".into()),
        }
    }
    Ok(Asked::Hello { version, name })
}

impl Connection {
    /// Answers a question about the server or this connection.
    pub(super) fn answer(&mut self, asked: Asked) -> Value {
        match asked {
            Asked::Ping(None) => Value::Simple("PONG"),
            Asked::Ping(Some(text)) | Asked::Echo(text) => Value::Bulk(text),
            Asked::Hello { version, name } => {
                self.version = version.unwrap_or(self.version);
                let version = self.version;
                self.change(|info| {
                    info.version = version;
                    if let Some(name) = name {
                        info.name = name;
                    }
                });
                self.introduce()
            }
            Asked::ClientId => Value::Integer(self.id as i64),
            Asked::ClientGetName => {
                let core = self.core.borrow();
                match core.resp_clients.infos.get(&self.id).map(|info| info.name.as_str()) {
                    Some("") | None => Value::Nothing,
                    Some(name) => Value::text(name),
                }
            }
            Asked::ClientSetName(name) => self.change(|info| info.name = name),
            Asked::ClientSetInfo { library, version } => self.change(|info| {
                info.library = library.unwrap_or(std::mem::take(&mut info.library));
                info.library_version = version.unwrap_or(std::mem::take(&mut info.library_version));
            }),
            Asked::ClientInfo => {
                let core = self.core.borrow();
                Value::text(
                    core.resp_clients.infos.get(&self.id).map_or(String::new(), |info| line(self.id, info)),
                )
            }
            Asked::ClientList(which) => {
                let core = self.core.borrow();
                let told = |id: &u64| match &which {
                    Which::All => true,
                    Which::None => false,
                    Which::Ids(ids) => ids.contains(id),
                };
                let infos = core.resp_clients.infos.iter().filter(|(id, _)| told(id));
                Value::text(infos.map(|(id, info)| line(*id, info)).collect::<String>())
            }
            Asked::CommandCount => Value::Integer(TABLE.len() as i64),
            Asked::CommandInfo(None) => Value::List(TABLE.iter().map(describe).collect()),
            Asked::CommandInfo(Some(names)) => {
                let described = |name: &Bytes| row(name).map_or(Value::Nothing, describe);
                Value::List(names.iter().map(described).collect())
            }
            Asked::CommandDocs(names) => {
                let rows: Vec<_> = match names {
                    None => TABLE.iter().collect(),
                    Some(names) => names.iter().filter_map(|name| row(name)).collect(),
                };
                Value::Map(rows.into_iter().map(|row| (Value::text(row.name), document(row))).collect())
            }
            Asked::CommandList(rows) => {
                Value::List(rows.into_iter().map(|row| Value::text(row.name)).collect())
            }
            Asked::ConfigGet(patterns) => config(&patterns, self.core.borrow().doors.redis),
            Asked::Role => {
                let seq = self.core.borrow().view().iter().map(super::info::committed).max().unwrap_or(0);
                Value::List(vec![Value::text("master"), Value::Integer(seq as i64), Value::List(Vec::new())])
            }
            Asked::Select => Value::OK,
            Asked::Quit => {
                self.closing = true;
                Value::OK
            }
            Asked::Reset => {
                self.version = 2;
                self.change(|info| {
                    info.version = 2;
                    info.name.clear();
                });
                Value::Simple("RESET")
            }
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Info)) -> Value {
        if let Some(info) = self.core.borrow_mut().resp_clients.infos.get_mut(&self.id) {
            change(info);
        }
        Value::OK
    }

    fn introduce(&self) -> Value {
        let pair = |name: &str, value| (Value::text(name), value);
        Value::Map(vec![
            pair("server", Value::text("redis")),
            pair("version", Value::text(REDIS_VERSION)),
            pair("proto", Value::Integer(self.version.into())),
            pair("id", Value::Integer(self.id as i64)),
            pair("mode", Value::text("standalone")),
            pair("role", Value::text("master")),
            pair("modules", Value::List(Vec::new())),
        ])
    }
}

fn describe(row: &Row) -> Value {
    let flags = row.flags.split_whitespace().map(Value::Simple).collect();
    let mut parts = vec![Value::text(row.name), Value::Integer(row.arity), Value::List(flags)];
    parts.extend(row.keys.map(Value::Integer));
    parts.push(Value::List(row.categories().map(|category| Value::text(format!("@{category}"))).collect()));
    // Tips, key specifications, subcommands: none.
    parts.extend(std::iter::repeat_n(Value::List(Vec::new()), 3));
    Value::List(parts)
}

fn pairs(pairs: Vec<(&str, Value)>) -> Value {
    Value::Map(pairs.into_iter().map(|(name, value)| (Value::text(name), value)).collect())
}

/// What `redis-cli` shows as help, and completes with.
fn document(row: &Row) -> Value {
    let arguments = row.arguments().map(|argument| {
        let flags = [(argument.optional, "optional"), (argument.multiple, "multiple")];
        let flags = flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| Value::Simple(flag)).collect();
        pairs(vec![
            ("name", Value::text(argument.name)),
            ("type", Value::text(argument.kind())),
            ("display_text", Value::text(argument.name)),
            ("flags", Value::List(flags)),
        ])
    });
    pairs(vec![
        ("summary", Value::text(row.summary)),
        ("since", Value::text(env!("CARGO_PKG_VERSION"))),
        ("group", Value::text(row.group)),
        ("arguments", Value::List(arguments.collect())),
    ])
}

fn config(patterns: &[Bytes], connections: usize) -> Value {
    let connections = connections.to_string();
    let settings = [
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("databases", "1"),
        ("maxclients", &connections),
        ("maxmemory", "0"),
        ("save", ""),
        ("timeout", "0"),
    ];
    let wanted =
        |name: &str| patterns.iter().any(|p| glob::matches(&p.to_ascii_lowercase(), name.as_bytes()));
    let found = settings.iter().filter(|(name, _)| wanted(name));
    Value::Map(found.map(|(name, value)| (Value::text(*name), Value::text(*value))).collect())
}
