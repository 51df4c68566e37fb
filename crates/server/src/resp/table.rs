//! The commands there are, as `COMMAND` tells them, and those that are refused, with the reason.

use super::glob;

/// A version of Redis that clients read as "speaks RESP3 and HELLO, has no later extensions".
pub const REDIS_VERSION: &str = "7.0.0";

/// A command that is understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name, in small letters.
    pub name: &'static str,
    /// How many arguments it takes, as Redis counts them: with the name; negative: at least.
    pub arity: i64,
    /// Flags.
    pub flags: &'static str,
    /// Where its keys stand: first, last, step.
    pub keys: [i64; 3],
    /// A group of Redis's documentation.
    pub group: &'static str,
    /// Its arguments, one a word; what is in brackets is one optional argument, and `…` follows what may be repeated.
    pub arguments: &'static str,
    /// What it does.
    pub summary: &'static str,
}

/// One argument of a command.
pub struct Argument {
    /// What it is called.
    pub name: &'static str,
    /// May it be left out?
    pub optional: bool,
    /// May it be repeated?
    pub multiple: bool,
}

impl Argument {
    /// A type as Redis names them.
    pub fn kind(&self) -> &'static str {
        match self.name {
            "key" | "pattern" => self.name,
            "cursor" | "index" | "protover" | "version" => "integer",
            _ => "string",
        }
    }
}

impl Row {
    /// The categories that `COMMAND` tells.
    pub fn categories(&self) -> impl Iterator<Item = &'static str> {
        let kind = match self.flags {
            "readonly" => "read",
            other => other,
        };
        [kind, self.group].into_iter().filter(|category| !category.is_empty())
    }

    /// Its arguments.
    pub fn arguments(&self) -> impl Iterator<Item = Argument> {
        let mut rest = self.arguments;
        std::iter::from_fn(move || {
            rest = rest.trim_start();
            let (name, optional, behind) = match rest.strip_prefix('[') {
                Some(inside) => inside.split_once(']').map(|(name, behind)| (name, true, behind))?,
                None => {
                    let end = rest.find([' ', '…']).unwrap_or(rest.len());
                    (&rest[..end], false, &rest[end..])
                }
            };
            rest = behind.strip_prefix('…').unwrap_or(behind);
            (!name.is_empty()).then_some(Argument { name, optional, multiple: rest.len() < behind.len() })
        })
    }
}

const NO_KEYS: [i64; 3] = [0, 0, 0];
const ONE_KEY: [i64; 3] = [1, 1, 1];
const ALL_KEYS: [i64; 3] = [1, -1, 1];

macro_rules! table {
    ($($name:literal $arity:literal $flags:literal $keys:ident $group:literal $arguments:literal $summary:literal;)*) => {
        &[$(Row {
            name: $name, arity: $arity, flags: $flags, keys: $keys, group: $group, arguments: $arguments,
            summary: $summary,
        }),*]
    };
}

/// The commands there are.
pub const TABLE: &[Row] = table! {
    "auth" -2 "fast" NO_KEYS "connection" "[name] token" "Shows a token, where the gateway asks for one";
    "client" -2 "" NO_KEYS "connection" "subcommand [argument]…" "Tells of connections: ID, INFO, LIST, GETNAME, SETNAME, SETINFO";
    "command" -1 "" NO_KEYS "server" "[subcommand] [argument]…" "Tells of commands: COUNT, INFO, DOCS, LIST";
    "config" -2 "admin" NO_KEYS "server" "GET pattern…" "Tells settings";
    "dbsize" 1 "readonly" NO_KEYS "server" "" "Counts the keys";
    "del" -2 "write" ALL_KEYS "generic" "key…" "Removes keys; each on its own";
    "delex" 4 "write" ONE_KEY "string" "key IFVER version" "Removes a key if its value is still of this version";
    "echo" 2 "fast" NO_KEYS "connection" "message" "Answers with the message";
    "exists" -2 "readonly" ALL_KEYS "generic" "key…" "Counts how many of the keys have a value";
    "get" 2 "readonly" ONE_KEY "string" "key" "Reads a value";
    "getver" 2 "readonly" ONE_KEY "string" "key" "Reads a value with its version, which SET and DELEX can require";
    "hello" -1 "fast" NO_KEYS "connection" "[protover] [AUTH name token] [SETNAME name]" "Chooses the version of the protocol";
    "info" -1 "" NO_KEYS "server" "[section]…" "Tells of the server";
    "keys" 2 "readonly" NO_KEYS "generic" "pattern" "Lists the keys that match, if they are not too many";
    "memory" -2 "readonly" NO_KEYS "server" "USAGE key [SAMPLES count]" "Tells how many bytes a key and its value have";
    "mget" -2 "readonly" ALL_KEYS "string" "key…" "Reads values; each on its own";
    "ping" -1 "fast" NO_KEYS "connection" "[message]" "Answers";
    "quit" -1 "fast" NO_KEYS "connection" "" "Closes the connection";
    "randomkey" 1 "readonly" NO_KEYS "generic" "" "Picks a key; it reads the names of all";
    "reset" 1 "fast" NO_KEYS "connection" "" "Makes the connection as it was when it was new";
    "role" 1 "fast" NO_KEYS "server" "" "Tells the role, which is always master";
    "scan" -2 "readonly" NO_KEYS "generic" "cursor [MATCH pattern] [COUNT count] [TYPE type]" "Lists keys page by page";
    "select" 2 "fast" NO_KEYS "connection" "index" "Chooses database 0, the only one";
    "set" -3 "write" ONE_KEY "string" "key value [NX|XX|IFVER version]" "Stores a value";
    "setnx" 3 "write" ONE_KEY "string" "key value" "Stores a value if the key has none";
    "strlen" 2 "readonly" ONE_KEY "string" "key" "Tells how many bytes a value has";
    "touch" -2 "readonly" ALL_KEYS "generic" "key…" "Counts how many of the keys have a value";
    "type" 2 "readonly" ONE_KEY "generic" "key" "Tells string, or none";
    "unlink" -2 "write" ALL_KEYS "generic" "key…" "The same as DEL";
};

/// The command of this name, in whatever case.
pub fn row(name: &[u8]) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The commands whose names match the pattern.
pub fn matching(pattern: &[u8]) -> impl Iterator<Item = &'static Row> {
    let pattern = pattern.to_ascii_lowercase();
    TABLE.iter().filter(move |row| glob::matches(&pattern, row.name.as_bytes()))
}

/// Commands of Redis that are refused: their names, and why.
const REFUSED: &[(&str, &str)] = &[
    (
        "expire pexpire expireat pexpireat expiretime pexpiretime ttl pttl persist setex psetex getex",
        "nothing expires here: replicas have no common clock (docs/redis.md, Expiry)",
    ),
    (
        "multi exec discard watch unwatch",
        "there are no transactions over several keys; a condition on a key's version does for one (docs/redis.md, Transactions)",
    ),
    (
        "eval evalsha eval_ro evalsha_ro script function fcall fcall_ro",
        "there are no scripts (docs/redis.md, Scripts)",
    ),
    (
        "subscribe unsubscribe psubscribe punsubscribe ssubscribe sunsubscribe publish spublish pubsub monitor",
        "there is no publish/subscribe (docs/redis.md, Publish/subscribe)",
    ),
    (
        "incr incrby incrbyfloat decr decrby append setrange getset getdel mset msetnx rename renamenx copy",
        "a write neither depends on the old value nor is of several keys; read the version with GETVER and require it with SET \
         … IFVER (docs/redis.md, Fencing tokens)",
    ),
    ("acl", "there are tokens, in the file that describes the cluster, and no users (docs/redis.md, Tokens)"),
    (
        "flushdb flushall swapdb move",
        "there is one database, and no command empties it; SCAN and DEL do (docs/redis.md, Databases)",
    ),
    ("readonly readwrite asking cluster", "This instance has cluster support disabled"),
    (
        "lpush rpush lpop rpop lrange llen lindex lset lrem ltrim linsert lmove blpop brpop hset hget hmset hmget hgetall \
         hdel hlen hkeys hvals hexists hincrby hscan sadd srem smembers sismember scard spop sunion sinter sdiff sscan zadd \
         zrem zrange zscore zcard zrank zincrby zscan xadd xread xrange xlen xgroup xreadgroup setbit getbit bitcount bitop \
         bitfield pfadd pfcount pfmerge geoadd geosearch getrange substr lcs sort",
        "every value is a string of bytes (docs/redis.md, Types)",
    ),
];

/// Why there is no such command.
pub fn refusal(arguments: &[bytes::Bytes]) -> String {
    let name = arguments[0].to_ascii_lowercase();
    let named = |names: &str| names.split_whitespace().any(|known| known.as_bytes() == name);
    match REFUSED.iter().find(|(names, _)| named(names)) {
        // Tools look for this very sentence.
        Some((_, why)) if why.starts_with("This") => format!("ERR {why}"),
        Some((_, why)) => format!("ERR {} is not supported: {why}", name.to_ascii_uppercase().escape_ascii()),
        None => {
            let cut = |bytes: &bytes::Bytes| bytes[..bytes.len().min(128)].escape_ascii().to_string();
            let mut text =
                format!("ERR unknown command '{}', with args beginning with: ", cut(&arguments[0]));
            for argument in &arguments[1..] {
                if text.len() < 256 {
                    text += &format!("'{}' ", cut(argument));
                }
            }
            text
        }
    }
}

/// What Redis says of a command with too few arguments, or too many.
pub fn wrong_number(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_none_is_both_there_and_refused() {
        assert!(TABLE.is_sorted_by_key(|row| row.name));
        for (names, _) in REFUSED {
            names.split_whitespace().for_each(|name| assert!(row(name.as_bytes()).is_none(), "{name}"));
        }
    }

    #[test]
    fn arguments_are_words_or_stand_in_brackets() {
        let told = |name: &str| {
            let arguments = row(name.as_bytes()).unwrap().arguments();
            arguments.map(|a| (a.name, a.optional, a.multiple)).collect::<Vec<_>>()
        };
        assert_eq!(told("dbsize"), []);
        assert_eq!(told("mget"), [("key", false, true)]);
        let set = [("key", false, false), ("value", false, false), ("NX|XX|IFVER version", true, false)];
        assert_eq!(told("set"), set);
        assert_eq!(told("client"), [("subcommand", false, false), ("argument", true, true)]);
    }

    #[test]
    fn what_is_refused_says_why_and_what_is_unknown_says_so() {
        let says = |line: &str| refusal(&line.split(' ').map(|w| w.to_string().into()).collect::<Vec<_>>());
        assert!(says("Expire k 1").starts_with("ERR EXPIRE is not supported: nothing expires here"));
        assert!(says("eval x 0").contains("docs/redis.md"));
        assert_eq!(says("FOO a b"), "ERR unknown command 'FOO', with args beginning with: 'a' 'b' ");
        assert_eq!(says("READONLY"), "ERR This instance has cluster support disabled");
        assert!(says(&format!("FOO{}", " a".repeat(60_000))).len() < 400);
    }
}
