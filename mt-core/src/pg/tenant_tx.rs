//! A transaction in one tenant.

use std::fmt;
use std::marker::PhantomData;

use sqlx::postgres::PgRow;

use super::audit_log::{Actor, Entry, Line};
use super::message::Message;
use super::open_tx::{End, OpenTx};
use super::query::Query;
use super::tx_conn::TxConn;
use super::{PgError, Statements};
use crate::access::{Access, AccessModel, Billing, Effect, Implies, Permission};
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
    /// needs it. In a model that is [`AUDITED`](AccessModel::AUDITED) it is one that reads; what changes
    /// something goes by [`change`](Self::change).
    pub fn under<Q: Permission>(&mut self) -> TxConn<'_>
    where
        P: Implies<Q>,
    {
        const {
            assert!(
                !<P::Model as AccessModel>::AUDITED || matches!(Q::EFFECT, Effect::Read),
                "a statement that changes something says what to record: `change`, not `under`"
            );
            Self::assert_covers::<Q>();
        }
        self.tx.conn()
    }

    /// A place to run one statement that needs permission `Q` and changes something. `entry` is recorded
    /// in this transaction if the statement touches a row.
    pub fn change<Q: Permission>(&mut self, entry: Entry) -> TxConn<'_>
    where
        P: Implies<Q>,
    {
        const { Self::assert_covers::<Q>() }
        self.changing(entry)
    }

    /// A place to run one statement under a permission that writes, of which nothing is recorded: it
    /// holds a row, or keeps books that are nobody's business. Named so that it can be found.
    pub fn unrecorded<Q: Permission>(&mut self) -> TxConn<'_>
    where
        P: Implies<Q>,
    {
        const { Self::assert_covers::<Q>() }
        self.tx.conn()
    }

    /// A declared implication must not be a way around billing or a read-only transaction.
    pub(super) const fn assert_covers<Q: Permission>() {
        assert!(matches!(P::BILLING, Billing::Required) || matches!(Q::BILLING, Billing::Exempt));
        assert!(matches!(P::EFFECT, Effect::Write) || matches!(Q::EFFECT, Effect::Read));
    }

    /// Has this transaction record that the caller has done something, for changes whose target is
    /// known only once they are made.
    pub fn record(&mut self, entry: Entry) {
        let line = self.line(entry);
        self.tx.journal().add(line);
    }

    /// For the library's own statements, whose permission is `P` itself.
    pub(super) fn conn(&mut self) -> TxConn<'_> {
        self.tx.conn()
    }

    /// The same, for one that changes something.
    pub(super) fn changing(&mut self, entry: Entry) -> TxConn<'_> {
        let line = self.line(entry);
        self.tx.changing(line)
    }

    /// Has the log of the process say it, once it is committed: for what the tenant's own does not outlive.
    pub(super) fn tell(&mut self, entry: Entry) {
        let line = self.line(entry);
        self.tx.journal().add_told(line);
    }

    fn line(&self, entry: Entry) -> Line {
        Line::new(self.tenant(), &Actor::user(self.principal().id()), entry)
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

    /// Makes the changes permanent, and what is recorded of them with them.
    ///
    /// # Errors
    ///
    /// [`PgError`]. After [`PgError::Unavailable`] it is not known whether they are.
    pub async fn commit(self) -> Result<(), PgError> {
        self.tx.end(End::Commit).await
    }

    /// Runs a statement that adds a row, and records `entry` of it when this commits.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn insert<Q: Permission>(
        &mut self,
        insert: Query<Q>,
        entry: Entry,
    ) -> Result<Vec<PgRow>, PgError>
    where
        P: Implies<Q>,
    {
        Ok(insert.into_sqlx().fetch_all(self.change::<Q>(entry)).await?)
    }

    /// Runs one last statement, which adds a row, records `entry` of it and commits. One round trip, and
    /// one more for each of the two where statements have no names, behind a pooler.
    ///
    /// # Errors
    ///
    /// [`PgError`], and nothing is changed. After [`PgError::Unavailable`] that is not known.
    ///
    /// # Panics
    ///
    /// If the statement is no `insert`, or one that may add nothing: then there would be an entry without
    /// a change.
    pub async fn insert_and_commit<Q: Permission>(
        mut self,
        insert: Query<Q>,
        entry: Entry,
    ) -> Result<Vec<PgRow>, PgError>
    where
        P: Implies<Q>,
    {
        const { Self::assert_covers::<Q>() }
        assert!(
            insert.sql.starts_with("insert into ") && !insert.sql.contains("on conflict"),
            "what is recorded has to be done"
        );
        if self.tx.statements() == Statements::Unnamed {
            let rows = self.insert(insert, entry).await?;
            self.commit().await?;
            return Ok(rows);
        }
        let line = self.line(entry);
        self.tx.journal().add(line);
        let message = Message::default().run(insert.sql, insert.values);
        self.tx.end_after(message, End::Commit).await
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
