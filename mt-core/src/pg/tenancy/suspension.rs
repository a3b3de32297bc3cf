//! Stopping a tenant, wholly or for writes, and letting it go on: what operators do.

use crate::access::Suspension;
use crate::id::TenantId;
use crate::pg::audit_log::TENANT_SUSPENSION_CHANGED;
use crate::pg::transaction::decode::variant;
use crate::pg::transaction::gate;
use crate::pg::{PgError, SystemTx, Tenant};
use crate::text_enum::TextEnum as _;

impl Tenant {
    /// Suspends `tenant`, or ends its suspension, and returns how it stood before; `None` if there is no
    /// such tenant.
    ///
    /// It holds from the next transaction on, on every replica. Writes that are under way are waited for:
    /// once this is committed, none that began before it commits.
    ///
    /// # Errors
    ///
    /// [`PgError`]; [`PgError::Unavailable`] when a write takes longer than a lock is waited for.
    pub async fn suspend(
        tx: &mut SystemTx,
        tenant: TenantId,
        suspension: Suspension,
    ) -> Result<Option<Suspension>, PgError> {
        let id = tenant.as_uuid();
        let before: Option<String> =
            sqlx::query_scalar("select suspension from mt.tenants where id = $1 for no key update")
                .bind(id)
                .fetch_optional(tx.conn())
                .await?;
        let Some(before) = before else { return Ok(None) };
        let before: Suspension = variant("suspension", &before)?;
        if before != suspension {
            gate::close_tenant(tx.conn(), tenant).await?;
            sqlx::query("update mt.tenants set suspension = $2, updated_at = now() where id = $1")
                .bind(id)
                .bind(suspension.as_str())
                .execute(tx.conn())
                .await?;
            let changed = TENANT_SUSPENSION_CHANGED.on(id);
            tx.record(tenant, changed.with("from", before).with("to", suspension));
        }
        Ok(Some(before))
    }
}
