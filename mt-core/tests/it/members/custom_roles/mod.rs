//! Custom roles: what their holders may do, how they are changed and deleted, and that no member holds what no other
//! could give.

mod database;
mod handing_out;
mod histories;
mod life;

use std::time::Duration;

use mt_core::access::{Access, AccessRequest, Permission, PermissionSet};
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::{RoleId, TenantId};
use mt_core::pg::invites::{self, AcceptError, InviteError, InviteTerms};
use mt_core::pg::roles::{self, CustomRole, MemberRole, NewRole, RoleChange, RoleError};
use mt_core::pg::{MemberError, Tenant, Tenants};
use mt_core::text_enum::TextEnum as _;
use mt_core::token::TokenHasher;

use crate::support::{SETUP, World, email};

mt_core::model! {
    Shop;
    roles Role { Owner = "owner" (owner), Manager = "manager", Clerk = "clerk", Guest = "guest" }
    plans Plan { Basic = "basic" (initial) }
    permissions Action {
        //                             Owner Manager Clerk Guest  Basic
        LogRead = "log.read"          [yes   no      no    no]   [yes] exempt read;
        NotesRead = "notes.read"      [yes   yes     yes   no]   [yes] exempt read;
        NotesWrite = "notes.write"    [yes   yes     no    no]   [yes] exempt write + NotesRead;
        // Not even the owner has it.
        SafeRead = "safe.read"        [no    no      yes   no]   [yes] exempt read;
        TeamManage = "team.manage"    [yes   yes     yes   no]   [yes] exempt write;
    }
    // As wide as a table can be: what is refused is refused by the law over sets.
    members {
        Owner invites [Owner, Manager, Clerk, Guest] assigns [Owner, Manager, Clerk, Guest]
            removes [Owner, Manager, Clerk, Guest];
        Manager invites [Owner, Manager, Clerk, Guest] assigns [Owner, Manager, Clerk, Guest]
            removes [Owner, Manager, Clerk, Guest];
        Clerk invites [Owner, Manager, Clerk, Guest] assigns [Owner, Manager, Clerk, Guest]
            removes [Owner, Manager, Clerk, Guest];
        Guest invites [Owner, Manager, Clerk, Guest] assigns [Owner, Manager, Clerk, Guest]
            removes [Owner, Manager, Clerk, Guest];
    }
    caps { Seats of members { Basic: none } }
}

const TERMS: InviteTerms = InviteTerms { ttl: Duration::from_hours(1), mail_interval: None };

fn hasher() -> TokenHasher {
    TokenHasher::new(b"a secret of the tests, 32 bytes or more")
}

fn set(words: &[&'static str]) -> PermissionSet<Shop> {
    PermissionSet::parse(words.iter().copied()).unwrap()
}

/// A shop with an owner, a manager and a clerk.
struct Fixture {
    world: World,
    tenants: Tenants<Shop>,
    tenant: TenantId,
    owner: Principal,
    manager: Principal,
    clerk: Principal,
}

impl Fixture {
    async fn new() -> Self {
        let world = World::new(8).await;
        let tenants = world.database.tenants(StandingPolicy::default());
        let owner = world.user("owner").await;
        let (manager, clerk) = (world.user("manager").await, world.user("clerk").await);
        let tenant = Self::shop_of(&world, owner).await;
        let fixture = Self { world, tenants, tenant, owner, manager, clerk };
        fixture.join(manager, Role::Manager).await;
        fixture.join(clerk, Role::Clerk).await;
        fixture
    }

    async fn shop_of(world: &World, owner: Principal) -> TenantId {
        let mut tx = world.database.system().begin(SETUP).await.unwrap();
        let tenant = Tenant::create::<Shop>(&mut tx, "a shop", owner.id()).await.unwrap();
        tx.commit().await.unwrap();
        tenant.id
    }

    /// Makes a member in the console, or changes the role of one.
    async fn join(&self, who: Principal, role: Role) {
        sqlx::query(
            "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
             values ($1, $2, $3, $4) \
             on conflict (tenant_id, principal_id) do update set role = $3, is_owner = $4",
        )
        .bind(self.tenant.as_uuid())
        .bind(who.id().as_uuid())
        .bind(role.as_str())
        .bind(role == Role::Owner)
        .execute(self.world.db.admin())
        .await
        .unwrap();
    }

    fn request<P: Permission>(&self, by: Principal) -> AccessRequest<P> {
        AccessRequest::new(by, self.tenant)
    }

    async fn access(&self, who: Principal) -> Access<Shop> {
        self.tenants.load_access(who, self.tenant).await.unwrap()
    }

    async fn make(
        &self,
        by: Principal,
        name: &str,
        based_on: Role,
        words: &[&'static str],
    ) -> Result<CustomRole<Shop>, RoleError> {
        let mut tx = self.tenants.begin(self.request::<TeamManage>(by)).exclusive().await.unwrap();
        let new = NewRole { name, based_on, permissions: set(words) };
        let made = roles::create(&mut tx, new).await?;
        tx.commit().await.unwrap();
        Ok(made)
    }

    async fn edit(
        &self,
        by: Principal,
        role: RoleId,
        words: &[&'static str],
    ) -> Result<CustomRole<Shop>, RoleError> {
        let mut tx = self.tenants.begin(self.request::<TeamManage>(by)).exclusive().await.unwrap();
        let change = RoleChange { name: None, permissions: Some(set(words)) };
        let changed = roles::change(&mut tx, role, change).await?;
        tx.commit().await.unwrap();
        Ok(changed)
    }

    async fn delete(&self, by: Principal, role: RoleId) -> Result<(), RoleError> {
        let mut tx = self.tenants.begin(self.request::<TeamManage>(by)).exclusive().await.unwrap();
        roles::delete(&mut tx, role).await?;
        tx.commit().await.unwrap();
        Ok(())
    }

    async fn assign(
        &self,
        by: Principal,
        who: Principal,
        role: impl Into<MemberRole<Role>>,
    ) -> Result<(), MemberError> {
        let mut tx = self.tenants.begin(self.request::<TeamManage>(by)).exclusive().await.unwrap();
        tx.assign_role(who.id(), role).await?;
        tx.commit().await.unwrap();
        Ok(())
    }

    async fn invite(
        &self,
        by: Principal,
        name: &str,
        role: impl Into<MemberRole<Role>>,
    ) -> Result<String, InviteError> {
        let begin = self.tenants.begin(self.request::<TeamManage>(by));
        let (mut tx, cap) = begin.exclusive().capped::<Seats>().await.unwrap();
        let made = invites::invite(&mut tx, cap, &hasher(), &email(name), role, TERMS).await?;
        tx.commit().await.unwrap();
        Ok(made.token.reveal().to_owned())
    }

    async fn accept(&self, who: Principal, token: &str) -> Result<Option<RoleId>, AcceptError> {
        let mut tx = self.world.database.system().begin_for(who, SETUP).await.unwrap();
        let standing = StandingPolicy::default();
        let hasher = hasher();
        let done = invites::accept::<Shop, Seats>(&mut tx, &hasher, &standing, who, token);
        let done = done.await?;
        tx.commit().await.unwrap();
        Ok(done.custom_role)
    }
}
