//! The overview of an org: name, subscription status and usage.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use mt_core::access::Implies;
use mt_core::id::TenantId;
use mt_core::pg::{PgError, Query, Resource, TenantTx, invites, query_as};
use salvo_oapi::ToSchema;
use serde::Serialize;
use sqlx::FromRow;

use crate::model::{OrgRead, Plan, Projects, Seats, Tasks};

/// The facts about an org that its transaction does not load anyway.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The name of the org.
    pub name: String,
    /// The status of the subscription in Stripe's terms, or `none`.
    pub subscription_status: String,
    /// When the org was created.
    pub created_at: DateTime<Utc>,
    /// The use of its capped resources.
    pub usage: Usage,
}

/// The query of the overview.
static OVERVIEW: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select name, subscription_status, created_at, \
             (select count(*) from ({}) p) as projects, \
             (select count(*) from ({}) t) as tasks, \
             (select count(*) from ({}) m) as members \
         from mt.tenants where id = $1",
        Projects::ROWS,
        Tasks::ROWS,
        invites::SEATS,
    )
});

/// A row of [`OVERVIEW`].
#[derive(Debug, FromRow)]
pub(crate) struct OverviewRow {
    name: String,
    subscription_status: String,
    created_at: DateTime<Utc>,
    projects: i64,
    tasks: i64,
    members: i64,
}

impl OverviewRow {
    /// Returns the query for the overview of `org`, which yields one row.
    pub(crate) fn query(org: TenantId) -> Query<Self> {
        query_as(OVERVIEW.as_str()).bind(org.as_uuid())
    }

    /// Returns the overview of an org on `plan`.
    pub(crate) fn on(self, plan: Plan) -> Overview {
        Overview {
            name: self.name,
            subscription_status: self.subscription_status,
            created_at: self.created_at,
            usage: Usage {
                projects: Level { used: self.projects, cap: Projects::cap(plan) },
                tasks: Level { used: self.tasks, cap: Tasks::cap(plan) },
                members: Level { used: self.members, cap: Seats::cap(plan) },
            },
        }
    }
}

impl Overview {
    /// Loads the overview of the org in one round trip.
    pub(crate) async fn load<P: Implies<OrgRead>, L>(
        tx: &mut TenantTx<P, L>,
    ) -> Result<Self, PgError> {
        let (org, plan) = (tx.tenant(), tx.access().plan());
        Ok(OverviewRow::query(org).fetch_one(tx.query::<OrgRead>()).await?.on(plan))
    }
}

/// The use of each capped resource of an org, and the cap of its plan.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Usage {
    /// The usage of projects.
    pub projects: Level,
    /// The usage of tasks, over all projects and in every status.
    pub tasks: Level,
    /// The usage of members, with pending invites.
    pub members: Level,
}

/// The use of one capped resource.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Level {
    /// The number in use.
    pub used: i64,
    /// The cap of the plan, or `null` if it has none.
    #[salvo(schema(required = true))]
    pub cap: Option<u32>,
}

impl Usage {
    /// Returns the usage of a new org.
    pub(crate) fn of_new(plan: Plan) -> Self {
        Self {
            projects: Level { used: 0, cap: Projects::cap(plan) },
            tasks: Level { used: 0, cap: Tasks::cap(plan) },
            members: Level { used: 1, cap: Seats::cap(plan) },
        }
    }
}
