//! From what is known of a customer to what its tenant has paid for.

use mt_core::id::TenantId;
use mt_core::pg::audit_log::Fact;
use mt_core::pg::{PgError, SystemTx};
use sqlx::Row as _;
use sqlx::types::Json;
use uuid::Uuid;

use super::Realm;
use crate::PROVIDER;
use crate::audit::SUBSCRIPTION_CHANGED;
use crate::invoice::InvoiceState;
use crate::known::{Fetched, KnownSubscription};
use crate::order::SubscriptionState;
use crate::projection::{BillingState, Flag, PriceTable, project};

/// Invoices are read only where no snapshot of their subscription is known, and unless they say that they belong
/// to none: the others say nothing. Both
/// modes are named, and not left out, because the index has the mode before the customer.
const KNOWN: &str = "\
    select 's' as kind, s.state, s.fetched, s.subscription_id as id \
    from mt.subscriptions s where s.provider = $1 and s.account = $2 \
        and s.livemode = any ('{false,true}') and s.customer_id = $3 \
    union all \
    select 'i', i.state, null, i.invoice_id \
    from mt.invoices i where i.provider = $1 and i.account = $2 \
        and i.livemode = any ('{false,true}') and i.customer_id = $3 \
        and not (i.subscription_id is null and i.state @> '{\"one_off\": true}') \
        and not exists (select 1 from mt.subscriptions s \
            where s.provider = $1 and s.account = $2 \
                and s.livemode = any ('{false,true}') and s.customer_id = $3 \
                and s.subscription_id = i.subscription_id) \
    order by 1, 4";

/// What can be seen without reading states, for operators and for whoever asks Stripe. Returns the flags that the
/// link had, if it has others now, and what the tenant had, if it has something else now.
const WRITE: &str = "\
    with told as ( \
        update mt.subscriptions s \
        set status = t.status, needs_refetch = t.needs_refetch, \
            collection_paused = t.collection_paused, updated_at = now() \
        from unnest($4::text[], $5::text[], $6::boolean[], $7::boolean[]) \
            as t (id, status, needs_refetch, collection_paused) \
        where s.provider = $1 and s.account = $2 and s.livemode = any ('{false,true}') \
            and s.customer_id = $3 and s.subscription_id = t.id \
            and (s.status, s.needs_refetch, s.collection_paused) \
                is distinct from (t.status, t.needs_refetch, t.collection_paused) \
    ), marked as ( \
        update mt.billing_customers c set flags = $9, projected_with = $10 \
        from (select tenant_id, provider, flags from mt.billing_customers \
            where tenant_id = $8 and provider = $1) as was \
        where c.tenant_id = was.tenant_id and c.provider = was.provider \
            and (c.flags, c.projected_with) is distinct from ($9::text[], $10::text) \
        returning was.flags \
    ), before as ( \
        select plan, subscription_status from mt.tenants where id = $8 \
    ), changed as ( \
        update mt.tenants set plan = $11, subscription_status = $12, past_due_since = $13, \
            current_period_end = $14, cancel_at_period_end = $15, updated_at = now() \
        where id = $8 and (plan, subscription_status, past_due_since, current_period_end, \
                cancel_at_period_end) \
            is distinct from ($11::text, $12::text, $13::timestamptz, $14::timestamptz, $15::boolean) \
        returning 1 \
    ) \
    select (select flags from marked), had.* \
    from (select) as one left join (select before.* from before, changed) as had on true";

/// The flags before a projection, and the plan and the status, as far as they were others.
type Before = (Option<Vec<String>>, Option<String>, Option<String>);

impl Realm<'_> {
    /// Computes what `tenant` has paid for from all that is known of this customer, and writes down
    /// what has changed. Returns the subscriptions that are known. The tenant's row must be held: that is what makes two events at once see each
    /// other's.
    pub(crate) async fn project(
        self,
        tx: &mut SystemTx,
        tenant: Uuid,
        prices: &PriceTable,
    ) -> Result<Vec<KnownSubscription>, PgError> {
        let (subscriptions, invoices) = self.known(tx).await?;
        let billing = project(&subscriptions, &invoices, prices);
        self.write(tx, tenant, &subscriptions, &billing, prices).await?;
        Ok(subscriptions)
    }

    /// What a tenant has paid for that nobody pays for: nothing.
    pub(crate) async fn project_nothing(
        self,
        tx: &mut SystemTx,
        tenant: Uuid,
        prices: &PriceTable,
    ) -> Result<(), PgError> {
        self.write(tx, tenant, &[], &project(&[], &[], prices), prices).await
    }

    async fn known(
        self,
        tx: &mut SystemTx,
    ) -> Result<(Vec<KnownSubscription>, Vec<InvoiceState>), PgError> {
        let rows = sqlx::query(KNOWN)
            .bind(PROVIDER)
            .bind(self.account)
            .bind(self.customer)
            .fetch_all(tx.conn())
            .await?;
        let (mut subscriptions, mut invoices) = (Vec::new(), Vec::new());
        for row in rows {
            if row.try_get::<&str, _>("kind")? == "s" {
                let Json(state): Json<SubscriptionState> = row.try_get("state")?;
                let fetched: Option<Json<Fetched>> = row.try_get("fetched")?;
                let fetched = fetched.map(|Json(fetched)| fetched);
                subscriptions.push(KnownSubscription::stored(state, fetched));
            } else {
                let Json(state): Json<InvoiceState> = row.try_get("state")?;
                invoices.push(state);
            }
        }
        Ok((subscriptions, invoices))
    }

    async fn write(
        self,
        tx: &mut SystemTx,
        tenant: Uuid,
        subscriptions: &[KnownSubscription],
        billing: &BillingState,
        prices: &PriceTable,
    ) -> Result<(), PgError> {
        let currents: Vec<_> =
            subscriptions.iter().filter_map(KnownSubscription::current).collect();
        let ids: Vec<&str> = currents.iter().map(|c| c.subscription.id.as_str()).collect();
        let statuses: Vec<&str> = currents.iter().map(|c| c.subscription.status.as_str()).collect();
        let refetch: Vec<bool> = currents.iter().map(|c| c.needs_refetch).collect();
        let paused: Vec<bool> = currents.iter().map(|c| c.subscription.collection_paused).collect();
        let flags: Vec<&str> = billing.flags.iter().copied().map(Flag::as_str).collect();
        let (flags_before, plan, status): Before = sqlx::query_as(WRITE)
            .bind(PROVIDER)
            .bind(self.account)
            .bind(self.customer)
            .bind(ids)
            .bind(statuses)
            .bind(refetch)
            .bind(paused)
            .bind(tenant)
            .bind(&flags)
            .bind(prices.fingerprint())
            .bind(&billing.plan)
            .bind(billing.status.as_str())
            .bind(billing.past_due_since)
            .bind(billing.current_period_end)
            .bind(billing.cancel_at_period_end)
            .fetch_one(tx.conn())
            .await?;
        if let Some(before) = plan.zip(status) {
            record(tx, tenant, &before, (&billing.plan, billing.status.as_str()));
        }
        let before =
            flags_before.unwrap_or_else(|| flags.iter().copied().map(str::to_owned).collect());
        let raised: Vec<_> =
            flags.iter().filter(|flag| !before.iter().any(|b| b == *flag)).collect();
        if !raised.is_empty() {
            tracing::warn!(%tenant, customer = self.customer, ?raised, "billing flags a tenant");
        }
        Ok(())
    }
}

/// Records another plan or status. Dates of a subscription move all the time.
fn record(tx: &mut SystemTx, tenant: Uuid, before: &(String, String), now: (&str, &str)) {
    let (plan, status) = before;
    if (plan.as_str(), status.as_str()) != now {
        let changed = SUBSCRIPTION_CHANGED
            .on(tenant)
            .with("plan_before", Fact::of_word(plan))
            .with("plan", Fact::of_word(now.0))
            .with("status_before", Fact::of_word(status))
            .with("status", Fact::of_word(now.1));
        tx.record(TenantId::from_uuid(tenant), changed);
    }
}
