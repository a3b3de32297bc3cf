//! Opening transactions in one tenant.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use sqlx::postgres::PgRow;

use super::cap::{self, CapReached, Resource, Room};
use super::open_tx::{End, OpenTx};
use super::opening::{self, Count, Found, Locks, Opening};
use super::query::Query;
use super::tenant_tx::{Exclusive, TenantTx};
use super::{Database, PgError, Statements};
use crate::access::{
    Access, AccessCache, AccessError, AccessModel, AccessSource, Denied, Effect, Grant, Implies,
    Permission, Ticket,
};
use crate::auth::Principal;
use crate::billing::StandingPolicy;
use crate::id::TenantId;
use crate::word::Word as _;

/// Gives out transactions that see one tenant, each for a [`Grant`].
///
/// Opening one decides again, on the facts as they stand *in that transaction*: a grant from before a
/// demotion, a removal, a sign-out, a suspension or a lapse opens nothing, on any replica, without
/// another round trip. So layers may refuse early on facts that are a little old, and what is handed
/// out here was true here.
///
/// It is an [`AccessSource`] for such layers too.
pub struct TenantPool<M: AccessModel> {
    database: Database,
    standing: Arc<StandingPolicy>,
    cache: Option<AccessCache<M>>,
    model: PhantomData<fn() -> M>,
}

impl<M: AccessModel> TenantPool<M> {
    pub(super) fn new(database: Database, standing: StandingPolicy) -> Self {
        Self { database, standing: Arc::new(standing), cache: None, model: PhantomData }
    }

    /// Answers [`AccessSource::access`] from `cache` where it can, which saves layers a round trip.
    ///
    /// The pool keeps what it can see right: whatever opens a transaction, or tries to, teaches the
    /// cache the facts of that moment. Changes by others are brought by
    /// [`AccessChanges`](super::AccessChanges), or show when an entry has grown too old.
    #[must_use]
    pub fn with_access_cache(mut self, cache: AccessCache<M>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Opens a transaction that sees the grant's tenant and no other.
    ///
    /// A read is `read only` in Postgres. A write holds the caller's membership `for share`: once a
    /// demotion or removal has returned, no write under the old role can commit.
    ///
    /// # Errors
    ///
    /// [`BeginError`]; nothing is left open then.
    pub async fn begin<P: Permission<Model = M>>(
        &self,
        grant: Grant<P>,
    ) -> Result<TenantTx<P>, BeginError> {
        let locks = match P::EFFECT {
            Effect::Read => Locks::None,
            Effect::Write => Locks::Membership,
        };
        Ok(self.open(grant, locks, None).await?.0)
    }

    /// Runs one query in a transaction of its own, and returns its rows if the facts that hold there grant
    /// `P`. One round trip: what opens the transaction, the facts, the query and the commit are one
    /// message. (Where statements have no names, behind a pooler, it is [`begin`](Self::begin) and so on.)
    ///
    /// The query is carried out before the decision is made, but no row leaves this function unless it
    /// falls as it must. It sees the grant's tenant and no other, whatever its text says.
    ///
    /// # Errors
    ///
    /// [`BeginError`], also for what the query comes to.
    pub async fn read<P, Q>(
        &self,
        grant: Grant<P>,
        query: Query<Q>,
    ) -> Result<Vec<PgRow>, BeginError>
    where
        P: Permission<Model = M> + Implies<Q>,
        Q: Permission<Model = M>,
    {
        const { assert!(matches!(P::EFFECT, Effect::Read), "a read reads") }
        const { TenantTx::<P>::assert_covers::<Q>() }
        if self.database.statements() == Statements::Unnamed {
            let mut tx = self.begin(grant).await?;
            let rows = query.into_sqlx().fetch_all(tx.conn()).await.map_err(PgError::from)?;
            tx.commit().await?;
            return Ok(rows);
        }
        let (tenant, principal) = member_of(&grant)?;
        let ticket = self.ticket();
        let message = opening::of_tenant(tenant, principal, P::EFFECT, Locks::None, None)
            .say(opening::PLANNED_ONCE)
            .run(query.sql, query.values)
            .say("commit");
        let mut opened = OpenTx::whole(&self.database, &message).await?;
        let rows = opened.split_off(opened.len().min(opening::ROWS_OF_A_READ));
        let found = self.read_facts(&opened, principal, tenant, ticket).map_err(PgError::from)?;
        decide::<P>(found)?;
        Ok(rows)
    }

    /// Opens a transaction that also holds the tenant row, the mutex of the tenant: for changes to
    /// members, invites and owners.
    ///
    /// # Errors
    ///
    /// [`BeginError`].
    pub async fn begin_exclusive<P: Permission<Model = M>>(
        &self,
        grant: Grant<P>,
    ) -> Result<TenantTx<P, Exclusive>, BeginError> {
        const { assert!(matches!(P::EFFECT, Effect::Write), "an exclusive transaction writes") }
        Ok(self.open(grant, Locks::TenantAndMembership, None).await?.0)
    }

    /// Opens a transaction in which one more `R` may be made, or not: the second value says.
    ///
    /// It is a value and not an error so that a caller can look at what the new row refers to first:
    /// a task in a project that does not exist is not found, cap or no cap.
    ///
    /// # Errors
    ///
    /// [`BeginError`].
    pub async fn begin_capped<P, R>(
        &self,
        grant: Grant<P>,
    ) -> Result<(TenantTx<P>, Result<Room<R>, CapReached>), BeginError>
    where
        P: Permission<Model = M>,
        R: Resource<Model = M>,
    {
        const { assert!(matches!(P::EFFECT, Effect::Write), "a capped transaction writes") }
        let count = largest_cap::<R>().map(|up_to| Count { rows: R::ROWS, up_to });
        let expected = R::cap(grant.access().plan());
        if expected.is_none() {
            // Uncapped plans pay nothing. A downgrade since the grant shows in the facts; the grant
            // is then worth no less, so open once more and count.
            let access = grant.access().clone();
            let (tx, _) = self.open(grant, Locks::Membership, None).await?;
            if R::cap(tx.access().plan()).is_none() {
                return Ok((tx, Ok(Room::proven())));
            }
            tx.rollback().await?;
            let grant = access.authorize::<P>()?;
            return self.open_counted(grant, count).await;
        }
        self.open_counted(grant, count).await
    }

    /// [`begin_exclusive`](Self::begin_exclusive) and [`begin_capped`](Self::begin_capped) in one.
    ///
    /// # Errors
    ///
    /// [`BeginError`].
    pub async fn begin_exclusive_capped<P, R>(
        &self,
        grant: Grant<P>,
    ) -> Result<(TenantTx<P, Exclusive>, Result<Room<R>, CapReached>), BeginError>
    where
        P: Permission<Model = M>,
        R: Resource<Model = M>,
    {
        const { assert!(matches!(P::EFFECT, Effect::Write), "a capped transaction writes") }
        let count = largest_cap::<R>().map(|up_to| Count { rows: R::ROWS, up_to });
        self.open_counted(grant, count).await
    }

    async fn open_counted<P, R, L>(
        &self,
        grant: Grant<P>,
        count: Option<Count>,
    ) -> Result<(TenantTx<P, L>, Result<Room<R>, CapReached>), BeginError>
    where
        P: Permission<Model = M>,
        R: Resource<Model = M>,
    {
        let (tx, used) = self.open(grant, Locks::TenantAndMembership, count).await?;
        let room = cap::room(R::cap(tx.access().plan()), used);
        Ok((tx, room))
    }

    async fn open<P, L>(
        &self,
        grant: Grant<P>,
        locks: Locks,
        count: Option<Count>,
    ) -> Result<(TenantTx<P, L>, Option<u32>), BeginError>
    where
        P: Permission<Model = M>,
    {
        let begin = opening::of_tenant(grant.tenant(), grant.principal(), P::EFFECT, locks, count);
        let (tx, access, used) = self.open_by(grant, begin).await?;
        Ok((TenantTx::new(tx, access), used))
    }

    /// Opens a transaction of the grant's by `begin`, whose last row holds the facts, and decides on them.
    pub(super) async fn open_by<P: Permission<Model = M>>(
        &self,
        grant: Grant<P>,
        begin: Opening,
    ) -> Result<(OpenTx, Access<M>, Option<u32>), BeginError> {
        let (tenant, principal) = member_of(&grant)?;
        let ticket = self.ticket();
        let (tx, rows) = OpenTx::begin(&self.database, &begin).await?;
        let found = self.read_facts(&rows, principal, tenant, ticket).map_err(PgError::from);
        match found.map_err(BeginError::from).and_then(decide::<P>) {
            Ok((access, used)) => Ok((tx, access, used)),
            Err(error) => {
                tx.end(End::Rollback).await?;
                Err(error)
            }
        }
    }

    /// Loads what `principal` may do in `tenant`, in one round trip and past any cache; in none for a
    /// credential that is bound to another tenant.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn look(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, AccessError> {
        if !principal.may_act_in(tenant) {
            return Err(AccessError::NotAMember);
        }
        let ticket = self.ticket();
        let rows = self.look_rows(principal, tenant).await.map_err(|error| match error {
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

    async fn look_rows(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Vec<PgRow>, PgError> {
        OpenTx::whole(&self.database, &opening::of_look(tenant, principal)).await
    }

    fn ticket(&self) -> Option<Ticket> {
        self.cache.as_ref().map(AccessCache::ticket)
    }

    /// Reads what an opening found, and has the cache know.
    fn read_facts(
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

/// Who wants what: from here on the tenant's name is all that Postgres goes by, so what a grant says anyway
/// is looked at once more.
fn member_of<P: Permission>(grant: &Grant<P>) -> Result<(TenantId, Principal), BeginError> {
    let (tenant, principal) = (grant.tenant(), grant.principal());
    if principal.may_act_in(tenant) { Ok((tenant, principal)) } else { Err(BeginError::NotAMember) }
}

/// Decides on what an opening found.
fn decide<P: Permission>(
    found: Found<P::Model>,
) -> Result<(Access<P::Model>, Option<u32>), BeginError> {
    match found {
        Found::Member { access, used } => {
            access.check::<P>()?;
            Ok((access, used))
        }
        Found::NotAMember => Err(BeginError::NotAMember),
        Found::SignedOut => Err(BeginError::SignedOut),
    }
}

/// The bound that a count needs, so that it is right whichever plan the lock reveals.
fn largest_cap<R: Resource>() -> Option<u32> {
    <R::Model as AccessModel>::Plan::ALL.iter().filter_map(|plan| R::cap(*plan)).max()
}

impl<M: AccessModel> AccessSource<M> for TenantPool<M> {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, AccessError> {
        match self.cache.as_ref().and_then(|cache| cache.get(principal, tenant)) {
            Some(access) => Ok(access),
            None => self.look(principal, tenant).await,
        }
    }

    async fn fresh(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, AccessError> {
        self.look(principal, tenant).await
    }
}

impl<M: AccessModel> Clone for TenantPool<M> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            standing: Arc::clone(&self.standing),
            cache: self.cache.clone(),
            model: PhantomData,
        }
    }
}

impl<M: AccessModel> fmt::Debug for TenantPool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantPool").finish_non_exhaustive()
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
