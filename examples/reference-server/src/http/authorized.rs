//! The caller, and a permission of theirs, as arguments of a handler.
//!
//! Salvo extracts the arguments of a handler in their order, and calls it with all of them or not at
//! all. So a handler whose first argument is an [`Authorized`] does not run without the permission, and
//! a caller without it is refused before body and path are read.
//!
//! `#[handler]` takes names and no patterns: in a handler the grant is `grant.0`.

use mt_core::access::{Billing, Grant, Permission};
use mt_core::auth::Principal;
use mt_tower::authorize::authorize;
use salvo::extract::{Extractible, Metadata};
use salvo::prelude::*;
use salvo_oapi::{Components, EndpointArgRegister, Operation, ParameterIn};

use super::openapi::BEARER;
use super::openapi::describe::{id, may, needs, takes};
use super::problem::ApiError;
use super::problems;

/// What the org's id is called in paths.
pub const ORG_ID: &str = "org_id";

/// A grant of `P` in the tenant of the request.
///
/// # When it refuses
///
/// See [`authorize`]; the answer is the problem document that a guard would have given.
///
/// ```
/// use reference_server::http::authorized::Authorized;
/// use reference_server::model::ProjectsRead;
/// use salvo::prelude::*;
///
/// #[handler]
/// async fn show(grant: Authorized<ProjectsRead>) -> String {
///     grant.0.tenant().to_string()
/// }
/// ```
#[derive(Debug)]
pub struct Authorized<P: Permission>(pub Grant<P>);

impl<'ex, P: Permission> Extractible<'ex> for Authorized<P> {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Authorized");
        &METADATA
    }

    #[expect(
        refining_impl_trait,
        reason = "salvo asks for any error, and this is the server's one"
    )]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        Ok(Self(authorize(req.extensions_mut()).await?))
    }
}

/// The signed-in caller, as the authentication guard left it. For routes outside of orgs.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub Principal);

impl<'ex> Extractible<'ex> for Caller {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Caller");
        &METADATA
    }

    #[expect(
        refining_impl_trait,
        reason = "salvo asks for any error, and this is the server's one"
    )]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        // It is missing only if the guards are in the wrong order: a failure, never a pass.
        req.extensions().get().copied().map(Self).ok_or_else(|| {
            tracing::error!("a route that needs a caller has no authentication guard before it");
            ApiError::new(&problems::INTERNAL)
        })
    }
}

impl<P: Permission> EndpointArgRegister for Authorized<P> {
    fn register(_: &mut Components, operation: &mut Operation, _: &str) {
        needs(operation, BEARER);
        takes(operation, ParameterIn::Path, ORG_ID, "The id of the org.", id());
        may(
            operation,
            &[
                &problems::UNAUTHENTICATED,
                &problems::FORBIDDEN,
                &problems::ORG_SUSPENDED,
                &problems::NOT_FOUND,
                &problems::RATE_LIMITED,
            ],
        );
        if !matches!(P::BILLING, Billing::Exempt) {
            may(operation, &[&problems::BILLING_REQUIRED]);
        }
    }
}

impl EndpointArgRegister for Caller {
    fn register(_: &mut Components, operation: &mut Operation, _: &str) {
        needs(operation, BEARER);
        may(operation, &[&problems::UNAUTHENTICATED, &problems::RATE_LIMITED]);
    }
}
