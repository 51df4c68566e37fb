//! Preconditions of RFC 9110: what a request demands of the version that a key has. A version is an entity tag.
//!
//! A write's precondition is decided in the log, with the write: so it can be one version, any or none, and a list of
//! several is refused. A read's is decided here, on the value that the read found.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use dataplane::{Condition, Seq};

/// No key has ever had it: entries are counted from 1.
const NO_VERSION: Seq = 0;

/// The tags of an `If-Match` or `If-None-Match`.
#[derive(Debug, PartialEq, Eq)]
enum Tags {
    Any,
    /// Each with whether it is weak.
    Listed(Vec<(bool, String)>),
}

impl Tags {
    /// What the header says, on all of its lines; `None` without one.
    fn of(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tags>, String> {
        if !headers.contains_key(&name) {
            return Ok(None);
        }
        let lines: Option<Vec<&str>> =
            headers.get_all(&name).iter().map(|line: &HeaderValue| line.to_str().ok()).collect();
        let tags = lines.and_then(|lines| Tags::parse(&lines.join(",")));
        let why = || format!("{name} takes * or versions in double quotes, as ETag gave them");
        tags.map(Some).ok_or_else(why)
    }

    fn parse(text: &str) -> Option<Tags> {
        if text.trim() == "*" {
            return Some(Tags::Any);
        }
        let (mut tags, mut rest) = (Vec::new(), text);
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Some(Tags::Listed(tags)).filter(|tags| *tags != Tags::Listed(Vec::new()));
            }
            let strong = rest.strip_prefix("W/");
            let (tag, behind) = strong.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
            tags.push((strong.is_some(), tag.to_owned()));
            rest = behind.trim_start_matches([' ', '\t']);
            if !rest.is_empty() && !rest.starts_with(',') {
                return None;
            }
        }
    }

    /// Is the version among them? Weak tags count only to a cache.
    fn hold(&self, version: Seq, weak_too: bool) -> bool {
        match self {
            Tags::Any => true,
            Tags::Listed(tags) => {
                tags.iter().any(|(weak, tag)| (weak_too || !weak) && *tag == version.to_string())
            }
        }
    }
}

/// What a write demands of the version at its place in the log.
pub fn of_write(headers: &HeaderMap) -> Result<Condition, String> {
    let wanted = (Tags::of(headers, header::IF_MATCH)?, Tags::of(headers, header::IF_NONE_MATCH)?);
    match wanted {
        (None, None) => Ok(Condition::Always),
        (Some(Tags::Any), None) => Ok(Condition::Present),
        (None, Some(Tags::Any)) => Ok(Condition::Absent),
        (Some(Tags::Listed(tags)), None) => {
            // A weak tag never matches here, and what is no version of ours cannot.
            let parsed = tags
                .iter()
                .filter(|(weak, _)| !weak)
                .filter_map(|(_, tag)| tag.parse().ok().filter(|version: &Seq| version.to_string() == *tag));
            let mut versions: Vec<Seq> = parsed.collect();
            versions.dedup();
            match versions[..] {
                [] => Ok(Condition::Version(NO_VERSION)),
                [version] => Ok(Condition::Version(version)),
                _ => Err("If-Match takes * or one version when writing".into()),
            }
        }
        (None, Some(_)) => Err("If-None-Match takes only * when writing".into()),
        (Some(_), Some(_)) => Err("If-Match and If-None-Match exclude each other when writing".into()),
    }
}

/// What a read demands of the version that it finds.
pub struct OfRead {
    must: Option<Tags>,
    known: Option<Tags>,
}

impl OfRead {
    pub fn new(headers: &HeaderMap) -> Result<OfRead, String> {
        Ok(OfRead {
            must: Tags::of(headers, header::IF_MATCH)?,
            known: Tags::of(headers, header::IF_NONE_MATCH)?,
        })
    }

    /// The status of the answer, when the value has this version.
    pub fn decide(&self, version: Seq) -> StatusCode {
        if self.must.as_ref().is_some_and(|tags| !tags.hold(version, false)) {
            StatusCode::PRECONDITION_FAILED
        } else if self.known.as_ref().is_some_and(|tags| tags.hold(version, true)) {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags_are_read_as_the_rfc_writes_them() {
        let listed = |tags: &[(bool, &str)]| {
            Some(Tags::Listed(tags.iter().map(|(weak, tag)| (*weak, tag.to_string())).collect()))
        };
        assert_eq!(Tags::parse(" * "), Some(Tags::Any));
        assert_eq!(Tags::parse("\"17\""), listed(&[(false, "17")]));
        assert_eq!(Tags::parse(", W/\"a,b\" ,\t\"\","), listed(&[(true, "a,b"), (false, "")]));
        for bad in ["", ",", "17", "\"", "w/\"1\"", "W/ \"1\"", "\"1\" \"2\"", "*, \"1\"", "\"1\"x"] {
            assert_eq!(Tags::parse(bad), None, "{bad:?}");
        }
    }
}
