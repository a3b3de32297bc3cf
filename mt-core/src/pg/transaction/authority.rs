//! Reading the facts in a transaction, and the decision on them.

use std::marker::PhantomData;
use std::sync::Arc;

use sqlx::postgres::PgRow;

use super::open_tx::{End, OpenTx};
use super::opening::{self, Found, Opening};
use crate::access::{
    Access, AccessCache, AccessError, AccessModel, Denied, Grant, Permission, Ticket,
};
use crate::auth::Principal;
use crate::billing::StandingPolicy;
use crate::id::TenantId;
use crate::pg::PgError;
use crate::pg::connection::pools::Pools;
use crate::shares::Requester;

/// Opens transactions, reads the facts in them and decides. [`Tenants`](crate::pg::Tenants) is its public face.
pub(in crate::pg) struct Authority<M: AccessModel> {
    pub(in crate::pg) pools: Pools,
    standing: Arc<StandingPolicy>,
    cache: Option<AccessCache<M>>,
    model: PhantomData<fn() -> M>,
}

impl<M: AccessModel> Authority<M> {
    pub(in crate::pg) fn new(pools: Pools, standing: StandingPolicy) -> Self {
        Self { pools, standing: Arc::new(standing), cache: None, model: PhantomData }
    }

    /// Has `cache` learn the facts of each transaction.
    pub(in crate::pg) fn remember_in(&mut self, cache: AccessCache<M>) {
        self.cache = Some(cache);
    }

    /// What the cache has of a membership.
    pub(in crate::pg) fn remembered(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Option<Access<M>> {
        self.cache.as_ref().and_then(|cache| cache.get(principal, tenant))
    }

    /// Opens a transaction of the grant's by `begin`, which returns the facts, and decides on them.
    pub(in crate::pg) async fn open<P: Permission<Model = M>>(
        &self,
        grant: Grant<P>,
        begin: Opening,
    ) -> Result<Opened<M>, BeginError> {
        let (tenant, principal) = member_of(&grant)?;
        let ticket = self.ticket();
        let (tx, rows) = OpenTx::begin(&self.pools, &begin).await?;
        let found = self.read_facts(&rows, principal, tenant, ticket).map_err(PgError::from);
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
        let ticket = self.ticket();
        let rows = self.access_rows(principal, tenant).await.map_err(|error| match error {
            PgError::Database(_) | PgError::RolledBack(_) => AccessError::Internal(error.into()),
            PgError::Unavailable(_) => AccessError::Unavailable(error.into()),
        })?;
        let found = self
            .read_facts(&rows, principal, tenant, ticket)
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

    pub(in crate::pg) fn ticket(&self) -> Option<Ticket> {
        self.cache.as_ref().map(AccessCache::ticket)
    }

    /// Reads what an opening found, and has the cache know.
    pub(in crate::pg) fn read_facts(
        &self,
        rows: &[PgRow],
        principal: Principal,
        tenant: TenantId,
        ticket: Option<Ticket>,
    ) -> Result<Found<M>, sqlx::Error> {
        let found = opening::read(rows, principal, tenant, &self.standing)?;
        if let (Some(cache), Some(ticket)) = (&self.cache, ticket) {
            match &found {
                Found::Member { access, .. } => cache.learn(ticket, access),
                Found::NotAMember | Found::SignedOut => cache.unlearn(principal, tenant),
            }
        }
        Ok(found)
    }
}

/// The grant's tenant and principal, if the credential may act there. From here on the tenant's id is all that Postgres
/// goes by, so it is checked once more.
pub(in crate::pg) fn member_of<P: Permission>(
    grant: &Grant<P>,
) -> Result<(TenantId, Principal), BeginError> {
    let (tenant, principal) = (grant.tenant(), grant.principal());
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
            standing: Arc::clone(&self.standing),
            cache: self.cache.clone(),
            model: PhantomData,
        }
    }
}

/// Why a transaction was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The facts of this moment refuse it, whatever the grant was made on.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The membership, or the tenant, is no more; or the credential is bound to another one.
    #[error("not a member")]
    NotAMember,
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The credential was signed out, or its user is gone.
    #[error("signed out")]
    SignedOut,
}
