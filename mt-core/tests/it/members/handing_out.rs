//! A member hands out no more than they hold, whatever the table of rules says.

use std::time::Duration;

use mt_core::access::AccessRequest;
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::member_policy::{MemberPolicy as _, unsound_rules};
use mt_core::pg::invites::{self, AcceptError, InviteError, InviteTerms};
use mt_core::pg::{MemberError, Tenant, Tenants};
use mt_core::text_enum::TextEnum as _;
use mt_core::token::TokenHasher;

use crate::support::{SETUP, World, email};

mt_core::model! {
    Shop;
    roles Role { Owner = "owner" (owner), Clerk = "clerk", Auditor = "auditor", Guest = "guest" }
    plans Plan { Basic = "basic" (initial) }
    permissions Permission {
        //                                Owner Clerk Auditor Guest  Basic
        LogRead = "log.read"             [yes   no    yes     no]   [yes] exempt read;
        MembersManage = "members.manage" [yes   yes   yes     no]   [yes] exempt write;
    }
    // The rules that give an auditor's or an owner's role are unsound: a clerk does not read the log.
    members {
        Owner invites [Clerk, Auditor, Guest] assigns [Owner, Clerk, Auditor, Guest] removes [Clerk];
        Clerk invites [Owner, Auditor, Guest, Clerk] assigns [Owner, Auditor, Guest, Clerk];
    }
    caps { Seats of members { Basic: 10 } }
}

const TERMS: InviteTerms = InviteTerms { ttl: Duration::from_hours(1), mail_interval: None };

fn hasher() -> TokenHasher {
    TokenHasher::new(b"a secret of the tests, 32 bytes or more")
}

/// A shop with an owner and a clerk.
struct Fixture {
    world: World,
    tenants: Tenants<Shop>,
    tenant: TenantId,
    owner: Principal,
    clerk: Principal,
}

impl Fixture {
    async fn new() -> Self {
        let world = World::new(4).await;
        let tenants = world.database.tenants(StandingPolicy::default());
        let (owner, clerk) = (world.user("owner").await, world.user("clerk").await);
        let mut tx = world.database.system().begin(SETUP).await.unwrap();
        let tenant = Tenant::create::<Shop>(&mut tx, "a shop", owner.id()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(tenant.plan, "basic");
        let fixture = Self { world, tenants, tenant: tenant.id, owner, clerk };
        fixture.set_role(clerk, Role::Clerk).await;
        fixture
    }

    async fn set_role(&self, who: Principal, role: Role) {
        sqlx::query(
            "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
             values ($1, $2, $3, false) \
             on conflict (tenant_id, principal_id) do update set role = excluded.role",
        )
        .bind(self.tenant.as_uuid())
        .bind(who.id().as_uuid())
        .bind(role.as_str())
        .execute(self.world.db.admin())
        .await
        .unwrap();
    }

    fn request(&self, by: Principal) -> AccessRequest<MembersManage> {
        AccessRequest::new(by, self.tenant)
    }

    async fn invited(&self, by: Principal, name: &str, role: Role) -> Result<String, InviteError> {
        let begin = self.tenants.begin(self.request(by)).exclusive().capped::<Seats>();
        let (mut tx, cap) = begin.await.unwrap();
        let made = invites::invite(&mut tx, cap, &hasher(), &email(name), role, TERMS).await?;
        tx.commit().await.unwrap();
        Ok(made.token.reveal().to_owned())
    }

    async fn assigned(&self, by: Principal, who: Principal, role: Role) -> Result<(), MemberError> {
        let mut tx = self.tenants.begin(self.request(by)).exclusive().await.unwrap();
        tx.assign_role(who.id(), role).await?;
        tx.commit().await.unwrap();
        Ok(())
    }
}

#[test]
fn unsound_rules_are_listed() {
    assert_eq!(
        unsound_rules::<Shop>(),
        [
            "clerk may invite as owner, which has `log.read`",
            "clerk may assign owner, which has `log.read`",
            "clerk may invite as auditor, which has `log.read`",
            "clerk may assign auditor, which has `log.read`",
        ]
    );
    // The control: the table itself allows it.
    assert!(Shop::may_invite(Role::Clerk, Role::Auditor));
}

#[tokio::test]
async fn an_invite_hands_out_no_more_than_its_maker_holds() {
    let fixture = Fixture::new().await;
    for role in [Role::Owner, Role::Auditor] {
        let refused = fixture.invited(fixture.clerk, "ada", role).await;
        assert!(matches!(refused, Err(InviteError::Forbidden)), "{role:?}: {refused:?}");
    }
    fixture.invited(fixture.clerk, "ada", Role::Guest).await.unwrap();
    fixture.invited(fixture.clerk, "bob", Role::Clerk).await.unwrap();
}

#[tokio::test]
async fn an_assignment_hands_out_no_more_than_its_maker_holds() {
    let fixture = Fixture::new().await;
    let guest = fixture.world.user("guest").await;
    fixture.set_role(guest, Role::Guest).await;
    for role in [Role::Owner, Role::Auditor] {
        let refused = fixture.assigned(fixture.clerk, guest, role).await;
        assert!(matches!(refused, Err(MemberError::Forbidden)), "{role:?}: {refused:?}");
    }
    fixture.assigned(fixture.clerk, guest, Role::Clerk).await.unwrap();
    fixture.assigned(fixture.owner, guest, Role::Auditor).await.unwrap();
}

/// The maker of an invite was an owner's equal when it was made, and is a clerk when it is accepted.
#[tokio::test]
async fn an_invite_is_worth_what_its_maker_holds_when_it_is_accepted() {
    let fixture = Fixture::new().await;
    let (maker, ada) = (fixture.world.user("maker").await, fixture.world.user("ada").await);
    let accept = async |token: &str| {
        let mut tx = fixture.world.database.system().begin_for(ada, SETUP).await.unwrap();
        let standing = StandingPolicy::default();
        let done =
            invites::accept::<Shop, Seats>(&mut tx, &hasher(), &standing, ada, token).await?;
        tx.commit().await.unwrap();
        Ok::<_, AcceptError>(done.role)
    };
    fixture.set_role(maker, Role::Owner).await;
    let token = fixture.invited(maker, "ada", Role::Auditor).await.unwrap();
    fixture.set_role(maker, Role::Clerk).await;
    let refused = accept(&token).await;
    assert!(matches!(refused, Err(AcceptError::Invalid)), "{refused:?}");
    fixture.set_role(maker, Role::Owner).await;
    assert_eq!(accept(&token).await.unwrap(), Role::Auditor);
}
