//! One check of a request, without its body and without a framework.

use std::any::type_name;
use std::future::Future;

use http::header::{HeaderName, HeaderValue};
use http::{Extensions, HeaderMap, Method, Uri, request};

use crate::problem::Problem;

/// What a guard sees of a request: everything but the body, with the extensions to write to.
#[derive(Debug)]
pub struct View<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI, as it came: percent-encoded, not normalised.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What earlier guards found out, and the place for what this one does.
    pub extensions: &'a mut Extensions,
}

impl<'a> View<'a> {
    /// The view of a request whose body has been put aside.
    pub fn new(parts: &'a mut request::Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &mut parts.extensions,
        }
    }

    /// What an earlier layer should have left for this one.
    ///
    /// # Errors
    ///
    /// [`Problem::INTERNAL`] when it did not, with an error in the log: the layers are in the wrong
    /// order, and letting the request pass would skip a check.
    pub fn need<T: Send + Sync + 'static>(&self) -> Result<&T, Problem> {
        need(self.extensions)
    }
}

/// See [`View::need`].
pub(crate) fn need<T: Send + Sync + 'static>(extensions: &Extensions) -> Result<&T, Problem> {
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
/// Make a tower layer of it with [`GuardLayer`](crate::layer::GuardLayer). A framework with
/// middleware of its own kind calls [`check`](Self::check) itself, adds [`Pass::headers`] to the
/// answer, and renders a refusal with a [`Reject`](crate::problem::Reject).
///
/// A guard may be dropped in the middle of a check, when the client has gone.
///
/// ```
/// use mt_tower::problem::Problem;
/// use mt_tower::{Guard, Pass, View};
///
/// struct NoTrace;
///
/// impl Guard for NoTrace {
///     async fn check<'a>(&'a self, view: View<'a>) -> Result<Pass, Problem> {
///         match *view.method {
///             http::Method::TRACE => Err(Problem::FORBIDDEN),
///             _ => Ok(Pass::new()),
///         }
///     }
/// }
/// ```
pub trait Guard: Send + Sync + 'static {
    /// Checks one request.
    ///
    /// # Errors
    ///
    /// The [`Problem`] to answer with.
    fn check<'a>(
        &'a self,
        view: View<'a>,
    ) -> impl Future<Output = Result<Pass, Problem>> + Send + 'a;
}

impl<G: Guard> Guard for std::sync::Arc<G> {
    fn check<'a>(
        &'a self,
        view: View<'a>,
    ) -> impl Future<Output = Result<Pass, Problem>> + Send + 'a {
        G::check(self, view)
    }
}

/// Leave to go on, and what to say in the answer whatever it will be.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Pass {
    // Empty maps do not allocate.
    headers: HeaderMap,
}

impl Pass {
    /// Leave to go on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header to the answer that is finally given, beside others of its name.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The headers to add to the answer.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Adds the headers to those of an answer.
    pub fn apply(&self, answer: &mut HeaderMap) {
        append_all(answer, &self.headers);
    }
}

/// Adds all of `more`, and replaces nothing.
pub(crate) fn append_all(headers: &mut HeaderMap, more: &HeaderMap) {
    for (name, value) in more {
        headers.append(name, value.clone());
    }
}
