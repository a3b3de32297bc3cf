//! `mt-server billing`: reconciliation with Stripe, and the list of flagged orgs.
//!
//! `reconcile` compares every org that has a customer with Stripe, for what no event has told. It is safe
//! beside running servers and beside itself. Exit codes: 0 all were compared; 1 not all were, and how to go
//! on; 2 wrong usage.

use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use mt_core::id::TenantId;
use mt_core::pg::billing::flagged;
use mt_core::pg::{System, SystemReason};
use mt_stripe::reconcile::{PaidFor, ReconcileError, Reconciled, Reconciler};
use serde_json::{Value, json};

use super::CommandError;
use super::output::{print, print_json};
use super::table::{lines, table};
use crate::billing::{self, PROVIDER};
use crate::config::Config;
use crate::server::Embedded;
use crate::server::database;

/// What `billing` takes.
#[derive(Debug, Subcommand)]
pub(super) enum Arguments {
    /// Lists the orgs whose billing is flagged: those that pay for several subscriptions, for instance.
    Flagged(FlaggedArguments),
    /// Compares every org with Stripe, and puts right what differs. For each night.
    Reconcile(ReconcileArguments),
}

#[derive(Debug, Args)]
pub(super) struct FlaggedArguments {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReconcileArguments {
    /// Goes on after this org, where an earlier run ended.
    #[arg(long, value_name = "ORG", value_parser = org)]
    after: Option<TenantId>,
    /// Says what it would change, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

fn org(text: &str) -> Result<TenantId, &'static str> {
    TenantId::parse(text).ok_or("takes an org's id")
}

/// How often one org is asked for while Stripe has no answer, and how long the first wait is where Stripe
/// does not say. It doubles.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(config: &Config, arguments: Arguments) -> Result<(), CommandError> {
    let arguments = match arguments {
        Arguments::Flagged(arguments) => return show_flagged(config, &arguments).await,
        Arguments::Reconcile(arguments) => arguments,
    };
    if config.stripe.secret_key.is_none() {
        return Err(
            "`STRIPE_SECRET_KEY` is not set: there is no Stripe account to compare with".into()
        );
    }
    let (database, embedded) = database::open(config, Embedded::Persistent).await?;
    let billing = billing::billing(database.system(), config)?;
    let done = match billing.reconciler() {
        Some(reconciler) if arguments.dry_run => reconcile(reconciler.dry(), &arguments).await,
        Some(reconciler) => reconcile(reconciler, &arguments).await,
        None => Ok(()),
    };
    database.close().await;
    if let Some(embedded) = embedded {
        embedded.stop().await?;
    }
    done
}

const FLAGGED: SystemReason = SystemReason::new("list orgs whose billing is flagged");

async fn show_flagged(config: &Config, arguments: &FlaggedArguments) -> Result<(), CommandError> {
    let (database, embedded) = database::open(config, Embedded::Persistent).await?;
    let found = flagged_orgs(&database.system()).await;
    database.close().await;
    if let Some(embedded) = embedded {
        embedded.stop().await?;
    }
    let found = found?;
    if arguments.json {
        let items = found.iter().map(|one| {
            json!({
                "org_id": one.tenant.to_string(), "customer_id": one.customer,
                "flags": one.flags, "subscriptions": one.subscriptions,
            })
        });
        return print_json(&json!({"items": items.collect::<Vec<_>>()}));
    }
    let mut shown = table(&["ORG", "CUSTOMER", "FLAGS", "SUBSCRIPTIONS"]);
    for one in &found {
        shown.add_row([
            one.tenant.to_string(),
            one.customer.clone(),
            one.flags.join(", "),
            one.subscriptions.join(", "),
        ]);
    }
    print(&lines(shown));
    Ok(())
}

async fn flagged_orgs(
    system: &System,
) -> Result<Vec<flagged::FlaggedTenant>, mt_core::pg::PgError> {
    let mut tx = system.begin(FLAGGED).await?;
    let found = flagged::list(&mut tx, PROVIDER).await?;
    tx.commit().await?;
    Ok(found)
}

/// What a run has found so far.
#[derive(Default)]
struct Findings {
    compared: u64,
    corrected: Vec<Reconciled>,
    missing: Vec<Reconciled>,
    refused: Vec<Reconciled>,
}

impl Findings {
    fn add(&mut self, reconciled: &Reconciled) {
        if reconciled.refused.is_some() {
            self.refused.push(reconciled.clone());
            return;
        }
        self.compared += 1;
        if !reconciled.missing.is_empty() {
            self.missing.push(reconciled.clone());
        }
        if reconciled.is_corrected() {
            self.corrected.push(reconciled.clone());
        }
    }
}

async fn reconcile(
    reconciler: Reconciler,
    arguments: &ReconcileArguments,
) -> Result<(), CommandError> {
    // Drawn on stderr, and only where that is a terminal.
    let progress = ProgressBar::new(reconciler.count().await?);
    progress.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} orgs, {eta} left")?);
    let mut findings = Findings::default();
    let ended = patiently(&reconciler, arguments.after, |reconciled| {
        progress.inc(1);
        findings.add(reconciled);
    })
    .await;
    progress.finish_and_clear();
    if arguments.json {
        print_json(&as_json(&findings, ended.as_ref().err()))?;
    } else {
        print(&as_text(&findings, arguments.dry_run));
    }
    if !findings.refused.is_empty() && ended.is_ok() {
        return Err(format!("Stripe would not answer for {} orgs", findings.refused.len()).into());
    }
    ended.map_err(|error| {
        let go_on = error.done.map(|org| format!(" (go on with --after {org})"));
        let causes = crate::causes::with_causes(&error);
        format!("{causes}{}", go_on.unwrap_or_default()).into()
    })
}

/// Goes on where Stripe had no answer, but asks for the same org only so often.
async fn patiently(
    reconciler: &Reconciler,
    after: Option<TenantId>,
    mut seen: impl FnMut(&Reconciled),
) -> Result<(), ReconcileError> {
    let (mut done, mut tries, mut pause) = (after, 1, PAUSE);
    loop {
        let Err(error) = reconciler.run(done, &mut seen).await else { return Ok(()) };
        if error.done != done {
            (done, tries, pause) = (error.done, 1, PAUSE);
        }
        match error.retry_after() {
            Some(wait) if tries < TRIES => tokio::time::sleep(wait.max(pause)).await,
            _ => return Err(error),
        }
        (tries, pause) = (tries + 1, pause * 2);
    }
}

fn as_json(findings: &Findings, ended: Option<&ReconcileError>) -> Value {
    let paid_for = |paid: &PaidFor| {
        json!({
            "plan": paid.plan,
            "subscription_status": paid.subscription_status,
            "past_due_since": paid.past_due_since,
            "current_period_end": paid.current_period_end,
            "cancel_at_period_end": paid.cancel_at_period_end,
        })
    };
    let corrected = findings.corrected.iter().map(|one| {
        json!({
            "org_id": one.tenant.to_string(), "customer_id": one.customer,
            "before": paid_for(&one.before), "after": paid_for(&one.after),
        })
    });
    let missing = findings.missing.iter().map(|one| {
        json!({
            "org_id": one.tenant.to_string(), "customer_id": one.customer,
            "subscriptions": one.missing,
        })
    });
    let refused = findings.refused.iter().map(|one| {
        json!({
            "org_id": one.tenant.to_string(), "customer_id": one.customer, "error": one.refused,
        })
    });
    json!({
        "compared": findings.compared,
        "corrected": corrected.collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(),
        "refused": refused.collect::<Vec<_>>(),
        "ended_after": ended.and_then(|error| error.done).map(|org| org.to_string()),
    })
}

fn as_text(findings: &Findings, dry_run: bool) -> String {
    let mut text = String::new();
    if !findings.corrected.is_empty() {
        let mut table = table(&["ORG", "CUSTOMER", "WAS", "IS"]);
        for one in &findings.corrected {
            let shown = |paid: &PaidFor| format!("{} {}", paid.plan, paid.subscription_status);
            table.add_row([
                one.tenant.to_string(),
                one.customer.clone(),
                shown(&one.before),
                shown(&one.after),
            ]);
        }
        text += &lines(table);
        text += "\n";
    }
    for one in &findings.missing {
        let known = one.missing.join(", ");
        let line =
            format!("{}: Stripe does not know {known}, which stays and is flagged\n", one.tenant);
        text.push_str(&line);
    }
    for one in &findings.refused {
        let why = one.refused.as_deref().unwrap_or_default();
        let line = format!("{}: not compared, {why}\n", one.tenant);
        text.push_str(&line);
    }
    let corrected = if dry_run { "to correct" } else { "corrected" };
    text + &format!("{} compared, {} {corrected}\n", findings.compared, findings.corrected.len())
}
