//! The command line: one file per group of commands. Results go to standard output, logs and errors to standard error.

#![forbid(unsafe_code)]

mod backup;
mod bench;
mod change;
mod check;
mod client;
mod console;
mod debug;
mod deploy;
mod deployed;
mod export;
mod failure;
mod faults;
mod files;
mod format;
mod help;
mod image;
mod inspect;
mod interrupt;
mod key;
mod kv;
mod learn;
mod live;
mod members;
mod museum;
mod page;
mod play;
mod process;
mod quiz;
mod restore;
mod saved;
mod shell;
mod sim;
mod spec;
mod status;
mod story;
mod terminal;
mod torture;
mod up;
mod verify;
mod view;
mod why;

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// A distributed storage core you can see inside
///
/// Exit codes: 0 success, 1 error, 2 usage error, 3 outcome of a write unknown, 4 data corruption, 130 stopped by Ctrl-C
/// with the result so far. The environment variable CUTAWAY_GATEWAY names the gateway to ask; NO_COLOR turns colours off.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Status(status::Status),
    Put(kv::Put),
    Get(kv::Get),
    Del(kv::Del),
    List(kv::List),
    /// Kill a node of a cluster that `up` started (kill -9)
    Kill(members::Act),
    /// Pause a node (SIGSTOP); its connections stay open
    Pause(members::Act),
    /// Resume a paused node (SIGCONT)
    Resume(members::Act),
    /// Restart a node; stop it first if it still runs
    Restart(members::Act),
    /// Isolate a node: drop every message from and to it
    Isolate(members::Act),
    /// Reconnect an isolated node
    Heal(members::Act),
    Add(change::Add),
    Remove(change::Remove),
    Replace(change::Replace),
    Node(process::NodeArgs),
    Gateway(process::GatewayArgs),
    Format(format::Format),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Deploy(deploy::Deploy),
    Certs(deploy::Certs),
    Token(deploy::Token),
    Check(check::Check),
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    Sim(sim::Sim),
    Why(why::Why),
    Faults(faults::Faults),
    Museum(museum::Museum),
    Learn(learn::Learn),
    Torture(torture::Torture),
    Play(play::Play),
    Lab(page::Lab),
    Debug(debug::Debug),
    View(view::View),
    Quiz(quiz::Quiz),
    Spec(spec::Spec),
    Bench(bench::Bench),
    Completions(shell::Completions),
    Man(shell::Man),
}

fn main() -> ExitCode {
    let colour = terminal::colour_asked(std::env::args().skip(1));
    terminal::colour(colour);
    let arranged = help::arranged(Cli::command()).color(colour);
    let parsed = arranged.clone().try_get_matches();
    let command = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli.command,
        // What somebody asked for, such as --help, is a result; it has failed if it cannot be written.
        Err(told) if !told.use_stderr() => {
            failure::say_painted(told.render().ansi().to_string().trim_end());
            return failure::all_written().map_or_else(failure::Failure::report, |()| ExitCode::SUCCESS);
        }
        Err(wrong) => wrong.exit(),
    };
    // Processes of the cluster tell what happens to them; `RUST_LOG` chooses how much, and `CUTAWAY_LOG` in which form.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false)
        // What cannot be written to the log cannot be complained about there: on a full file system the attempt panics.
        .log_internal_errors(false);
    match std::env::var("CUTAWAY_LOG").is_ok_and(|form| form == "json") {
        true => log.json().flatten_event(true).init(),
        false => log.init(),
    }
    let result = match command {
        Command::Up(up) => up.run(),
        Command::Status(status) => status.run(),
        Command::Put(put) => put.run(),
        Command::Get(get) => get.run(),
        Command::Del(del) => del.run(),
        Command::List(list) => list.run(),
        Command::Kill(act) => act.run("kill"),
        Command::Pause(act) => act.run("pause"),
        Command::Resume(act) => act.run("resume"),
        Command::Restart(act) => act.run("restart"),
        Command::Isolate(act) => act.run("isolate"),
        Command::Heal(act) => act.run("heal"),
        Command::Add(add) => add.run(),
        Command::Remove(remove) => remove.run(),
        Command::Replace(replace) => replace.run(),
        Command::Node(node) => node.run(),
        Command::Gateway(gateway) => gateway.run(),
        Command::Format(format) => format.run(),
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
        Command::Deploy(deploy) => deploy.run(),
        Command::Certs(certs) => certs.run(),
        Command::Token(token) => token.run(),
        Command::Check(check) => check.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Verify(verify) => verify.run(),
        Command::Sim(sim) => sim.run(),
        Command::View(view) => view.run(),
        Command::Quiz(quiz) => quiz.run(),
        Command::Spec(spec) => spec.run(),
        Command::Why(why) => why.run(),
        Command::Faults(faults) => faults.run(),
        Command::Museum(museum) => museum.run(),
        Command::Learn(learn) => learn.run(),
        Command::Torture(torture) => torture.run(),
        Command::Play(play) => play.run(),
        Command::Lab(lab) => lab.run(),
        Command::Debug(debug) => debug.run(),
        Command::Bench(bench) => bench.run(),
        Command::Completions(completions) => completions.run(arranged),
        Command::Man(man) => man.run(arranged),
    };
    result.and_then(|()| failure::all_written()).map_or_else(failure::Failure::report, |()| ExitCode::SUCCESS)
}
