//! One query in each of several tenants of one principal.

use std::{fmt, iter};

use sqlx::postgres::PgRow;

use super::facts::{self, Found};
use super::open_tx::{End, OpenTx};
use super::opening;
use super::query::Query;
use super::query_executor::QueryExecutor as _;
use crate::access::{Access, AccessModel, Denied, Permission, Reads};
use crate::auth::Principal;
use crate::id::TenantId;
use crate::pg::{BeginError, PgError, Statements, Tenants};

/// What a query returned in one tenant ([`Tenants::read_each`]).
pub struct TenantRows<M: AccessModel, R> {
    /// What the principal may do there.
    pub access: Access<M>,
    /// The rows, or why the principal may not read them.
    pub rows: Result<Vec<R>, Denied>,
}

impl<M: AccessModel> Tenants<M> {
    /// Runs one query in each of `tenants`, for a page that shows many of a principal's tenants. All of it is one
    /// transaction and one round trip, however many tenants there are. (Behind a pooler, where statements have no
    /// names, it is a transaction for each tenant.)
    ///
    /// In each tenant the facts are read and decided on as in [`read`](Self::read), and the query sees that tenant
    /// and no other. Tenants of which the principal is not a member are left out. The others come in the order of
    /// `tenants`, with what the principal may do there, and with rows only where the facts grant `P`.
    ///
    /// `query` makes the query for a tenant: the same text each time.
    ///
    /// # Errors
    ///
    /// [`BeginError::SignedOut`]; [`BeginError::Pg`].
    pub async fn read_each<P: Permission<Model = M, Effect = Reads>, R: Send>(
        &self,
        principal: Principal,
        tenants: &[TenantId],
        query: impl Fn(TenantId) -> Query<R> + Send,
    ) -> Result<Vec<TenantRows<M, R>>, BeginError> {
        let queries: Vec<_> = tenants
            .iter()
            .filter(|tenant| principal.may_act_in(**tenant))
            .map(|tenant| (*tenant, query(*tenant)))
            .collect();
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        queries.iter().try_for_each(|(_, query)| query.check())?;
        let is_named = self.authority.pools.statements() == Statements::Named;
        let batched = if is_named { self.in_one_message(principal, &queries).await? } else { None };
        let sections = match batched {
            Some(sections) => sections,
            None => self.one_after_the_other(principal, queries).await?,
        };
        let mut answers = Vec::with_capacity(sections.len());
        for Section { tenant, facts, rows } in sections {
            let found = self.authority.read_facts(&facts, principal, tenant);
            match found.map_err(PgError::from)? {
                Found::Member { access, .. } => {
                    let rows = access.check::<P>().map(|()| rows);
                    answers.push(TenantRows { access, rows });
                }
                Found::NotAMember => {}
                Found::SignedOut => return Err(BeginError::SignedOut),
            }
        }
        Ok(answers)
    }

    /// `None` if a value or a column is of a type that does not travel as text.
    async fn in_one_message<R>(
        &self,
        principal: Principal,
        queries: &[(TenantId, Query<R>)],
    ) -> Result<Option<Vec<Section<R>>>, PgError> {
        let known = self.authority.pools.known_results();
        let mut message = opening::of_reading(principal).text(opening::PLANNED_ONCE);
        for (tenant, query) in queries {
            let Some(values) = query.values() else { return Ok(None) };
            if known.are_text(query.sql()) == Some(false) {
                return Ok(None);
            }
            message = message
                .then(opening::into_tenant(*tenant, principal))
                .statement(query.sql(), values.clone());
        }
        let rows = OpenTx::whole(&self.authority.pools, &message.text("commit")).await?;
        let mut sections = Vec::with_capacity(queries.len());
        let mut rows = rows.into_iter().peekable();
        for (tenant, query) in queries {
            let facts = vec![rows.next().ok_or(sqlx::Error::RowNotFound)?];
            let found: Vec<_> =
                iter::from_fn(|| rows.next_if(|row| !facts::is_facts(row))).collect();
            known.learn(query.sql(), &found);
            if known.are_text(query.sql()) == Some(false) {
                return Ok(None);
            }
            let read = query.read(&found)?;
            sections.push(Section { tenant: *tenant, facts, rows: read });
        }
        Ok(Some(sections))
    }

    async fn one_after_the_other<R: Send>(
        &self,
        principal: Principal,
        queries: Vec<(TenantId, Query<R>)>,
    ) -> Result<Vec<Section<R>>, PgError> {
        let mut sections = Vec::with_capacity(queries.len());
        for (tenant, query) in queries {
            let opening =
                opening::of_reading(principal).then(opening::into_tenant(tenant, principal));
            let (mut tx, facts) = OpenTx::begin(&self.authority.pools, &opening).await?;
            let rows = tx.conn().fetch(query).await?;
            tx.end(End::Commit).await?;
            sections.push(Section { tenant, facts, rows });
        }
        Ok(sections)
    }
}

/// The facts of one tenant, in one row, and the rows of the query there.
struct Section<R> {
    tenant: TenantId,
    facts: Vec<PgRow>,
    rows: Vec<R>,
}

impl<M: AccessModel, R: fmt::Debug> fmt::Debug for TenantRows<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access, rows } = self;
        f.debug_struct("TenantRows").field("access", access).field("rows", rows).finish()
    }
}
