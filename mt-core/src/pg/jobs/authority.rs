//! The authority of a job: fixed when it is enqueued, decided again when it runs.

use std::fmt;
use std::marker::PhantomData;

use self::private::{Enqueues, Opens};
use crate::access::{
    Access, AccessModel, AccessRequest, DeclaredWith, Permission, Service, ServiceAccess,
};
use crate::auth::Principal;
use crate::id::TenantId;
use crate::pg::{Acting, BeginError, Shared, TenantTx, Tenants};

crate::text_enum! {
    /// Whose authority a job has.
    pub enum RunsAs {
        /// The principal's that enqueued it: [`AsPrincipal`].
        Principal = "principal",
        /// A service's: [`AsService`].
        Service = "service",
        /// Both must be allowed: [`AsBoth`].
        Both = "both",
    }
}

/// The job runs as the principal that enqueued it, with the credential of then.
///
/// Membership, role, plan, payments, suspension, and whether the credential has ended are decided anew when it runs, as
/// for a request: a job of a member who was removed, demoted or signed out meanwhile is dead.
#[derive(Debug)]
pub enum AsPrincipal {}

/// The job runs as the service `S`. It goes on when the member who enqueued it leaves.
///
/// `S` has to be declared with the job's permission, and the facts of the tenant are decided anew when it runs.
pub struct AsService<S>(PhantomData<fn() -> S>);

/// The job runs as the principal that enqueued it, and the service `S` has to be allowed the same: the principal as with
/// [`AsPrincipal`], and the service by its declaration.
pub struct AsBoth<S>(PhantomData<fn() -> S>);

/// The authority of a job under permission `P`: [`AsPrincipal`], [`AsService`] or [`AsBoth`].
///
/// Only this crate implements it.
pub trait JobAuthority<P: Permission>: Opens<P, Self::Acting> + Send + Sync + 'static {
    /// Who acts in the transaction of the job.
    type Acting: Acting;
}

/// A transaction in which `A` acts may enqueue jobs of this authority. One of a service has no principal to run them as.
///
/// Only this crate implements it.
#[diagnostic::on_unimplemented(
    message = "a transaction of a service cannot enqueue a job that runs as a principal",
    note = "enqueue it in a member's transaction, or let the job run `AsService`"
)]
pub trait EnqueuedBy<A>: Enqueues<A> {}

impl<P: Permission> JobAuthority<P> for AsPrincipal {
    type Acting = Access<P::Model>;
}

impl<P: Permission, S: DeclaredWith<P> + Service<Model = P::Model>> JobAuthority<P>
    for AsService<S>
{
    type Acting = ServiceAccess<P::Model>;
}

impl<P: Permission, S: DeclaredWith<P> + Service<Model = P::Model>> JobAuthority<P> for AsBoth<S> {
    type Acting = Access<P::Model>;
}

impl<M: AccessModel> EnqueuedBy<Access<M>> for AsPrincipal {}
impl<M: AccessModel, S> EnqueuedBy<Access<M>> for AsBoth<S> {}
impl<A: Acting, S> EnqueuedBy<A> for AsService<S> {}

impl<M: AccessModel> Enqueues<Access<M>> for AsPrincipal {
    fn principal(by: &Access<M>) -> Option<Principal> {
        Some(by.principal())
    }
}

impl<M: AccessModel, S> Enqueues<Access<M>> for AsBoth<S> {
    fn principal(by: &Access<M>) -> Option<Principal> {
        Some(by.principal())
    }
}

impl<A: Acting, S> Enqueues<A> for AsService<S> {
    fn principal(_: &A) -> Option<Principal> {
        None
    }
}

impl<P: Permission> Opens<P, Access<P::Model>> for AsPrincipal {
    const RUNS_AS: RunsAs = RunsAs::Principal;
    const SERVICE: Option<&'static str> = None;

    async fn open(
        tenants: &Tenants<P::Model>,
        tenant: TenantId,
        principal: Option<Principal>,
    ) -> Result<TenantTx<P>, BeginError> {
        // The table has a principal for each job of this authority.
        let principal = principal.ok_or(BeginError::NotAMember)?;
        tenants.begin(AccessRequest::<P>::new(principal, tenant)).await
    }
}

impl<P: Permission, S: DeclaredWith<P> + Service<Model = P::Model>>
    Opens<P, ServiceAccess<P::Model>> for AsService<S>
{
    const RUNS_AS: RunsAs = RunsAs::Service;
    const SERVICE: Option<&'static str> = Some(S::NAME);

    async fn open(
        tenants: &Tenants<P::Model>,
        tenant: TenantId,
        _: Option<Principal>,
    ) -> Result<TenantTx<P, Shared, ServiceAccess<P::Model>>, BeginError> {
        tenants.begin_as::<S, P>(tenant).await
    }
}

impl<P: Permission, S: DeclaredWith<P> + Service<Model = P::Model>> Opens<P, Access<P::Model>>
    for AsBoth<S>
{
    const RUNS_AS: RunsAs = RunsAs::Both;
    const SERVICE: Option<&'static str> = Some(S::NAME);

    async fn open(
        tenants: &Tenants<P::Model>,
        tenant: TenantId,
        principal: Option<Principal>,
    ) -> Result<TenantTx<P>, BeginError> {
        let tx = <AsPrincipal as Opens<P, _>>::open(tenants, tenant, principal).await?;
        // The facts of the tenant are the same for both.
        let service = ServiceAccess::of::<S>(tx.access());
        match service.check::<P>() {
            Ok(()) => Ok(tx),
            Err(denied) => {
                tx.rollback().await?;
                Err(denied.into())
            }
        }
    }
}

impl<S: Service> fmt::Debug for AsService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsService").field(&S::NAME).finish()
    }
}

impl<S: Service> fmt::Debug for AsBoth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsBoth").field(&S::NAME).finish()
    }
}

mod private {
    use super::{
        Acting, BeginError, Permission, Principal, RunsAs, Shared, TenantId, TenantTx, Tenants,
    };

    /// Opens the transaction of a job.
    pub trait Opens<P: Permission, A: Acting> {
        const RUNS_AS: RunsAs;
        const SERVICE: Option<&'static str>;

        fn open(
            tenants: &Tenants<P::Model>,
            tenant: TenantId,
            principal: Option<Principal>,
        ) -> impl Future<Output = Result<TenantTx<P, Shared, A>, BeginError>> + Send;
    }

    /// Finds the principal that a job is to run as.
    pub trait Enqueues<A> {
        fn principal(by: &A) -> Option<Principal>;
    }
}
pub(super) use self::private::{Enqueues as EnqueuesBy, Opens as OpensTx};
