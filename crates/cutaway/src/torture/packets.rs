//! Packets that are lost, late or out of order, for everybody in this network namespace, clients included: by the kernel's
//! netem, or, where it has none, by a rule of nftables that drops some, and by links that are too slow for what is sent.

use std::process::Command;

use super::command::{complaint, run};

/// What happens to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    Lost,
    Late,
    Reordered,
}

/// Commands that bring it about, and commands that end it.
struct Way {
    trouble: Trouble,
    begin: &'static [&'static str],
    end: &'static [&'static str],
}

const END_QUEUE: &str = "tc qdisc del dev lo root";
const END_RULES: &str = "nft delete table inet cutaway";

/// Of each trouble the best way first.
const WAYS: [Way; 6] = [
    Way { trouble: Trouble::Lost, begin: &["tc qdisc add dev lo root netem loss 3%"], end: &[END_QUEUE] },
    Way {
        trouble: Trouble::Lost,
        begin: &[
            "nft add table inet cutaway",
            "nft add chain inet cutaway in { type filter hook input priority 0; }",
            "nft add rule inet cutaway in numgen random mod 100 < 3 drop",
        ],
        end: &[END_RULES],
    },
    Way {
        trouble: Trouble::Late,
        begin: &["tc qdisc add dev lo root netem delay 20ms 10ms"],
        end: &[END_QUEUE],
    },
    // They wait in the queue of a slow link; those that would wait longer are lost.
    Way {
        trouble: Trouble::Late,
        begin: &["tc qdisc add dev lo root tbf rate 50mbit burst 64kb latency 50ms"],
        end: &[END_QUEUE],
    },
    Way {
        trouble: Trouble::Reordered,
        begin: &["tc qdisc add dev lo root netem delay 5ms reorder 75%"],
        end: &[END_QUEUE],
    },
    // One in four takes a slow link, and is overtaken.
    Way {
        trouble: Trouble::Reordered,
        begin: &[
            "tc qdisc add dev lo root handle 1: htb default 1",
            "tc class add dev lo parent 1: classid 1:1 htb rate 10gbit quantum 60000",
            "tc class add dev lo parent 1: classid 1:2 htb rate 20mbit quantum 60000",
            "tc qdisc add dev lo parent 1:2 pfifo limit 50",
            "nft add table inet cutaway",
            "nft add chain inet cutaway out { type route hook output priority 0; }",
            "nft add rule inet cutaway out numgen random mod 4 == 0 meta priority set 1:2",
        ],
        end: &[END_QUEUE, END_RULES],
    },
];

impl Trouble {
    /// Begins it, by the first way that works here. If none does, the reason against the first.
    pub fn begin(self) -> Result<Ongoing, String> {
        let mut why = None;
        for way in WAYS.iter().filter(|way| way.trouble == self) {
            let ongoing = Ongoing(way);
            match way.begin.iter().try_for_each(|command| done(command)) {
                Ok(()) => return Ok(ongoing),
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(why.unwrap_or_default())
    }
}

/// Trouble that lasts as long as this does.
pub struct Ongoing(&'static Way);

impl Drop for Ongoing {
    /// What was not begun cannot be ended: it is all tried, whatever comes of it.
    fn drop(&mut self) {
        for command in self.0.end {
            let _ = done(command);
        }
    }
}

/// Does a command, given as its words.
fn done(words: &str) -> Result<(), String> {
    let (program, arguments) = words.split_once(' ').expect("a program and its arguments");
    let mut command = Command::new(program);
    // `nft` takes its words in one piece, as `tc` does not.
    match program {
        "nft" => command.arg(arguments),
        _ => command.args(arguments.split(' ')),
    };
    let tried = run(&mut command)?;
    if tried.status.success() { Ok(()) } else { Err(format!("{program}: {}", complaint(&tried))) }
}
