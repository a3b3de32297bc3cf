//! The tenants themselves.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::access::{Permission, Suspension};
use crate::billing::SubscriptionStatus;
use crate::id::{PrincipalId, TenantId};
use crate::member_policy::MemberPolicy;
use crate::pg::audit_log::{TENANT_CREATED, TENANT_DELETED, TENANT_RENAMED};
use crate::pg::transaction::decode::variant;
use crate::pg::transaction::gate;
use crate::pg::{Exclusive, PgError, PrincipalTx, SystemTx, TenantTx};
use crate::tenant_name::Slug;
use crate::text_enum::TextEnum as _;

/// The columns of a [`Row`], of `mt.tenants as t`.
macro_rules! columns {
    () => {
        "t.id, t.name, t.slug, t.plan, t.subscription_status, t.past_due_since, t.current_period_end, \
         t.cancel_at_period_end, t.suspension, t.created_at, now() as read_at"
    };
}
pub(super) use columns;

/// A tenant and the state of its billing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tenant {
    /// The tenant's id.
    pub id: TenantId,
    /// What its members call it.
    pub name: String,
    /// Its name in paths and subdomains.
    pub slug: Option<Slug>,
    /// The plan, as stored.
    pub plan: String,
    /// The subscription's state.
    pub subscription_status: SubscriptionStatus,
    /// When the present run of failed payments began.
    pub past_due_since: Option<DateTime<Utc>>,
    /// When the paid period ends.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Whether the subscription ends then.
    pub cancel_at_period_end: bool,
    /// Whether an operator has stopped it.
    pub suspension: Suspension,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The database's clock when this was read, for deciding on grace.
    pub read_at: DateTime<Utc>,
}

/// A tenant as it stands in its member's list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TenantSummary {
    /// The tenant.
    pub tenant: Tenant,
    /// The role that the principal has in it, as stored.
    pub role: String,
}

/// A row with [`columns`].
#[derive(FromRow)]
pub(super) struct Row {
    id: uuid::Uuid,
    name: String,
    slug: Option<String>,
    plan: String,
    subscription_status: String,
    past_due_since: Option<DateTime<Utc>>,
    current_period_end: Option<DateTime<Utc>>,
    cancel_at_period_end: bool,
    suspension: String,
    created_at: DateTime<Utc>,
    read_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct SummaryRow {
    #[sqlx(flatten)]
    tenant: Row,
    role: String,
}

impl TryFrom<Row> for Tenant {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: TenantId::from_uuid(row.id),
            name: row.name,
            slug: row.slug.as_deref().map(slug).transpose()?,
            plan: row.plan,
            subscription_status: SubscriptionStatus::from_word(&row.subscription_status),
            past_due_since: row.past_due_since,
            current_period_end: row.current_period_end,
            cancel_at_period_end: row.cancel_at_period_end,
            suspension: variant("suspension", &row.suspension)?,
            created_at: row.created_at,
            read_at: row.read_at,
        })
    }
}

/// Reads a stored slug.
fn slug(text: &str) -> Result<Slug, sqlx::Error> {
    Slug::parse(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

impl Tenant {
    /// Makes a tenant on the model's initial plan, and its first member, the owner.
    ///
    /// ```
    /// use mt_core::email::EmailAddress;
    /// use mt_core::pg::{SystemReason, Tenant, User};
    /// # use mt_core::testing::TestDatabase;
    /// # mt_core::model! {
    /// #     pub Shop;
    /// #     roles Role { Owner = "owner" (owner) }
    /// #     plans Plan { Free = "free" (initial) }
    /// #     permissions Permission { OrdersRead = "orders.read" [yes] [yes] exempt read; }
    /// # }
    ///
    /// const SIGN_UP: SystemReason = SystemReason::new("a user signs up");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if std::env::var_os("MT_TEST_DATABASE_URL").is_none() { return Ok(()) }
    /// # let db = TestDatabase::create().await?;
    /// # let database = db.connect(2).await?;
    /// let mut tx = database.system().begin(SIGN_UP).await?;
    /// let ada = User::find_or_create(&mut tx, &EmailAddress::parse("ada@example.org")?).await?;
    /// let shop = Tenant::create::<Shop>(&mut tx, "Ada's shop", ada.id).await?;
    /// tx.commit().await?;
    /// assert_eq!(shop.plan, "free");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn create<M: MemberPolicy>(
        tx: &mut SystemTx,
        name: &str,
        owner: PrincipalId,
    ) -> Result<Self, PgError> {
        Self::insert::<M>(tx, name, None, owner).await
    }

    pub(super) async fn insert<M: MemberPolicy>(
        tx: &mut SystemTx,
        name: &str,
        slug: Option<&Slug>,
        owner: PrincipalId,
    ) -> Result<Self, PgError> {
        let id = TenantId::generate();
        let row: Row = sqlx::query_as(concat!(
            "insert into mt.tenants as t (id, name, slug, plan) values ($1, $2, $3, $4) returning ",
            columns!()
        ))
        .bind(id.as_uuid())
        .bind(name)
        .bind(slug.map(Slug::as_str))
        .bind(M::INITIAL_PLAN.as_str())
        .fetch_one(tx.conn())
        .await?;
        sqlx::query(
            "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
             values ($1, $2, $3, true)",
        )
        .bind(id.as_uuid())
        .bind(owner.as_uuid())
        .bind(M::OWNER.as_str())
        .execute(tx.conn())
        .await?;
        tx.record(id, TENANT_CREATED.on(id.as_uuid()).with("owner", owner.as_uuid()));
        Ok(row.try_into()?)
    }

    /// The transaction's tenant.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn load<P: Permission, L>(tx: &mut TenantTx<P, L>) -> Result<Self, PgError> {
        let id = tx.tenant().as_uuid();
        let row: Row =
            sqlx::query_as(concat!("select ", columns!(), " from mt.tenants t where t.id = $1"))
                .bind(id)
                .fetch_one(tx.conn())
                .await?;
        Ok(row.try_into()?)
    }

    /// Gives the transaction's tenant another name. It takes the lock of the tenant row first, as all changes to
    /// that row do: a deletion that waits for this write would otherwise be waited for by it.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn rename<P: Permission>(
        tx: &mut TenantTx<P, Exclusive>,
        name: &str,
    ) -> Result<Self, PgError> {
        let id = tx.tenant().as_uuid();
        let row: Row = sqlx::query_as(concat!(
            "update mt.tenants as t set name = $2, updated_at = now() where t.id = $1 returning ",
            columns!()
        ))
        .bind(id)
        .bind(name)
        .fetch_one(tx.changing(TENANT_RENAMED.on(id)))
        .await?;
        Ok(row.try_into()?)
    }

    /// Deletes the transaction's tenant and, by its foreign keys, everything in it. Waits for its
    /// members' writes that are under way; those to come find no membership.
    ///
    /// Its audit log goes too. The log of the process has the actor.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn delete<P: Permission>(tx: &mut TenantTx<P, Exclusive>) -> Result<(), PgError> {
        let id = tx.tenant().as_uuid();
        let tenant = tx.tenant();
        gate::close_tenant(tx.conn(), tenant).await?;
        sqlx::query("delete from mt.tenants where id = $1").bind(id).execute(tx.conn()).await?;
        tx.log(TENANT_DELETED.on(id));
        Ok(())
    }

    /// Counts the tenants that `owner` owns, up to `up_to`. The row of the owner is locked
    /// first, so that of two transactions that count and then make one more, the second counts what the first made.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn count_owned(
        tx: &mut SystemTx,
        owner: PrincipalId,
        up_to: u32,
    ) -> Result<u32, PgError> {
        sqlx::query("select 1 from mt.users where id = $1 for no key update")
            .bind(owner.as_uuid())
            .execute(tx.conn())
            .await?;
        let owned: i64 = sqlx::query_scalar(
            "select count(*) from ( \
                 select 1 from mt.memberships where principal_id = $1 and is_owner limit $2) owned",
        )
        .bind(owner.as_uuid())
        .bind(i64::from(up_to))
        .fetch_one(tx.conn())
        .await?;
        Ok(u32::try_from(owned).unwrap_or(u32::MAX))
    }

    /// The tenants of the transaction's principal, newest first, after the one named by `before`: at most
    /// the one, for a credential that is bound to one.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn of_principal(
        tx: &mut PrincipalTx,
        before: Option<TenantId>,
        limit: i64,
    ) -> Result<Vec<TenantSummary>, PgError> {
        let principal = tx.principal().id().as_uuid();
        let bound_to = tx.principal().tenant().map(TenantId::as_uuid);
        let rows: Vec<SummaryRow> = sqlx::query_as(concat!(
            "select ",
            columns!(),
            ", m.role \
             from mt.memberships m join mt.tenants t on t.id = m.tenant_id \
             where m.principal_id = $1 and ($2::uuid is null or m.tenant_id < $2) \
                 and ($4::uuid is null or m.tenant_id = $4) \
             order by m.tenant_id desc limit $3",
        ))
        .bind(principal)
        .bind(before.map(TenantId::as_uuid))
        .bind(limit)
        .bind(bound_to)
        .fetch_all(tx.conn())
        .await?;
        let summary =
            |row: SummaryRow| Ok(TenantSummary { tenant: row.tenant.try_into()?, role: row.role });
        rows.into_iter().map(summary).collect()
    }
}
