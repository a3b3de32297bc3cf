//! Orgs for load tests.
//!
//! Ids derive from numbers, so a second run finds the orgs of the first: org 17 is
//! `0192f0c0-5eed-7001-8000-000000000011`, its owner `owner-17@load.example`.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mt_core::id::TenantId;
use mt_core::pg::{PgError, Resource as _};
use mt_core::text_enum::TextEnum as _;
use uuid::Uuid;

use super::{Ground, SEED, SeedError, subscription_of};
use crate::model::{Plan, ProjectsCreate, Tasks, TasksCreate};

/// The number of orgs and tasks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// The number of orgs.
    pub orgs: u32,
    /// The number of tasks in each org.
    pub tasks: u32,
}

impl Size {
    /// A thousand tasks in all.
    pub const SMALL: Self = Self { orgs: 100, tasks: 10 };
    /// A hundred thousand tasks in all.
    pub const MEDIUM: Self = Self { orgs: 1_000, tasks: 100 };
    /// Ten million tasks in all.
    pub const LARGE: Self = Self { orgs: 10_000, tasks: 1_000 };

    /// Returns the smallest plan whose caps allow it.
    #[must_use]
    pub fn plan(self) -> Plan {
        match Tasks::cap(Plan::Free) {
            Some(cap) if self.tasks >= cap => Plan::Pro,
            _ => Plan::Free,
        }
    }
}

/// The number of projects in each org, which the free plan allows.
const PROJECTS: u32 = 3;
/// The number of members of each org besides its owner.
const MEMBERS: u32 = 2;
/// The number of orgs in one transaction.
const BATCH: u32 = 200;

/// Returns the id of org `number`.
const fn org(number: u32) -> Uuid {
    Uuid::from_u128(0x0192_f0c0_5eed_7001_8000_0000_0000_0000 + number as u128)
}

/// Creates orgs of this size with at most `connections` concurrent transactions, and calls `made` after each.
///
/// # Errors
///
/// [`SeedError`] when a transaction fails. Committed orgs stay, and the next run continues.
pub async fn load(
    ground: &Ground,
    size: Size,
    connections: usize,
    made: impl Fn(),
) -> Result<(), SeedError> {
    let mut first = 1;
    while first <= size.orgs {
        let last = size.orgs.min(first + BATCH - 1);
        orgs(ground, first, last, size.plan()).await?;
        let filled = stream::iter(first..=last)
            .map(|number| fill(ground, number, size.tasks))
            .buffer_unordered(connections.max(1));
        filled.inspect_ok(|()| made()).try_collect::<()>().await?;
        first = last + 1;
    }
    Ok(())
}

/// Creates the orgs `first` to `last` and their users.
async fn orgs(ground: &Ground, first: u32, last: u32, plan: Plan) -> Result<(), SeedError> {
    let mut tx = ground.system.begin(SEED).await?;
    let (first, last) = (i64::from(first), i64::from(last));
    sqlx::query(
        "insert into mt.tenants (id, name, plan, subscription_status) \
         select ('0192f0c0-5eed-7001-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Load ' || n, $3, $4 \
         from generate_series($1, $2) n on conflict do nothing",
    )
    .bind(first)
    .bind(last)
    .bind(plan.as_str())
    .bind(subscription_of(plan))
    .execute(tx.conn())
    .await
    .map_err(PgError::from)?;
    // Users are matched by address: a person who has signed in with one of these addresses is that user.
    sqlx::query(
        "insert into mt.users (id, email) \
         select ('0192f0c0-5eed-7002-' || to_hex(32768 + k) || '-' || lpad(to_hex(n), 12, '0'))::uuid, \
             case k when 0 then 'owner-' || n else 'member-' || n || '-' || k end || '@load.example' \
         from generate_series($1, $2) n, generate_series(0, $3) k on conflict do nothing",
    )
    .bind(first)
    .bind(last)
    .bind(i64::from(MEMBERS))
    .execute(tx.conn())
    .await
    .map_err(PgError::from)?;
    sqlx::query(
        "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
         select ('0192f0c0-5eed-7001-8000-' || lpad(to_hex(n), 12, '0'))::uuid, u.id, \
             case k when 0 then 'owner' else 'member' end, k = 0 \
         from generate_series($1, $2) n cross join generate_series(0, $3) k join mt.users u on u.email = \
             case k when 0 then 'owner-' || n else 'member-' || n || '-' || k end || '@load.example' \
         on conflict do nothing",
    )
    .bind(first)
    .bind(last)
    .bind(i64::from(MEMBERS))
    .execute(tx.conn())
    .await
    .map_err(PgError::from)?;
    tx.commit().await?;
    Ok(())
}

/// Creates the projects and tasks of one org, each kind in one statement under the owner's grant. They have no audit
/// entries, because no user created them.
async fn fill(ground: &Ground, number: u32, tasks: u32) -> Result<(), SeedError> {
    let id = org(number);
    let owner = ground.owner_of(id).await?;
    let mut tx = ground.begin::<ProjectsCreate>(owner, TenantId::from_uuid(id)).await?;
    sqlx::query(
        "insert into app.projects (tenant_id, id, name) \
         select $1, ('0192f0c0-5eed-7003-' || to_hex(32768 + $2::int) || '-' || \
             lpad(to_hex(p), 12, '0'))::uuid, 'Project ' || p \
         from generate_series(1, $3) p on conflict do nothing",
    )
    .bind(id)
    .bind(i64::from(number))
    .bind(i64::from(PROJECTS))
    .execute(tx.execute_unaudited::<ProjectsCreate>())
    .await
    .map_err(PgError::from)?;
    tx.commit().await?;
    let mut tx = ground.begin::<TasksCreate>(owner, TenantId::from_uuid(id)).await?;
    sqlx::query(
        "insert into app.tasks (tenant_id, id, project_id, title, status, created_by, assigned_to) \
         select $1, ('0192f0c0-5eed-7004-' || to_hex(32768 + $2::int) || '-' || \
                 lpad(to_hex(t), 12, '0'))::uuid, \
             ('0192f0c0-5eed-7003-' || to_hex(32768 + $2::int) || '-' || \
                 lpad(to_hex(1 + t % $4), 12, '0'))::uuid, \
             'Task ' || t, (array['todo', 'doing', 'done'])[1 + t % 3], $5, \
             case when t % 4 = 0 then $5 end \
         from generate_series(1, $3) t on conflict do nothing",
    )
    .bind(id)
    .bind(i64::from(number))
    .bind(i64::from(tasks))
    .bind(i64::from(PROJECTS))
    .bind(owner.id().as_uuid())
    .execute(tx.execute_unaudited::<TasksCreate>())
    .await
    .map_err(PgError::from)?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_from_a_number() {
        assert_eq!(org(17).to_string(), "0192f0c0-5eed-7001-8000-000000000011");
        // Ids of projects and tasks have fourteen bits for the org.
        const { assert!(Size::LARGE.orgs < 1 << 14) }
    }

    #[test]
    fn sizes_stay_within_the_caps_of_their_plan() {
        for size in [Size::SMALL, Size::MEDIUM, Size::LARGE] {
            let cap = Tasks::cap(size.plan());
            assert!(cap.is_none_or(|cap| size.tasks < cap), "{size:?}");
        }
    }
}
