//! Replies of the Redis protocol, in its versions 2 and 3.
//!
//! | value | RESP2 | RESP3 |
//! |---|---|---|
//! | simple, error, integer | `+OK` `-ERR …` `:1` | the same |
//! | bytes | `$3` and the bytes | the same |
//! | nothing | `$-1` | `_` |
//! | list | `*2` and the items | the same |
//! | map | `*4`: keys and values in turn | `%2` |

use std::fmt::Write;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use gateway::Reply;

/// One reply, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A short text without line breaks.
    Simple(&'static str),
    /// An error: a code in capitals, a blank, a text.
    Error(String),
    /// A number.
    Integer(i64),
    /// Any bytes.
    Bulk(Bytes),
    /// The absence of a value.
    Nothing,
    /// Values in order.
    List(Vec<Value>),
    /// Pairs in order.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// `+OK`.
    pub const OK: Value = Value::Simple("OK");

    /// A text.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Bulk(Bytes::from(text.into()))
    }

    /// A stored value; its bytes are not copied.
    pub fn stored(value: Arc<[u8]>) -> Value {
        Value::Bulk(Bytes::from_owner(value))
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Value::Error(text) => text.len(),
            Value::Bulk(bytes) => bytes.len(),
            Value::List(items) => items.iter().map(|item| 16 + item.bytes()).sum(),
            Value::Map(pairs) => pairs.iter().map(|(key, value)| 16 + key.bytes() + value.bytes()).sum(),
            Value::Simple(_) | Value::Integer(_) | Value::Nothing => 16,
        }
    }

    /// Appends the reply to `out` in protocol version `version` (2 or 3).
    pub fn encode(&self, version: u8, out: &mut BytesMut) {
        let mut line = |mark: char, text: std::fmt::Arguments| {
            write!(out, "{mark}{text}\r\n").expect("a buffer in memory takes any text");
        };
        match self {
            Value::Simple(text) => line('+', format_args!("{text}")),
            // A line break inside would end the reply early, and what follows would be read as the next one.
            Value::Error(text) => line('-', format_args!("{}", text.replace(['\r', '\n'], " "))),
            Value::Integer(number) => line(':', format_args!("{number}")),
            Value::Nothing if version == 2 => line('$', format_args!("-1")),
            Value::Nothing => line('_', format_args!("")),
            Value::Bulk(bytes) => {
                line('$', format_args!("{}", bytes.len()));
                out.put_slice(bytes);
                out.put_slice(b"\r\n");
            }
            Value::List(items) => {
                line('*', format_args!("{}", items.len()));
                items.iter().for_each(|item| item.encode(version, out));
            }
            Value::Map(pairs) => {
                if version == 2 {
                    line('*', format_args!("{}", 2 * pairs.len()));
                } else {
                    line('%', format_args!("{}", pairs.len()));
                }
                for (key, value) in pairs {
                    key.encode(version, out);
                    value.encode(version, out);
                }
            }
        }
    }
}

/// Code and reason of a request that failed.
pub fn failed(reply: &Reply) -> Option<(&'static str, &str)> {
    match reply {
        Reply::Unknown(why) => Some(("UNKNOWN", why)),
        Reply::NoRoom => Some(("UNAVAILABLE", gateway::DEVICE_FULL)),
        Reply::Unavailable(why) => Some(("UNAVAILABLE", why)),
        Reply::Invalid(why) => Some(("ERR", why)),
        Reply::Damaged => Some(("CORRUPT", "the stored value is damaged and is not shown")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_the_same_in_their_own_words() {
        let value =
            Value::Map(vec![(Value::text("a"), Value::List(vec![Value::Nothing, Value::Integer(-1)]))]);
        let mut out = BytesMut::new();
        value.encode(2, &mut out);
        assert_eq!(&out[..], b"*2\r\n$1\r\na\r\n*2\r\n$-1\r\n:-1\r\n");
        out.clear();
        value.encode(3, &mut out);
        assert_eq!(&out[..], b"%1\r\n$1\r\na\r\n*2\r\n_\r\n:-1\r\n");
    }

    #[test]
    fn an_error_that_quotes_a_line_break_stays_one_line() {
        let mut out = BytesMut::new();
        Value::Error("ERR unknown command 'a\r\n+OK'".into()).encode(2, &mut out);
        assert_eq!(&out[..], b"-ERR unknown command 'a  +OK'\r\n");
    }
}
