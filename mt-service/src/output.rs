//! What commands print, and their errors.

use std::io::{self, ErrorKind, Write as _};

use serde::Serialize;

/// The error of a command, with its sources. [`with_causes`](crate::with_causes) makes one line of it.
pub type CommandError = Box<dyn std::error::Error + Send + Sync>;

/// Prints JSON on stdout.
///
/// # Errors
///
/// When the value is not JSON, or stdout cannot be written.
pub fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<(), CommandError> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Prints text on stdout. A reader that has left, such as `head`, is not an error.
///
/// # Errors
///
/// When stdout cannot be written.
pub fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}
