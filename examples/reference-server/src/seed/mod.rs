//! Sample data for demos and load tests.
//!
//! [`seed`] creates an org with fixed ids, a project, a task and a user for each role. [`load`] adds hundreds of
//! orgs. Both may be repeated, also while a server is running: existing rows stay, and missing ones are created
//! again.
//!
//! Rows are written as the server writes them: through the owner's grant and a transaction of the org, so that the
//! database refuses rows in the wrong org. That excludes `copy`, which Postgres does not support under row-level
//! security; `insert … select` generates rows on the server instead.

mod load;

use mt_core::access::{AccessError, Denied, Permission};
use mt_core::auth::Principal;
use mt_core::email::EmailAddress;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::audit_log::TENANT_CREATED;
use mt_core::pg::{BeginError, PgError, System, SystemReason, TenantTx, Tenants, User};
use mt_core::text_enum::TextEnum as _;
use uuid::Uuid;

pub use self::load::{Size, load};
use crate::model::{Plan, Product, ProjectsCreate, Role, TasksCreate};
use crate::product::audit::{PROJECT_CREATED, TASK_CREATED};

const SEED: SystemReason = SystemReason::new("seed an org");

/// An org with fixed ids.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The name of the org.
    pub name: &'static str,
    /// The plan of the org.
    pub plan: Plan,
    /// The domain of its users' addresses.
    pub domain: &'static str,
    /// The id of the org.
    pub org: Uuid,
    /// The id of a project of the org.
    pub project: Uuid,
    /// The id of a task of the project.
    pub task: Uuid,
}

/// The org of [`seed`], on the free plan.
pub const ACME: Known = Known::new("Acme", Plan::Free, "acme.example", 1);

/// The org for load tests: on the plan `pro`, which has no caps.
pub const K6: Known = Known::new("k6", Plan::Pro, "k6.example", 2);

/// `UUIDv7`s of one millisecond, which differ in their last digits.
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

    /// Returns its users: one for each role, named after it.
    pub fn users(&self) -> impl Iterator<Item = (String, Role)> + use<'_> {
        Role::ALL.iter().map(|role| (format!("{}@{}", role.as_str(), self.domain), *role))
    }
}

/// The database access of seeds.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Transactions across orgs.
    pub system: System,
    /// Transactions in an org.
    pub tenants: Tenants<Product>,
}

/// Creates what is missing of `known`.
///
/// # Errors
///
/// [`SeedError`] when the database refuses it.
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
    .execute(tx.execute::<ProjectsCreate>(PROJECT_CREATED.on(known.project)))
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
    .execute(tx.execute::<TasksCreate>(TASK_CREATED.on(known.task)))
    .await
    .map_err(PgError::from)?;
    tx.commit().await?;
    Ok(())
}

/// Creates the org and its users, and returns the owner.
async fn people(system: &System, known: &Known) -> Result<Principal, SeedError> {
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

/// Returns the subscription status of an org on `plan`.
const fn subscription_of(plan: Plan) -> &'static str {
    match plan {
        Plan::Free => "none",
        Plan::Pro => "active",
    }
}

impl Ground {
    /// Opens a transaction of `org` under the owner's grant.
    async fn begin<P: Permission<Model = Product>>(
        &self,
        who: Principal,
        org: TenantId,
    ) -> Result<TenantTx<P>, SeedError> {
        let access = self.tenants.load_access(who, org).await?;
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

/// The error of a seed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The owner's access could not be loaded.
    #[error("the owner's access could not be loaded")]
    Access(#[from] AccessError),
    /// An address is not valid.
    #[error("`{0}` is not an email address")]
    Address(String),
    /// A transaction of an org could not be opened.
    #[error("the org's transaction could not be opened")]
    Begin(#[from] BeginError),
    /// The owner lacks a permission: the org's payments have lapsed, or it is suspended.
    #[error("the org's owner lacks the permission to write")]
    Denied(#[from] Denied),
    /// An org has no owner.
    #[error("the org has no owner")]
    NoOwner,
    /// A statement failed.
    #[error("a statement of the seed failed")]
    Pg(#[from] PgError),
}
