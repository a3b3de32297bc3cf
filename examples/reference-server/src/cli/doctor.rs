//! `mt-server doctor`.

use mt_service::doctor::{Format, report};

use super::CommandError;
use crate::config::Config;
use crate::doctor::examine;

pub(super) async fn run(config: &Config, format: Format) -> Result<(), CommandError> {
    report(&examine(config).await, format, "mt-server doctor", env!("CARGO_PKG_VERSION"))
}
