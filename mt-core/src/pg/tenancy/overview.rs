//! The overview of a tenant: name, subscription status and usage.

use std::fmt::{self, Write as _};
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::access::{AccessModel, Implies, Permission};
use crate::id::TenantId;
use crate::pg::{PgError, Query, Resource, TenantTx, query_as};

/// The facts about a tenant that its transaction does not load anyway.
#[derive(Clone, Debug, Eq, FromRow, PartialEq)]
pub struct Overview {
    /// The name of the tenant.
    pub name: String,
    /// The status of the subscription in the provider's terms, or `none`.
    pub subscription_status: String,
    /// When the tenant was created.
    pub created_at: DateTime<Utc>,
    /// The number in use of each counted resource, in the order of [`Usage`].
    pub used: Vec<i64>,
}

/// The capped resources that an [`Overview`] counts.
///
/// ```
/// mt_core::model! {
///     pub Notebook;
///     roles Role { Owner = "owner" (owner) }
///     plans Plan { Free = "free" (initial), Team = "team" }
///     permissions Action { NotesRead = "notes.read" [yes] [yes yes] exempt read; }
///     caps { Notes of app.notes { Free: 5, Team: none } Seats of members { Free: 3, Team: none } }
/// }
///
/// // The same as `Usage::none().and::<Notes>().and::<Seats>()`.
/// let usage = Notebook::usage();
/// let caps: Vec<_> = usage.caps(Plan::Free).collect();
/// assert_eq!(caps, [("notes", Some(5)), ("members", Some(3))]);
/// ```
pub struct Usage<M: AccessModel> {
    resources: Vec<Counted<M>>,
    sql: OnceLock<&'static str>,
}

struct Counted<M: AccessModel> {
    name: &'static str,
    rows: &'static str,
    cap: fn(M::Plan) -> Option<u32>,
}

impl<M: AccessModel> Usage<M> {
    /// Counts nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { resources: Vec::new(), sql: OnceLock::new() }
    }

    /// Counts `R` too, as the next one.
    #[must_use]
    pub fn and<R: Resource<Model = M>>(mut self) -> Self {
        self.resources.push(Counted { name: R::NAME, rows: R::ROWS, cap: R::cap });
        Self { sql: OnceLock::new(), ..self }
    }

    /// Returns the name of each counted resource and its cap on `plan`; `None` without one.
    pub fn caps(&self, plan: M::Plan) -> impl Iterator<Item = (&'static str, Option<u32>)> {
        self.resources.iter().map(move |counted| (counted.name, (counted.cap)(plan)))
    }

    /// Loads the overview of the transaction's tenant, in one round trip.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn load<R, P, L>(&self, tx: &mut TenantTx<P, L>) -> Result<Overview, PgError>
    where
        R: Permission<Model = M>,
        P: Permission<Model = M> + Implies<R>,
    {
        self.overview(tx.tenant()).fetch_one(tx.under::<R>()).await
    }

    /// Returns the query for the overview of `tenant`, which yields one row. It runs in a transaction of that tenant.
    #[must_use]
    pub fn overview(&self, tenant: TenantId) -> Query<Overview> {
        query_as(self.sql()).bind(tenant.as_uuid())
    }

    /// Statements live as long as the program, since connections remember them by their text. A service has one `Usage`.
    fn sql(&self) -> &'static str {
        self.sql.get_or_init(|| {
            let mut counts = String::new();
            for Counted { rows, .. } in &self.resources {
                let comma = if counts.is_empty() { "" } else { ", " };
                _ = write!(counts, "{comma}(select count(*) from ({rows}) counted)");
            }
            let sql = format!(
                "select name, subscription_status, created_at, array[{counts}]::bigint[] as used \
                 from mt.tenants where id = $1"
            );
            sql.leak()
        })
    }
}

impl<M: AccessModel> Default for Usage<M> {
    /// Counts nothing.
    fn default() -> Self {
        Self::none()
    }
}

impl<M: AccessModel> fmt::Debug for Usage<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.resources.iter().map(|counted| counted.name)).finish()
    }
}
