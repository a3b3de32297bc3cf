//! A database with something in it: for whoever tries the server out, and for load.
//!
//! [`seed`] makes an org whose ids are always the same, with a project, a task and a user for each role.
//! [`load`] adds orgs by the hundred. Both may be run again, and beside a running server: what is there
//! stays, what was taken away comes back.
//!
//! Rows are written as the server writes them. What is in an org goes through its owner's grant and the
//! transaction of that org, so that a seed which mixed up two orgs would be refused by the database. That
//! rules `copy` out, which Postgres does not do under row-level security; rows are made by
//! `insert … select` where they are to be, so nothing has to travel.

mod load;

use mt_core::access::{AccessError, Denied, Permission};
use mt_core::auth::Principal;
use mt_core::email::EmailAddress;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::audit_log::TENANT_CREATED;
use mt_core::pg::{BeginError, PgError, SystemPool, SystemReason, TenantPool, TenantTx, User};
use mt_core::word::Word as _;
use uuid::Uuid;

pub use self::load::{Size, load};
use crate::model::{Plan, Product, ProjectsCreate, Role, TasksCreate};
use crate::product::audit::{PROJECT_CREATED, TASK_CREATED};

const SEED: SystemReason = SystemReason::new("seed an org");

/// An org whose ids are always the same.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// What its members call it.
    pub name: &'static str,
    /// What it has subscribed to.
    pub plan: Plan,
    /// What its users' addresses end with.
    pub domain: &'static str,
    /// Its id.
    pub org: Uuid,
    /// A project of it.
    pub project: Uuid,
    /// A task of that project.
    pub task: Uuid,
}

/// The org of [`seed`], on the free plan.
pub const ACME: Known = Known::new("Acme", Plan::Free, "acme.example", 1);

/// The org that load is put on: on the plan `pro`, which has no caps.
pub const K6: Known = Known::new("k6", Plan::Pro, "k6.example", 2);

/// `UUIDv7`s of one millisecond, told apart by their last digits.
const IDS: u128 = 0x0192_f0c0_5eed_7000_8000_0000_0000_0000;

impl Known {
    const fn new(name: &'static str, plan: Plan, domain: &'static str, number: u128) -> Self {
        let first = IDS + (number << 8);
        Self {
            name,
            plan,
            domain,
            org: Uuid::from_u128(first + 1),
            project: Uuid::from_u128(first + 2),
            task: Uuid::from_u128(first + 3),
        }
    }

    /// Its users: one for each role, named after it.
    pub fn users(&self) -> impl Iterator<Item = (String, Role)> + use<'_> {
        Role::ALL.iter().map(|role| (format!("{}@{}", role.as_str(), self.domain), *role))
    }
}

/// Where seeds go.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Transactions across orgs.
    pub system: SystemPool,
    /// Transactions in an org.
    pub tenants: TenantPool<Product>,
}

/// Sees to it that `known` is there as it is known.
///
/// # Errors
///
/// [`SeedError`].
pub async fn seed(ground: &Ground, known: &Known) -> Result<(), SeedError> {
    let owner = people(&ground.system, known).await?;
    let org = TenantId::from_uuid(known.org);
    let mut tx = ground.begin::<ProjectsCreate>(owner, org).await?;
    sqlx::query(
        "insert into app.projects (tenant_id, id, name) values ($1, $2, 'Launch') \
         on conflict do nothing",
    )
    .bind(known.org)
    .bind(known.project)
    .execute(tx.change::<ProjectsCreate>(PROJECT_CREATED.on(known.project)))
    .await
    .map_err(PgError::from)?;
    tx.commit().await?;
    let mut tx = ground.begin::<TasksCreate>(owner, org).await?;
    sqlx::query(
        "insert into app.tasks (tenant_id, id, project_id, title, created_by, assigned_to) \
         values ($1, $2, $3, 'Write the announcement', $4, $4) on conflict do nothing",
    )
    .bind(known.org)
    .bind(known.task)
    .bind(known.project)
    .bind(owner.id().as_uuid())
    .execute(tx.change::<TasksCreate>(TASK_CREATED.on(known.task)))
    .await
    .map_err(PgError::from)?;
    tx.commit().await?;
    Ok(())
}

/// The org and its users. Returns its owner.
async fn people(system: &SystemPool, known: &Known) -> Result<Principal, SeedError> {
    let mut tx = system.begin(SEED).await?;
    let made = sqlx::query(
        "insert into mt.tenants (id, name, plan, subscription_status) values ($1, $2, $3, $4) \
         on conflict (id) do nothing",
    )
    .bind(known.org)
    .bind(known.name)
    .bind(known.plan.as_str())
    .bind(subscription_of(known.plan))
    .execute(tx.conn())
    .await
    .map_err(PgError::from)?;
    let mut owner = None;
    for (email, role) in known.users() {
        let email = EmailAddress::parse(&email).map_err(|_| SeedError::Address(email))?;
        let user = User::find_or_create(&mut tx, &email).await?;
        sqlx::query(
            "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
             values ($1, $2, $3, $4) on conflict (tenant_id, principal_id) \
             do update set role = excluded.role, is_owner = excluded.is_owner",
        )
        .bind(known.org)
        .bind(user.id.as_uuid())
        .bind(role.as_str())
        .bind(role == Role::Owner)
        .execute(tx.conn())
        .await
        .map_err(PgError::from)?;
        if role == Role::Owner {
            owner = Some(user.id);
        }
    }
    if made.rows_affected() > 0 {
        tx.record(TenantId::from_uuid(known.org), TENANT_CREATED.on(known.org));
    }
    tx.commit().await?;
    owner.map(Principal::new).ok_or(SeedError::NoOwner)
}

/// What Stripe would say of an org that is on `plan`.
const fn subscription_of(plan: Plan) -> &'static str {
    match plan {
        Plan::Free => "none",
        Plan::Pro => "active",
    }
}

impl Ground {
    /// A transaction of `org`, under `who`'s grant.
    async fn begin<P: Permission<Model = Product>>(
        &self,
        who: Principal,
        org: TenantId,
    ) -> Result<TenantTx<P>, SeedError> {
        let access = self.tenants.look(who, org).await?;
        Ok(self.tenants.begin(access.authorize::<P>()?).await?)
    }

    async fn owner_of(&self, org: Uuid) -> Result<Principal, SeedError> {
        let mut tx = self.system.begin(SEED).await?;
        let owner: Option<Uuid> = sqlx::query_scalar(
            "select principal_id from mt.memberships where tenant_id = $1 and is_owner limit 1",
        )
        .bind(org)
        .fetch_optional(tx.conn())
        .await
        .map_err(PgError::from)?;
        tx.commit().await?;
        owner.map(PrincipalId::from_uuid).map(Principal::new).ok_or(SeedError::NoOwner)
    }
}

/// Why there is no seed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Who may do what in an org could not be read.
    #[error("an org's owner is not let in")]
    Access(#[from] AccessError),
    /// An address that no user can have.
    #[error("`{0}` is no address")]
    Address(String),
    /// A transaction of an org did not open.
    #[error("an org could not be opened")]
    Begin(#[from] BeginError),
    /// The owner lacks a permission: the org does not pay any more, or was suspended.
    #[error("an org's owner may not write to it")]
    Denied(#[from] Denied),
    /// An org without an owner.
    #[error("an org has no owner")]
    NoOwner,
    /// A statement failed.
    #[error("the database refused a seed")]
    Pg(#[from] PgError),
}
