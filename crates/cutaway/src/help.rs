//! The help: commands by purpose, and examples that are true when pasted.

use std::fmt::Write as _;

use clap::Command;

use crate::terminal;

/// Every command under what it is for.
const GROUPS: &[(&str, &[&str])] = &[
    ("Run a cluster", &["up", "deploy", "certs", "token", "format", "node", "gateway"]),
    ("Ask it", &["put", "get", "del", "list", "status"]),
    ("Change its members", &["add", "remove", "replace"]),
    ("Break it", &["kill", "pause", "resume", "restart", "isolate", "heal", "torture"]),
    (
        "Understand it",
        &["why", "museum", "faults", "play", "lab", "debug", "quiz", "learn", "sim", "check", "spec", "view"],
    ),
    ("Keep a copy", &["backup", "restore"]),
    ("Inspect disks", &["inspect", "verify"]),
    ("Measure", &["bench"]),
    ("For the shell", &["completions", "man"]),
];

/// Examples of each command. A test runs all of them; `(exits N)` is true too.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "up",
        "cutaway up                                   # three nodes and a gateway
cutaway up --nodes 5 --shards 4 --dir five   # another cluster
cutaway up --ephemeral --port 7500           # leaves nothing behind
cutaway up --with elections --dir elected    # nodes find a primary alone
cutaway up --with membership --dir changing  # see add, remove, replace
cutaway up --trace traces                    # every event, for spec check
cutaway up --dir watched --validate          # judged while it runs",
    ),
    (
        "deploy",
        "cutaway deploy example > cluster.toml  # three nodes and a gateway, with TLS
cutaway deploy check cluster.toml
cutaway deploy systemd cluster.toml --name n1
cutaway deploy compose cluster.toml > compose.yaml",
    ),
    (
        "certs",
        "cutaway deploy example > cluster.toml
cutaway certs certs --deploy cluster.toml      # an authority; all members
cutaway certs certs --deploy cluster.toml --client alice
cutaway certs certs --deploy cluster.toml --only n1 --renew
cutaway deploy check cluster.toml --name n1",
    ),
    (
        "token",
        "cutaway token app                      # once; its hash goes into the file
cutaway token dashboard --read-only",
    ),
    (
        "add",
        "cutaway add n4                         # up starts it, with the others
cutaway status",
    ),
    (
        "replace",
        "cutaway replace n4 --with n5           # n5 counts before n4 goes
cutaway status",
    ),
    (
        "remove",
        "cutaway remove n5                      # and up stops it
cutaway status",
    ),
    (
        "node",
        "cutaway node --deploy cluster.toml --name n1
cutaway node --cluster 00112233445566778899aabbccddeeff --node n1 \\
  --listen 127.0.0.1:7420 --image n1.img --peer n1=127.0.0.1:7420 \\
  --peer n2=127.0.0.1:7421 --peer n3=127.0.0.1:7422",
    ),
    (
        "gateway",
        "cutaway gateway --deploy cluster.toml --name g1
cutaway gateway --cluster 00112233445566778899aabbccddeeff --gateway g1 \\
  --node n1=127.0.0.1:7420 --node n2=127.0.0.1:7421 --node n3=127.0.0.1:7422",
    ),
    (
        "format",
        "cutaway deploy example > cluster.toml
cutaway format --founding --deploy cluster.toml --name n1   # all its images
cutaway format --founding --cluster 00112233445566778899aabbccddeeff \\
  --node n1 --shard 0 --shards 1 --members n1,n2,n3 --size 16M n1.img
cutaway inspect n1.img",
    ),
    (
        "put",
        "cutaway put fruit apple
cutaway put fruit pear --explain       # what every process did for it
echo a note | cutaway put note --file -",
    ),
    (
        "get",
        "cutaway get fruit
cutaway get fruit --out fruit.txt
cutaway get fruit --explain            # how a read is confirmed",
    ),
    (
        "del",
        "cutaway del fruit
cutaway del note --explain             # what every process did for it",
    ),
    (
        "list",
        "cutaway list
cutaway list user: --limit 10          # the first ten that begin with user:
cutaway list --explain",
    ),
    (
        "status",
        "cutaway status
cutaway status --json",
    ),
    (
        "kill",
        "cutaway kill primary
cutaway status                         # who leads now, and why",
    ),
    (
        "pause",
        "cutaway pause n3
cutaway resume n3",
    ),
    (
        "resume",
        "cutaway pause n3
cutaway resume n3",
    ),
    (
        "restart",
        "cutaway restart n1
cutaway restart n2",
    ),
    (
        "isolate",
        "cutaway isolate n3
cutaway heal n3",
    ),
    (
        "heal",
        "cutaway isolate n3
cutaway heal n3",
    ),
    (
        "torture",
        "cutaway torture                        # a minute of faults, all judged
cutaway torture --seed 7 --seconds 600 --html torture.html
cutaway torture --faults fail-sync,fill-disks --seconds 20
cutaway torture --with membership --namespace --dir everything",
    ),
    (
        "why",
        "cutaway why                            # every mechanism, and what needs it
cutaway why epoch-fence                # one of them, as a story
cutaway why epoch-fence --schedule > mine
cutaway why epoch-fence --try mine     # a step changed: what comes of it",
    ),
    (
        "museum",
        "cutaway museum                         # published failures of real systems
cutaway museum fsyncgate               # one of them, on this code
cutaway museum raft-figure-8 --schedule > mine && cutaway play mine",
    ),
    (
        "faults",
        "cutaway faults                         # every block, damaged in every way
cutaway faults log-last rot one        # one of them, and why
cutaway faults log-last rot one --schedule > mine && cutaway play mine",
    ),
    (
        "play",
        "cutaway play epoch-fence --without epoch-fence   # a promise is broken
cutaway play epoch-fence                         # with it on, it holds
cutaway why epoch-fence --schedule > mine && cutaway play mine",
    ),
    (
        "lab",
        "cutaway lab                            # a page to touch; Ctrl-C ends it
cutaway lab epoch-fence
cutaway lab epoch-fence --html both.html   # both runs as one file",
    ),
    (
        "debug",
        "cutaway debug                          # for an editor: docs/debugging.md
cutaway debug < requests                # the Debug Adapter Protocol",
    ),
    (
        "quiz",
        "cutaway quiz
cutaway quiz --questions 3 --seed 7
cutaway why epoch-fence --schedule > mine && cutaway quiz --schedule mine",
    ),
    (
        "learn",
        "cutaway learn                          # the exercises, and your progress
cutaway learn init                     # a scratch folder, cutaway-learn
cutaway learn break                    # those of one kind
cutaway learn break-majority-commit    # what it asks for, and where to write
cutaway learn break-majority-commit --hint",
    ),
    (
        "sim",
        "cutaway sim --seeds 100
cutaway sim --seeds 100 --with elections --passive-gateways
cutaway sim --seed 3 --trace trace.jsonl
cutaway sim --seeds 2000 --out campaign             # goes on if stopped
cutaway sim --seeds 5000 --without majority-commit   # breaks one (exits 1)",
    ),
    (
        "check",
        "cutaway check                          # the scopes
cutaway check --scope failover --without epoch-fence    # (exits 1)
cutaway check --scope takeover --states 50000 --save takeover.check
cutaway check --resume takeover.check --states 60000    # goes on from there",
    ),
    (
        "spec",
        "cutaway spec check --seeds 20            # every step is one that it allows
cutaway sim --seed 3 --trace trace.jsonl && cutaway spec check trace.jsonl
cutaway why epoch-fence --spec           # the clause that forbids a step",
    ),
    (
        "view",
        "cutaway sim --seed 3 --trace trace.jsonl
cutaway view trace.jsonl                                # trace.html
cutaway view trace.jsonl --to perfetto --out trace.json # ui.perfetto.dev
cutaway view trace.jsonl --to mermaid --events 1..100   # a diagram",
    ),
    (
        "backup",
        "cutaway backup monday.backup
cutaway backup tuesday.backup --since monday.backup     # what changed
cutaway verify monday.backup tuesday.backup",
    ),
    (
        "restore",
        "cutaway restore monday.backup --dir restored            # a new cluster
cutaway restore monday.backup tuesday.backup --dir tuesday --nodes 1",
    ),
    (
        "inspect",
        "cutaway inspect cutaway-data/n1/shard-0.img
cutaway inspect cutaway-data/n1/shard-0.img --json",
    ),
    (
        "verify",
        "cutaway verify cutaway-data/n1/shard-0.img\ncutaway verify cutaway-data/n2/shard-0.img --json",
    ),
    (
        "bench",
        "cutaway bench engine --seconds 1 --keys 100000
cutaway bench cluster --clients 8 --seconds 5
cutaway bench failover --rounds 3
cutaway bench gc --seconds 1 --overwrites 20000",
    ),
    (
        "completions",
        "cutaway completions bash > cutaway.bash      # then: source cutaway.bash
cutaway completions zsh > _cutaway           # into a folder of $fpath
cutaway completions fish > cutaway.fish      # in ~/.config/fish/completions",
    ),
    (
        "man",
        "cutaway man > cutaway.1                      # then: man ./cutaway.1
cutaway man --out man1                       # a page for each command",
    ),
];

/// `command` with its help by purpose, and with examples.
pub fn arranged(command: Command) -> Command {
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{}\n{{options}}{{after-help}}",
        groups(&command)
    );
    let command = command.help_template(template).term_width(terminal::width_or_usual());
    EXAMPLES.iter().fold(command, |command, (name, examples)| {
        let indented: String = examples.lines().map(|line| format!("  {line}\n")).collect();
        command.mut_subcommand(name, |sub| sub.after_help(format!("Examples:\n{indented}")))
    })
}

/// The commands with a line about each, by purpose. One that stands in no group comes last.
fn groups(command: &Command) -> String {
    let styles = command.get_styles();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let known: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(Command::get_name);
    let others: Vec<&str> = shown.filter(|name| *name != "help" && !known.contains(name)).collect();
    let mut text = String::new();
    for (title, names) in GROUPS.iter().copied().chain([("Others", &others[..])]) {
        if names.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{header}{title}:{header:#}");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let line = format!("  {name:<12} {}", about.map(ToString::to_string).unwrap_or_default());
            let lines = terminal::wrapped(&line, terminal::width_or_usual()).join("\n");
            // Painted once the line is broken: colours take no columns.
            let _ = writeln!(text, "{}", lines.replacen(name, &format!("{literal}{name}{literal:#}"), 1));
        }
    }
    let _ = write!(text, "\n{header}Options:{header:#}");
    text
}
