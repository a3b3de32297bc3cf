//! A transaction in one tenant.

use std::fmt;
use std::marker::PhantomData;

use super::PgError;
use super::open_tx::{End, OpenTx, TxConn};
use crate::access::{Access, Billing, Effect, Implies, Permission};
use crate::auth::Principal;
use crate::id::TenantId;

/// A transaction that holds no more than its own rows. See [`TenantTx`].
#[derive(Debug)]
pub struct Shared(());

/// A transaction that holds the tenant row until it ends. See [`TenantTx`].
#[derive(Debug)]
pub struct Exclusive(());

/// A transaction opened under permission `P`, in which Postgres shows one tenant's rows.
///
/// `L` says what it holds: [`Shared`], or [`Exclusive`] for one that owns the tenant's mutex, which
/// changes to members and invites ask for in their signatures.
///
/// Dropping it rolls back, in the background; dropping it in the middle of a statement closes the
/// connection. Either way nothing of it reaches the connection's next user.
pub struct TenantTx<P: Permission, L = Shared> {
    tx: OpenTx,
    access: Access<P::Model>,
    permission: PhantomData<fn() -> P>,
    locks: PhantomData<fn() -> L>,
}

impl<P: Permission, L> TenantTx<P, L> {
    /// INVARIANT: `access` was read in `tx` and grants `P`, and `tx` holds the locks that `L` names.
    pub(super) const fn new(tx: OpenTx, access: Access<P::Model>) -> Self {
        Self { tx, access, permission: PhantomData, locks: PhantomData }
    }

    /// A place to run one statement that needs permission `Q`.
    ///
    /// The permission is named at the query (`tx.under::<ProjectsRead>()`), next to the SQL that
    /// needs it.
    pub fn under<Q: Permission>(&mut self) -> TxConn<'_>
    where
        P: Implies<Q>,
    {
        // A declared implication must not be a way around billing or a read-only transaction.
        const {
            assert!(
                matches!(P::BILLING, Billing::Required) || matches!(Q::BILLING, Billing::Exempt)
            );
            assert!(matches!(P::EFFECT, Effect::Write) || matches!(Q::EFFECT, Effect::Read));
        }
        self.tx.conn()
    }

    /// For the library's own statements, whose permission is `P` itself.
    pub(super) fn conn(&mut self) -> TxConn<'_> {
        self.tx.conn()
    }

    /// The facts that hold in this transaction.
    #[must_use]
    pub const fn access(&self) -> &Access<P::Model> {
        &self.access
    }

    /// The tenant whose rows are visible.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.access.tenant()
    }

    /// The caller.
    #[must_use]
    pub const fn principal(&self) -> Principal {
        self.access.principal()
    }

    /// Makes the changes permanent.
    ///
    /// # Errors
    ///
    /// [`PgError`]. After [`PgError::Unavailable`] it is not known whether they are.
    pub async fn commit(self) -> Result<(), PgError> {
        self.tx.end(End::Commit).await
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

impl<P: Permission, L> fmt::Debug for TenantTx<P, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantTx")
            .field("permission", &P::KEY)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
