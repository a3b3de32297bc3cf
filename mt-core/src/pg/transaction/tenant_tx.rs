//! A transaction in one tenant.

use std::fmt;
use std::marker::PhantomData;

use super::acting::Acting;
use super::batch::Batch;
use super::exchange::Mode;
use super::last_statement::LastStatement;
use super::open_tx::{End, OpenTx};
use super::tx_conn::{Origin, TxConn};
use crate::access::{
    Access, AccessModel, Auditing, Billing, Effect, Implies, NeedsNoEntry, Permission,
    PermissionEffect as _, ServiceAccess,
};
use crate::auth::Principal;
use crate::id::TenantId;
use crate::pg::PgError;
use crate::pg::audit_log::{Line, NewEntry};
use crate::pg::idempotency::{IdempotentRequest, KeyReused, StoredResponse};

/// A transaction that has not locked the tenant. See [`TenantTx`].
#[derive(Debug)]
pub struct Shared(());

/// A transaction that locks the tenant until it ends. See [`TenantTx`].
#[derive(Debug)]
pub struct Exclusive(());

/// A lock that changes to members ask for: [`Exclusive`].
///
/// Only this crate implements it.
#[diagnostic::on_unimplemented(
    message = "this transaction has not locked the tenant, as changes to members ask for",
    label = "asks for a transaction that has locked the tenant",
    note = "open it with `.exclusive()`: `tenants.begin(request).exclusive().await?`",
    note = "a handler uses `write_exclusive`; a function takes `&mut TenantTx<P, Exclusive>`"
)]
pub trait LocksTenant: private::Sealed {}

impl LocksTenant for Exclusive {}

mod private {
    pub trait Sealed {}
    impl Sealed for super::Exclusive {}
}

/// A transaction opened under permission `P`, in which Postgres shows one tenant's rows.
///
/// `L` is the lock that it holds: [`Shared`], or [`Exclusive`] for one that has locked the tenant, which changes to members
/// and invites ask for in their signatures.
///
/// `A` is who acts in it: a member with their [`Access`], or a service with its [`ServiceAccess`] ([`ServiceTx`]).
///
/// Dropping it rolls back, in the background; dropping it in the middle of a statement closes the
/// connection. Either way nothing of it reaches the connection's next user.
pub struct TenantTx<P: Permission, L = Shared, A = Access<<P as Permission>::Model>> {
    tx: OpenTx,
    access: A,
    request: Option<IdempotentRequest>,
    stored: Result<Option<StoredResponse>, KeyReused>,
    permission: PhantomData<fn() -> P>,
    locks: PhantomData<fn() -> L>,
}

/// A transaction of a [`Service`](crate::access::Service) in one tenant ([`Tenants::begin_as`](crate::pg::Tenants::begin_as)).
pub type ServiceTx<P> = TenantTx<P, Shared, ServiceAccess<<P as Permission>::Model>>;

impl<P: Permission, L, A: Acting> TenantTx<P, L, A> {
    /// INVARIANT: `access` was read in `tx` and grants `P`, and `tx` holds the locks that `L` names.
    pub(in crate::pg) const fn new(
        tx: OpenTx,
        access: A,
        request: Option<IdempotentRequest>,
        stored: Result<Option<StoredResponse>, KeyReused>,
    ) -> Self {
        Self { tx, access, request, stored, permission: PhantomData, locks: PhantomData }
    }

    /// A place to run one statement that needs permission `Q`.
    ///
    /// The permission is named at the query (`tx.query::<ProjectsRead>()`), next to the SQL that
    /// needs it. Under one that reads, a statement that would change something fails, also in a transaction that may
    /// write ([`TxConn`]). In a model that is [`Audited`](crate::access::Audited) it is one that reads; what changes
    /// something goes by [`execute`](Self::execute).
    pub fn query<Q>(&mut self) -> TxConn<'_>
    where
        P: Implies<Q>,
        Q: NeedsNoEntry<<P::Model as AccessModel>::Auditing>,
    {
        const {
            assert!(
                !<<P::Model as AccessModel>::Auditing as Auditing>::REQUIRES_ENTRIES
                    || matches!(Q::Effect::VALUE, Effect::Read),
                "`NeedsNoEntry` is implemented for a permission that writes"
            );
        }
        self.under::<Q>()
    }

    /// A place to run one statement that needs permission `Q` and changes something. `entry` is recorded
    /// in this transaction if the statement touches a row.
    pub fn execute<Q: Permission>(&mut self, entry: NewEntry) -> TxConn<'_>
    where
        P: Implies<Q>,
    {
        const { Self::assert_covers::<Q>() }
        let line = self.line(entry);
        self.tx.changing(Origin::Embedder(Mode::of(Q::Effect::VALUE)), line)
    }

    /// A place to run one statement under a permission that writes, without an audit entry: one that locks a row, or
    /// changes what no audit is about. Named so that it can be found.
    pub fn execute_unaudited<Q: Permission>(&mut self) -> TxConn<'_>
    where
        P: Implies<Q>,
    {
        self.under::<Q>()
    }

    /// A place to run one statement that needs permission `Q`, with or without an entry.
    pub(in crate::pg) fn under<Q: Permission>(&mut self) -> TxConn<'_>
    where
        P: Implies<Q>,
    {
        const { Self::assert_covers::<Q>() }
        self.tx.embedders(Mode::of(Q::Effect::VALUE))
    }

    /// A declared implication must not be a way around billing or a read-only transaction.
    pub(in crate::pg) const fn assert_covers<Q: Permission>() {
        assert!(matches!(P::BILLING, Billing::Required) || matches!(Q::BILLING, Billing::Exempt));
        assert!(
            matches!(P::Effect::VALUE, Effect::Write) || matches!(Q::Effect::VALUE, Effect::Read)
        );
    }

    /// Adds an audit entry to this transaction, for a change whose target is known only once it is made.
    pub fn record(&mut self, entry: NewEntry) {
        let line = self.line(entry);
        self.tx.journal().add(line);
    }

    /// For the library's own statements, whose permission is `P` itself.
    pub(in crate::pg) fn conn(&mut self) -> TxConn<'_> {
        self.tx.conn()
    }

    /// For one of the library's own statements that changes something.
    pub(in crate::pg) fn changing(&mut self, entry: NewEntry) -> TxConn<'_> {
        let line = self.line(entry);
        self.tx.changing(Origin::Library, line)
    }

    /// Writes to the log of the process after the commit, for a tenant whose own audit log goes with it.
    pub(in crate::pg) fn log(&mut self, entry: NewEntry) {
        let line = self.line(entry);
        self.tx.journal().add_logged(line);
    }

    fn line(&self, entry: NewEntry) -> Line {
        Line::new(self.tenant(), &self.access.actor(), entry)
    }

    /// The facts that hold in this transaction.
    #[must_use]
    pub const fn access(&self) -> &A {
        &self.access
    }

    /// The tenant whose rows are visible.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.access.tenant()
    }

    /// Makes the changes permanent, and what is recorded of them with them.
    ///
    /// # Errors
    ///
    /// [`PgError`]. After [`PgError::Unavailable`] it is not known whether they are.
    pub async fn commit(self) -> Result<(), PgError> {
        self.tx.end(End::Commit).await
    }

    /// Commits after the statements of `batch`, in one message.
    pub(in crate::pg) async fn commit_after(self, batch: Batch) -> Result<(), PgError> {
        self.tx.end_after(batch, End::Commit).await.map(drop)
    }

    /// A place to run the last statement of this transaction, which commits with it. `entry` is recorded if the statement
    /// touches a row. See [`LastStatement`] for the round trips that it saves.
    pub fn execute_and_commit<Q: Permission>(self, entry: NewEntry) -> LastStatement
    where
        P: Implies<Q>,
    {
        const { Self::assert_covers::<Q>() }
        let line = self.line(entry);
        LastStatement::new(self.tx, Mode::of(Q::Effect::VALUE), line)
    }

    /// Takes the changes back, and waits for it. Dropping does the same without waiting.
    ///
    /// # Errors
    ///
    /// [`PgError`]; the changes are gone all the same.
    pub async fn rollback(self) -> Result<(), PgError> {
        self.tx.end(End::Rollback).await
    }
}

impl<P: Permission, L> TenantTx<P, L> {
    /// The caller.
    #[must_use]
    pub const fn principal(&self) -> Principal {
        self.access.principal()
    }

    /// The response to the request that this transaction was opened for
    /// ([`Begin::idempotent`](crate::pg::Begin::idempotent)), if the request was carried out before. Send it again, and drop the
    /// transaction. Without one, the same request waits elsewhere until this transaction ends.
    ///
    /// # Errors
    ///
    /// [`KeyReused`]: the key was used for another body.
    pub fn stored_response(&mut self) -> Result<Option<StoredResponse>, KeyReused> {
        std::mem::replace(&mut self.stored, Ok(None))
    }

    /// Stores the response to the request that this transaction was opened for, in one round trip. Without a request it does
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn store_response(&mut self, response: &StoredResponse) -> Result<(), PgError> {
        let Some(request) = self.request else { return Ok(()) };
        let sender = (self.tenant(), self.principal().id());
        request.store_in(self.tx.conn(), sender, response).await
    }
}

impl<P: Permission, L, A: fmt::Debug> fmt::Debug for TenantTx<P, L, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantTx")
            .field("permission", &P::KEY)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
