//! Projecting purchases onto a tenant.

use uuid::Uuid;

use super::audit::SUBSCRIPTION_CHANGED;
use crate::billing::{Flag, PriceTable, Purchases, project};
use crate::id::TenantId;
use crate::pg::audit_log::Fact;
use crate::pg::ledger::Customer;
use crate::pg::{PgError, SystemTx};

/// Writes a projection, and the columns of subscriptions that operators read. Returns the former flags of the link if
/// they changed, and the former plan and status of the tenant if anything of it changed.
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

/// The flags before a projection, and the plan and the status, as far as something changed.
type Before = (Option<Vec<String>>, Option<String>, Option<String>);

impl Customer<'_> {
    /// Computes what `tenant` has paid for from `purchases`, which are all of this customer, and writes what has
    /// changed. The tenant must be [held](super::hold_tenant): so two events at once see each other's purchases.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn project(
        self,
        tx: &mut SystemTx,
        tenant: Uuid,
        purchases: &Purchases,
        prices: &PriceTable,
    ) -> Result<(), PgError> {
        let billing = project(purchases, prices);
        let subscriptions = &purchases.subscriptions;
        let ids: Vec<&str> = subscriptions.iter().map(|one| one.id.as_str()).collect();
        let statuses: Vec<&str> = subscriptions.iter().map(|one| one.status.as_str()).collect();
        let refetch: Vec<bool> = subscriptions.iter().map(|one| one.needs_refetch).collect();
        let paused: Vec<bool> = subscriptions.iter().map(|one| one.collection_paused).collect();
        let flags: Vec<&str> = billing.flags.iter().copied().map(Flag::as_str).collect();
        let (flags_before, plan, status): Before = sqlx::query_as(WRITE)
            .bind(self.provider)
            .bind(self.account)
            .bind(self.id)
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
            tracing::warn!(%tenant, customer = self.id, ?raised, "billing flags a tenant");
        }
        Ok(())
    }
}

/// Records a changed plan or status. The dates of a subscription change all the time, and are not recorded.
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
