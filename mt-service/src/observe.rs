//! The observer of requests, for metrics.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Extensions, Method, StatusCode};

/// An observer of every request. It is called within the request, so it must not block.
pub trait RequestObserver: Send + Sync + 'static {
    /// A request has begun.
    fn begun(&self);

    /// A request has been answered.
    fn answered(&self, answered: &Answered<'_>);

    /// A request has ended without an answer, because its client disconnected.
    fn gone(&self, after: Duration);
}

/// A request, and what was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path's template; `None` where no route has the path.
    pub route: Option<&'a str>,
    /// The status.
    pub status: StatusCode,
    /// Of a problem, its code.
    pub problem: Option<&'static str>,
    /// How long it took until there was an answer.
    pub took: Duration,
    /// The request's extensions, where principal and access are.
    pub extensions: &'a Extensions,
}

/// The observer of a service, if it has one.
#[derive(Clone, Default)]
pub struct Observers(Option<Arc<dyn RequestObserver>>);

impl Observers {
    /// Reports requests to `observer`.
    #[must_use]
    pub fn one(observer: Arc<dyn RequestObserver>) -> Self {
        Self(Some(observer))
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observers").field(&self.0.is_some()).finish()
    }
}

/// A request in progress. If it is dropped before it is answered, it is reported as gone.
pub struct Exchange {
    observer: Option<Arc<dyn RequestObserver>>,
    since: Instant,
}

impl Exchange {
    /// Reports that a request has begun.
    #[must_use]
    pub fn begin(observers: &Observers) -> Self {
        let observer = observers.0.clone();
        if let Some(observer) = &observer {
            observer.begun();
        }
        Self { observer, since: Instant::now() }
    }

    /// Returns how long the request has taken so far.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.since.elapsed()
    }

    /// Reports the answer.
    pub fn answered(mut self, answered: &Answered<'_>) {
        if let Some(observer) = self.observer.take() {
            observer.answered(answered);
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take() {
            observer.gone(self.since.elapsed());
        }
    }
}
