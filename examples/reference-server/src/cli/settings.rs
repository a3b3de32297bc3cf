//! `mt-server serve --print-config`.

use mt_service::commands::Table;
use mt_service::output::{print as put, print_json};
use serde_json::{Map, Value};

use super::CommandError;
use crate::config::Config;

/// Prints the settings in force, secrets by their length only.
pub(super) fn print(config: &Config, json: bool) -> Result<(), CommandError> {
    let settings = config.settings();
    if json {
        let members = settings.into_iter().map(|one| (one.name.to_owned(), one.value.into()));
        return print_json(&Value::Object(members.collect::<Map<_, _>>()));
    }
    let mut rows = Table::new(&[]);
    for setting in settings {
        rows.row([setting.name.to_owned(), setting.value.unwrap_or_else(|| "-".to_owned())]);
    }
    put(&rows.to_string())
}
