//! The results of `retry` and `cancel`.

use mt_core::id::JobId;
use mt_core::pg::jobs::Changed;
use mt_core::text_enum::TextEnum as _;
use serde::Serialize;

use crate::commands::table::Table;
use crate::output::{CommandError, print, print_json};

pub(super) const NO_SUCH_JOB: &str = "no such job";

/// The result for one job.
#[derive(Debug, Serialize)]
pub(super) struct ChangeView {
    id: String,
    /// Whether it is as asked for.
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl ChangeView {
    pub(super) fn new(id: JobId, changed: Changed) -> Self {
        let error = match changed {
            Changed::Done => None,
            Changed::NotFound => Some(NO_SUCH_JOB.to_owned()),
            Changed::Not(status) => Some(format!("the job is {}", status.as_str())),
            Changed::Superseded => Some("another unfinished job has its unique key".to_owned()),
        };
        Self { id: id.to_string(), done: error.is_none(), error }
    }
}

/// Prints the results. `left` says of the others what was not done with them.
///
/// # Errors
///
/// When there are others.
pub(super) fn report(changed: &[ChangeView], json: bool, left: &str) -> Result<(), CommandError> {
    if json {
        print_json(changed)?;
    } else {
        let mut table = Table::new(&["JOB", "DONE", "ERROR"]);
        for one in changed {
            let done = if one.done { "yes" } else { "-" };
            table.row([&*one.id, done, one.error.as_deref().unwrap_or_default()]);
        }
        print(&table.to_string())?;
    }
    match changed.iter().filter(|one| !one.done).count() {
        0 => Ok(()),
        count => Err(format!("{count} of {} {left}", changed.len()).into()),
    }
}
