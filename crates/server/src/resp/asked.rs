//! The commands that ask about the server or the connection, understood.

use bytes::Bytes;

use super::table::{Row, TABLE, matching, wrong_number};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Asked {
    Ping(Option<Bytes>),
    Echo(Bytes),
    Auth(Shown),
    Hello {
        version: Option<u8>,
        name: Option<String>,
        auth: Option<Shown>,
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

/// A token, and whose it is said to be. `default` is what clients say who know of no names.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    /// Whose.
    pub name: Option<String>,
    /// The token.
    pub token: Bytes,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a token of {:?}", self.name)
    }
}

impl Shown {
    fn new(name: Option<&Bytes>, token: &Bytes) -> Shown {
        let name = name.filter(|name| name[..] != b"default"[..]);
        Shown { name: name.map(|name| String::from_utf8_lossy(name).into_owned()), token: token.clone() }
    }
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
    /// Is it answered to whoever has shown no token yet?
    pub fn is_open(&self) -> bool {
        matches!(self, Asked::Auth(_) | Asked::Hello { .. } | Asked::Quit | Asked::Reset)
    }

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
        ("auth", _) => match rest {
            [token] => Asked::Auth(Shown::new(None, token)),
            [name, token] => Asked::Auth(Shown::new(Some(name), token)),
            _ => return Err("ERR syntax error".into()),
        },
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
    let (mut name, mut auth) = (None, None);
    while let Some(option) = rest.next() {
        match option.to_ascii_uppercase().as_slice() {
            b"SETNAME" => name = Some(word(rest.next().ok_or("ERR syntax error in HELLO")?)?),
            b"AUTH" => match (rest.next(), rest.next()) {
                (Some(name), Some(token)) => auth = Some(Shown::new(Some(name), token)),
                _ => return Err("ERR syntax error in HELLO".into()),
            },
            _ => return Err("ERR syntax error in HELLO".into()),
        }
    }
    Ok(Asked::Hello { version, name, auth })
}
