//! Compares billing with Stripe, and lists tenants whose billing is flagged.

mod flagged;
mod reconcile;

use clap::{Args, Subcommand};
use mt_core::id::TenantId;
use mt_core::pg::{Database, System};
use mt_stripe::billing::StripeBilling;

use super::program::{Program, TENANT, tenant_id};
use crate::output::CommandError;

/// Compares billing with Stripe, and lists tenants whose billing is flagged.
///
/// `reconcile` compares every tenant that has a customer with Stripe, for what no event has told. It is safe beside
/// running servers and beside itself.
#[derive(Debug, Subcommand)]
pub enum BillingCommand {
    /// Lists the tenants whose billing is flagged: those that pay for several subscriptions, for instance.
    Flagged(FlaggedArguments),
    /// Compares every tenant with Stripe, and puts right what differs. For each night.
    Reconcile(ReconcileArguments),
}

/// The arguments of `flagged`.
#[derive(Debug, Args)]
pub struct FlaggedArguments {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// The arguments of `reconcile`.
#[derive(Debug, Args)]
pub struct ReconcileArguments {
    /// Goes on after this tenant, where an earlier run ended.
    #[arg(long, value_name = TENANT, value_parser = tenant_id)]
    after: Option<TenantId>,
    /// Says what it would change, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl BillingCommand {
    /// Returns whether the command asks Stripe, for which it needs the key of an account.
    #[must_use]
    pub const fn asks_stripe(&self) -> bool {
        matches!(self, Self::Reconcile(_))
    }

    /// Runs the command on `database`. `billing` makes what asks Stripe, for `reconcile` alone.
    ///
    /// # Errors
    ///
    /// When billing has no key of a Stripe account, Stripe did not answer for every tenant, or the database fails.
    pub async fn run<E: Into<CommandError>>(
        self,
        program: &Program,
        database: &Database,
        billing: impl FnOnce(System) -> Result<StripeBilling, E>,
    ) -> Result<(), CommandError> {
        let arguments = match self {
            Self::Flagged(arguments) => {
                return flagged::show(program, &database.system(), &arguments).await;
            }
            Self::Reconcile(arguments) => arguments,
        };
        let billing = billing(database.system()).map_err(Into::into)?;
        let reconciler =
            billing.reconciler().ok_or("there is no Stripe account to compare with")?;
        let reconciler = if arguments.dry_run { reconciler.dry() } else { reconciler };
        reconcile::run(program, reconciler, &arguments).await
    }
}
