//! A permission in one tenant, with everything that a handler does with it.

use std::fmt;
use std::marker::PhantomData;

use super::begin::Begin;
use super::cap::{Cap, CapReached, Resource};
use super::query::Query;
use super::tenant_tx::{Exclusive, TenantTx};
use super::tenants::Tenants;
use crate::access::{AccessRequest, Permission, Reads, Writes};
use crate::auth::Principal;
use crate::id::TenantId;
use crate::pg::audit_log::NewEntry;
use crate::pg::{BeginError, PgError};

/// A caller's request to use permission `P` in one tenant, and the way to its rows: what a framework's adapter gives to a
/// handler.
///
/// Nothing is decided when a handler gets one. Each method opens a transaction, which decides on the facts of that moment,
/// and ends it: a closure's changes are committed if it returns `Ok` and rolled back otherwise. `E` is the error of the
/// framework's handlers.
///
/// ```no_run
/// # use mt_core::access::{Permission, Reads, Writes};
/// # use mt_core::pg::{BeginError, CapReached, InTenant, PgError, Resource, query_scalar};
/// # use mt_core::pg::audit_log::Action;
/// # use uuid::Uuid;
/// const NOTE_CREATED: Action = Action::new("note.created", "note");
///
/// async fn list<P, E>(notebook: InTenant<P, E>) -> Result<Vec<String>, E>
/// # where P: Permission<Effect = Reads>, E: From<BeginError>
/// {
///     notebook.fetch_all(query_scalar("select text from app.notes where tenant_id = mt.tenant_id()")).await
/// }
///
/// async fn create<P, Notes, E>(notebook: InTenant<P, E>, text: String) -> Result<String, E>
/// # where P: Permission<Effect = Writes>, Notes: Resource<Model = P::Model>, E: From<BeginError> + From<PgError> + From<CapReached>
/// {
///     let id = Uuid::now_v7();
///     let insert = query_scalar("insert into app.notes (id, text) values ($1, $2) returning text").bind(id).bind(text);
///     notebook.create::<Notes, _>(NOTE_CREATED.on(id), insert).await
/// }
/// ```
#[must_use = "a request for access does nothing by itself"]
pub struct InTenant<P: Permission, E> {
    tenants: Tenants<P::Model>,
    request: AccessRequest<P>,
    error: PhantomData<fn() -> E>,
}

impl<P: Permission, E> InTenant<P, E> {
    /// Creates the handle of a request for access.
    pub const fn new(tenants: Tenants<P::Model>, request: AccessRequest<P>) -> Self {
        Self { tenants, request, error: PhantomData }
    }

    /// The requested tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.request.tenant()
    }

    /// The caller.
    #[must_use]
    pub const fn principal(&self) -> Principal {
        self.request.principal()
    }

    /// Opens a transaction that the caller of this function ends, with the options of [`Begin`].
    pub fn begin(&self) -> Begin<'_, P> {
        self.tenants.begin(self.request)
    }
}

impl<P: Permission<Effect = Reads>, E: From<BeginError>> InTenant<P, E> {
    /// Runs one query and returns its rows. See [`TenantRead`](crate::pg::TenantRead).
    ///
    /// # Errors
    ///
    /// [`BeginError`], as an `E`.
    pub async fn fetch_all<R: Send>(&self, query: Query<R>) -> Result<Vec<R>, E> {
        Ok(query.fetch_all(self.tenants.read(self.request)).await?)
    }

    /// Runs one query and returns its first row, if it has one.
    ///
    /// # Errors
    ///
    /// [`BeginError`], as an `E`.
    pub async fn fetch_optional<R: Send>(&self, query: Query<R>) -> Result<Option<R>, E> {
        Ok(query.fetch_optional(self.tenants.read(self.request)).await?)
    }

    /// Runs one query and returns its first row.
    ///
    /// # Errors
    ///
    /// [`BeginError`], as an `E`; without a row it holds [`sqlx::Error::RowNotFound`].
    pub async fn fetch_one<R: Send>(&self, query: Query<R>) -> Result<R, E> {
        Ok(query.fetch_one(self.tenants.read(self.request)).await?)
    }
}

impl<P: Permission<Effect = Writes>, E> InTenant<P, E>
where
    E: From<BeginError> + From<PgError> + From<CapReached>,
{
    /// Runs one statement that changes something, records `entry` if it touches a row, commits, and returns its first row.
    ///
    /// # Errors
    ///
    /// [`BeginError`] or [`PgError`], as an `E`.
    pub async fn execute<R: Send>(&self, entry: NewEntry, query: Query<R>) -> Result<Option<R>, E> {
        let tx = self.begin().await?;
        Ok(query.fetch_optional(tx.execute_and_commit::<P>(entry)).await?)
    }

    /// Runs one `insert` of an `N`, if the plan allows one more of them, records `entry`, commits, and returns the row.
    ///
    /// # Errors
    ///
    /// [`BeginError`], [`CapReached`] or [`PgError`], as an `E`.
    pub async fn create<N, R>(&self, entry: NewEntry, insert: Query<R>) -> Result<R, E>
    where
        N: Resource<Model = P::Model>,
        R: Send,
    {
        let (tx, cap) = self.begin().capped::<N>().await?;
        let _permit = cap.permit()?;
        Ok(insert.fetch_one(tx.execute_and_commit::<P>(entry)).await?)
    }

    /// Runs `work` in a transaction: commits if it returns `Ok`, and rolls back otherwise.
    ///
    /// # Errors
    ///
    /// The error of `work`; [`BeginError`] or [`PgError`], as an `E`.
    pub async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut TenantTx<P>) -> Result<T, E>,
    ) -> Result<T, E> {
        end(self.begin().await?, work).await
    }

    /// Does the same in a transaction that locks the tenant, as changes to members and invites ask for.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn write_exclusive<T>(
        &self,
        work: impl AsyncFnOnce(&mut TenantTx<P, Exclusive>) -> Result<T, E>,
    ) -> Result<T, E> {
        end(self.begin().exclusive().await?, work).await
    }

    /// Does the same in a transaction that has counted the tenant's `N`s. [`Cap::permit`] says whether the plan allows one
    /// more.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn write_capped<N, T>(
        &self,
        work: impl AsyncFnOnce(&mut TenantTx<P>, Cap<N>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        N: Resource<Model = P::Model>,
    {
        let (tx, cap) = self.begin().capped::<N>().await?;
        end(tx, async |tx: &mut TenantTx<P>| work(tx, cap).await).await
    }
}

/// Runs `work` and ends the transaction by its result.
async fn end<P: Permission, L, T, E: From<PgError>>(
    mut tx: TenantTx<P, L>,
    work: impl AsyncFnOnce(&mut TenantTx<P, L>) -> Result<T, E>,
) -> Result<T, E> {
    match work(&mut tx).await {
        Ok(done) => {
            tx.commit().await?;
            Ok(done)
        }
        Err(error) => {
            // The work's own error is the one to report. A rollback that fails closes the connection, which is one too.
            _ = tx.rollback().await;
            Err(error)
        }
    }
}

impl<P: Permission, E> Clone for InTenant<P, E> {
    fn clone(&self) -> Self {
        Self { tenants: self.tenants.clone(), request: self.request, error: PhantomData }
    }
}

impl<P: Permission, E> fmt::Debug for InTenant<P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTenant").field("request", &self.request).finish_non_exhaustive()
    }
}
