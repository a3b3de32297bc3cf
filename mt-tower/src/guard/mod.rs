//! One check of a request, without its body and without a framework.
//!
//! Several guards in a tuple are one guard, which runs them in order and stops at the first that
//! refuses: `GuardLayer::new((authenticate, resolve, load))` is one layer, cheaper than three.

mod response_headers;
mod stack;

use std::any::type_name;
use std::future::Future;

use http::{Extensions, HeaderMap, Method, Uri, request};

pub use self::response_headers::ResponseHeaders;
use crate::problem::Problem;

/// The request as a guard sees it: everything but the body, with the extensions to write to.
#[derive(Debug)]
pub struct RequestContext<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI as the client sent it: percent-encoded, not normalised.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What earlier guards left for later ones and for the handler.
    pub extensions: &'a mut Extensions,
    /// Headers to add to the response, whether the request is refused or not.
    pub response_headers: &'a mut ResponseHeaders,
}

impl<'a> RequestContext<'a> {
    /// Borrows the context from the parts of a request.
    pub fn new(parts: &'a mut request::Parts, response_headers: &'a mut ResponseHeaders) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &mut parts.extensions,
            response_headers,
        }
    }

    /// Borrows the context again, for a guard within a guard.
    pub fn reborrow(&mut self) -> RequestContext<'_> {
        RequestContext {
            method: self.method,
            uri: self.uri,
            headers: self.headers,
            extensions: self.extensions,
            response_headers: self.response_headers,
        }
    }

    /// Returns the extension that an earlier layer has to set.
    ///
    /// # Errors
    ///
    /// [`Problem::INTERNAL`] if it is missing, with an error in the log: the layers are in the wrong
    /// order, and letting the request pass would skip a check.
    pub fn require<T: Send + Sync + 'static>(&self) -> Result<&T, Problem> {
        require(self.extensions)
    }
}

/// See [`RequestContext::require`].
pub(crate) fn require<T: Send + Sync + 'static>(extensions: &Extensions) -> Result<&T, Problem> {
    extensions.get().ok_or_else(|| {
        tracing::error!(
            missing = type_name::<T>(),
            "an extension that this layer needs was not set by a layer before it",
        );
        Problem::INTERNAL
    })
}

/// A check that lets a request pass or refuses it.
///
/// [`GuardLayer`](crate::layer::GuardLayer) makes a tower layer of a guard. A framework with
/// middleware of its own kind calls [`check`](Self::check), renders a refusal with a
/// [`Reject`](crate::problem::Reject), and adds [`RequestContext::response_headers`] to the response.
///
/// The future of a check may be dropped before it is done, when the client disconnects.
///
/// ```
/// use mt_tower::problem::Problem;
/// use mt_tower::{Guard, RequestContext};
///
/// struct NoTrace;
///
/// impl Guard for NoTrace {
///     async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
///         match *request.method {
///             http::Method::TRACE => Err(Problem::FORBIDDEN),
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
pub trait Guard: Send + Sync + 'static {
    /// Checks one request.
    ///
    /// # Errors
    ///
    /// The [`Problem`] to refuse the request with.
    fn check<'a>(
        &'a self,
        request: RequestContext<'a>,
    ) -> impl Future<Output = Result<(), Problem>> + Send + 'a;
}

impl<G: Guard> Guard for std::sync::Arc<G> {
    fn check<'a>(
        &'a self,
        request: RequestContext<'a>,
    ) -> impl Future<Output = Result<(), Problem>> + Send + 'a {
        G::check(self, request)
    }
}
