//! `mt-server demo`.
use super::CommandError;
use crate::config::Config;
use clap::Args;
/// x
#[derive(Debug, Args)]
pub(super) struct Arguments {}
pub(super) async fn run(
    _config: Config,
    _arguments: Arguments,
    _base_url: Option<String>,
) -> Result<(), CommandError> {
    Ok(())
}
