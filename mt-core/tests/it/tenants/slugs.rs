//! Slugs: one tenant each, freed with the tenant.

use mt_core::access::Denied;
use mt_core::auth::Principal;
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, SlugError, Tenant};
use mt_core::tenant_name::Slug;
use sqlx::Executor as _;

use crate::support::{Acme, Manage, NotesWrite, Role, SETUP, World};

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

async fn set(
    world: &World,
    by: Principal,
    tenant: TenantId,
    slug: Option<&Slug>,
) -> Result<Option<Slug>, SlugError> {
    let grant = world.grant::<Manage>(by, tenant).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    let named = Tenant::set_slug(&mut tx, slug).await?;
    let loaded = Tenant::load(&mut tx).await.unwrap();
    assert_eq!(loaded.slug, named.slug);
    tx.commit().await?;
    Ok(named.slug)
}

async fn owner_of(world: &World, name: &str) -> Option<TenantId> {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let found = Tenant::find_by_slug(&mut tx, &slug(name)).await.unwrap();
    tx.commit().await.unwrap();
    found.map(|tenant| tenant.id)
}

#[tokio::test]
async fn slug_is_set_changed_and_cleared_with_an_audit_entry_each() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    assert_eq!(owner_of(&world, "acme").await, None);

    assert_eq!(set(&world, owner, tenant, Some(&slug("acme"))).await.unwrap(), Some(slug("acme")));
    assert_eq!(owner_of(&world, "acme").await, Some(tenant));
    set(&world, owner, tenant, Some(&slug("acme"))).await.unwrap();
    set(&world, owner, tenant, Some(&slug("acme-inc"))).await.unwrap();
    assert_eq!(owner_of(&world, "acme").await, None);
    assert_eq!(owner_of(&world, "acme-inc").await, Some(tenant));
    assert_eq!(set(&world, owner, tenant, None).await.unwrap(), None);
    assert_eq!(owner_of(&world, "acme-inc").await, None);
    let entries = "select count(*) from mt.audit_log where action = 'tenant.slug_changed' \
         and actor_kind = 'user' and detail = '{}'";
    assert_eq!(world.count(entries).await, 4);
}

#[tokio::test]
async fn slug_of_another_tenant_is_taken_until_that_tenant_gives_it_up_or_is_deleted() {
    let world = World::new(4).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (first, second) = (world.tenant(ada).await, world.tenant(bob).await);
    set(&world, ada, first, Some(&slug("acme"))).await.unwrap();
    let taken = set(&world, bob, second, Some(&slug("acme"))).await.unwrap_err();
    assert!(matches!(taken, SlugError::Taken), "{taken:?}");
    let create = async |name: &str| {
        let mut tx = world.database.system().begin(SETUP).await.unwrap();
        let made = Tenant::create_with_slug::<Acme>(&mut tx, "third", &slug(name), bob.id()).await;
        if made.is_ok() {
            tx.commit().await.unwrap();
        }
        made
    };
    let taken = create("acme").await.unwrap_err();
    assert!(matches!(taken, SlugError::Taken), "{taken:?}");
    assert_eq!(world.count("select count(*) from mt.tenants").await, 2, "nothing was created");

    set(&world, ada, first, None).await.unwrap();
    set(&world, bob, second, Some(&slug("acme"))).await.unwrap();
    let grant = world.grant::<Manage>(bob, second).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    Tenant::delete(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    let third = create("acme").await.unwrap();
    assert_eq!(third.slug, Some(slug("acme")));
    assert_eq!(owner_of(&world, "acme").await, Some(third.id));
}

#[tokio::test]
async fn one_of_several_tenants_that_ask_for_a_slug_at_once_gets_it() {
    let race = async |is_unique: bool| {
        let world = World::without_shares(8).await;
        if !is_unique {
            world.db.admin().execute("drop index mt.tenants_slug_key").await.unwrap();
        }
        let owner = world.user("owner").await;
        let mut racing = tokio::task::JoinSet::new();
        let world = std::sync::Arc::new(world);
        for _ in 0..6 {
            let tenant = world.tenant(owner).await;
            let world = world.clone();
            racing.spawn(async move { set(&world, owner, tenant, Some(&slug("acme"))).await });
        }
        let outcomes = racing.join_all().await;
        let lost = outcomes.iter().filter(|one| matches!(one, Err(SlugError::Taken))).count();
        let won = outcomes.iter().filter(|one| one.is_ok()).count();
        (won, lost)
    };
    assert_eq!(race(true).await, (1, 5));
    // The negative control: without the index each of them has it.
    assert_eq!(race(false).await, (6, 0));
}

#[tokio::test]
async fn role_without_the_permission_sets_no_slug() {
    let world = World::new(2).await;
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Owner).await;
    let grant = world.grant::<Manage>(editor, tenant).await;
    world.demote(tenant, editor, Role::Editor).await;
    let refused = world.tenants.begin(grant).exclusive().await.map(drop).unwrap_err();
    assert!(matches!(refused, BeginError::Denied(Denied::Forbidden)), "{refused:?}");
}

/// Injected SQL reaches the slug of its own tenant and no other.
#[tokio::test]
async fn tenant_cannot_set_the_slug_of_another() {
    let world = World::new(2).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (first, second) = (world.tenant(ada).await, world.tenant(bob).await);
    let grant = world.grant::<NotesWrite>(ada, first).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    let hit = sqlx::query("update mt.tenants set slug = 'acme' where id = $1")
        .bind(second.as_uuid())
        .execute(tx.query::<NotesWrite>())
        .await
        .unwrap();
    assert_eq!(hit.rows_affected(), 0);
    let hit = sqlx::query("update mt.tenants set slug = 'acme'")
        .execute(tx.query::<NotesWrite>())
        .await
        .unwrap();
    assert_eq!(hit.rows_affected(), 1, "its own");
}

/// The constraint of the column and the type accept the same texts.
#[tokio::test]
async fn database_and_type_agree_about_the_form_of_a_slug() {
    let world = World::new(1).await;
    let tenant = world.tenant(world.user("owner").await).await;
    let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
    let (simple, id) = (tenant.as_uuid().simple().to_string(), tenant.to_string());
    let odd = format!("{}-", id.replace('-', "")).replacen('0', "0-", 1);
    for text in [
        "a", "7", "acme", "acme-2", "a-b--c", "x--y", &longest, &too_long, "", "Acme", "a.b",
        "a_b", "acme\n", "bücher", "é", "-acme", "acme-", "-", "--", "xn--x", "ab--c", &simple,
        &id, &odd, "ａ",
    ] {
        let stored = sqlx::query("update mt.tenants set slug = $1").bind(text);
        let stored = stored.execute(world.db.admin()).await;
        if let Err(error) = &stored {
            let error = error.as_database_error().unwrap();
            assert_eq!(error.constraint(), Some("tenants_slug_check"), "{text:?}");
        }
        assert_eq!(stored.is_ok(), Slug::parse(text).is_ok(), "{text:?}");
    }
}
