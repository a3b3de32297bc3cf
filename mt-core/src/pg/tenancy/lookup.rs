//! Finding tenants: for operators, and by the names that requests hold.

use sqlx::Row as _;
use uuid::Uuid;

use super::tenant::{Row, columns};
use crate::id::TenantId;
use crate::pg::transaction::opening;
use crate::pg::transaction::value::Value;
use crate::pg::{PgError, System, SystemReason, SystemTx, Tenant};
use crate::tenant_name::{DomainName, Slug};

const BY_SLUG: &str = "select t.id from mt.tenants t where t.slug = $1";
const BY_DOMAIN: &str =
    "select d.tenant_id as id from mt.domains d where d.domain = $1 and d.verified_at is not null";

impl Tenant {
    /// Returns all tenants, newest first, after the one named by `before`. A page costs the same wherever it is in the
    /// list.
    ///
    /// ```no_run
    /// # use mt_core::pg::{PgError, SystemTx, Tenant};
    /// # async fn example(tx: &mut SystemTx) -> Result<(), PgError> {
    /// let first = Tenant::list(tx, None, 100).await?;
    /// let second = Tenant::list(tx, first.last().map(|tenant| tenant.id), 100).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn list(
        tx: &mut SystemTx,
        before: Option<TenantId>,
        limit: i64,
    ) -> Result<Vec<Self>, PgError> {
        let rows: Vec<Row> = sqlx::query_as(concat!(
            "select ",
            columns!(),
            " from mt.tenants t where t.id < $1 order by t.id desc limit $2"
        ))
        // Without a cursor a bound that no id reaches: a second case in the condition would keep a prepared plan from
        // the index.
        .bind(before.map_or(Uuid::max(), TenantId::as_uuid))
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
        Ok(rows.into_iter().map(Self::try_from).collect::<Result<_, _>>()?)
    }

    /// Returns the tenant with this id.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn find(tx: &mut SystemTx, id: TenantId) -> Result<Option<Self>, PgError> {
        let row: Option<Row> =
            sqlx::query_as(concat!("select ", columns!(), " from mt.tenants t where t.id = $1"))
                .bind(id.as_uuid())
                .fetch_optional(tx.conn())
                .await?;
        Ok(row.map(Self::try_from).transpose()?)
    }

    /// Returns the tenant that has this slug.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn find_by_slug(tx: &mut SystemTx, slug: &Slug) -> Result<Option<Self>, PgError> {
        let row: Option<Row> =
            sqlx::query_as(concat!("select ", columns!(), " from mt.tenants t where t.slug = $1"))
                .bind(slug.as_str())
                .fetch_optional(tx.conn())
                .await?;
        Ok(row.map(Self::try_from).transpose()?)
    }

    /// Returns the tenant that has verified this domain.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn find_by_domain(
        tx: &mut SystemTx,
        domain: &DomainName,
    ) -> Result<Option<Self>, PgError> {
        let row: Option<Row> = sqlx::query_as(concat!(
            "select ",
            columns!(),
            " from mt.domains d join mt.tenants t on t.id = d.tenant_id \
             where d.domain = $1 and d.verified_at is not null"
        ))
        .bind(domain.as_str())
        .fetch_optional(tx.conn())
        .await?;
        Ok(row.map(Self::try_from).transpose()?)
    }
}

impl System {
    /// Returns the id of the tenant that has this slug, in one round trip and a transaction of its own.
    ///
    /// It is for requests, before their principal is known: name an [anonymous](SystemReason::anonymous) reason. Callers
    /// that look up one name for each request should cache, as `TenantDirectory` in `mt-tower` does.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn tenant_by_slug(
        &self,
        reason: SystemReason,
        slug: &Slug,
    ) -> Result<Option<TenantId>, PgError> {
        self.look_up(reason, BY_SLUG, slug.as_str()).await
    }

    /// Returns the id of the tenant that has verified this domain, as [`tenant_by_slug`](Self::tenant_by_slug) does.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn tenant_by_domain(
        &self,
        reason: SystemReason,
        domain: &DomainName,
    ) -> Result<Option<TenantId>, PgError> {
        self.look_up(reason, BY_DOMAIN, domain.as_str()).await
    }

    async fn look_up(
        &self,
        reason: SystemReason,
        sql: &'static str,
        name: &str,
    ) -> Result<Option<TenantId>, PgError> {
        let begin = opening::of_system_read().statement(sql, vec![Value::word("text", name)]);
        let rows = self.whole(reason, begin.text("commit")).await?;
        let id = rows.first().map(|row| row.try_get("id")).transpose()?;
        Ok(id.map(TenantId::from_uuid))
    }
}
