//! One check of a request, without its body and without a framework.
//!
//! Several guards in a tuple are one guard, which asks them in order and stops at the first that
//! refuses: `GuardLayer::new((authenticate, resolve, load))` is one layer, cheaper than three.

mod answer;
mod stack;

use std::any::type_name;
use std::future::Future;

use http::{Extensions, HeaderMap, Method, Uri, request};

pub use self::answer::AnswerHeaders;
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
    /// What to say in the answer, whatever it will be.
    pub answer: &'a mut AnswerHeaders,
}

impl<'a> View<'a> {
    /// The view of a request whose body has been put aside.
    pub fn new(parts: &'a mut request::Parts, answer: &'a mut AnswerHeaders) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &mut parts.extensions,
            answer,
        }
    }

    /// The same view, for a guard within a guard.
    pub fn reborrow(&mut self) -> View<'_> {
        View {
            method: self.method,
            uri: self.uri,
            headers: self.headers,
            extensions: self.extensions,
            answer: self.answer,
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
/// middleware of its own kind calls [`check`](Self::check) itself, renders a refusal with a
/// [`Reject`](crate::problem::Reject), and adds [`View::answer`] to whatever answer is given.
///
/// A guard may be dropped in the middle of a check, when the client has gone.
///
/// ```
/// use mt_tower::problem::Problem;
/// use mt_tower::{Guard, View};
///
/// struct NoTrace;
///
/// impl Guard for NoTrace {
///     const NEVER_WAITS: bool = true;
///
///     async fn check<'a>(&'a self, view: View<'a>) -> Result<(), Problem> {
///         match *view.method {
///             http::Method::TRACE => Err(Problem::FORBIDDEN),
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
pub trait Guard: Send + Sync + 'static {
    /// Promises that a check is done when it is first polled. It saves the allocation that a check
    /// needs to be waited for; a promise that is not kept refuses the request with 500.
    const NEVER_WAITS: bool = false;

    /// Checks one request.
    ///
    /// # Errors
    ///
    /// The [`Problem`] to answer with.
    fn check<'a>(&'a self, view: View<'a>)
    -> impl Future<Output = Result<(), Problem>> + Send + 'a;
}

impl<G: Guard> Guard for std::sync::Arc<G> {
    const NEVER_WAITS: bool = G::NEVER_WAITS;

    fn check<'a>(
        &'a self,
        view: View<'a>,
    ) -> impl Future<Output = Result<(), Problem>> + Send + 'a {
        G::check(self, view)
    }
}
