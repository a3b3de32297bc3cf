//! The endpoints that a service mounts.

use std::fmt;

use mt_core::access::AccessModel;
use mt_core::pg::{Database, Tenants};
use serde_json::Value;

use crate::context::Context;
use crate::router::{Route, Router};
use crate::{EndpointOptions, EndpointService, Group, Guards, Noun, openapi};

/// The ready-made endpoints that a service mounts, generic over its access model.
///
/// [`mount`](Self::mount) adds a [`Group`], [`into_service`](Self::into_service) makes a service of them. See the
/// [crate's docs](crate) for an example.
pub struct Endpoints<M: AccessModel> {
    noun: Noun,
    router: Router<M>,
}

impl<M: AccessModel> Endpoints<M> {
    /// Creates an empty list. `noun` is what the service calls its tenants.
    #[must_use]
    pub fn new(noun: Noun) -> Self {
        Self { noun, router: Router::default() }
    }

    /// Adds the endpoints of `group`.
    ///
    /// # Panics
    ///
    /// If one of them is there already.
    #[must_use]
    pub fn mount(mut self, group: impl Group<M>) -> Self {
        for operation in group.operations(self.noun).0 {
            self.router.add(operation);
        }
        self
    }

    /// Returns the endpoints, in the order in which they were mounted.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        self.router.routes()
    }

    /// Returns the OpenAPI 3.1 document of the endpoints, to serve or to merge into the service's own: `paths` and
    /// `components`.
    ///
    /// Each response for refusals lists the codes of its problems as `x-problem-codes`.
    #[must_use]
    pub fn openapi(&self) -> Value {
        openapi::document(self.router.operations(), self.noun)
    }

    /// Makes a service of the endpoints, on `database`. Give it the same `tenants` as the guards and the application's own
    /// routes have: they remember who is a member, and by that whose share of the connections a request uses.
    ///
    /// # Panics
    ///
    /// If a mounted group needs an option that is not set; the text names both.
    #[must_use]
    pub fn into_service(
        self,
        database: &Database,
        tenants: Tenants<M>,
        guards: Guards,
        options: EndpointOptions,
    ) -> EndpointService<M> {
        for operation in self.router.operations() {
            let missing = operation.requirement.and_then(|needed| needed.missing(&options));
            if let Some(option) = missing {
                let (method, path) = (&operation.method, &operation.path);
                panic!("`{method} {path}` is mounted and `EndpointOptions::{option}` is not set");
            }
        }
        let context = Context {
            noun: self.noun,
            tenants,
            principals: database.principals(),
            system: database.system(),
            options,
        };
        EndpointService::new(context, guards, self.router)
    }
}

impl<M: AccessModel> fmt::Debug for Endpoints<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints")
            .field("noun", &self.noun)
            .field("routes", &self.routes())
            .finish_non_exhaustive()
    }
}
