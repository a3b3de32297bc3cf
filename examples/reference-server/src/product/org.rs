//! An org at one look: its name, what billing says of it, and how full it is.

use chrono::{DateTime, Utc};
use mt_core::access::Implies;
use mt_core::pg::{PgError, Resource, TenantTx, invites};
use salvo_oapi::ToSchema;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Row as _};

use crate::model::{OrgRead, Plan, Projects, Seats, Tasks};

/// What there is to say of an org besides what its transaction knows anyway.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What its members call it.
    pub name: String,
    /// Stripe's word for its subscription, or `none`.
    pub subscription_status: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// How full it is.
    pub usage: Usage,
}

impl Overview {
    /// Reads and counts in one round trip.
    pub(crate) async fn load<P: Implies<OrgRead>>(tx: &mut TenantTx<P>) -> Result<Self, PgError> {
        let (tenant, plan) = (tx.tenant().as_uuid(), tx.access().plan());
        let sql = format!(
            "select name, subscription_status, created_at, \
                 (select count(*) from ({}) p) as projects, \
                 (select count(*) from ({}) t) as tasks, \
                 (select count(*) from ({}) m) as members \
             from mt.tenants where id = $1",
            Projects::ROWS,
            Tasks::ROWS,
            invites::SEATS,
        );
        let row =
            sqlx::query(AssertSqlSafe(sql)).bind(tenant).fetch_one(tx.under::<OrgRead>()).await?;
        let level =
            |resource, cap| Ok::<_, sqlx::Error>(Level { used: row.try_get(resource)?, cap });
        Ok(Self {
            name: row.try_get("name")?,
            subscription_status: row.try_get("subscription_status")?,
            created_at: row.try_get("created_at")?,
            usage: Usage {
                projects: level("projects", Projects::cap(plan))?,
                tasks: level("tasks", Tasks::cap(plan))?,
                members: level("members", Seats::cap(plan))?,
            },
        })
    }
}

/// How many of each capped resource an org has, and how many its plan allows.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Usage {
    /// Projects.
    pub projects: Level,
    /// Tasks, over all projects and in every status.
    pub tasks: Level,
    /// Members and pending invites.
    pub members: Level,
}

/// How full one resource is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Level {
    /// How many there are.
    pub used: i64,
    /// The most that the plan allows; `null` for no cap.
    #[salvo(schema(required = true))]
    pub cap: Option<u32>,
}

impl Usage {
    /// An org that was just made.
    pub(crate) fn of_new(plan: Plan) -> Self {
        Self {
            projects: Level { used: 0, cap: Projects::cap(plan) },
            tasks: Level { used: 0, cap: Tasks::cap(plan) },
            members: Level { used: 1, cap: Seats::cap(plan) },
        }
    }
}
