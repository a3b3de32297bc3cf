//! Output of commands: data goes to stdout, notes for people go to stderr.

use serde::Serialize;

use super::CommandError;

/// Prints JSON on stdout.
pub(super) fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<(), CommandError> {
    print(&(serde_json::to_string_pretty(value)? + "\n"));
    Ok(())
}

/// Prints text on stdout.
#[expect(clippy::print_stdout, reason = "what was found is the command's data")]
pub(super) fn print(text: &str) {
    print!("{text}");
}

/// Prints a note on stderr.
#[expect(clippy::print_stderr, reason = "stdout is for the command's data")]
pub(super) fn note(text: &str) {
    eprintln!("mt-server: {text}");
}
