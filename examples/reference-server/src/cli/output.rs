//! Data goes to stdout, and nothing else does. Remarks for people go to stderr.

use serde::Serialize;

use super::CommandError;

/// For scripts.
pub(super) fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<(), CommandError> {
    print(&(serde_json::to_string_pretty(value)? + "\n"));
    Ok(())
}

/// For people.
#[expect(clippy::print_stdout, reason = "what was found is the command's data")]
pub(super) fn print(text: &str) {
    print!("{text}");
}

/// A remark beside the data, for people.
#[expect(clippy::print_stderr, reason = "stdout is for the command's data")]
pub(super) fn note(text: &str) {
    eprintln!("mt-server: {text}");
}
