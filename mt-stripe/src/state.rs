//! What events come to, as stored: read, joined, written. Under the customer's lock throughout.

use mt_core::pg::{PgError, SystemTx};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::types::Json;
use uuid::Uuid;

use crate::PROVIDER;
use crate::invoice::InvoiceState;
use crate::order::SubscriptionState;
use crate::projection::{BillingState, Flag};

/// Where a customer's rows are: theirs alone, in one account and one mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Realm<'r> {
    pub(crate) account: &'r str,
    pub(crate) livemode: bool,
    pub(crate) customer: &'r str,
}

impl Realm<'_> {
    /// Makes this transaction the only one at work on the customer, until it ends.
    pub(crate) async fn lock(self, tx: &mut SystemTx) -> Result<(), PgError> {
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(format!("mt {PROVIDER} {} {} {}", self.account, self.livemode, self.customer))
            .execute(tx.conn())
            .await?;
        Ok(())
    }

    /// The tenant that the customer pays for.
    pub(crate) async fn tenant(self, tx: &mut SystemTx) -> Result<Option<Uuid>, PgError> {
        Ok(sqlx::query_scalar(
            "select tenant_id from mt.billing_customers \
             where provider = $1 and account = $2 and customer_id = $3",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.customer)
        .fetch_optional(tx.conn())
        .await?)
    }

    /// Joins what an event says of a subscription with what is known of it.
    pub(crate) async fn join_subscription(
        self,
        tx: &mut SystemTx,
        seen: SubscriptionState,
    ) -> Result<(), PgError> {
        let known: Option<Json<SubscriptionState>> = sqlx::query_scalar(
            "select state from mt.subscriptions where provider = $1 and account = $2 \
                 and livemode = $3 and subscription_id = $4",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.livemode)
        .bind(&seen.snapshot.id)
        .fetch_optional(tx.conn())
        .await?;
        let state = match known {
            Some(Json(known)) => known.join(seen),
            None => seen,
        };
        sqlx::query(
            "insert into mt.subscriptions as s (provider, account, livemode, subscription_id, \
                 customer_id, status, needs_refetch, state) \
             values ($1, $2, $3, $4, $5, $6, $7, $8) \
             on conflict (provider, account, livemode, subscription_id) do update \
                 set status = excluded.status, needs_refetch = excluded.needs_refetch, \
                     state = excluded.state, updated_at = now() \
                 where s.state is distinct from excluded.state",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.livemode)
        .bind(&state.snapshot.id)
        .bind(self.customer)
        .bind(state.snapshot.status.as_str())
        .bind(state.needs_refetch())
        .bind(Json(&state))
        .execute(tx.conn())
        .await?;
        Ok(())
    }

    /// Joins what an event says of an invoice with what is known of it.
    pub(crate) async fn join_invoice(
        self,
        tx: &mut SystemTx,
        seen: InvoiceState,
    ) -> Result<(), PgError> {
        let known: Option<Json<InvoiceState>> = sqlx::query_scalar(
            "select state from mt.invoices where provider = $1 and account = $2 \
                 and livemode = $3 and invoice_id = $4",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.livemode)
        .bind(&seen.id)
        .fetch_optional(tx.conn())
        .await?;
        let state = match known {
            Some(Json(known)) => known.join(seen),
            None => seen,
        };
        sqlx::query(
            "insert into mt.invoices as i \
                 (provider, account, livemode, invoice_id, customer_id, outcome, state) \
             values ($1, $2, $3, $4, $5, $6, $7) \
             on conflict (provider, account, livemode, invoice_id) do update \
                 set outcome = excluded.outcome, state = excluded.state, updated_at = now() \
                 where i.state is distinct from excluded.state",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.livemode)
        .bind(&state.id)
        .bind(self.customer)
        .bind(state.outcome().as_str())
        .bind(Json(&state))
        .execute(tx.conn())
        .await?;
        Ok(())
    }

    /// All that is known of the customer's subscriptions.
    pub(crate) async fn subscriptions(
        self,
        tx: &mut SystemTx,
    ) -> Result<Vec<SubscriptionState>, PgError> {
        self.states(
            tx,
            "select state from mt.subscriptions where provider = $1 and account = $2 \
                 and livemode = $3 and customer_id = $4 order by subscription_id",
        )
        .await
    }

    /// All that is known of the customer's invoices.
    pub(crate) async fn invoices(self, tx: &mut SystemTx) -> Result<Vec<InvoiceState>, PgError> {
        self.states(
            tx,
            "select state from mt.invoices where provider = $1 and account = $2 \
                 and livemode = $3 and customer_id = $4 order by invoice_id",
        )
        .await
    }

    async fn states<S>(self, tx: &mut SystemTx, sql: &'static str) -> Result<Vec<S>, PgError>
    where
        S: DeserializeOwned + Serialize + Send + Unpin + 'static,
    {
        let rows: Vec<Json<S>> = sqlx::query_scalar(sql)
            .bind(PROVIDER)
            .bind(self.account)
            .bind(self.livemode)
            .bind(self.customer)
            .fetch_all(tx.conn())
            .await?;
        Ok(rows.into_iter().map(|Json(state)| state).collect())
    }
}

/// Holds the tenant row, which comes before its children in the one order of locks. `false` if the
/// tenant is gone.
pub(crate) async fn hold_tenant(tx: &mut SystemTx, tenant: Uuid) -> Result<bool, PgError> {
    let found: Option<i32> =
        sqlx::query_scalar("select 1 from mt.tenants where id = $1 for no key update")
            .bind(tenant)
            .fetch_optional(tx.conn())
            .await?;
    Ok(found.is_some())
}

/// Writes down what the tenant has paid for, if that has changed.
pub(crate) async fn write_tenant(
    tx: &mut SystemTx,
    tenant: Uuid,
    billing: &BillingState,
) -> Result<(), PgError> {
    sqlx::query(
        "update mt.tenants set plan = $2, subscription_status = $3, past_due_since = $4, \
             current_period_end = $5, cancel_at_period_end = $6, updated_at = now() \
         where id = $1 and (plan, subscription_status, past_due_since, current_period_end, \
                 cancel_at_period_end) \
             is distinct from ($2::text, $3::text, $4::timestamptz, $5::timestamptz, $6::boolean)",
    )
    .bind(tenant)
    .bind(&billing.plan)
    .bind(billing.status.as_str())
    .bind(billing.past_due_since)
    .bind(billing.current_period_end)
    .bind(billing.cancel_at_period_end)
    .execute(tx.conn())
    .await?;
    let flags: Vec<&str> = billing.flags.iter().copied().map(Flag::as_str).collect();
    sqlx::query(
        "update mt.billing_customers set flags = $3 \
         where tenant_id = $1 and provider = $2 and flags is distinct from $3",
    )
    .bind(tenant)
    .bind(PROVIDER)
    .bind(flags)
    .execute(tx.conn())
    .await?;
    Ok(())
}
