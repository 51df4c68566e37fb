//! Keys as people read and type them: one escaping, both ways, so that what `list` prints is what `get` takes.
//!
//! A backslash begins an escape: `\\`, `\n`, `\r`, `\t`, and `\xHH` for any byte. Whatever could not be told apart on a
//! screen, or would be lost on the way through a terminal, is printed as one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::failure::{Failure, Result};

/// The bytes that somebody typed.
pub fn typed(text: &OsStr) -> Result<Vec<u8>> {
    let (mut rest, mut key) = (text.as_bytes(), Vec::new());
    while let Some((&byte, behind)) = rest.split_first() {
        let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
        let (byte, used) = match (byte, behind) {
            (b'\\', [b'\\', ..]) => (b'\\', 1),
            (b'\\', [b'n', ..]) => (b'\n', 1),
            (b'\\', [b'r', ..]) => (b'\r', 1),
            (b'\\', [b't', ..]) => (b'\t', 1),
            (b'\\', [b'x', high, low, ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => return Err(no_escape()),
            },
            (b'\\', _) => return Err(no_escape()),
            _ => (byte, 0),
        };
        key.push(byte);
        rest = &behind[used..];
    }
    Ok(key)
}

fn no_escape() -> Failure {
    Failure::usage(
        r"in a key, a backslash begins an escape: \\ is a backslash, \n, \r, \t and \xHH are bytes",
    )
}

/// A key as it can be typed.
pub fn shown(key: &[u8]) -> String {
    let mut text = String::new();
    let hex = |text: &mut String, bytes: &[u8]| {
        bytes.iter().for_each(|byte| *text += &format!("\\x{byte:02x}"));
    };
    for chunk in key.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text += "\\\\",
                '\n' => text += "\\n",
                '\r' => text += "\\r",
                '\t' => text += "\\t",
                // At the beginning it would be taken for an option.
                '-' if text.is_empty() => text += "\\x2d",
                c if is_plain(c) => text.push(c),
                c => hex(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        hex(&mut text, chunk.invalid());
    }
    text
}

/// Is it one visible character, or a blank between others?
fn is_plain(c: char) -> bool {
    c == ' ' || c == '\'' || c == '"' || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_typed() {
        let mut keys: Vec<Vec<u8>> = (0..=255).map(|byte| vec![b'a', byte, b'b']).collect();
        keys.extend(
            [&b"\\n"[..], b"-x", b"--json", "a/b c%\u{fc}\u{200b}\u{202e}".as_bytes(), b" ", &[0xff; 40]]
                .map(Vec::from),
        );
        for key in keys {
            let shown = shown(&key);
            assert_eq!(typed(OsStr::new(&shown)).unwrap(), key, "{shown}");
            assert!(!shown.starts_with('-') && !shown.contains(char::is_control), "{shown}");
        }
        assert_eq!(shown("a/b c%\u{fc}'\"".as_bytes()), "a/b c%\u{fc}'\"");
        assert_eq!(shown(b"a\nb\xff\\"), "a\\nb\\xff\\\\");
    }

    #[test]
    fn a_backslash_that_begins_nothing_is_an_error_and_not_a_guess() {
        for text in ["a\\", "\\q", "\\x", "\\x1", "\\xg1", "C:\\dir"] {
            assert!(typed(OsStr::new(text)).is_err(), "{text}");
        }
    }
}
