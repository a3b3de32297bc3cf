//! Services: parts of the application that act in tenants without a user.

use std::fmt;
use std::marker::PhantomData;

use super::decision::{Denied, Suspension, check_tenant};
use super::{AccessModel, Permission};
use crate::billing::Standing;
use crate::id::TenantId;

/// A part of the application that acts in tenants without a user, such as a nightly job.
///
/// [`model!`](crate::model!) declares services, each with the permissions that it may use. Code that opens a transaction of
/// a service under another permission does not compile. The audit log names the service.
///
/// ```
/// mt_core::model! {
///     pub Shop;
///     roles Role { Owner = "owner" (owner) }
///     plans Plan { Free = "free" (initial) }
///     permissions Permission {
///         OrdersRead = "orders.read" [yes] [yes] exempt read;
///         OrdersWrite = "orders.write" [yes] [yes] required write + OrdersRead;
///     }
///     services {
///         /// Closes orders that were not paid.
///         OrderSweeper = "order-sweeper" [OrdersWrite];
///     }
/// }
///
/// use mt_core::access::Service;
/// assert_eq!(OrderSweeper::NAME, "order-sweeper");
/// ```
///
/// [`pg::Tenants::begin_as`](crate::pg::Tenants::begin_as) opens its transactions.
pub trait Service: Send + Sync + 'static {
    /// The application that it belongs to.
    type Model: AccessModel;
    /// Its name in the audit log: lower-case words with hyphens, such as `order-sweeper`.
    const NAME: &'static str;
}

/// The service is declared with permission `P`.
#[diagnostic::on_unimplemented(
    message = "the service `{Self}` is not declared with `{P}`",
    note = "add the permission to the service in `services {{ … }}` of the model"
)]
pub trait DeclaredWith<P: Permission<Model = Self::Model>>: Service {}

/// What a service may do in one tenant, by what was known of the tenant at one moment.
///
/// A service has no role: its permissions are declared. Plan, payments and suspension of the tenant decide as they do for
/// members.
pub struct ServiceAccess<M: AccessModel> {
    pub(crate) tenant: TenantId,
    pub(crate) service: &'static str,
    pub(crate) plan: M::Plan,
    pub(crate) standing: Standing,
    pub(crate) suspension: Suspension,
    pub(crate) model: PhantomData<fn() -> M>,
}

impl<M: AccessModel> ServiceAccess<M> {
    /// What the service `S` may do in the tenant that `access` was read in.
    #[cfg(feature = "postgres")]
    pub(crate) fn of<S: Service<Model = M>>(access: &super::Access<M>) -> Self {
        Self {
            tenant: access.tenant(),
            service: S::NAME,
            plan: access.plan(),
            standing: access.standing(),
            suspension: access.suspension(),
            model: PhantomData,
        }
    }

    /// Checks suspension and billing together.
    ///
    /// # Errors
    ///
    /// [`Denied::Suspended`] for a full suspension, and for a write under a read-only suspension;
    /// [`Denied::PaymentRequired`] when billing stands in the way.
    pub fn check<P: Permission<Model = M>>(&self) -> Result<(), Denied> {
        if self.suspension == Suspension::Full {
            return Err(Denied::Suspended);
        }
        check_tenant::<P>(self.plan, self.standing, self.suspension)
    }

    /// The tenant in question.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The name of the service.
    #[must_use]
    pub const fn service(&self) -> &'static str {
        self.service
    }

    /// The tenant's plan.
    #[must_use]
    pub const fn plan(&self) -> M::Plan {
        self.plan
    }
}

// Not derived: a derive would ask for `M: Debug`, and models are bare markers.
impl<M: AccessModel> fmt::Debug for ServiceAccess<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccess")
            .field("tenant", &self.tenant)
            .field("service", &self.service)
            .field("plan", &self.plan)
            .field("standing", &self.standing)
            .field("suspension", &self.suspension)
            .finish()
    }
}
