//! Finding tenants by page, id and name.

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::id::TenantId;
use mt_core::pg::{Database, DatabaseOptions, SystemReason, Tenant, domains};
use mt_core::tenant_name::{DomainName, Slug};
use mt_core::testing::Relay;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::{Acme, SETUP, World};

const LOOK_UP: SystemReason = SystemReason::anonymous("look a name up");

async fn pages(world: &World, limit: i64) -> Vec<TenantId> {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = Tenant::list(&mut tx, before, limit).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.iter().map(|tenant| tenant.id));
    }
    tx.commit().await.unwrap();
    seen
}

#[tokio::test]
async fn all_tenants_are_listed_newest_first_whatever_the_size_of_a_page() {
    let world = World::new(1).await;
    assert_eq!(pages(&world, 3).await, []);
    let owner = world.user("owner").await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(world.tenant(owner).await);
    }
    made.reverse();
    for limit in [1, 3, 7, 100] {
        assert_eq!(pages(&world, limit).await, made, "pages of {limit}");
    }
    // One that is deleted between two pages does not end the list.
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    sqlx::query("delete from mt.tenants where id = $1")
        .bind(made[2].as_uuid())
        .execute(world.db.admin())
        .await
        .unwrap();
    let rest = Tenant::list(&mut tx, Some(made[2]), 2).await.unwrap();
    assert_eq!(rest.iter().map(|tenant| tenant.id).collect::<Vec<_>>(), made[3..5]);
}

#[tokio::test]
async fn tenant_is_found_by_id_slug_and_verified_domain() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let other = world.tenant(owner).await;
    let slug = Slug::parse("acme").unwrap();
    let domain = DomainName::parse("tasks.acme.test").unwrap();
    let system = world.database.system();
    let mut tx = system.begin(SETUP).await.unwrap();
    let made = Tenant::create_with_slug::<Acme>(&mut tx, "Acme", &slug, owner.id()).await.unwrap();
    tx.commit().await.unwrap();
    let claim = |tenant: TenantId, verified: &str| {
        AssertSqlSafe(format!(
            "insert into mt.domains (tenant_id, id, domain, verified_at, checked_at) \
             values ('{tenant}', gen_random_uuid(), 'tasks.acme.test', {verified}, {verified})"
        ))
    };
    world.db.admin().execute(claim(other, "null")).await.unwrap();
    assert_eq!(system.tenant_by_domain(LOOK_UP, &domain).await.unwrap(), None, "only claimed");
    world.db.admin().execute(claim(made.id, "now()")).await.unwrap();

    let mut tx = system.begin(SETUP).await.unwrap();
    for found in [
        Tenant::find(&mut tx, made.id).await.unwrap(),
        Tenant::find_by_slug(&mut tx, &slug).await.unwrap(),
        Tenant::find_by_domain(&mut tx, &domain).await.unwrap(),
    ] {
        let found = found.unwrap();
        assert_eq!((found.id, found.slug.as_ref(), &*found.name), (made.id, Some(&slug), "Acme"));
    }
    assert_eq!(system.tenant_by_slug(LOOK_UP, &slug).await.unwrap(), Some(made.id));
    assert_eq!(system.tenant_by_domain(LOOK_UP, &domain).await.unwrap(), Some(made.id));

    let (slug, domain) = (Slug::parse("none").unwrap(), DomainName::parse("acme.test").unwrap());
    assert_eq!(Tenant::find(&mut tx, TenantId::generate()).await.unwrap(), None);
    assert_eq!(Tenant::find_by_slug(&mut tx, &slug).await.unwrap(), None);
    assert_eq!(Tenant::find_by_domain(&mut tx, &domain).await.unwrap(), None);
    assert_eq!(system.tenant_by_slug(LOOK_UP, &slug).await.unwrap(), None);
    assert_eq!(system.tenant_by_domain(LOOK_UP, &domain).await.unwrap(), None);
}

#[tokio::test]
async fn lookup_takes_one_round_trip() {
    let world = World::new(1).await;
    let relay = Relay::start(&world.db.login()).await.unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login()));
    let database = Database::connect(options).await.unwrap();
    let slug = Slug::parse("acme").unwrap();
    database.system().tenant_by_slug(LOOK_UP, &slug).await.unwrap();
    drop(relay.take_round_trips());
    database.system().tenant_by_slug(LOOK_UP, &slug).await.unwrap();
    assert_eq!(relay.take_round_trips().len(), 1);
}

/// A thousand tenants and domains, and the plan of each statement that the library sends, prepared for all values.
#[tokio::test]
async fn every_lookup_walks_an_index() {
    let world = World::new(1).await;
    world
        .db
        .admin()
        .execute(
            "insert into mt.tenants (id, name, slug) \
                 select gen_random_uuid(), 'x', 's' || n from generate_series(1, 1000) n; \
             insert into mt.domains (tenant_id, id, domain, verified_at, checked_at) \
                 select id, gen_random_uuid(), slug || '.test', now(), now() from mt.tenants; \
             analyze mt.tenants; analyze mt.domains",
        )
        .await
        .unwrap();
    let relay = Relay::start(&world.db.login()).await.unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login()));
    let database = Database::connect(options).await.unwrap();
    let (slug, domain) = (Slug::parse("s1").unwrap(), DomainName::parse("s1.test").unwrap());
    let mut tx = database.system().begin(SETUP).await.unwrap();
    drop(relay.take_round_trips());
    assert_eq!(Tenant::list(&mut tx, None, 10).await.unwrap().len(), 10);
    assert!(Tenant::find_by_slug(&mut tx, &slug).await.unwrap().is_some());
    assert!(Tenant::find_by_domain(&mut tx, &domain).await.unwrap().is_some());
    let later = SystemClock.now() + chrono::TimeDelta::days(1);
    assert_eq!(domains::due_for_recheck(&mut tx, later, 10).await.unwrap().len(), 10);
    // Prepared in one round trip, and run in another.
    let mut sent = relay.take_round_trips();
    sent.dedup();
    let mut sent = sent.iter().filter(|statement| statement.starts_with("select "));

    let mut conn = world.db.admin().acquire().await.unwrap();
    conn.execute("set plan_cache_mode = force_generic_plan; set role mt_system").await.unwrap();
    for (index, values) in [
        ("tenants_pkey", "gen_random_uuid(), 10"),
        ("tenants_slug_key", "'s1'"),
        ("domains_verified_key", "'s1.test'"),
        ("domains_checked_at_idx", "now(), 10"),
    ] {
        let sql = sent.next().unwrap();
        conn.execute(AssertSqlSafe(format!("prepare looked_up as {sql}"))).await.unwrap();
        let explain = format!("explain execute looked_up ({values})");
        let plan: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *conn).await.unwrap();
        conn.execute("deallocate looked_up").await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && plan.contains("Index Cond"), "{sql}\n{plan}");
        assert!(!plan.contains("Sort") && !plan.contains("Seq Scan"), "{sql}\n{plan}");
    }
    assert_eq!(sent.next(), None);
}
