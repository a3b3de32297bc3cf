//! Transactions of one principal, over all their tenants.

use super::exchange::Mode;
use super::facts;
use super::open_tx::{End, OpenTx};
use super::opening;
use super::tx_conn::TxConn;
use crate::access::Denied;
use crate::auth::Principal;
use crate::pg::connection::pools::Pools;
use crate::pg::{BeginError, PgError};
use crate::shares::Requester;

/// Opens transactions in which one principal sees their own memberships in every tenant ([`Database::principals`](crate::pg::Database::principals)).
///
/// They are read only. In them row-level security shows the principal's own memberships, the tenants
/// of those, and their own user row. A credential that is bound to one tenant sees that membership and
/// that tenant, if its principal is a member there, and no other.
#[derive(Clone, Debug)]
pub struct Principals {
    pools: Pools,
}

impl Principals {
    pub(in crate::pg) const fn new(pools: Pools) -> Self {
        Self { pools }
    }

    /// Opens a transaction of `principal`.
    ///
    /// # Errors
    ///
    /// [`BeginError::SignedOut`] when the credential has ended by signing out, or its user, identity or key is gone;
    /// [`BeginError::Denied`] for a token with which a service account acts on behalf of a user; [`BeginError::Pg`].
    pub async fn begin(&self, principal: Principal) -> Result<PrincipalTx, BeginError> {
        // The account belongs to one tenant, and the token of one that acts is not looked at here.
        if principal.actor().is_some() && principal.key().is_none() {
            return Err(Denied::Forbidden.into());
        }
        let begin = opening::of_principal(principal).by(Requester::Principal(principal.id()));
        let (tx, rows) = OpenTx::begin(&self.pools, &begin).await?;
        let session = rows.last().ok_or(sqlx::Error::RowNotFound).map_err(PgError::from)?;
        if facts::is_signed_out(session, principal).map_err(PgError::from)? {
            tx.end(End::Rollback).await?;
            return Err(BeginError::SignedOut);
        }
        Ok(PrincipalTx { tx, principal })
    }
}

/// A transaction of one principal, in no tenant. Dropping it rolls back.
pub struct PrincipalTx {
    tx: OpenTx,
    principal: Principal,
}

impl PrincipalTx {
    /// A place to run one statement.
    pub fn conn(&mut self) -> TxConn<'_> {
        self.tx.embedders(Mode::Read)
    }

    /// The caller.
    #[must_use]
    pub const fn principal(&self) -> Principal {
        self.principal
    }

    /// Ends the transaction.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn commit(self) -> Result<(), PgError> {
        self.tx.end(End::Commit).await
    }
}

impl std::fmt::Debug for PrincipalTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrincipalTx").field("principal", &self.principal).finish_non_exhaustive()
    }
}
