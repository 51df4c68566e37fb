//! Patterns of `SCAN … MATCH` and `CONFIG GET`: `*`, `?`, `[a-z]`, `[^a]`, `\` before a character to be taken as it is.

/// Does `text` match `pattern`? Takes at most pattern × text steps, whatever the pattern: after a mismatch only the last
/// star is tried again, because an earlier one could not match more than it does.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        match one(&pattern[p..], text[t]) {
            Some(used) => {
                p += used;
                t += 1;
            }
            None => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    (p, t) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// How many bytes of `pattern` the one character `byte` matches; `None` if it does not.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        b'[' => {
            let (set, used) = class(&pattern[1..]);
            let (negated, set) = match set.strip_prefix(b"^") {
                Some(rest) => (true, rest),
                None => (false, set),
            };
            (in_set(set, byte) != negated).then_some(1 + used)
        }
        literal => (literal == byte).then_some(1),
    }
}

/// The inside of a class and how many bytes it takes with its closing bracket, which may be missing at the end.
fn class(pattern: &[u8]) -> (&[u8], usize) {
    let mut i = 0;
    while i < pattern.len() {
        match pattern[i] {
            b']' => return (&pattern[..i], i + 1),
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
    (pattern, pattern.len())
}

fn in_set(mut set: &[u8], byte: u8) -> bool {
    loop {
        match set {
            [] => return false,
            [b'\\', literal, rest @ ..] => {
                if *literal == byte {
                    return true;
                }
                set = rest;
            }
            [low, b'-', high, rest @ ..] => {
                if (*low.min(high)..=*low.max(high)).contains(&byte) {
                    return true;
                }
                set = rest;
            }
            [literal, rest @ ..] => {
                if *literal == byte {
                    return true;
                }
                set = rest;
            }
        }
    }
}

/// The bytes that everything that matches begins with.
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|b| b"*?[\\".contains(b)).unwrap_or(pattern.len());
    &pattern[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]", "]", true),
            ("[", "a", false),
            ("user:*:name", "user:1:2:name", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_pattern_made_to_take_for_ever_does_not() {
        let pattern = "a*".repeat(500) + "b";
        assert!(!matches(pattern.as_bytes(), &[b'a'; 1024]));
    }
}
