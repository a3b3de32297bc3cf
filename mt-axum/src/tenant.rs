//! A permission in the tenant of the request, as an argument of a handler.

use std::ops::Deref;

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use mt_core::access::Permission;
use mt_core::pg::{InTenant, Tenants};
use mt_tower::authorize::access_request;

use crate::Refusal;

/// Permission `P` in the tenant of the request, as the first argument of a handler: an [`InTenant`], with its methods.
///
/// The state of the router is or holds a [`Tenants`]. [`Routes`](crate::Routes) puts the guards before it that it needs.
/// Whether the caller has the permission is decided by the transaction that a method opens.
#[derive(Debug)]
pub struct Tenant<P: Permission>(InTenant<P, Refusal>);

impl<P, S> FromRequestParts<S> for Tenant<P>
where
    P: Permission,
    Tenants<P::Model>: FromRef<S>,
    S: Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let request = access_request::<P>(&parts.extensions)?;
        Ok(Self(InTenant::new(Tenants::from_ref(state), request)))
    }
}

impl<P: Permission> Deref for Tenant<P> {
    type Target = InTenant<P, Refusal>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
