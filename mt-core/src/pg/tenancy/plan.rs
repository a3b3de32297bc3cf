//! Putting a tenant on a plan by hand: what operators do, and services without a payment provider.

use crate::access::AccessModel;
use crate::id::TenantId;
use crate::pg::audit_log::TENANT_PLAN_CHANGED;
use crate::pg::transaction::decode::variant;
use crate::pg::{PgError, SystemTx, Tenant};
use crate::text_enum::TextEnum as _;

impl Tenant {
    /// Puts `tenant` on `plan`, and returns the plan before; `None` if there is no such tenant. It holds from the next
    /// transaction on. Rows beyond a smaller cap stay.
    ///
    /// A tenant with a customer at a payment provider gets the plan of its subscription again with the next event.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn set_plan<M: AccessModel>(
        tx: &mut SystemTx,
        tenant: TenantId,
        plan: M::Plan,
    ) -> Result<Option<M::Plan>, PgError> {
        let id = tenant.as_uuid();
        let before: Option<String> =
            sqlx::query_scalar("select plan from mt.tenants where id = $1 for no key update")
                .bind(id)
                .fetch_optional(tx.conn())
                .await?;
        let Some(before) = before else { return Ok(None) };
        let before: M::Plan = variant("plan", &before)?;
        if before != plan {
            sqlx::query("update mt.tenants set plan = $2, updated_at = now() where id = $1")
                .bind(id)
                .bind(plan.as_str())
                .execute(tx.conn())
                .await?;
            tx.record(tenant, TENANT_PLAN_CHANGED.on(id).with("from", before).with("to", plan));
        }
        Ok(Some(before))
    }
}
