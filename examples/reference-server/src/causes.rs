//! Errors as one line for people.

use std::error::Error;

/// An error with its causes, each said once: some libraries repeat theirs in their own text.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = next.source();
    }
    line
}
