//! Transactions across tenants.

use std::fmt;

use sqlx::postgres::PgRow;

use super::exchange::Mode;
use super::facts;
use super::open_tx::{End, OpenTx};
use super::opening;
use super::opening::Opening;
use super::tx_conn::TxConn;
use crate::access::Denied;
use crate::auth::Principal;
use crate::id::TenantId;
use crate::pg::audit_log::{Actor, Line, NewEntry};
use crate::pg::connection::pools::Pools;
use crate::pg::{BeginError, PgError};
use crate::shares::Requester;

/// Opens transactions that see every tenant, each for a stated reason ([`Database::system`](crate::pg::Database::system)).
///
/// For what happens before a tenant is known or beside all of them: signing in, accepting an invite,
/// applying a webhook. They run as `mt_system`, which has policies of its own and bypasses nothing.
#[derive(Clone, Debug)]
pub struct System {
    pools: Pools,
}

/// The reason for a transaction across tenants, in a few words for the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SystemReason {
    text: &'static str,
    is_anonymous: bool,
}

impl SystemReason {
    /// Names a reason.
    #[must_use]
    pub const fn new(reason: &'static str) -> Self {
        Self { text: reason, is_anonymous: false }
    }

    /// Names a reason of requests that anyone may send, without a principal. Such transactions share a part of
    /// the connections ([`shares`](crate::shares)); those of other reasons are not counted.
    #[must_use]
    pub const fn anonymous(reason: &'static str) -> Self {
        Self { text: reason, is_anonymous: true }
    }

    /// Logs the reason for `opening`, and returns it with the share that the reason uses.
    fn logged(self, opening: Opening) -> Opening {
        tracing::debug!(reason = %self, "system transaction: {self}");
        if self.is_anonymous { opening.by(Requester::Anonymous) } else { opening }
    }
}

impl fmt::Display for SystemReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl System {
    pub(in crate::pg) const fn new(pools: Pools) -> Self {
        Self { pools }
    }

    /// Opens a transaction across tenants and logs why, at `debug`.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn begin(&self, reason: SystemReason) -> Result<SystemTx, PgError> {
        Ok(self.begin_with(reason, opening::of_system()).await?.0)
    }

    /// Opens a transaction across tenants on behalf of `principal`, whose credential is checked in
    /// the same round trip.
    ///
    /// # Errors
    ///
    /// [`BeginError::SignedOut`] when the credential has ended by signing out, or its user or identity is gone;
    /// [`BeginError::Denied`] with [`Denied::Forbidden`] when it is bound to one tenant, which such a
    /// transaction is not; [`BeginError::Pg`].
    pub async fn begin_for(
        &self,
        principal: Principal,
        reason: SystemReason,
    ) -> Result<SystemTx, BeginError> {
        if principal.tenant().is_some() || principal.actor().is_some() {
            return Err(Denied::Forbidden.into());
        }
        let begin = opening::of_system()
            .by(Requester::Principal(principal.id()))
            .text(facts::session_of(principal));
        let (mut tx, rows) = self.begin_with(reason, begin).await?;
        tx.act_as(Actor::of(principal));
        let session = rows.last().ok_or(sqlx::Error::RowNotFound).map_err(PgError::from)?;
        if facts::is_signed_out(session, principal).map_err(PgError::from)? {
            tx.rollback().await?;
            return Err(BeginError::SignedOut);
        }
        Ok(tx)
    }

    /// Opens a transaction by `begin`, which starts like [`opening::of_system`] and may go on, and returns
    /// what its statements return.
    pub(in crate::pg) async fn begin_with(
        &self,
        reason: SystemReason,
        begin: Opening,
    ) -> Result<(SystemTx, Vec<PgRow>), PgError> {
        let (tx, rows) = self.open_with(reason, begin).await?;
        Ok((SystemTx { tx, reason, actor: Actor::system(reason) }, rows))
    }

    /// Runs a transaction that `opening` both opens and ends, and logs why.
    pub(in crate::pg) async fn whole(
        &self,
        reason: SystemReason,
        opening: Opening,
    ) -> Result<Vec<PgRow>, PgError> {
        OpenTx::whole(&self.pools, &reason.logged(opening)).await
    }

    /// Opens a transaction by `begin`, whatever it is, and logs why.
    pub(in crate::pg) async fn open_with(
        &self,
        reason: SystemReason,
        begin: Opening,
    ) -> Result<(OpenTx, Vec<PgRow>), PgError> {
        OpenTx::begin(&self.pools, &reason.logged(begin)).await
    }

    /// Runs a transaction that `whole` both opens and ends, and logs why.
    pub(in crate::pg) async fn read_with(
        &self,
        reason: SystemReason,
        whole: Opening,
    ) -> Result<Vec<PgRow>, PgError> {
        OpenTx::whole(&self.pools, &reason.logged(whole)).await
    }
}

/// A transaction across tenants. Dropping it rolls back.
pub struct SystemTx {
    tx: OpenTx,
    reason: SystemReason,
    actor: Actor,
}

impl SystemTx {
    /// A place to run one statement.
    pub fn conn(&mut self) -> TxConn<'_> {
        self.tx.embedders(Mode::Write)
    }

    /// A place to run one statement of this crate, whatever it is.
    pub(in crate::pg) fn own(&mut self) -> TxConn<'_> {
        self.tx.conn()
    }

    /// Sets the actor of the audit entries from here on. By default it is the principal that the transaction was opened
    /// for, or else the reason.
    pub fn act_as(&mut self, actor: Actor) {
        self.actor = actor;
    }

    /// Has this transaction record that something was done in `tenant`.
    pub fn record(&mut self, tenant: TenantId, entry: NewEntry) {
        let line = Line::new(tenant, &self.actor, entry);
        self.tx.journal().add(line);
    }

    /// Writes to the log of the process after the commit, for a tenant whose own audit log goes with it.
    pub(in crate::pg) fn log(&mut self, tenant: TenantId, entry: NewEntry) {
        let line = Line::new(tenant, &self.actor, entry);
        self.tx.journal().add_logged(line);
    }

    /// Goes on as the role of `tenant`'s own transactions, or across tenants again: an application's tables
    /// are none of this role's business.
    pub(in crate::pg) async fn go_on_in(
        &mut self,
        tenant: Option<TenantId>,
    ) -> Result<(), PgError> {
        self.tx.send_batch(&opening::going_on_in(tenant)).await.map(drop)
    }

    /// Takes back what was to be recorded, with what was done.
    pub(in crate::pg) fn record_nothing(&mut self) {
        self.tx.journal().forget();
    }

    /// Makes the changes permanent, and what is recorded of them with them.
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

impl fmt::Debug for SystemTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemTx").field("reason", &self.reason).finish_non_exhaustive()
    }
}
