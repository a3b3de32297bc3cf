//! Progress on stderr.

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::CommandError;

/// Shows a progress bar on stderr if that is a terminal. `done` is the template of what is done.
pub(super) fn progress(length: u64, done: &str) -> Result<ProgressBar, CommandError> {
    let progress = ProgressBar::new(length);
    let template = format!("{{bar:40}} {done}, {{eta}} left");
    progress.set_style(ProgressStyle::with_template(&template)?);
    Ok(progress)
}
