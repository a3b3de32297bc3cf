//! A permission as an argument of a handler.
//!
//! Salvo extracts the arguments of a handler in their order and calls it with all of them or not at
//! all: one that asks for an [`Authorized`] runs for nobody else, and before it has seen body or path.
//!
//! Put it first. Its name is the argument's, since `#[handler]` takes no patterns.

use std::sync::LazyLock;

use mt_core::access::{Grant, Permission};
use mt_tower::authorize::authorize;
use salvo::extract::{Extractible, Metadata};
use salvo::prelude::*;

use super::problem::ApiError;

/// A grant of `P` in the tenant of the request.
///
/// # When it refuses
///
/// See [`authorize`]; the answer is the problem document that a guard would have given.
///
/// ```
/// use mt_core::access::Permission;
/// use reference_server::http::authorized::Authorized;
/// use reference_server::model::ProjectsRead;
/// use salvo::handler;
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
        static METADATA: LazyLock<Metadata> = LazyLock::new(|| Metadata::new("Authorized"));
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
