//! Replies of the Redis protocol, in its versions 2 and 3.
//!
//! | value | RESP2 | RESP3 |
//! |---|---|---|
//! | simple, error, integer | `+OK` `-ERR …` `:1` | the same |
//! | bytes | `$3` and the bytes | the same |
//! | nothing | `$-1` | `_` |
//! | list | `*2` and the items | the same |
//! | map | `*4`: keys and values in turn | `%2` |

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

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

    /// Appends the reply to `out` in protocol version `version` (2 or 3).
    pub fn encode(&self, version: u8, out: &mut BytesMut) {
        let mut line = |mark: char, text: &str| {
            // A line break inside would end the reply early, and what follows would be read as the next one.
            let text = text.replace(['\r', '\n'], " ");
            out.put_slice(format!("{mark}{text}\r\n").as_bytes());
        };
        match self {
            Value::Simple(text) => line('+', text),
            Value::Error(text) => line('-', text),
            Value::Integer(number) => line(':', &number.to_string()),
            Value::Nothing if version == 2 => line('$', "-1"),
            Value::Nothing => line('_', ""),
            Value::Bulk(bytes) => {
                line('$', &bytes.len().to_string());
                out.put_slice(bytes);
                out.put_slice(b"\r\n");
            }
            Value::List(items) => {
                line('*', &items.len().to_string());
                items.iter().for_each(|item| item.encode(version, out));
            }
            Value::Map(pairs) => {
                if version == 2 {
                    line('*', &(2 * pairs.len()).to_string());
                } else {
                    line('%', &pairs.len().to_string());
                }
                for (key, value) in pairs {
                    key.encode(version, out);
                    value.encode(version, out);
                }
            }
        }
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
