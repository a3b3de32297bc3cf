//! A permission in the tenant of the request, as an argument of a handler.

use std::ops::Deref;

use mt_core::access::Permission;
use mt_core::pg::{InTenant, Tenants};
use mt_tower::authorize::access_request;
use mt_tower::problem::Problem;
use salvo::extract::{Extractible, Metadata};
use salvo::{Depot, Request};

use crate::Refusal;

/// Permission `P` in the tenant of the request, as an argument of a handler: an [`InTenant`], with its methods.
///
/// [`Authenticate`](mt_tower::authenticate::Authenticate) and [`ResolveTenant`](mt_tower::resolve_tenant::ResolveTenant)
/// have to run before it, and a [`Tenants`] has to be in the depot (`affix_state::inject`); otherwise the request fails with
/// 500. Whether the caller has the permission is decided by the transaction that a method opens.
#[derive(Debug)]
pub struct Tenant<P: Permission>(InTenant<P, Refusal>);

impl<'ex, P: Permission> Extractible<'ex> for Tenant<P> {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Tenant");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "salvo asks for any error that it can write")]
    async fn extract(req: &'ex mut Request, depot: &'ex mut Depot) -> Result<Self, Refusal> {
        let request = access_request::<P>(req.extensions())?;
        let tenants = depot.get_typed::<Tenants<P::Model>>().map_err(|_| {
            tracing::error!("there is no `Tenants` in the depot; inject one before this route");
            Problem::INTERNAL
        })?;
        Ok(Self(InTenant::new(tenants.clone(), request)))
    }
}

impl<P: Permission> Deref for Tenant<P> {
    type Target = InTenant<P, Refusal>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
