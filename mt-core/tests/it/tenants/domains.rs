//! Custom domains: claimed by anyone, verified by one, with a real DNS server.

mod recheck;

use std::sync::Arc;

use mt_core::auth::Principal;
use mt_core::id::TenantId;
use mt_core::pg::audit_log::Actor;
use mt_core::pg::domains::{self, DnsResolver, Domain, TxtResolver, VerifyError};
use mt_core::pg::{SystemReason, Tenant};
use mt_core::tenant_name::DomainName;
use sqlx::Executor as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::dns_server::DnsServer;
use crate::support::{Manage, NotesRead, NotesWrite, World};

const LOOK_UP: SystemReason = SystemReason::anonymous("look a name up");

fn acme() -> DomainName {
    DomainName::parse("tasks.acme.test").unwrap()
}

async fn claimed(world: &World, by: Principal, tenant: TenantId) -> Domain {
    let grant = world.grant::<Manage>(by, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    let domain = domains::claim(&mut tx, &acme()).await.unwrap();
    tx.commit().await.unwrap();
    domain
}

async fn found(world: &World, by: Principal, tenant: TenantId) -> Option<Domain> {
    let grant = world.grant::<NotesRead>(by, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    domains::find(&mut tx, &acme()).await.unwrap()
}

async fn removed(world: &World, by: Principal, tenant: TenantId) -> bool {
    let grant = world.grant::<Manage>(by, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    let removed = domains::remove(&mut tx, &acme()).await.unwrap();
    tx.commit().await.unwrap();
    removed
}

async fn verified(
    world: &World,
    dns: &impl TxtResolver,
    by: Principal,
    domain: &Domain,
) -> Result<(), VerifyError> {
    let (system, actor) = (world.database.system(), Actor::of(by));
    domains::verify(&system, dns, actor, domain).await
}

async fn owner(world: &World) -> Option<TenantId> {
    world.database.system().tenant_by_domain(LOOK_UP, &acme()).await.unwrap()
}

/// Adds the record that `domain` asks for.
async fn prove(dns: &DnsServer, domain: &Domain) {
    dns.add_txt(domain.challenge.record_name(), &[domain.challenge.record_value()]).await;
}

#[tokio::test]
async fn domain_is_the_tenants_after_its_record_was_found_and_not_before() {
    let (world, dns) = (World::new(2).await, DnsServer::start().await);
    let resolver = dns.resolver();
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let domain = claimed(&world, ada, tenant).await;
    assert_eq!(domain.challenge.record_name(), "_mt-challenge.tasks.acme.test");
    assert_eq!(claimed(&world, ada, tenant).await, domain, "claiming again keeps the challenge");

    let refused = verified(&world, &resolver, ada, &domain).await.unwrap_err();
    let VerifyError::NotProved { name, value } = refused else { panic!("{refused:?}") };
    assert_eq!(
        (&*name, &*value),
        (domain.challenge.record_name(), domain.challenge.record_value())
    );
    dns.add_txt(domain.challenge.record_name(), &["mt-domain-verification=of-another"]).await;
    let refused = verified(&world, &resolver, ada, &domain).await.unwrap_err();
    assert!(matches!(refused, VerifyError::NotProved { .. }), "{refused:?}");
    let refused = verified(&world, &unavailable().await, ada, &domain).await.unwrap_err();
    assert!(matches!(refused, VerifyError::Unavailable(_)), "{refused:?}");
    assert_eq!(owner(&world).await, None);
    assert_eq!(found(&world, ada, tenant).await.unwrap().verified_at, None);

    prove(&dns, &domain).await;
    verified(&world, &resolver, ada, &domain).await.unwrap();
    assert_eq!(owner(&world).await, Some(tenant));
    assert!(found(&world, ada, tenant).await.unwrap().verified_at.is_some());
    verified(&world, &resolver, ada, &domain).await.unwrap();
    assert!(removed(&world, ada, tenant).await);
    assert!(!removed(&world, ada, tenant).await);
    assert_eq!(owner(&world).await, None);

    let entries: Vec<(String, Option<uuid::Uuid>)> = sqlx::query_as(
        "select action, actor_id from mt.audit_log where action like 'domain.%' order by id",
    )
    .fetch_all(world.db.admin())
    .await
    .unwrap();
    let by_ada = Some(ada.id().as_uuid());
    let expected = ["domain.claimed", "domain.verified", "domain.removed"];
    assert_eq!(entries, expected.map(|action| (action.to_owned(), by_ada)));
}

/// A resolver whose name server answers nothing.
async fn unavailable() -> DnsResolver {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    DnsResolver::asking(&[silent]).unwrap().deadline(std::time::Duration::from_millis(100))
}

#[tokio::test]
async fn record_of_one_tenant_proves_nothing_for_another() {
    let (world, dns) = (World::new(2).await, DnsServer::start().await);
    let (ada, mallory) = (world.user("ada").await, world.user("mallory").await);
    let (of_ada, of_mallory) = (world.tenant(ada).await, world.tenant(mallory).await);
    let hers = claimed(&world, ada, of_ada).await;
    let mallorys = claimed(&world, mallory, of_mallory).await;
    assert_ne!(hers.challenge, mallorys.challenge);
    prove(&dns, &hers).await;
    let refused = verified(&world, &dns.resolver(), mallory, &mallorys).await.unwrap_err();
    assert!(matches!(refused, VerifyError::NotProved { .. }), "{refused:?}");
    verified(&world, &dns.resolver(), ada, &hers).await.unwrap();
    // With a proof of her own she learns that the domain is taken, and still does not get it.
    prove(&dns, &mallorys).await;
    let refused = verified(&world, &dns.resolver(), mallory, &mallorys).await.unwrap_err();
    assert!(matches!(refused, VerifyError::Taken), "{refused:?}");
    assert_eq!(owner(&world).await, Some(of_ada));
    assert!(removed(&world, ada, of_ada).await);
    verified(&world, &dns.resolver(), mallory, &mallorys).await.unwrap();
    assert_eq!(owner(&world).await, Some(of_mallory));
}

#[tokio::test]
async fn one_of_several_tenants_that_prove_a_domain_at_once_gets_it() {
    const RACERS: usize = 6;
    let race = async |is_unique: bool| {
        let (world, dns) = (World::new(6).await, DnsServer::start().await);
        if !is_unique {
            world.db.admin().execute("drop index mt.domains_verified_key").await.unwrap();
        }
        let ada = world.user("ada").await;
        let (world, start) = (Arc::new(world), Arc::new(Barrier::new(RACERS)));
        let mut racing = JoinSet::new();
        for _ in 0..RACERS {
            let tenant = world.tenant(ada).await;
            let domain = claimed(&world, ada, tenant).await;
            prove(&dns, &domain).await;
            let (world, start, resolver) = (world.clone(), start.clone(), dns.resolver());
            racing.spawn(async move {
                start.wait().await;
                verified(&world, &resolver, ada, &domain).await
            });
        }
        let outcomes = racing.join_all().await;
        let taken = outcomes.iter().filter(|one| matches!(one, Err(VerifyError::Taken))).count();
        assert_eq!(outcomes.iter().filter(|one| one.is_ok()).count() + taken, RACERS);
        let verified = "select count(*) from mt.domains where verified_at is not null";
        assert_eq!(world.count(verified).await, i64::try_from(RACERS - taken).unwrap());
        RACERS - taken
    };
    assert_eq!(race(true).await, 1);
    // The negative control: without the index every one of them wins.
    assert_eq!(race(false).await, RACERS);
}

#[tokio::test]
async fn deleted_tenant_frees_its_domain_and_verifies_none() {
    let (world, dns) = (World::new(4).await, DnsServer::start().await);
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (of_ada, of_bob) = (world.tenant(ada).await, world.tenant(bob).await);
    let (hers, his) = (claimed(&world, ada, of_ada).await, claimed(&world, bob, of_bob).await);
    prove(&dns, &hers).await;
    prove(&dns, &his).await;
    verified(&world, &dns.resolver(), ada, &hers).await.unwrap();

    let grant = world.grant::<Manage>(ada, of_ada).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    Tenant::delete(&mut tx).await.unwrap();
    // A verification waits for the deletion, and finds no claim.
    let resolver = dns.resolver();
    let late = verified(&world, &resolver, ada, &hers);
    let waiting = "select count(*) from pg_stat_activity \
         where datname = current_database() and wait_event_type = 'Lock'";
    let committing = async {
        while world.count(waiting).await < 1 {}
        tx.commit().await.unwrap();
    };
    let (late, ()) = tokio::join!(late, committing);
    assert!(matches!(late, Err(VerifyError::Removed)), "{late:?}");
    verified(&world, &resolver, bob, &his).await.unwrap();
    assert_eq!(owner(&world).await, Some(of_bob));
}

#[tokio::test]
async fn claim_that_was_removed_while_dns_was_asked_is_not_verified() {
    let (world, dns) = (World::new(2).await, DnsServer::start().await);
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let stale = claimed(&world, ada, tenant).await;
    prove(&dns, &stale).await;
    assert!(removed(&world, ada, tenant).await);
    let refused = verified(&world, &dns.resolver(), ada, &stale).await.unwrap_err();
    assert!(matches!(refused, VerifyError::Removed), "{refused:?}");
    // A new claim is another one, with another challenge.
    let renewed = claimed(&world, ada, tenant).await;
    assert_ne!(renewed.challenge, stale.challenge);
    let refused = verified(&world, &dns.resolver(), ada, &stale).await.unwrap_err();
    assert!(matches!(refused, VerifyError::Removed), "{refused:?}");
    assert_eq!(owner(&world).await, None);
}

#[tokio::test]
async fn tenant_lists_its_own_domains_by_name() {
    let world = World::new(2).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (tenant, other) = (world.tenant(ada).await, world.tenant(bob).await);
    claimed(&world, bob, other).await;
    let grant = world.grant::<Manage>(ada, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    for name in ["c.test", "a.test", "b-1.test", "b.test", "b.a.test"] {
        domains::claim(&mut tx, &DomainName::parse(name).unwrap()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut seen = Vec::new();
    loop {
        let grant = world.grant::<NotesRead>(ada, tenant).await;
        let after: Option<&DomainName> = seen.last();
        let page = domains::list(world.tenants.read(grant), after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|domain| domain.name));
    }
    let seen: Vec<_> = seen.iter().map(DomainName::as_str).collect();
    assert_eq!(seen, ["a.test", "b-1.test", "b.a.test", "b.test", "c.test"]);
    assert_eq!(found(&world, ada, tenant).await, None, "of another tenant");
    assert!(!removed(&world, ada, tenant).await);
    assert!(found(&world, bob, other).await.is_some());
}

/// SQL that is injected into a tenant's query claims domains, and verifies none.
#[tokio::test]
async fn tenants_transaction_cannot_verify_a_domain_or_choose_its_token() {
    let world = World::new(2).await;
    let ada = world.user("ada").await;
    let (tenant, other) = (world.tenant(ada).await, world.tenant(ada).await);
    claimed(&world, ada, tenant).await;
    claimed(&world, ada, other).await;
    let run = async |sql: &'static str| {
        let grant = world.grant::<NotesWrite>(ada, tenant).await;
        let mut tx = world.tenants.begin(grant).await.unwrap();
        let done = sqlx::query(sql).execute(tx.query::<NotesWrite>()).await;
        done.map(|done| done.rows_affected()).map_err(|error| error.to_string())
    };
    for sql in [
        "update mt.domains set verified_at = now(), checked_at = now()",
        "update mt.domains set token = 'mine'",
        "update mt.domains set tenant_id = tenant_id",
        "insert into mt.domains (id, domain, token) values (gen_random_uuid(), 'a.test', 'mine')",
        "insert into mt.domains (id, domain, verified_at, checked_at) \
             values (gen_random_uuid(), 'a.test', now(), now())",
    ] {
        let refused = run(sql).await.unwrap_err();
        assert!(refused.contains("permission denied"), "{sql}: {refused}");
    }
    // What it may do, in its own tenant.
    let added = "insert into mt.domains (id, domain) values (gen_random_uuid(), 'a.test')";
    assert_eq!(run(added).await, Ok(1));
    assert_eq!(run("delete from mt.domains").await, Ok(1));
}

/// The constraint of the column accepts what the type does.
#[tokio::test]
async fn database_and_type_agree_about_the_form_of_a_domain() {
    let world = World::new(1).await;
    let tenant = world.tenant(world.user("ada").await).await;
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}.org", "b".repeat(43));
    let too_long = format!("{label}.{label}.{label}.{}.org", "b".repeat(44));
    for text in [
        "acme.com",
        "tasks.acme.com",
        "xn--bcher-kva.example",
        "1.2.example",
        "a.xn--p1ai",
        &longest,
        &too_long,
        "",
        "com",
        "acme.com.",
        "acme..com",
        ".acme.com",
        "-a.com",
        "a-.com",
        "a_b.com",
        "192.0.2.1",
        "a.1com",
        "acme.com\n",
        "acme.com:1",
    ] {
        let sql =
            "insert into mt.domains (tenant_id, id, domain) values ($1, gen_random_uuid(), $2)";
        let stored = sqlx::query(sql).bind(tenant.as_uuid()).bind(text);
        let stored = stored.execute(world.db.admin()).await.is_ok();
        let parsed = DomainName::parse(text).is_ok_and(|domain| domain.as_str() == text);
        assert_eq!(stored, parsed, "{text:?}");
    }
}
