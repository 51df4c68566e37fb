//! The commands that ask about the server or the connection. They answer what clients ask on connecting, truthfully: one
//! database, no password, everything persisted.

use bytes::Bytes;

use super::command::{Row, TABLE, row};
use super::reply::Value;
use super::{Connection, Info, glob};

/// A version of Redis that clients read as "speaks RESP3 and HELLO, has no later extensions".
const REDIS_VERSION: &str = "7.0.0";

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Asked {
    Ping(Option<Bytes>),
    Echo(Bytes),
    Hello { version: Option<u8>, name: Option<String> },
    ClientId,
    ClientGetName,
    ClientSetName(String),
    ClientSetInfo { library: Option<String>, version: Option<String> },
    ClientInfo,
    ClientList,
    CommandAll,
    CommandCount,
    CommandInfo(Vec<Bytes>),
    CommandDocs,
    CommandList,
    ConfigGet(Vec<Bytes>),
    Info,
    Role,
    Select,
    Quit,
    Reset,
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
    let arguments = |n: usize| {
        if rest.len() == n + 1 {
            Ok(&rest[1..])
        } else {
            Err(format!("ERR wrong number of arguments for '{name}' command"))
        }
    };
    Ok(match (name, sub.as_deref()) {
        ("ping", _) if rest.len() <= 1 => Asked::Ping(rest.first().cloned()),
        ("echo", _) => Asked::Echo(rest[0].clone()),
        ("hello", _) => hello(rest)?,
        ("quit", _) => Asked::Quit,
        ("reset", _) => Asked::Reset,
        ("role", _) => Asked::Role,
        ("info", _) => Asked::Info,
        ("select", Some(b"0")) => Asked::Select,
        ("select", _) => return Err("ERR there is only database 0".into()),
        ("config", Some(b"GET")) if rest.len() > 1 => Asked::ConfigGet(rest[1..].to_vec()),
        ("config", _) => return Err("ERR only CONFIG GET is supported here".into()),
        ("command", None) => Asked::CommandAll,
        ("command", Some(b"COUNT")) => Asked::CommandCount,
        ("command", Some(b"INFO")) => Asked::CommandInfo(rest[1..].to_vec()),
        ("command", Some(b"DOCS")) => Asked::CommandDocs,
        ("command", Some(b"LIST")) => Asked::CommandList,
        ("client", Some(b"ID")) => arguments(0).map(|_| Asked::ClientId)?,
        ("client", Some(b"GETNAME")) => arguments(0).map(|_| Asked::ClientGetName)?,
        ("client", Some(b"SETNAME")) => Asked::ClientSetName(word(&arguments(1)?[0])?),
        ("client", Some(b"INFO")) => arguments(0).map(|_| Asked::ClientInfo)?,
        ("client", Some(b"LIST")) => arguments(0).map(|_| Asked::ClientList)?,
        ("client", Some(b"SETINFO")) => {
            let pair = arguments(2)?;
            let value = Some(word(&pair[1])?);
            match pair[0].to_ascii_uppercase().as_slice() {
                b"LIB-NAME" => Asked::ClientSetInfo { library: value, version: None },
                b"LIB-VER" => Asked::ClientSetInfo { library: None, version: value },
                _ => return Err("ERR Unrecognized option for CLIENT SETINFO".into()),
            }
        }
        _ => return Err(format!("ERR this form of '{name}' is not supported here")),
    })
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
            Asked::ClientList => {
                let core = self.core.borrow();
                Value::text(
                    core.resp_clients.infos.iter().map(|(id, info)| line(*id, info)).collect::<String>(),
                )
            }
            Asked::CommandAll => Value::List(TABLE.iter().map(describe).collect()),
            Asked::CommandCount => Value::Integer(TABLE.len() as i64),
            Asked::CommandInfo(names) => {
                let described = |name: &Bytes| row(name).map_or(Value::Nothing, describe);
                Value::List(names.iter().map(described).collect())
            }
            Asked::CommandDocs => Value::Map(Vec::new()),
            Asked::CommandList => Value::List(TABLE.iter().map(|row| Value::text(row.0)).collect()),
            Asked::ConfigGet(patterns) => config(&patterns, self.core.borrow().doors.redis),
            Asked::Info => self.info(),
            Asked::Role => {
                let seq = self.core.borrow().view().iter().map(committed).max().unwrap_or(0);
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

    fn info(&self) -> Value {
        let core = self.core.borrow();
        let view = core.view();
        let mut text = format!(
            "# Server\r\nredis_version:{REDIS_VERSION}\r\ncutaway_version:{}\r\nredis_mode:standalone\r\n\
             process_id:{}\r\ntcp_port:{}\r\nuptime_in_seconds:{}\r\n\r\n\
             # Clients\r\nconnected_clients:{}\r\nmaxclients:{}\r\n\r\n\
             # Persistence\r\nloading:0\r\naof_enabled:1\r\n\r\n\
             # Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_repl_offset:{}\r\n\r\n# Cutaway\r\n",
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            core.options.redis.port(),
            core.clock().now() / 1_000_000,
            core.resp_clients.open(),
            core.doors.redis,
            view.iter().map(committed).max().unwrap_or(0),
        );
        for shard in &view {
            let primary = shard.primary.map_or("none".into(), |p| p.to_string());
            let committed = committed(shard);
            text += &format!(
                "shard{}:primary={primary},epoch={},committed={committed}\r\n",
                shard.shard, shard.epoch.0
            );
        }
        Value::text(text)
    }
}

fn committed(shard: &gateway::ShardView) -> u64 {
    shard.nodes.iter().filter_map(|(_, heard)| heard.as_ref()).map(|(_, s)| s.committed).max().unwrap_or(0)
}

fn line(id: u64, info: &Info) -> String {
    let address = |a: Option<std::net::SocketAddr>| a.map_or("?:0".into(), |a| a.to_string());
    format!(
        "id={id} addr={} laddr={} name={} age={} db=0 cmd={} resp={} lib-name={} lib-ver={}\n",
        address(info.from),
        address(info.to),
        info.name,
        info.since.elapsed().as_secs(),
        info.last_command.get(),
        info.version,
        info.library,
        info.library_version,
    )
}

fn describe((name, arity, flags, positions): &Row) -> Value {
    let flags = flags.split_whitespace().map(Value::text).collect();
    let mut parts = vec![Value::text(*name), Value::Integer(*arity), Value::List(flags)];
    parts.extend(positions.map(Value::Integer));
    // Categories, tips, key specifications, subcommands: none.
    parts.extend(std::iter::repeat_n(Value::List(Vec::new()), 4));
    Value::List(parts)
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
