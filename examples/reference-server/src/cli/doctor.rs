//! `mt-server doctor`.

use clap::Args;

use super::CommandError;
use crate::config::Config;
use crate::doctor::{Check, Health, examine};

/// What `doctor` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Says what was found as JSON.
    #[arg(long)]
    json: bool,
}

#[expect(clippy::print_stdout, reason = "what was found is the command's data")]
pub(super) async fn run(config: &Config, arguments: Arguments) -> Result<(), CommandError> {
    let checks = examine(config).await;
    let failed: Vec<&str> = checks
        .iter()
        .filter(|check| check.health == Health::Failed)
        .map(|check| check.name)
        .collect();
    if arguments.json {
        println!("{}", serde_json::json!({ "ok": failed.is_empty(), "checks": checks }));
    } else {
        checks.iter().for_each(print);
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

#[expect(clippy::print_stdout, reason = "what was found is the command's data")]
fn print(check: &Check) {
    let word = match check.health {
        Health::Ok => "ok",
        Health::Warning => "warning",
        Health::Failed => "FAILED",
    };
    for (number, line) in check.details.iter().enumerate() {
        let (word, name) = if number == 0 { (word, check.name) } else { ("", "") };
        println!("{word:<8} {name:<10} {line}");
    }
}
