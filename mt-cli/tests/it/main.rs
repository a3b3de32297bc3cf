//! The `mt` command, as a user runs it.

mod database;
mod service;

use std::path::Path;
use std::process::{Command, Output};

/// Runs `mt` in a folder, without the settings of the environment.
fn mt(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mt"));
    for name in ["DATABASE_URL", "MIGRATE_DATABASE_URL", "SYSTEM_DATABASE_URL"] {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(folder).output().unwrap()
}

/// Standard output and standard error, in this order.
fn text(output: &Output) -> String {
    let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    of(&output.stdout) + &of(&output.stderr)
}
