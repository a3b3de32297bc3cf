//! `mt-server completions`: prints a completion script for a shell.

use clap::Args;
use clap_complete::Shell;
use mt_service::output::print;

use super::CommandError;

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell. For bash: `source <(mt-server completions bash)`.
    shell: Shell,
}

/// Reads no settings, so that wrong settings do not affect a shell that starts.
pub(super) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::command_line(), "mt-server", &mut script);
    print(std::str::from_utf8(&script)?)
}
