//! `mt-server doctor`.

use clap::Args;
use mt_service::commands::{Table, print, print_json};

use super::CommandError;
use crate::config::Config;
use crate::doctor::{Check, Health, examine, sarif};

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
    /// Prints the result as SARIF 2.1.0, for CI.
    #[arg(long, conflicts_with = "json")]
    sarif: bool,
}

pub(super) async fn run(config: &Config, arguments: Arguments) -> Result<(), CommandError> {
    let checks = examine(config).await;
    let failed: Vec<&str> = checks
        .iter()
        .filter(|check| check.health == Health::Failed)
        .map(|check| check.name)
        .collect();
    if arguments.json {
        print_json(&serde_json::json!({ "ok": failed.is_empty(), "checks": checks }))?;
    } else if arguments.sarif {
        print_json(&sarif(&checks))?;
    } else {
        print(&as_text(&checks))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

fn as_text(checks: &[Check]) -> String {
    let mut rows = Table::new(&[]);
    for check in checks {
        let word = match check.health {
            Health::Ok => "ok",
            Health::Warning => "warning",
            Health::Failed => "FAILED",
        };
        for (number, line) in check.details.iter().enumerate() {
            let (word, name) = if number == 0 { (word, check.name) } else { ("", "") };
            rows.row([word, name, line]);
        }
    }
    rows.to_string()
}
