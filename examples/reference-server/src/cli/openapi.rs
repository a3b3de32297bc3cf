//! `mt-server openapi`.

use mt_service::output::print_json;

use super::CommandError;
use crate::routes;

/// Prints the document. Needs neither a database nor settings.
pub(super) fn run() -> Result<(), CommandError> {
    print_json(&routes::document())
}
