//! `mt-server completions`: what a shell needs to complete a command line.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::output::print;
use super::{Cli, CommandError};

/// What `completions` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Whose script to print. For bash: `source <(mt-server completions bash)`.
    shell: Shell,
}

/// Reads no settings: a shell's start must not fail on them.
pub(super) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "mt-server", &mut script);
    print(std::str::from_utf8(&script)?);
    Ok(())
}
