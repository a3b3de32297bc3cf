//! The caller, and their request for access to an org, as arguments of a handler.
//!
//! Salvo extracts the arguments of a handler in their order, and calls it with all of them or not at all. A handler of an
//! org has an [`InOrg`] as its first argument and opens a transaction with it, which decides. If a later argument is
//! refused, such as the body, [`Undecided`] says what has to be decided before that is answered.
//!
//! `#[handler]` takes names and no patterns: in a handler the request is `org.0`.

use std::fmt;

use mt_core::access::{Access, AccessModel, AccessRequest, Billing, Denied, Permission};
use mt_core::auth::Principal;
use mt_core::id::TenantId;
use mt_tower::authorize::access_request;
use salvo::extract::{Extractible, Metadata};
use salvo::prelude::*;
use salvo_oapi::{Components, EndpointArgRegister, Operation, ParameterIn};

use super::openapi::BEARER;
use super::openapi::describe::{id, may, needs, takes};
use super::problem::ApiError;
use super::problems;

/// What the org's id is called in paths.
pub const ORG_ID: &str = "org_id";

/// The caller's request to use permission `P` in the org of the path. Nothing is decided yet: the transaction that is
/// opened with it decides.
///
/// ```
/// use reference_server::http::caller::InOrg;
/// use reference_server::model::ProjectsRead;
/// use salvo::prelude::*;
///
/// #[handler]
/// async fn show(org: InOrg<ProjectsRead>) -> String {
///     org.0.tenant().to_string()
/// }
/// ```
#[derive(Debug)]
pub struct InOrg<P: Permission>(pub AccessRequest<P>);

/// The decision that a request waits for. [`InOrg`] leaves it in the request's extensions.
pub struct Undecided<M: AccessModel> {
    /// The caller.
    pub principal: Principal,
    /// The org.
    pub tenant: TenantId,
    /// Checks the permission that the route asks for.
    pub check: fn(&Access<M>) -> Result<(), Denied>,
}

impl<'ex, P: Permission> Extractible<'ex> for InOrg<P> {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("InOrg");
        &METADATA
    }

    #[expect(
        refining_impl_trait,
        reason = "salvo asks for any error, and this is the server's one"
    )]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        let request = access_request::<P>(req.extensions())?;
        req.extensions_mut().insert(Undecided::of(request));
        Ok(Self(request))
    }
}

impl<M: AccessModel> Undecided<M> {
    fn of<P: Permission<Model = M>>(request: AccessRequest<P>) -> Self {
        let (principal, tenant) = (request.principal(), request.tenant());
        Self { principal, tenant, check: Access::check::<P> }
    }
}

impl<M: AccessModel> Clone for Undecided<M> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<M: AccessModel> fmt::Debug for Undecided<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undecided")
            .field("principal", &self.principal)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
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
    async fn extract(req: &'ex mut Request, depot: &'ex mut Depot) -> Result<Self, ApiError> {
        // It is missing only if the guards are in the wrong order: a failure, never a pass.
        let caller = mt_salvo::Caller::extract(req, depot).await;
        caller
            .map(|mt_salvo::Caller(principal)| Self(principal))
            .map_err(|refusal| refusal.0.into())
    }
}

impl<P: Permission> EndpointArgRegister for InOrg<P> {
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
