//! Reading the facts in a transaction, and the decision on them.

use std::sync::Arc;

use sqlx::postgres::PgRow;

use super::facts::{self, Found};
use super::open_tx::{End, OpenTx};
use super::opening::{self, Opening};
use super::recent_access::RecentAccess;
use crate::access::{Access, AccessError, AccessModel, AccessRequest, Denied, Permission};
use crate::auth::Principal;
use crate::billing::StandingPolicy;
use crate::id::TenantId;
use crate::pg::PgError;
use crate::pg::connection::pools::Pools;
use crate::shares::Requester;

/// Opens transactions, reads the facts in them and decides. [`Tenants`](crate::pg::Tenants) is its public face.
pub(in crate::pg) struct Authority<M: AccessModel> {
    pub(in crate::pg) pools: Pools,
    pub(in crate::pg) recent: RecentAccess<M>,
    standing: Arc<StandingPolicy>,
}

impl<M: AccessModel> Authority<M> {
    pub(in crate::pg) fn new(pools: Pools, standing: StandingPolicy) -> Self {
        Self { pools, recent: RecentAccess::new(), standing: Arc::new(standing) }
    }

    /// How payments decide.
    pub(in crate::pg) fn standing(&self) -> &StandingPolicy {
        &self.standing
    }

    /// Opens a transaction by `begin`, which returns the facts, and decides on them.
    pub(in crate::pg) async fn open<P: Permission<Model = M>>(
        &self,
        request: AccessRequest<P>,
        begin: Opening,
    ) -> Result<Opened<M>, BeginError> {
        let (tenant, principal) = bound_to(&request)?;
        let (tx, rows) = OpenTx::begin(&self.pools, &begin).await?;
        let found = self.read_facts(&rows, principal, tenant).map_err(PgError::from);
        match found.map_err(BeginError::from).and_then(|found| decide::<P>(&found)) {
            Ok((access, used)) => Ok(Opened { tx, access, used, rows }),
            Err(error) => {
                tx.end(End::Rollback).await?;
                Err(error)
            }
        }
    }

    /// Loads the facts of a membership in a transaction of its own.
    pub(in crate::pg) async fn load_access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, AccessError> {
        if !principal.may_act_in(tenant) {
            return Err(AccessError::NotAMember);
        }
        let rows = self.access_rows(principal, tenant).await.map_err(|error| match error {
            PgError::Database(_) | PgError::RolledBack(_) => AccessError::Internal(error.into()),
            PgError::Unavailable(_) => AccessError::Unavailable(error.into()),
        })?;
        let found = self
            .read_facts(&rows, principal, tenant)
            .map_err(|error| AccessError::Internal(error.into()))?;
        match found {
            Found::Member { access, .. } => Ok(access),
            Found::NotAMember => Err(AccessError::NotAMember),
            Found::SignedOut => Err(AccessError::SignedOut),
        }
    }

    async fn access_rows(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Vec<PgRow>, PgError> {
        // The principal's own share: a stranger uses nothing of the tenant's.
        let load = opening::of_access(tenant, principal).by(Requester::Principal(principal.id()));
        OpenTx::whole(&self.pools, &load).await
    }

    /// Reads what an opening found, and remembers it.
    pub(in crate::pg) fn read_facts(
        &self,
        rows: &[PgRow],
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Found<M>, sqlx::Error> {
        let found = facts::read(rows, principal, tenant, &self.standing)?;
        match &found {
            Found::Member { access, .. } => self.recent.learn(access),
            Found::NotAMember | Found::SignedOut => self.recent.forget(principal, tenant),
        }
        Ok(found)
    }
}

/// Returns the tenant and the principal of a request, if the credential may act there. From here on the tenant's id is
/// all that Postgres goes by.
pub(in crate::pg) fn bound_to<P>(
    request: &AccessRequest<P>,
) -> Result<(TenantId, Principal), BeginError> {
    let (tenant, principal) = (request.tenant(), request.principal());
    if principal.may_act_in(tenant) { Ok((tenant, principal)) } else { Err(BeginError::NotAMember) }
}

/// Decides on what an opening found.
pub(in crate::pg) fn decide<P: Permission>(
    found: &Found<P::Model>,
) -> Result<(Access<P::Model>, Option<u32>), BeginError> {
    match found {
        Found::Member { access, used } => {
            access.check::<P>()?;
            Ok((*access, *used))
        }
        Found::NotAMember => Err(BeginError::NotAMember),
        Found::SignedOut => Err(BeginError::SignedOut),
    }
}

/// A transaction whose permission was checked.
pub(in crate::pg) struct Opened<M: AccessModel> {
    pub(in crate::pg) tx: OpenTx,
    pub(in crate::pg) access: Access<M>,
    /// How many rows were counted, if they were.
    pub(in crate::pg) used: Option<u32>,
    /// What the message that opened it returned.
    pub(in crate::pg) rows: Vec<PgRow>,
}

impl<M: AccessModel> Clone for Authority<M> {
    fn clone(&self) -> Self {
        Self {
            pools: self.pools.clone(),
            recent: self.recent.clone(),
            standing: Arc::clone(&self.standing),
        }
    }
}

/// Why a transaction was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The facts of this moment refuse it, whatever was known before.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The membership, or the tenant, is no more; or the credential is bound to another one.
    #[error("not a member")]
    NotAMember,
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The credential was signed out, or its user or identity is gone.
    #[error("signed out")]
    SignedOut,
}
