//! Compares every tenant that has a customer with Stripe.

use std::time::Duration;

use mt_core::id::TenantId;
use mt_stripe::reconcile::{PaidFor, ReconcileError, Reconciled, Reconciler};
use serde_json::{Value, json};

use super::ReconcileArguments;
use crate::commands::program::Program;
use crate::commands::progress::progress;
use crate::commands::table::Table;
use crate::output::{CommandError, print, print_json};
use crate::with_causes;

/// How often one tenant is asked for while Stripe has no answer, and how long the first wait is where Stripe does not
/// say. It doubles.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);

/// The findings of a run so far.
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

pub(super) async fn run(
    program: &Program,
    reconciler: Reconciler,
    arguments: &ReconcileArguments,
) -> Result<(), CommandError> {
    let many = program.noun().many();
    let progress = progress(reconciler.count().await?, &format!("{{pos}}/{{len}} {many}"))?;
    let mut findings = Findings::default();
    let ended = patiently(&reconciler, arguments.after, |reconciled| {
        progress.inc(1);
        findings.add(reconciled);
    })
    .await;
    progress.finish_and_clear();
    if arguments.json {
        print_json(&as_json(program, &findings, ended.as_ref().err()))?;
    } else {
        print(&as_text(program, &findings, arguments.dry_run))?;
    }
    if !findings.refused.is_empty() && ended.is_ok() {
        let refused = findings.refused.len();
        return Err(format!("Stripe would not answer for {refused} {many}").into());
    }
    ended.map_err(|error| {
        let go_on = error.done.map(|tenant| format!(" (go on with --after {tenant})"));
        let causes = with_causes(&error);
        format!("{causes}{}", go_on.unwrap_or_default()).into()
    })
}

/// Continues where Stripe had no answer, but asks for the same tenant [`TRIES`] times at most.
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

fn as_json(program: &Program, findings: &Findings, ended: Option<&ReconcileError>) -> Value {
    let id = || program.noun().id_name();
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
            id(): one.tenant.to_string(), "customer_id": one.customer,
            "before": paid_for(&one.before), "after": paid_for(&one.after),
        })
    });
    let missing = findings.missing.iter().map(|one| {
        json!({
            id(): one.tenant.to_string(), "customer_id": one.customer,
            "subscriptions": one.missing,
        })
    });
    let refused = findings.refused.iter().map(|one| {
        json!({
            id(): one.tenant.to_string(), "customer_id": one.customer, "error": one.refused,
        })
    });
    json!({
        "compared": findings.compared,
        "corrected": corrected.collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(),
        "refused": refused.collect::<Vec<_>>(),
        "ended_after": ended.and_then(|error| error.done).map(|tenant| tenant.to_string()),
    })
}

fn as_text(program: &Program, findings: &Findings, dry_run: bool) -> String {
    let mut text = String::new();
    if !findings.corrected.is_empty() {
        let head = program.noun().one().to_ascii_uppercase();
        let mut table = Table::new(&[&head, "CUSTOMER", "WAS", "IS"]);
        for one in &findings.corrected {
            let shown = |paid: &PaidFor| format!("{} {}", paid.plan, paid.subscription_status);
            table.row([
                one.tenant.to_string(),
                one.customer.clone(),
                shown(&one.before),
                shown(&one.after),
            ]);
        }
        text += &table.to_string();
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
