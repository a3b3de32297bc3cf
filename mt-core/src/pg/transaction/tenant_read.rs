//! One query in a transaction of its own.

use std::fmt;

use sqlx::postgres::PgRow;

use super::authority::{Authority, BeginError, bound_to, decide};
use super::begin::Begin;
use super::open_tx::OpenTx;
use super::opening::{self, Locks, TenantOpening};
use super::query::Query;
use super::query_executor::{QueryExecutor, private::Sealed};
use super::value::Value;
use crate::access::{AccessRequest, Effect, Permission, Reads};
use crate::id::TenantId;
use crate::pg::{PgError, Statements};

/// Runs one query and returns its rows if the permission check succeeds on the facts of that moment
/// ([`Tenants::read`](crate::pg::Tenants::read)).
///
/// One round trip: the message that opens the transaction checks the permission, runs the query and commits. The query has
/// run when the check is made, and if the check fails the rows are discarded. The query sees the requested tenant and no
/// other, whatever its text says.
///
/// Behind a pooler in transaction mode, and for values or columns of a type that does not travel as text (an enum that is
/// bound, an interval), opening, query and commit take a round trip each.
///
/// ```no_run
/// # use mt_core::access::{AccessRequest, Permission, Reads};
/// # use mt_core::pg::{BeginError, Tenants, query_scalar};
/// # async fn example<P: Permission<Effect = Reads>>(tenants: Tenants<P::Model>, request: AccessRequest<P>) -> Result<(), BeginError> {
/// let texts = query_scalar::<String>("select text from app.notes where tenant_id = $1")
///     .bind(request.tenant().as_uuid())
///     .fetch_all(tenants.read(request))
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "it runs the query that it is given to"]
pub struct TenantRead<'t, P: Permission> {
    authority: &'t Authority<P::Model>,
    request: AccessRequest<P>,
}

impl<'t, P: Permission> TenantRead<'t, P> {
    pub(in crate::pg) const fn new(
        authority: &'t Authority<P::Model>,
        request: AccessRequest<P>,
    ) -> Self
    where
        P: Permission<Effect = Reads>,
    {
        Self { authority, request }
    }

    /// The tenant that the query sees.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.request.tenant()
    }

    async fn in_one_message(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<PgRow>, BeginError> {
        let pools = &self.authority.pools;
        let (tenant, principal) = bound_to(&self.request)?;
        let begin = TenantOpening {
            tenant,
            principal,
            effect: Effect::Read,
            locks: Locks::None,
            count: None,
            request: None,
            isolation: pools.settings().isolation,
        };
        let message = begin
            .opening()
            .by(self.authority.recent.requester(principal, tenant))
            .text(opening::PLANNED_ONCE)
            .statement(sql, values)
            .text("commit");
        let mut facts = OpenTx::whole(pools, &message).await?;
        let rows = facts.split_off(facts.len().min(opening::ROWS_OF_A_READ));
        let found = self.authority.read_facts(&facts, principal, tenant);
        decide::<P>(&found.map_err(PgError::from)?)?;
        Ok(rows)
    }
}

impl<P: Permission> Sealed for TenantRead<'_, P> {}

impl<P: Permission> QueryExecutor for TenantRead<'_, P> {
    type Error = BeginError;

    async fn fetch<R: Send>(self, query: Query<R>) -> Result<Vec<R>, BeginError> {
        query.check()?;
        let pools = &self.authority.pools;
        let (is_named, known) = (pools.statements() == Statements::Named, pools.known_results());
        let sql = query.sql();
        if let Some(values) = query.values()
            && is_named
            && known.are_text(sql) != Some(false)
        {
            let rows = self.in_one_message(sql, values.clone()).await?;
            known.learn(sql, &rows);
            // Otherwise the query is run again, which changes nothing.
            if known.are_text(sql) != Some(false) {
                return Ok(query.read(&rows).map_err(PgError::from)?);
            }
        }
        let mut tx = Begin::new(self.authority, self.request).await?;
        let rows = tx.conn().fetch(query).await?;
        tx.commit().await?;
        Ok(rows)
    }
}

impl<P: Permission> fmt::Debug for TenantRead<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantRead").field("request", &self.request).finish_non_exhaustive()
    }
}
