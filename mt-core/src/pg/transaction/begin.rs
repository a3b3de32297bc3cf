//! The options of a transaction in one tenant.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;

use futures_core::future::BoxFuture;

use super::authority::{Authority, BeginError};
use super::cap::{Cap, Resource};
use super::opening::{Count, Locks, TenantOpening};
use super::tenant_tx::{Exclusive, Shared, TenantTx};
use crate::access::{
    AccessModel, AccessRequest, Effect, Permission, PermissionEffect as _, Writes,
};
use crate::pg::idempotency::IdempotentRequest;
use crate::shares::Requester;
use crate::text_enum::TextEnum as _;

/// A transaction that is about to be opened: await it, after its options if it has any ([`Tenants::begin`](crate::pg::Tenants::begin)).
///
/// ```no_run
/// # use mt_core::access::{AccessRequest, Permission, Writes};
/// # use mt_core::pg::{BeginError, Resource, Tenants};
/// # async fn example<P, R>(tenants: Tenants<P::Model>, request: AccessRequest<P>) -> Result<(), Box<dyn std::error::Error>>
/// # where P: Permission<Effect = Writes>, R: Resource<Model = P::Model> {
/// let tx = tenants.begin(request).await?;
/// let exclusive = tenants.begin(request).exclusive().await?;
/// let (capped, cap) = tenants.begin(request).capped::<R>().await?;
/// let permit = cap.permit()?;
/// # Ok(()) }
/// ```
///
/// `L` is the lock that the transaction holds, and `C` the [`Cap`] that it comes with.
#[must_use = "nothing is opened until this is awaited"]
pub struct Begin<'t, P: Permission, L = Shared, C = ()> {
    authority: &'t Authority<P::Model>,
    request: AccessRequest<P>,
    repeatable: Option<&'t IdempotentRequest>,
    options: PhantomData<fn() -> (L, C)>,
}

impl<'t, P: Permission> Begin<'t, P> {
    pub(in crate::pg) const fn new(
        authority: &'t Authority<P::Model>,
        request: AccessRequest<P>,
    ) -> Self {
        Self { authority, request, repeatable: None, options: PhantomData }
    }

    /// Locks the tenant too, as changes to members, invites and owners ask for. Transactions of this kind run one after
    /// the other in each tenant, read committed whatever the settings are.
    pub fn exclusive(self) -> Begin<'t, P, Exclusive>
    where
        P: Permission<Effect = Writes>,
    {
        self.with()
    }
}

impl<'t, P: Permission, L> Begin<'t, P, L> {
    /// Counts the tenant's `R`s, so that no more are made than its plan allows: the transaction comes with the [`Cap`],
    /// which gives out the permit. It locks the tenant as [`exclusive`](Begin::exclusive) does, but on a plan without a
    /// cap, which neither locks nor counts.
    pub fn capped<R: Resource<Model = P::Model>>(self) -> Begin<'t, P, L, Cap<R>>
    where
        P: Permission<Effect = Writes>,
    {
        self.with()
    }
}

impl<'t, P: Permission, L, C> Begin<'t, P, L, C> {
    /// Carries out a request that its sender may repeat, if it has an idempotency key: see
    /// [`TenantTx::stored_response`].
    pub fn idempotent(mut self, request: impl Into<Option<&'t IdempotentRequest>>) -> Self
    where
        P: Permission<Effect = Writes>,
    {
        self.repeatable = request.into();
        self
    }

    fn with<L2, C2>(self) -> Begin<'t, P, L2, C2> {
        let Self { authority, request, repeatable, .. } = self;
        Begin { authority, request, repeatable, options: PhantomData }
    }

    async fn open<L2>(
        &self,
        by: Requester,
        locks: Locks,
        count: Option<Count>,
    ) -> Result<(TenantTx<P, L2>, Option<u32>), BeginError> {
        let (tenant, principal) = (self.request.tenant(), self.request.principal());
        let (effect, isolation) = (P::Effect::VALUE, self.authority.pools.settings().isolation);
        let request = self.repeatable;
        let begin = TenantOpening { tenant, principal, effect, locks, count, request, isolation };
        let opened = self.authority.open(self.request, begin.opening().by(by)).await?;
        let stored = match request {
            Some(request) => {
                request.stored(opened.rows.last()).map_err(crate::pg::PgError::from)?
            }
            None => Ok(None),
        };
        let keeps = request.copied();
        Ok((TenantTx::new(opened.tx, opened.access, keeps, stored), opened.used))
    }

    fn requester(&self) -> Requester {
        self.authority.recent.requester(self.request.principal(), self.request.tenant())
    }
}

impl<'t, P: Permission> IntoFuture for Begin<'t, P> {
    type Output = Result<TenantTx<P>, BeginError>;
    type IntoFuture = BoxFuture<'t, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let locks = match P::Effect::VALUE {
            Effect::Read => Locks::None,
            Effect::Write => Locks::Membership,
        };
        Box::pin(async move { Ok(self.open(self.requester(), locks, None).await?.0) })
    }
}

impl<'t, P: Permission> IntoFuture for Begin<'t, P, Exclusive> {
    type Output = Result<TenantTx<P, Exclusive>, BeginError>;
    type IntoFuture = BoxFuture<'t, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let by = self.requester().changing_members();
        Box::pin(async move { Ok(self.open(by, Locks::TenantAndMembership, None).await?.0) })
    }
}

impl<'t, P, R> IntoFuture for Begin<'t, P, Shared, Cap<R>>
where
    P: Permission,
    R: Resource<Model = P::Model>,
{
    type Output = Result<(TenantTx<P>, Cap<R>), BeginError>;
    type IntoFuture = BoxFuture<'t, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let by = self.requester();
            // A plan that is not known counts, which is right on every plan.
            let recent = self.authority.recent.get(self.request.principal(), self.request.tenant());
            if recent.is_some_and(|access| R::cap(access.plan()).is_none()) {
                let (tx, _) = self.open(by, Locks::Membership, None).await?;
                if R::cap(tx.access().plan()).is_none() {
                    return Ok((tx, Cap::counted(None, None)));
                }
                // The plan has changed since: open once more, and count.
                tx.rollback().await?;
            }
            self.open_counted(by).await
        })
    }
}

impl<'t, P, R> IntoFuture for Begin<'t, P, Exclusive, Cap<R>>
where
    P: Permission,
    R: Resource<Model = P::Model>,
{
    type Output = Result<(TenantTx<P, Exclusive>, Cap<R>), BeginError>;
    type IntoFuture = BoxFuture<'t, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let by = self.requester().changing_members();
        Box::pin(async move { self.open_counted(by).await })
    }
}

impl<P: Permission, L, R: Resource<Model = P::Model>> Begin<'_, P, L, Cap<R>> {
    async fn open_counted(&self, by: Requester) -> Result<(TenantTx<P, L>, Cap<R>), BeginError> {
        let count = largest_cap::<R>().map(|up_to| Count { rows: R::ROWS, up_to });
        let (tx, used) = self.open(by, Locks::TenantAndMembership, count).await?;
        let most = R::cap(tx.access().plan());
        Ok((tx, Cap::counted(most, used)))
    }
}

/// The bound that a count needs, so that it is right whichever plan the lock reveals.
fn largest_cap<R: Resource>() -> Option<u32> {
    <R::Model as AccessModel>::Plan::ALL.iter().filter_map(|plan| R::cap(*plan)).max()
}

impl<P: Permission, L, C> fmt::Debug for Begin<'_, P, L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begin").field("request", &self.request).finish_non_exhaustive()
    }
}
