//! How full each capped resource of an org is.

use mt_core::access::Implies;
use mt_core::pg::{PgError, Resource, TenantTx, invites};
use serde::Serialize;
use sqlx::AssertSqlSafe;

use crate::model::{OrgRead, Plan, Projects, Seats, Tasks};

/// How many of each capped resource an org has, and how many its plan allows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    /// Projects.
    pub projects: Level,
    /// Tasks, over all projects and in every status.
    pub tasks: Level,
    /// Members and pending invites.
    pub members: Level,
}

/// How full one resource is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Level {
    /// How many there are.
    pub used: i64,
    /// The most that the plan allows; `null` for no cap.
    pub cap: Option<u32>,
}

impl Usage {
    /// Counts what the transaction's org has.
    pub(crate) async fn count<P: Implies<OrgRead>>(tx: &mut TenantTx<P>) -> Result<Self, PgError> {
        let plan = tx.access().plan();
        let sql = format!(
            "select (select count(*) from ({}) p), (select count(*) from ({}) t), \
                 (select count(*) from ({}) m)",
            Projects::ROWS,
            Tasks::ROWS,
            invites::SEATS,
        );
        let (projects, tasks, members) =
            sqlx::query_as(AssertSqlSafe(sql)).fetch_one(tx.under::<OrgRead>()).await?;
        Ok(Self {
            projects: Level { used: projects, cap: Projects::cap(plan) },
            tasks: Level { used: tasks, cap: Tasks::cap(plan) },
            members: Level { used: members, cap: Seats::cap(plan) },
        })
    }

    /// An org that was just made.
    pub(crate) fn of_new(plan: Plan) -> Self {
        Self {
            projects: Level { used: 0, cap: Projects::cap(plan) },
            tasks: Level { used: 0, cap: Tasks::cap(plan) },
            members: Level { used: 1, cap: Seats::cap(plan) },
        }
    }
}
