//! What is answered about the server or the connection, truthfully, to what clients ask on connecting: one database, and
//! everything persisted.

use bytes::Bytes;

use super::asked::{Asked, Which};
use super::clients::Info;
use super::connection::Connection;
use super::glob;
use super::info::committed;
use super::reply::Value;
use super::table::{REDIS_VERSION, Row, TABLE, row};

impl Connection {
    /// Answers a question about the server or this connection.
    pub(super) fn answer(&mut self, asked: Asked) -> Value {
        match asked {
            Asked::Ping(None) => Value::Simple("PONG"),
            Asked::Ping(Some(text)) | Asked::Echo(text) => Value::Bulk(text),
            Asked::Auth(shown) => self.authenticate(&shown).map_or_else(Value::Error, |()| Value::OK),
            Asked::Hello { version, name, auth } => {
                let shown = auth.map(|shown| self.authenticate(&shown)).transpose();
                if let Err(why) = shown.and_then(|_| self.allowed_at_all()) {
                    return Value::Error(why);
                }
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
                    core.resp_clients.infos.get(&self.id).map_or(String::new(), |info| info.line(self.id)),
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
                Value::text(infos.map(|(id, info)| info.line(*id)).collect::<String>())
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
                self.forget_token();
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
