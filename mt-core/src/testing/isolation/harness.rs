//! The entry point of the isolation tests.

use std::fmt;

use super::fixture::TenantFixture;
use super::key_callers::KeyCallers;
use super::normalizer::Normalizer;
use super::request::{TestRequest, TestResponse};
use crate::testing::TestDatabase;

/// An application under test: its database, a function that creates a tenant and one that sends a request.
///
/// See the [module docs](super) for what it checks and an example.
#[must_use]
pub struct Harness<'d, S, C> {
    pub(super) db: &'d TestDatabase,
    pub(super) seed: S,
    pub(super) send: C,
    pub(super) normalizer: Normalizer,
    pub(super) operations: Option<Vec<(String, String)>>,
    pub(super) key_callers: Option<KeyCallers>,
    pub(super) is_without_policies: bool,
}

impl<'d, S, C> Harness<'d, S, C>
where
    S: AsyncFn(String) -> TenantFixture,
    C: AsyncFn(TestRequest) -> TestResponse,
{
    /// Creates a harness for the application on `db`.
    ///
    /// `seed` creates a tenant with one member of each role and rows for every route. Its argument is the tenant's
    /// canary, which belongs in the name of the tenant, the address of each member and every text. It is called many
    /// times, so it should be fast, and must create the same data each time.
    ///
    /// `send` sends a request to the application.
    pub fn new(db: &'d TestDatabase, seed: S, send: C) -> Self {
        let (normalizer, operations, key_callers) = (Normalizer::default(), None, None);
        Self { db, seed, send, normalizer, operations, key_callers, is_without_policies: false }
    }

    /// Excludes a name from comparisons, because its value differs between requests: a header (`x-request-id`), a
    /// member of JSON responses (`request_id`) or a table with other writers (`mt.outbox`). The search for canaries
    /// still covers it. The header `date` is always excluded.
    pub fn ignoring(mut self, name: impl Into<String>) -> Self {
        self.normalizer.add(name.into());
        self
    }

    /// Sets the operations of the application, each a method and a path, for instance from its router or from its
    /// [OpenAPI document](super::operations). Then [`check`](Self::check) reports operations that it is not given a
    /// route for, and routes that do not exist.
    pub fn serving<M: Into<String>, P: Into<String>>(
        mut self,
        operations: impl IntoIterator<Item = (M, P)>,
    ) -> Self {
        let pair = |(method, path): (M, P)| (method.into(), path.into());
        self.operations = Some(operations.into_iter().map(pair).collect());
        self
    }

    /// Calls the routes with API keys too. The application has to accept the keys that `callers` creates. A tenant's canary is
    /// part of their names.
    pub fn with_api_keys(self, callers: KeyCallers) -> Self {
        Self { key_callers: Some(callers), ..self }
    }

    /// Returns a harness that switches row-level security off during [`check`](Self::check), to find queries that
    /// rely on policies alone.
    ///
    /// Row-level security is on again afterwards, but stays off if the application panics, so use a database of the
    /// test alone.
    pub fn without_policies(&self) -> Harness<'d, &S, &C> {
        Harness {
            db: self.db,
            seed: &self.seed,
            send: &self.send,
            normalizer: self.normalizer.clone(),
            operations: self.operations.clone(),
            key_callers: self.key_callers.clone(),
            is_without_policies: true,
        }
    }

    /// Creates a tenant.
    pub(super) async fn new_tenant(&self) -> TenantFixture {
        let canary = TenantFixture::new_canary();
        let mut tenant = (self.seed)(canary.clone()).await;
        if let Some(callers) = &self.key_callers {
            let keys = callers.create(self.db, tenant.tenant, &canary).await;
            tenant.keys = KeyCallers::NAMES.into_iter().zip(keys).collect();
        }
        tenant.canary = canary;
        tenant
    }
}

impl<S, C> fmt::Debug for Harness<'_, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("normalizer", &self.normalizer).finish_non_exhaustive()
    }
}
