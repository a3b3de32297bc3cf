//! Credentials that are bound to one tenant: in every other tenant they are not a member.

use std::time::Duration;

use mt_core::access::{
    Access, AccessError, AccessRequest, AccessSource, Denied, Facts, Permission,
};
use mt_core::auth::Principal;
use mt_core::billing::{Standing, StandingPolicy};
use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::invites::{self, AcceptError, InviteTerms};
use mt_core::pg::{BeginError, Tenant};
use mt_core::token::TokenHasher;
use sqlx::Executor as _;

use crate::support::{
    Acme, Leave, Manage, NotesRead, NotesWrite, Plan, Role, SETUP, Seats, World, all_notes, email,
    write_note,
};

#[test]
fn tenant_binding_of_a_principal_cannot_be_changed() {
    let (acme, blue) = (TenantId::generate(), TenantId::generate());
    let session = Principal::in_generation(PrincipalId::generate(), 3);
    let key = session.bound_to(acme);
    assert_eq!((key.id(), key.generation(), key.tenant()), (session.id(), Some(3), Some(acme)));
    assert_eq!(session.tenant(), None);
    assert_eq!(key.bound_to(blue), key, "to what it was bound to first");
    assert_ne!(key, session);
}

/// A source that ignores bindings: every principal is an owner of every tenant.
struct Forgetful;

impl AccessSource<Acme> for Forgetful {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<Acme>, AccessError> {
        let facts = Facts::new(Role::Owner, Plan::Team, Standing::Good);
        Ok(Access::assertion(tenant, principal, facts))
    }
}

#[tokio::test]
async fn binding_is_checked_whatever_the_access_source_returns() {
    async fn denied<P: Permission<Model = Acme>>(who: Principal, to: TenantId) -> Option<Denied> {
        Forgetful.access(who, to).await.unwrap().authorize::<P>().err()
    }
    let (acme, blue) = (TenantId::generate(), TenantId::generate());
    let session = Principal::new(PrincipalId::generate());
    for (who, to, expected) in [
        (session, blue, None),
        (session.bound_to(blue), blue, None),
        (session.bound_to(acme), blue, Some(Denied::NotAMember)),
    ] {
        assert_eq!(denied::<NotesRead>(who, to).await, expected);
        assert_eq!(denied::<NotesWrite>(who, to).await, expected);
        assert_eq!(denied::<Manage>(who, to).await, expected);
        assert_eq!(denied::<Leave>(who, to).await, expected);
    }
}

/// Ada, who owns two tenants.
async fn ada_of_two(world: &World) -> (Principal, TenantId, TenantId) {
    let ada = world.user("ada").await;
    let (acme, blue) = (world.tenant(ada).await, world.tenant(ada).await);
    (ada, acme, blue)
}

#[tokio::test]
async fn bound_credential_is_not_found_in_another_tenant() {
    let world = World::new(2).await;
    let (ada, acme, blue) = ada_of_two(&world).await;
    let key = ada.bound_to(acme);
    let tenants = &world.tenants;
    // What is remembered of Ada's session is not the key's.
    tenants.access(ada, blue).await.unwrap();
    assert!(tenants.recent(ada, blue).is_some());
    let unknown = TenantId::generate();
    for tenant in [blue, unknown] {
        for answer in [tenants.access(key, tenant).await, tenants.load_access(key, tenant).await] {
            assert!(matches!(answer, Err(AccessError::NotAMember)), "{answer:?}");
        }
        let request = AccessRequest::<NotesRead>::new(key, tenant);
        assert!(matches!(tenants.begin(request).await, Err(BeginError::NotAMember)));
    }
    assert!(tenants.recent(key, blue).is_none());
    assert!(tenants.recent(ada, blue).is_some(), "and stays remembered");
}

#[tokio::test]
async fn bound_credential_has_its_principals_access_in_its_tenant() {
    let world = World::new(2).await;
    let (ada, acme, blue) = ada_of_two(&world).await;
    let key = ada.bound_to(acme);
    let tenants = &world.tenants;
    let access = tenants.access(key, acme).await.unwrap();
    assert_eq!((access.role(), access.principal()), (Role::Owner, key));
    let mut tx = tenants.begin(access.authorize::<NotesWrite>().unwrap()).await.unwrap();
    assert_eq!(tx.principal(), key, "the binding goes along");
    write_note(&mut tx, "by key").await;
    assert_eq!(all_notes(&mut tx).await, ["by key"]);
    tx.commit().await.unwrap();

    // Facts are the same whichever of one's credentials asks, and each is given its own principal.
    for who in [key, ada] {
        let access = tenants.recent(who, acme).unwrap();
        assert_eq!(access.principal(), who);
    }
    // A binding gives nothing: a stranger's credential of that tenant is a stranger's.
    let stranger = world.user("stranger").await.bound_to(acme);
    assert!(matches!(tenants.load_access(stranger, acme).await, Err(AccessError::NotAMember)));
    // And it ends with the session that it was issued in.
    let grant = tenants.load_access(key, acme).await.unwrap().authorize::<NotesRead>().unwrap();
    world.sign_out(ada).await;
    assert!(matches!(tenants.load_access(key, acme).await, Err(AccessError::SignedOut)));
    assert!(matches!(tenants.begin(grant).await, Err(BeginError::SignedOut)));
    assert!(matches!(tenants.load_access(key, blue).await, Err(AccessError::NotAMember)));
}

/// Returns the tenants that a transaction of `who` shows: in the library's list, and in plain queries.
async fn seen(world: &World, who: Principal) -> [Vec<TenantId>; 3] {
    let mut tx = world.database.principals().begin(who).await.unwrap();
    let listed = Tenant::of_principal(&mut tx, None, 10).await.unwrap();
    let mut seen = [listed.into_iter().map(|summary| summary.tenant.id).collect(), vec![], vec![]];
    for (seen, sql) in seen[1..].iter_mut().zip([
        "select tenant_id from mt.memberships order by 1 desc",
        "select id from mt.tenants order by 1 desc",
    ]) {
        let ids: Vec<uuid::Uuid> = sqlx::query_scalar(sql).fetch_all(tx.conn()).await.unwrap();
        seen.extend(ids.into_iter().map(TenantId::from_uuid));
    }
    tx.commit().await.unwrap();
    seen
}

#[tokio::test]
async fn bound_credential_sees_only_its_tenant_among_the_principals() {
    // One connection, so that what one transaction has set would show in the next.
    let world = World::new(1).await;
    let (ada, acme, blue) = ada_of_two(&world).await;
    let others = world.tenant(world.user("bob").await).await;
    for _ in 0..2 {
        assert_eq!(seen(&world, ada).await, [(); 3].map(|()| vec![blue, acme]));
        assert_eq!(seen(&world, ada.bound_to(acme)).await, [(); 3].map(|()| vec![acme]));
        assert_eq!(seen(&world, ada.bound_to(blue)).await, [(); 3].map(|()| vec![blue]));
        assert_eq!(seen(&world, ada.bound_to(others)).await, [(); 3].map(|()| vec![]));
    }
    // With the policy of before, what is not the library's own statement would show both.
    world
        .db
        .admin()
        .execute(
            "alter policy own on mt.memberships using (principal_id = mt.principal_id() \
                 and (select mt.sealed_tenant_id()) is null)",
        )
        .await
        .unwrap();
    let [listed, memberships, tenants] = seen(&world, ada.bound_to(acme)).await;
    assert_eq!(listed, [acme]);
    assert_eq!((memberships, tenants), (vec![blue, acme], vec![blue, acme]));
}

#[tokio::test]
async fn bound_credential_cannot_act_outside_its_tenant() {
    let world = World::new(2).await;
    let (ada, acme, _) = ada_of_two(&world).await;
    let bob = world.user("bob").await;
    let hasher = TokenHasher::new(b"a secret of the tests, 32 bytes or more");
    let grant = world.grant::<NotesWrite>(ada, acme).await;
    let (mut tx, cap) = world.tenants.begin(grant).exclusive().capped::<Seats>().await.unwrap();
    let terms = InviteTerms { ttl: Duration::from_hours(7 * 24), mail_interval: None };
    let made = invites::invite(&mut tx, cap, &hasher, &email("bob"), Role::Viewer, terms).await;
    let token = made.unwrap().token.reveal().to_owned();
    tx.commit().await.unwrap();

    let system = world.database.system();
    for tenant in [acme, TenantId::generate()] {
        let key = bob.bound_to(tenant);
        let refused = system.begin_for(key, SETUP).await.unwrap_err();
        assert!(matches!(refused, BeginError::Denied(Denied::Forbidden)), "{refused:?}");
        let mut tx = system.begin(SETUP).await.unwrap();
        let standing = StandingPolicy::default();
        let refused = invites::accept::<Acme, Seats>(&mut tx, &hasher, &standing, key, &token)
            .await
            .unwrap_err();
        assert!(matches!(refused, AcceptError::Denied(Denied::Forbidden)), "{refused:?}");
        tx.rollback().await.unwrap();
    }
    let mut tx = system.begin_for(bob, SETUP).await.unwrap();
    let standing = StandingPolicy::default();
    invites::accept::<Acme, Seats>(&mut tx, &hasher, &standing, bob, &token).await.unwrap();
    tx.commit().await.unwrap();
}
