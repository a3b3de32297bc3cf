//! `mt-server openapi`.

use super::CommandError;
use super::output::print_json;
use crate::routes;

/// Prints the document. Needs neither a database nor settings.
pub(super) fn run() -> Result<(), CommandError> {
    print_json(&routes::document())
}
