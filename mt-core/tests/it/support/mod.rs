//! The access model of the tests, and a database with a table of notes.

pub(crate) mod dns_server;
pub(crate) mod openid;
pub(crate) mod tcp_proxy;

use mt_core::access::{
    Access, AccessModel, Billing, Grant, Implies, Permission, Reads, Unaudited, Writes,
};
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::email::EmailAddress;
use mt_core::id::TenantId;
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::{
    Acting, Database, Resource, SystemReason, Tenant, TenantTx, Tenants, User, invites,
};
use mt_core::shares::Shares;
use mt_core::testing::TestDatabase;
use mt_core::text_enum::TextEnum as _;
use sqlx::Executor as _;

pub(crate) const SETUP: SystemReason = SystemReason::new("set a test up");

mt_core::text_enum! {
    pub(crate) enum Role {
        Owner = "owner",
        Editor = "editor",
        Viewer = "viewer",
    }
}

mt_core::text_enum! {
    pub(crate) enum Plan {
        Free = "free",
        Team = "team",
    }
}

mt_core::text_enum! {
    pub(crate) enum Perm {
        Leave = "leave",
        Manage = "manage",
        NotesRead = "notes.read",
        NotesWrite = "notes.write",
    }
}

pub(crate) struct Acme;

impl AccessModel for Acme {
    type Role = Role;
    type Plan = Plan;
    type Permission = Perm;
    type Auditing = Unaudited;
    const INITIAL_PLAN: Plan = Plan::Free;

    fn role_grants(role: Role, permission: Perm) -> bool {
        match permission {
            Perm::Leave | Perm::NotesRead => true,
            Perm::NotesWrite => matches!(role, Role::Owner | Role::Editor),
            Perm::Manage => role == Role::Owner,
        }
    }

    fn plan_includes(_: Plan, _: Perm) -> bool {
        true
    }

    fn is_owner(role: Role) -> bool {
        role == Self::OWNER
    }
}

impl MemberPolicy for Acme {
    const OWNER: Role = Role::Owner;

    fn may_invite(by: Role, role: Role) -> bool {
        by == Role::Owner || (by == Role::Editor && role == Role::Viewer)
    }

    fn may_assign(by: Role, _: Role, _: Role) -> bool {
        by == Role::Owner
    }

    fn may_remove(by: Role, _: Role) -> bool {
        by == Role::Owner
    }
}

macro_rules! permission {
    ($name:ident, $key:ident, $billing:ident, $effect:ident) => {
        pub(crate) struct $name;
        impl Permission for $name {
            type Model = Acme;
            type Effect = $effect;
            const KEY: Perm = Perm::$key;
            const BILLING: Billing = Billing::$billing;
        }
    };
}
permission!(Leave, Leave, Exempt, Writes);
permission!(Manage, Manage, Required, Writes);
permission!(NotesRead, NotesRead, Exempt, Reads);
permission!(NotesWrite, NotesWrite, Required, Writes);
impl Implies<NotesRead> for NotesWrite {}

/// Notes, capped at three on the free plan.
pub(crate) struct Notes;

impl Resource for Notes {
    type Model = Acme;
    const NAME: &'static str = "notes";
    const ROWS: &'static str =
        "select 1 from public.notes where tenant_id = (select mt.tenant_id())";

    fn cap(plan: Plan) -> Option<u32> {
        match plan {
            Plan::Free => Some(3),
            Plan::Team => None,
        }
    }
}

/// Members, capped at four on the free plan.
pub(crate) struct Seats;

impl Resource for Seats {
    type Model = Acme;
    const NAME: &'static str = "members";
    const ROWS: &'static str = invites::SEATS;

    fn cap(plan: Plan) -> Option<u32> {
        match plan {
            Plan::Free => Some(4),
            Plan::Team => None,
        }
    }
}

/// A test database with a table `public.notes`, and tenant transactions as production has them.
pub(crate) struct World {
    pub(crate) db: TestDatabase,
    pub(crate) database: Database,
    pub(crate) tenants: Tenants<Acme>,
}

impl World {
    pub(crate) async fn new(connections: u32) -> Self {
        Self::on(TestDatabase::create().await.unwrap(), connections).await
    }

    pub(crate) async fn on(db: TestDatabase, connections: u32) -> Self {
        db.admin()
            .execute(
                "set role mt_owner; reset role; \
                 create table public.notes ( \
                     tenant_id uuid not null, id uuid not null default gen_random_uuid(), \
                     text text not null, primary key (tenant_id, id)); \
                 alter table public.notes owner to mt_owner; \
                 select mt.isolate('public.notes')",
            )
            .await
            .unwrap();
        let database = db.connect(connections).await.unwrap();
        let tenants = database.tenants(StandingPolicy::default());
        Self { db, database, tenants }
    }

    /// Creates a database where one principal may use every connection.
    pub(crate) async fn without_shares(connections: u32) -> Self {
        let mut world = Self::new(1).await;
        let options = world.db.options(connections).shares(Shares::of(1000));
        world.database = Database::connect(options).await.unwrap();
        world.tenants = world.database.tenants(StandingPolicy::default());
        world
    }

    pub(crate) async fn user(&self, name: &str) -> Principal {
        let mut tx = self.database.system().begin(SETUP).await.unwrap();
        let user = User::find_or_create(&mut tx, &email(name)).await.unwrap();
        tx.commit().await.unwrap();
        Principal::in_generation(user.id, user.generation)
    }

    pub(crate) async fn tenant(&self, owner: Principal) -> TenantId {
        let mut tx = self.database.system().begin(SETUP).await.unwrap();
        let tenant = Tenant::create::<Acme>(&mut tx, "a tenant", owner.id()).await.unwrap();
        tx.commit().await.unwrap();
        tenant.id
    }

    pub(crate) async fn join(&self, tenant: TenantId, principal: Principal, role: Role) {
        sqlx::query(
            "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
             values ($1, $2, $3, $4)",
        )
        .bind(tenant.as_uuid())
        .bind(principal.id().as_uuid())
        .bind(role.as_str())
        .bind(role == Role::Owner)
        .execute(self.db.admin())
        .await
        .unwrap();
    }

    pub(crate) async fn demote(&self, tenant: TenantId, principal: Principal, role: Role) {
        sqlx::query(
            "update mt.memberships set role = $3 where tenant_id = $1 and principal_id = $2",
        )
        .bind(tenant.as_uuid())
        .bind(principal.id().as_uuid())
        .bind(role.as_str())
        .execute(self.db.admin())
        .await
        .unwrap();
    }

    pub(crate) async fn remove(&self, tenant: TenantId, principal: Principal) {
        sqlx::query("delete from mt.memberships where tenant_id = $1 and principal_id = $2")
            .bind(tenant.as_uuid())
            .bind(principal.id().as_uuid())
            .execute(self.db.admin())
            .await
            .unwrap();
    }

    pub(crate) async fn sign_out(&self, principal: Principal) {
        sqlx::query("update mt.users set generation = generation + 1 where id = $1")
            .bind(principal.id().as_uuid())
            .execute(self.db.admin())
            .await
            .unwrap();
    }

    pub(crate) async fn set(&self, tenant: TenantId, assignment: &'static str) {
        let sql = format!("update mt.tenants set {assignment} where id = '{tenant}'");
        self.db.admin().execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }

    /// Loads access as a layer does.
    pub(crate) async fn access(&self, principal: Principal, tenant: TenantId) -> Access<Acme> {
        self.tenants.load_access(principal, tenant).await.unwrap()
    }

    pub(crate) async fn grant<P: Permission<Model = Acme>>(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Grant<P> {
        self.access(principal, tenant).await.authorize().unwrap()
    }

    /// Waits until no transaction is open, rollbacks in the background included.
    pub(crate) async fn no_transaction_stays_open(&self) {
        let open = "select count(*) from pg_stat_activity \
             where datname = current_database() and state like 'idle in transaction%'";
        let none_open = async { while self.count(open).await > 0 {} };
        let within = std::time::Duration::from_secs(5);
        tokio::time::timeout(within, none_open).await.expect("one stays open");
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.db.admin()).await.unwrap()
    }
}

pub(crate) fn email(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}@example.org")).unwrap()
}

pub(crate) async fn write_note<P, L, A>(tx: &mut TenantTx<P, L, A>, text: &str)
where
    P: Implies<NotesWrite>,
    A: Acting,
{
    let tenant = tx.tenant().as_uuid();
    sqlx::query("insert into public.notes (tenant_id, text) values ($1, $2)")
        .bind(tenant)
        .bind(text)
        .execute(tx.query::<NotesWrite>())
        .await
        .unwrap();
}

/// Reads all visible notes. It has no tenant condition on purpose.
pub(crate) const ALL_NOTES: &str = "select text from public.notes order by text";

/// Runs [`ALL_NOTES`].
pub(crate) async fn all_notes<P, L, A>(tx: &mut TenantTx<P, L, A>) -> Vec<String>
where
    P: Implies<NotesRead>,
    A: Acting,
{
    sqlx::query_scalar(ALL_NOTES).fetch_all(tx.query::<NotesRead>()).await.unwrap()
}
