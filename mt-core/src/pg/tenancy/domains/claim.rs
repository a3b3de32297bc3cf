//! A tenant's claims of domains.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::Challenge;
use crate::access::Permission;
use crate::id::{DomainId, TenantId};
use crate::pg::audit_log::{DOMAIN_CLAIMED, DOMAIN_REMOVED};
use crate::pg::{BeginError, PgError, TenantRead, TenantTx, query_as};
use crate::tenant_name::DomainName;

/// A tenant's claim of a domain, verified or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Domain {
    /// The claim's id, which the audit log names.
    pub id: DomainId,
    /// The tenant.
    pub tenant: TenantId,
    /// The domain.
    pub name: DomainName,
    /// The record that proves control of it.
    pub challenge: Challenge,
    /// When the tenant claimed it.
    pub created_at: DateTime<Utc>,
    /// Since when it is verified; `None` if it is not.
    pub verified_at: Option<DateTime<Utc>>,
    /// Since when the record of a verified domain has been missing. See [`recheck`](super::recheck).
    pub missing_since: Option<DateTime<Utc>>,
}

/// The columns of a [`Row`], of `mt.domains as d`.
macro_rules! columns {
    () => {
        "d.id, d.tenant_id, d.domain, d.token, d.created_at, d.verified_at, d.missing_since"
    };
}
pub(super) use columns;

#[derive(FromRow)]
pub(super) struct Row {
    id: Uuid,
    tenant_id: Uuid,
    domain: String,
    token: String,
    created_at: DateTime<Utc>,
    verified_at: Option<DateTime<Utc>>,
    missing_since: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Domain {
    type Error = PgError;

    fn try_from(row: Row) -> Result<Self, PgError> {
        let name = DomainName::parse(&row.domain);
        let name = name.map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self {
            id: DomainId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            challenge: Challenge::new(&name, &row.token),
            name,
            created_at: row.created_at,
            verified_at: row.verified_at,
            missing_since: row.missing_since,
        })
    }
}

/// Claims a domain for the transaction's tenant, and returns the claim with its challenge. A domain that the tenant
/// has claimed before keeps its claim.
///
/// # Errors
///
/// [`PgError`].
pub async fn claim<P: Permission, L>(
    tx: &mut TenantTx<P, L>,
    name: &DomainName,
) -> Result<Domain, PgError> {
    let (tenant, id) = (tx.tenant(), DomainId::generate());
    sqlx::query(
        "insert into mt.domains (tenant_id, id, domain) values ($1, $2, $3) \
         on conflict (tenant_id, domain) do nothing",
    )
    .bind(tenant.as_uuid())
    .bind(id.as_uuid())
    .bind(name.as_str())
    .execute(tx.changing(DOMAIN_CLAIMED.on(id.as_uuid())))
    .await?;
    // Another transaction may remove it in between.
    Ok(find(tx, name).await?.ok_or(sqlx::Error::RowNotFound)?)
}

/// Returns the tenant's domains in one round trip, in the order of their names, after the one named by `after`.
///
/// # Errors
///
/// [`BeginError`].
pub async fn list<P: Permission>(
    read: TenantRead<'_, P>,
    after: Option<&DomainName>,
    limit: i64,
) -> Result<Vec<Domain>, BeginError> {
    let rows = query_as::<Row>(concat!(
        "select ",
        columns!(),
        " from mt.domains d where d.tenant_id = $1 and d.domain > $2 \
         order by d.domain limit $3"
    ))
    .bind(read.tenant().as_uuid())
    .bind(after.map_or("", DomainName::as_str))
    .bind(limit)
    .fetch_all(read)
    .await?;
    Ok(rows.into_iter().map(Domain::try_from).collect::<Result<_, _>>()?)
}

/// Returns the tenant's claim of a domain, if it has one.
///
/// # Errors
///
/// [`PgError`].
pub async fn find<P: Permission, L>(
    tx: &mut TenantTx<P, L>,
    name: &DomainName,
) -> Result<Option<Domain>, PgError> {
    let tenant = tx.tenant().as_uuid();
    let row: Option<Row> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from mt.domains d where d.tenant_id = $1 and d.domain = $2"
    ))
    .bind(tenant)
    .bind(name.as_str())
    .fetch_optional(tx.conn())
    .await?;
    row.map(Domain::try_from).transpose()
}

/// Removes the tenant's claim of a domain, verified or not, and returns whether it had one. Another tenant can verify
/// the domain from then on.
///
/// # Errors
///
/// [`PgError`].
pub async fn remove<P: Permission, L>(
    tx: &mut TenantTx<P, L>,
    name: &DomainName,
) -> Result<bool, PgError> {
    let Some(domain) = find(tx, name).await? else { return Ok(false) };
    let removed = sqlx::query("delete from mt.domains where tenant_id = $1 and id = $2")
        .bind(domain.tenant.as_uuid())
        .bind(domain.id.as_uuid())
        .execute(tx.changing(DOMAIN_REMOVED.on(domain.id.as_uuid())))
        .await?;
    Ok(removed.rows_affected() > 0)
}
