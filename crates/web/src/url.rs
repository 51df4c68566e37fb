//! A schedule in the fragment of an address: `#s=cluster+3;write+1+to+n1;sync+n1&without=epoch-fence&at=2`.
//!
//! Lines are parted by `;`, words by `+`; everything else that is not plain is percent-encoded, so that the address goes
//! through mail and shells. `viewer/lab/text.js` reads and writes the same.

use lab::Schedule;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use trace::Mechanism;

/// What stays as it is within a line.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// What an address holds.
pub struct Shown {
    /// Settings and steps.
    pub schedule: Schedule,
    /// The mechanisms that are out.
    pub without: Vec<Mechanism>,
}

/// The schedule and what is out, as a fragment without `#`.
pub fn fragment(Shown { schedule, without }: &Shown) -> String {
    let lines = schedule.setting.iter().chain(&schedule.steps);
    let lines: Vec<String> =
        lines.map(|line| utf8_percent_encode(line, &PLAIN).to_string().replace(' ', "+")).collect();
    let ids: Vec<&str> = without.iter().map(|mechanism| mechanism.id()).collect();
    let out = if ids.is_empty() { String::new() } else { format!("&without={}", ids.join(",")) };
    format!("s={}{out}", lines.join(";"))
}

/// Reads an address that a page showed. `None`: it is no such address; an error: it holds no schedule that can be read.
pub fn read(address: &str) -> Option<Result<Shown, String>> {
    let (_, fragment) = address.split_once('#')?;
    let part = |name: &str| fragment.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let lines = part("s")?;
    Some(schedule(lines).and_then(|schedule| {
        let ids = part("without").unwrap_or_default().split(',').filter(|id| !id.is_empty());
        let known = |id| lab::mechanism(id);
        Ok(Shown { schedule, without: ids.map(known).collect::<Result<_, _>>()? })
    }))
}

fn schedule(lines: &str) -> Result<Schedule, String> {
    let decode = |line: &str| {
        let line = line.replace('+', " ");
        let line = percent_decode_str(&line).decode_utf8().map_err(|_| format!("`{line}` is no UTF-8"))?;
        // A line that brings further lines along is not what the page wrote.
        if line.contains(['\n', '\r']) {
            Err("a line of the address has a line break".into())
        } else {
            Ok(format!("> {line}\n"))
        }
    };
    lines.split(';').map(decode).collect::<Result<String, String>>()?.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(address: &str) -> Result<String, String> {
        read(address).expect("it holds a schedule").map(|shown| shown.schedule.to_string())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = "> cluster 3\n> gateways 1\n> put k;+%&= vüß via g1\n> calm without n1 n2\n";
        let schedule: Schedule = text.parse().unwrap();
        let without = vec![Mechanism::EpochFence, Mechanism::DurableAck];
        let fragment = fragment(&Shown { schedule, without });
        assert!(fragment.starts_with("s=cluster+3;gateways+1;put+k%3B%2B%25%26%3D+v"), "{fragment}");
        assert!(fragment.is_ascii() && !fragment.contains([' ', '\'', '"']), "{fragment}");
        let shown = read(&format!("http://127.0.0.1:7490/#t=abc&{fragment}&at=1")).unwrap().unwrap();
        assert_eq!(shown.schedule.to_string(), text);
        assert_eq!(shown.without, [Mechanism::EpochFence, Mechanism::DurableAck]);
    }

    #[test]
    fn what_holds_no_schedule_says_so() {
        assert!(read("epoch-fence").is_none() && read("http://127.0.0.1/#t=1").is_none());
        for (address, why) in [
            ("#s=", "begins with"),
            ("#s=cluster+3;dance+n1", "dance"),
            ("#s=cluster+3;sync+n1%0A%3E+sync+n2", "line break"),
            ("#s=cluster+3;%FF", "UTF-8"),
            ("#s=cluster+3&without=epoch-fnce", "epoch-fnce"),
        ] {
            let error = read(address).expect(address).map(|shown| shown.schedule).unwrap_err();
            assert!(error.contains(why), "{address}: {error}");
        }
        assert_eq!(told("#s=cluster+3;sync+n1").unwrap(), "> cluster 3\n> sync n1\n");
    }
}
