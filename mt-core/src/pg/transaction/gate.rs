//! Gates: advisory locks in front of rows that many writers share.
//!
//! A transaction that shares a row lock does not queue behind one that waits to change the row, so writers
//! without a pause could put off a removal, a suspension or a deletion for ever. Postgres gives out advisory
//! locks in order. A writer shares the gates of its tenant and of its membership before it shares the row of the
//! membership. A transaction that changes or deletes one membership closes that membership's gate; one that stops
//! or deletes a whole tenant closes the tenant's gate: one lock, however many members the tenant has. Postgres
//! keeps the locks of all sessions in one table of fixed size, so a lock for each member would take the room of
//! other tenants' requests.
//!
//! The order of locks is: tenant row, tenant gate, membership gate, membership row. Only a transaction that holds
//! the tenant row may close a gate or change the tenant row, so two of them do not wait for each other.

use std::fmt::Display;

use sqlx::AssertSqlSafe;

use super::tx_conn::TxConn;
use crate::id::{PrincipalId, TenantId};
use crate::pg::PgError;

/// Waits for its turn at the gates of `$1::text`, a tenant, and of the membership of `$2::text` in it, and shares
/// both until the transaction ends.
pub(in crate::pg) fn pass() -> String {
    format!(
        "select pg_advisory_xact_lock_shared({}), pg_advisory_xact_lock_shared({})",
        of_tenant("$1::text"),
        of_membership("$1::text", "$2::text"),
    )
}

/// Waits for its turn at the gate of `$1::text`, a tenant, and shares it until the transaction ends: a service has no
/// membership.
pub(in crate::pg) fn pass_tenant() -> String {
    format!("select pg_advisory_xact_lock_shared({})", of_tenant("$1::text"))
}

/// Waits for the writes in `tenant` that are under way, and keeps new ones out until the transaction ends.
pub(in crate::pg) async fn close_tenant(conn: TxConn<'_>, tenant: TenantId) -> Result<(), PgError> {
    let gate = of_tenant("$1::uuid");
    sqlx::query(AssertSqlSafe(format!("select pg_advisory_xact_lock({gate})")))
        .bind(tenant.as_uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// Waits for the writes of `principal` in `tenant` that are under way, and keeps new ones out until the
/// transaction ends.
pub(in crate::pg) async fn close_membership(
    conn: TxConn<'_>,
    tenant: TenantId,
    principal: PrincipalId,
) -> Result<(), PgError> {
    let gate = of_membership("$1::uuid", "$2::uuid");
    sqlx::query(AssertSqlSafe(format!("select pg_advisory_xact_lock({gate})")))
        .bind(tenant.as_uuid())
        .bind(principal.as_uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// Waits for the writes of `principal` that are under way in `tenants`, and keeps new ones out until the transaction ends.
pub(in crate::pg) async fn close_memberships(
    conn: TxConn<'_>,
    tenants: &[uuid::Uuid],
    principal: PrincipalId,
) -> Result<(), PgError> {
    let gate = of_membership("tenant", "$2::uuid");
    let sql = format!("select pg_advisory_xact_lock({gate}) from unnest($1::uuid[]) tenant");
    sqlx::query(AssertSqlSafe(sql)).bind(tenants).bind(principal.as_uuid()).execute(conn).await?;
    Ok(())
}

/// The key of a tenant's gate, as SQL over SQL.
fn of_tenant(tenant: impl Display) -> String {
    format!("hashtextextended('mt.tenants ' || {tenant}, 0)")
}

/// The key of a membership's gate, as SQL over SQL.
fn of_membership(tenant: impl Display, principal: impl Display) -> String {
    format!("hashtextextended('mt.memberships ' || {tenant} || ' ' || {principal}, 0)")
}
