//! Tenants whose billing is flagged.

use mt_core::pg::billing::flagged::{self, FlaggedTenant};
use mt_core::pg::{PgError, System, SystemReason};
use mt_stripe::PROVIDER;
use serde_json::json;

use super::FlaggedArguments;
use crate::commands::program::Program;
use crate::commands::table::Table;
use crate::output::{CommandError, print, print_json};

const LIST: SystemReason = SystemReason::new("list tenants whose billing is flagged");

pub(super) async fn show(
    program: &Program,
    system: &System,
    arguments: &FlaggedArguments,
) -> Result<(), CommandError> {
    let found = list(system).await?;
    let noun = program.noun();
    if arguments.json {
        let items = found.iter().map(|one| {
            json!({
                noun.id_name(): one.tenant.to_string(), "customer_id": one.customer,
                "flags": one.flags, "subscriptions": one.subscriptions,
            })
        });
        return print_json(&json!({"items": items.collect::<Vec<_>>()}));
    }
    let head = noun.one().to_ascii_uppercase();
    let mut shown = Table::new(&[&head, "CUSTOMER", "FLAGS", "SUBSCRIPTIONS"]);
    for one in &found {
        shown.row([
            one.tenant.to_string(),
            one.customer.clone(),
            one.flags.join(", "),
            one.subscriptions.join(", "),
        ]);
    }
    print(&shown.to_string())
}

async fn list(system: &System) -> Result<Vec<FlaggedTenant>, PgError> {
    let mut tx = system.begin(LIST).await?;
    let found = flagged::list(&mut tx, PROVIDER).await?;
    tx.commit().await?;
    Ok(found)
}
