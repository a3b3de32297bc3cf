//! Subcommands of `mt-server`, run to completion.

use std::process::{Command, Output};

/// Returns a command of `mt-server` whose environment is `settings` alone.
pub(crate) fn command(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mt-server"));
    command.args(arguments).env_clear().current_dir(std::env::temp_dir());
    command.envs(settings.iter().copied());
    command
}

/// Runs a command of `mt-server` without blocking the servers of the test.
pub(crate) async fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    tokio::process::Command::from(command(arguments, settings)).output().await.unwrap()
}
