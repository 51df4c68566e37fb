//! `completions`, `man`: what a shell and its reader need.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Command};
use clap_complete::Shell;
use lab::check::SCOPES;
use trace::Mechanism;

use crate::failure::{Failure, Result, say, say_bytes};

/// Print the completions for a shell: of commands, options, mechanisms and scopes
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write a page for each command
#[derive(Debug, Args)]
pub struct Man {
    /// Write cutaway.1 and a page for each command into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Completions {
    pub fn run(self, command: Command) -> Result {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut named(command), "cutaway", &mut script);
        say_bytes(&script);
        Ok(())
    }
}

impl Man {
    pub fn run(self, command: Command) -> Result {
        let Some(dir) = self.out else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(Failure::error)?;
            say_bytes(&page);
            return Ok(());
        };
        let cannot = |e: std::io::Error| Failure::error(format!("cannot write into {}: {e}", dir.display()));
        std::fs::create_dir_all(&dir).map_err(cannot)?;
        clap_mangen::generate_to(command, &dir).map_err(cannot)?;
        say(format!(
            "wrote {0}/cutaway.1 and a page for each command; read one: man {0}/cutaway-why.1",
            dir.display()
        ));
        Ok(())
    }
}

/// The command with the names that its arguments take, for a shell to complete. In the help they would fill a screen.
fn named(command: Command) -> Command {
    let mechanisms = || PossibleValuesParser::new(Mechanism::ALL.iter().map(|mechanism| mechanism.id()));
    let scopes = || {
        PossibleValuesParser::new(
            SCOPES
                .iter()
                .map(|scope| scope.name)
                .chain(lab::device::Work::ALL.map(lab::device::Work::name))
                .collect::<Vec<_>>(),
        )
    };
    let arguments = |command: Command| {
        command.mut_args(|argument| {
            let takes = argument.get_value_names().and_then(|names| names.first());
            match takes.map(|name| name.as_str()) {
                Some("MECHANISM") => argument.value_parser(mechanisms()),
                Some("SCOPE") => argument.value_parser(scopes()),
                _ => argument,
            }
        })
    };
    command.mut_subcommands(arguments)
}
