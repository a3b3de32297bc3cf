//! Spans with the principal and the tenant of a request.
//!
//! [`SpanLayer`] puts each request into a span of the `tracing` crate, and the guards behind it record
//! these fields:
//!
//! | field | written by | when |
//! | --- | --- | --- |
//! | `http.request.method` | the layer | at once |
//! | `principal.id` | [`Authenticate`](crate::authenticate::Authenticate) | the credential is good |
//! | `tenant.id` | [`LoadAccess`](crate::load_access::LoadAccess), or [`record_tenant`] | the caller is a member |
//! | `http.response.status_code` | the layer | with the answer |
//! | `problem.code` | the layer | with a refusal |
//!
//! Ids are recorded only once they are known to exist, so a client that makes up a million tenants adds
//! none to the traces. The path is left out for the same reason; a router knows its template.
//!
//! # With another span
//!
//! Without this layer the guards write to the span that is current while they check. One that declares
//! the fields (`tenant.id = tracing::field::Empty`) gets them, as the span of a `TraceLayer` of
//! `tower-http` can; any other does not. Where another span lies in between, put a [`RequestSpan`] into
//! the request's extensions.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use mt_tower::trace::SpanLayer;
//! use tower::{BoxError, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let service = ServiceBuilder::new()
//!     .layer(SpanLayer::new())
//!     .service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, BoxError>(Response::new(())) });
//! assert_eq!(service.oneshot(Request::default()).await?.status(), 200);
//! # Ok(())
//! # }
//! ```

mod future;
mod layer;

use http::Extensions;
use mt_core::id::{PrincipalId, TenantId};
use tracing::field::display;
use tracing::{Span, dispatcher};

pub use self::future::SpanFuture;
pub use self::layer::{SpanLayer, SpanService};

/// The span of a request, which the layer leaves in its extensions.
#[derive(Clone, Debug)]
pub struct RequestSpan(pub Span);

pub(crate) fn record_principal(extensions: &Extensions, principal: PrincipalId) {
    record(extensions, "principal.id", principal);
}

/// Records `tenant.id`, for a handler whose transaction has found the caller to be a member.
pub fn record_tenant(extensions: &Extensions, tenant: TenantId) {
    record(extensions, "tenant.id", tenant);
}

fn record(extensions: &Extensions, field: &'static str, id: impl std::fmt::Display) {
    // Without a subscriber, as in most benches and many tests, formatting the id would be wasted.
    if !dispatcher::has_been_set() {
        return;
    }
    match extensions.get() {
        Some(RequestSpan(span)) => span.record(field, display(id)),
        None => Span::current().record(field, display(id)),
    };
}
