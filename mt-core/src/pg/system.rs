//! Transactions across tenants.

use std::fmt;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::audit_log::{Actor, Entry, Line};
use super::open_tx::{End, OpenTx};
use super::opening::Opening;
use super::tx_conn::TxConn;
use super::{APP_ROLE, BeginError, Database, PgError, SYSTEM_ROLE, opening};
use crate::access::Denied;
use crate::auth::Principal;
use crate::id::TenantId;

/// Gives out transactions that see every tenant, each with a reason.
///
/// For what happens before a tenant is known or beside all of them: signing in, accepting an invite,
/// applying a webhook. They run as `mt_system`, which has policies of its own and bypasses nothing.
#[derive(Clone, Debug)]
pub struct SystemPool {
    database: Database,
}

/// Why a transaction has to cross tenants, in a few words that say so in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SystemReason(&'static str);

impl SystemReason {
    /// Names a reason.
    #[must_use]
    pub const fn new(reason: &'static str) -> Self {
        Self(reason)
    }
}

impl fmt::Display for SystemReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl SystemPool {
    pub(super) const fn new(database: Database) -> Self {
        Self { database }
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
    /// [`BeginError::SignedOut`] when the credential is of an earlier generation, or its user gone;
    /// [`BeginError::Denied`] with [`Denied::Forbidden`] when it is bound to one tenant, which such a
    /// transaction is not; [`BeginError::Pg`].
    pub async fn begin_for(
        &self,
        principal: Principal,
        reason: SystemReason,
    ) -> Result<SystemTx, BeginError> {
        if principal.tenant().is_some() {
            return Err(Denied::Forbidden.into());
        }
        let begin = opening::of_system().say(format!(
            "select (select generation from mt.users where id = '{}') as generation",
            principal.id()
        ));
        let (mut tx, rows) = self.begin_with(reason, begin).await?;
        tx.act_as(Actor::user(principal.id()));
        let generation = match rows.last() {
            Some(row) => row.try_get("generation").map_err(PgError::from)?,
            None => None,
        };
        if opening::signed_out(generation, principal) {
            tx.rollback().await?;
            return Err(BeginError::SignedOut);
        }
        Ok(tx)
    }

    /// Opens a transaction by `begin`, which starts like [`opening::of_system`] and may go on, and returns
    /// what its statements return.
    pub(super) async fn begin_with(
        &self,
        reason: SystemReason,
        begin: Opening,
    ) -> Result<(SystemTx, Vec<PgRow>), PgError> {
        let (tx, rows) = self.open_with(reason, begin).await?;
        Ok((SystemTx { tx, reason, actor: Actor::system(reason) }, rows))
    }

    /// Opens a transaction by `begin`, whatever it is, and logs why.
    pub(super) async fn open_with(
        &self,
        reason: SystemReason,
        begin: Opening,
    ) -> Result<(OpenTx, Vec<PgRow>), PgError> {
        tracing::debug!(%reason, "system transaction: {reason}");
        OpenTx::begin(&self.database, &begin).await
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
        self.tx.conn()
    }

    /// Says who makes the changes from here on. Without it, it is the principal that the transaction was
    /// opened for, or the reason that it was opened for.
    pub fn act_as(&mut self, actor: Actor) {
        self.actor = actor;
    }

    /// Has this transaction record that something was done in `tenant`.
    pub fn record(&mut self, tenant: TenantId, entry: Entry) {
        let line = Line::new(tenant, &self.actor, entry);
        self.tx.journal().add(line);
    }

    /// Has the log of the process say it, once it is committed: for what the tenant's own does not outlive.
    pub(super) fn tell(&mut self, tenant: TenantId, entry: Entry) {
        let line = Line::new(tenant, &self.actor, entry);
        self.tx.journal().add_told(line);
    }

    /// Goes on as the role of `tenant`'s own transactions, or across tenants again: an application's tables
    /// are none of this role's business.
    pub(super) async fn go_on_in(&mut self, tenant: Option<TenantId>) -> Result<(), PgError> {
        let role = if tenant.is_some() { APP_ROLE } else { SYSTEM_ROLE };
        let tenant = tenant.map_or_else(String::new, |tenant| tenant.to_string());
        sqlx::query("select set_config('role', $1, true), set_config('mt.tenant_id', $2, true)")
            .bind(role)
            .bind(tenant)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// Takes back what was to be recorded, with what was done.
    pub(super) fn record_nothing(&mut self) {
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
