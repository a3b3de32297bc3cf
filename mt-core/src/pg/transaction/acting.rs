//! Who acts in a transaction of a tenant: a member or a service.

use crate::access::{Access, AccessModel, ServiceAccess};
use crate::id::TenantId;
use crate::pg::audit_log::Actor;

/// Who acts in a transaction of a tenant, with the facts of the decision on it: [`Access`] of a member, or
/// [`ServiceAccess`] of a [`Service`](crate::access::Service).
///
/// Only this crate implements it.
pub trait Acting: private::Sealed + Send + Sync {
    /// The tenant whose rows are visible.
    fn tenant(&self) -> TenantId;

    /// The actor that the audit log names.
    fn actor(&self) -> Actor;
}

impl<M: AccessModel> Acting for Access<M> {
    fn tenant(&self) -> TenantId {
        Self::tenant(self)
    }

    fn actor(&self) -> Actor {
        Actor::of(self.principal())
    }
}

impl<M: AccessModel> Acting for ServiceAccess<M> {
    fn tenant(&self) -> TenantId {
        Self::tenant(self)
    }

    fn actor(&self) -> Actor {
        Actor::service(self.service())
    }
}

mod private {
    use super::{Access, AccessModel, ServiceAccess};

    pub trait Sealed {}
    impl<M: AccessModel> Sealed for Access<M> {}
    impl<M: AccessModel> Sealed for ServiceAccess<M> {}
}
