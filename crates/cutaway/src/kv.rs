//! `put`, `get`, `del`, `list`: the client's commands.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, GatewayArgs, encode, no_token};
use crate::failure::{Failure, Result, me, note, quote, say, say_bytes};
use crate::{key, story};

pub const EXPLAIN: (&str, &str) = ("x-cutaway-explain", "1");

/// Store a value under a key
#[derive(Debug, Args)]
pub struct Put {
    /// The key: up to 1 KiB of any bytes; \\, \n, \r, \t and \xHH are escapes
    key: OsString,
    /// The value: up to 1 MiB of any bytes
    #[arg(required_unless_present = "file")]
    value: Option<OsString>,
    /// Read the value from a file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "value")]
    file: Option<PathBuf>,
    /// Only if the key has no value
    #[arg(long)]
    if_absent: bool,
    /// Only if the key still has this version
    #[arg(long, value_name = "VERSION", conflicts_with = "if_absent")]
    if_version: Option<u64>,
    /// Show what every process did for this request, and why
    #[arg(long)]
    explain: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Print the value of a key, followed by a newline only if standard output is a terminal
#[derive(Debug, Args)]
pub struct Get {
    /// The key, as `list` prints it
    key: OsString,
    /// Write the value to this file; - is standard output, without a newline
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show what every process did for this request, and why
    #[arg(long)]
    explain: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Delete a key
#[derive(Debug, Args)]
pub struct Del {
    /// The key, as `list` prints it
    key: OsString,
    /// Only if the key still has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
    /// Show what every process did for this request, and why
    #[arg(long)]
    explain: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// List keys in order, with the version and size of their values
///
/// Keys are printed in the form that the other commands accept: unprintable bytes are escaped, such as \n and \xff,
/// and a backslash is \\.
#[derive(Debug, Args)]
pub struct List {
    /// Prefix of the keys, with the same escapes
    #[arg(default_value = "")]
    prefix: OsString,
    /// Maximum number of keys
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// Show what every process did for this request, and why; of a long listing, for each page
    #[arg(long)]
    explain: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

fn path(typed: &OsStr) -> Result<String> {
    let key = key::typed(typed)?;
    if key.is_empty() || key.len() > dataplane::KEY_BYTES_MAX {
        return Err(Failure::usage(format!("a key has 1 to {} bytes", dataplane::KEY_BYTES_MAX)));
    }
    Ok(format!("/v1/kv/{}", encode(&key)))
}

/// The command that reads this key, for a suggestion.
fn get(typed: &OsStr, more: &str, gateway: &GatewayArgs) -> String {
    format!("{} get {}{more}{}", me(), quote(typed.to_string_lossy()), gateway.flag())
}

fn version_tag(version: u64) -> String {
    format!("\"{version}\"")
}

impl Put {
    /// Runs the command.
    pub fn run(self) -> Result {
        let value = match (&self.file, self.value) {
            (Some(file), _) => read_value(file)?,
            (None, value) => value.unwrap_or_default().as_bytes().to_vec(),
        };
        if value.len() > dataplane::VALUE_BYTES_MAX {
            return Err(Failure::usage(format!("a value has at most {} bytes", dataplane::VALUE_BYTES_MAX)));
        }
        let tag = self.if_version.map(version_tag);
        let mut headers: Vec<(&str, &str)> = tag.iter().map(|tag| ("if-match", tag.as_str())).collect();
        headers.extend(self.if_absent.then_some(("if-none-match", "*")));
        headers.extend(self.explain.then_some(EXPLAIN));
        let answer = self.gateway.ask(Method::PUT, &path(&self.key)?, &headers, &value)?;
        let (reply, story) = unfold(&answer, self.explain).map_err(|e| self.gateway.unclear(e, &self.key))?;
        tell_story(story, self.json, &reply)?;
        check(&reply, &self.key, &self.gateway)?;
        if self.json {
            say(reply.body);
        } else {
            say(format!("OK, version {}", reply.body["version"]));
        }
        Ok(())
    }
}

impl Get {
    /// Runs the command.
    pub fn run(self) -> Result {
        let to_stdout = self.out.as_ref().is_none_or(|out| out.as_os_str() == "-");
        if self.json && self.out.is_some() && to_stdout {
            return Err(Failure::usage(
                "standard output cannot take the value and JSON: give one of --out - and --json",
            ));
        }
        let headers: &[_] = if self.explain { &[EXPLAIN] } else { &[] };
        let answer = self.gateway.ask(Method::GET, &path(&self.key)?, headers, b"")?;
        let (reply, story) = match (self.explain, answer.status) {
            (false, 200) => {
                let body = json!({ "outcome": "value", "version": answer.version });
                (Reply { status: 200, body, value: answer.body }, None)
            }
            _ => unfold(&answer, self.explain)?,
        };
        tell_story(story, self.json, &reply)?;
        if reply.status == 404 {
            let what = format!("{} has no value", self.key.to_string_lossy());
            let list = format!("{} list{}, to see the keys there are", me(), self.gateway.flag());
            return Err(Failure::error(what).next(list));
        }
        check(&reply, &self.key, &self.gateway)?;
        let file = self.out.as_ref().filter(|_| !to_stdout);
        if let Some(out) = file {
            fs::write(out, &reply.value).map_err(|e| Failure::error(format!("{}: {e}", out.display())))?;
        }
        let bytes = reply.value.len();
        if self.json {
            let mut body = json!({ "version": reply.body["version"], "bytes": bytes });
            if file.is_none() {
                match String::from_utf8(reply.value) {
                    Ok(text) => body["value"] = text.into(),
                    Err(e) => body["value_hex"] = server::manifest::hex(e.as_bytes()).into(),
                }
            }
            say(body);
        } else if let Some(out) = file {
            say(format!("{bytes} bytes, version {}, written to {}", reply.body["version"], out.display()));
        } else {
            // Nothing follows in a terminal's line, and nothing is added for a program.
            let newline = self.out.is_none() && io::stdout().is_terminal();
            say_bytes(&reply.value);
            newline.then(|| say_bytes(b"\n"));
        }
        Ok(())
    }
}

impl Del {
    /// Runs the command.
    pub fn run(self) -> Result {
        let tag = self.if_version.map(version_tag);
        let mut headers: Vec<(&str, &str)> = tag.iter().map(|tag| ("if-match", tag.as_str())).collect();
        headers.extend(self.explain.then_some(EXPLAIN));
        let answer = self.gateway.ask(Method::DELETE, &path(&self.key)?, &headers, b"")?;
        let (reply, story) = unfold(&answer, self.explain).map_err(|e| self.gateway.unclear(e, &self.key))?;
        tell_story(story, self.json, &reply)?;
        check(&reply, &self.key, &self.gateway)?;
        if self.json {
            say(reply.body);
        } else if reply.body["existed"] == true {
            say("OK, deleted");
        } else {
            say("OK, there was nothing to delete");
        }
        Ok(())
    }
}

impl List {
    /// Runs the command.
    pub fn run(self) -> Result {
        let (mut listed, mut after) = (Vec::new(), None::<String>);
        let mut left = self.limit;
        let prefix = key::typed(&self.prefix)?;
        while left > 0 {
            let mut path = format!("/v1/kv?prefix={}&limit={}", encode(&prefix), left.min(1000));
            if let Some(after) = &after {
                path += &format!("&after={after}");
            }
            let headers: &[_] = if self.explain { &[EXPLAIN] } else { &[] };
            let answer = self.gateway.ask(Method::GET, &path, headers, b"")?;
            let (reply, story) = unfold(&answer, self.explain)?;
            tell_story(story, self.json, &reply)?;
            check(&reply, &self.prefix, &self.gateway)?;
            let keys = reply.body["keys"].as_array().cloned().unwrap_or_default();
            left -= keys.len() as u64;
            if self.json {
                listed.extend(keys);
            } else if !say_lines(&keys) {
                return Ok(());
            }
            after = reply.body["after"].as_str().map(String::from);
            if after.is_none() {
                break;
            }
        }
        if self.json {
            say(json!({ "keys": listed }));
        }
        Ok(())
    }
}

/// Prints a page of keys; false if nobody reads them.
fn say_lines(keys: &[Value]) -> bool {
    let line = |key: &Value| {
        let bytes: Vec<u8> = percent_decode_str(key["key_encoded"].as_str().unwrap_or("")).collect();
        format!("{}\t{}\t{}\n", key::shown(&bytes), key["version"], key["bytes"])
    };
    say_bytes(keys.iter().map(line).collect::<String>().as_bytes())
}

/// A gateway's reply to a request about a key.
struct Reply {
    status: u16,
    body: Value,
    value: Vec<u8>,
}

/// Takes reply and story apart.
fn unfold(answer: &Answer, explained: bool) -> Result<(Reply, Option<Vec<Value>>)> {
    let body = answer.json()?;
    if !explained || body["reply"].is_null() {
        return Ok((Reply { status: answer.status, body, value: Vec::new() }, None));
    }
    let reply = body["reply"].clone();
    let hex = reply["value_hex"].as_str().unwrap_or("");
    let value =
        hex.as_bytes().chunks(2).filter_map(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
    let status = reply["status"].as_u64().unwrap_or(500) as u16;
    let events = body["events"].as_array().cloned().unwrap_or_default();
    Ok((Reply { status, value: value.collect(), body: reply }, Some(events)))
}

fn tell_story(story: Option<Vec<Value>>, json: bool, reply: &Reply) -> Result {
    let Some(events) = story else { return Ok(()) };
    if json {
        events.iter().for_each(say);
    } else {
        // The result itself goes to standard output as always; the story goes beside it.
        let listed = reply.body["keys"]
            .as_array()
            .map(|keys| format!("{} key{}", keys.len(), if keys.len() == 1 { "" } else { "s" }));
        let outcome = listed.or_else(|| reply.body["outcome"].as_str().map(String::from));
        note(story::render(&events, outcome.as_deref().unwrap_or("?"))?);
    }
    Ok(())
}

/// Turns a reply that is no success into a failure.
fn check(reply: &Reply, key: &OsStr, gateway: &GatewayArgs) -> Result {
    let why = reply.body["error"].as_str().unwrap_or("no reason given").to_string();
    let status = format!("{} status{}", me(), gateway.flag());
    Err(match reply.status {
        200 => return Ok(()),
        400 | 413 => Failure::usage(why),
        401 => no_token(&why),
        412 => {
            let now = match reply.body["version"].as_u64() {
                Some(version) => format!("the key is at version {version}"),
                None => "the key has no value".into(),
            };
            Failure::error(format!("the condition does not hold: {now}; nothing was changed"))
                .next(format!("{}, to see value and version", get(key, " --json", gateway)))
        }
        503 | 507 => Failure::error(format!("it had no effect: {why}")).next(status),
        504 => Failure::unknown(format!("it may have taken effect, and may yet: {why}"))
            .next(format!("{}, to see whether it did; then {status}", get(key, "", gateway))),
        500 if reply.body["outcome"] == "damaged" => Failure::corruption(why).next(status),
        other => Failure::error(format!("{why} (HTTP {other})")).next(status),
    })
}

fn read_value(file: &PathBuf) -> Result<Vec<u8>> {
    let mut value = Vec::new();
    // One byte more than allowed is enough to know that it is too much.
    let most = dataplane::VALUE_BYTES_MAX as u64 + 1;
    let read = if file.as_os_str() == "-" {
        io::stdin().lock().take(most).read_to_end(&mut value)
    } else {
        fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut value))
    };
    read.map_err(|e| Failure::error(format!("{}: {e}", file.display())))?;
    Ok(value)
}
