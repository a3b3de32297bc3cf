//! Slugs and verified domains, resolved from Postgres.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use http::Request;
use http_body_util::Full;
use mt_core::access::AccessRequest;
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::clock::ManualClock;
use mt_core::email::EmailAddress;
use mt_core::id::TenantId;
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::{Database, DatabaseOptions, SystemReason, Tenant, User, domains, query_scalar};
use mt_core::tenant_name::{self, DomainName};
use mt_core::testing::{Relay, TestDatabase};
use mt_tower::layer::GuardLayer;
use mt_tower::resolve_tenant::{
    Directory, PathParams, RequestedTenant, ResolveTenant, Slug, Subdomain, TenantDirectory,
};

use crate::support::{Acme, Outcome, Role, TasksWrite, having, request, send};

const SETUP: SystemReason = SystemReason::new("set a test up");

impl MemberPolicy for Acme {
    const OWNER: Role = Role::Editor;

    fn may_invite(_: Role, _: Role) -> bool {
        true
    }

    fn may_assign(_: Role, _: Role, _: Role) -> bool {
        true
    }

    fn may_remove(_: Role, _: Role) -> bool {
        true
    }
}

/// A database, with a relay that sees what the directory asks.
struct World {
    database: Database,
    relay: Relay,
    /// The same database, past the relay.
    aside: Database,
    clock: Arc<ManualClock>,
    ada: Principal,
    _db: TestDatabase,
}

impl World {
    async fn new() -> Self {
        let db = TestDatabase::create().await.unwrap();
        let relay = Relay::start(&db.login()).await.unwrap();
        let options = DatabaseOptions::new(relay.through(db.login())).max_connections(2);
        let database = Database::connect(options).await.unwrap();
        let clock = Arc::new(ManualClock::at(DateTime::from_timestamp(1_795_449_600, 0).unwrap()));
        let aside = db.connect(2).await.unwrap();
        let mut tx = aside.system().begin(SETUP).await.unwrap();
        let email = EmailAddress::parse("ada@example.org").unwrap();
        let ada = User::find_or_create(&mut tx, &email).await.unwrap();
        tx.commit().await.unwrap();
        let ada = Principal::in_generation(ada.id, ada.generation);
        Self { database, relay, aside, clock, ada, _db: db }
    }

    fn directory(&self) -> Arc<TenantDirectory<Arc<ManualClock>>> {
        Arc::new(TenantDirectory::with_clock(&self.database, self.clock.clone()))
    }

    /// Creates a tenant through a database that the relay does not see.
    async fn tenant(&self, slug: &str) -> TenantId {
        let slug = tenant_name::Slug::parse(slug).unwrap();
        let mut tx = self.aside.system().begin(SETUP).await.unwrap();
        let made = Tenant::create_with_slug::<Acme>(&mut tx, "Acme", &slug, self.ada.id());
        let made = made.await.unwrap();
        tx.commit().await.unwrap();
        made.id
    }

    /// Claims `domain` for `tenant`.
    async fn claim(&self, tenant: TenantId, domain: &str) {
        let tenants = self.aside.tenants::<Acme>(StandingPolicy::default());
        let request = AccessRequest::<TasksWrite>::new(self.ada, tenant);
        let mut tx = tenants.begin(request).await.unwrap();
        domains::claim(&mut tx, &DomainName::parse(domain).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Runs a statement that returns the number 1 for each row that it changes, in all tenants.
    async fn change(&self, sql: &'static str) -> usize {
        let mut tx = self.aside.system().begin(SETUP).await.unwrap();
        let changed = query_scalar::<i32>(sql).fetch_all(tx.conn()).await.unwrap().len();
        tx.commit().await.unwrap();
        changed
    }

    /// Verifies all claimed domains, as if DNS had been asked.
    async fn verify(&self) -> usize {
        self.change("update mt.domains set verified_at = now(), checked_at = now() returning 1")
            .await
    }

    /// How many lookups have reached Postgres since the last call.
    fn lookups(&self) -> usize {
        self.relay.take_round_trips().len()
    }
}

async fn at(directory: impl Directory, host: &str) -> Outcome {
    let resolver = Subdomain::of("example.org", directory).unwrap().with_domains();
    let request = Request::get("/").header("host", host).body(Full::default()).unwrap();
    send(&GuardLayer::new(ResolveTenant::new(resolver)), request).await
}

async fn below(directory: impl Directory, slug: &str) -> Outcome {
    let layer = GuardLayer::new(ResolveTenant::new(Slug::param("org", directory)));
    let params = PathParams::from_iter([("task", "acme"), ("org", slug)]);
    send(&layer, request("/", having(params))).await
}

#[track_caller]
fn resolved(outcome: &Outcome) -> TenantId {
    let RequestedTenant(tenant) = outcome.left();
    tenant
}

#[tokio::test]
async fn tenant_is_found_by_subdomain_path_and_verified_domain() {
    let world = World::new().await;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    world.claim(acme, "tasks.acme.test").await;
    assert_eq!(world.verify().await, 1);
    world.claim(other, "claimed.test").await;
    let directory = world.directory();
    for host in ["acme.example.org", "ACME.example.org:8443", "tasks.acme.test", "Tasks.Acme.Test."]
    {
        assert_eq!(resolved(&at(directory.clone(), host).await), acme, "{host}");
    }
    assert_eq!(resolved(&at(directory.clone(), "other.example.org").await), other);
    assert_eq!(resolved(&below(directory.clone(), "acme").await), acme);
    assert_eq!(resolved(&below(directory.clone(), "other").await), other);
    for host in
        ["none.example.org", "claimed.test", "acme.test", "x.tasks.acme.test", "example.org"]
    {
        assert_eq!(at(directory.clone(), host).await.refused(), "not-found", "{host}");
    }
}

#[tokio::test]
async fn path_parameter_takes_a_slug_and_nothing_else() {
    let world = World::new().await;
    let acme = world.tenant("acme").await;
    world.claim(acme, "tasks.acme.test").await;
    assert_eq!(world.verify().await, 1);
    let directory = world.directory();
    for text in ["tasks.acme.test", "Acme", "", "acme ", "-acme", "unknown", &acme.to_string()] {
        assert_eq!(below(directory.clone(), text).await.refused(), "not-found", "{text:?}");
    }
    let layer = || GuardLayer::new(ResolveTenant::new(Slug::param("org", directory.clone())));
    let named = || PathParams::from_iter([("org", "acme")]);
    let outcome = send(&layer(), request("/orgs//acme", having(named()))).await;
    assert_eq!(outcome.refused(), "not-found", "a path with two readings");
    let outcome = send(&layer(), request("/", having(PathParams::default()))).await;
    assert_eq!(outcome.refused(), "not-found", "no parameter of this name");
    assert_eq!(send(&layer(), request("/", |_| {})).await.refused(), "internal");
    assert_eq!(resolved(&send(&layer(), request("/orgs/acme", having(named()))).await), acme);
}

#[tokio::test]
async fn known_name_is_looked_up_once_until_it_is_too_old() {
    let world = World::new().await;
    let acme = world.tenant("acme").await;
    let directory = world.directory();
    world.lookups();
    for _ in 0..10 {
        assert_eq!(directory.find("acme").await.unwrap(), Some(acme));
    }
    assert_eq!(world.lookups(), 1);

    // A slug that another tenant takes leads there after 30 seconds, and not later.
    assert_eq!(world.change("update mt.tenants set slug = null returning 1").await, 1);
    let successor = world.tenant("acme").await;
    world.clock.advance(TimeDelta::seconds(29));
    assert_eq!(directory.find("acme").await.unwrap(), Some(acme));
    world.clock.advance(TimeDelta::seconds(1));
    assert_eq!(directory.find("acme").await.unwrap(), Some(successor));
    assert_eq!(world.lookups(), 1);

    let hasty = TenantDirectory::with_clock(&world.database, world.clock.clone());
    let hasty = hasty.max_age(Duration::from_secs(2));
    assert_eq!(hasty.find("acme").await.unwrap(), Some(successor));
    assert_eq!(world.change("delete from mt.tenants returning 1").await, 2);
    world.clock.advance(TimeDelta::seconds(2));
    assert_eq!(hasty.find("acme").await.unwrap(), None);
}

#[tokio::test]
async fn unknown_names_do_not_reach_the_database_each_time_and_evict_no_known_one() {
    let world = World::new().await;
    let acme = world.tenant("acme").await;
    let directory = TenantDirectory::with_clock(&world.database, world.clock.clone()).capacity(8);
    assert_eq!(directory.find("acme").await.unwrap(), Some(acme));
    world.lookups();
    for _ in 0..100 {
        assert_eq!(directory.find("unknown").await.unwrap(), None);
    }
    assert_eq!(world.lookups(), 1);
    // What cannot be a name is never looked up.
    for text in ["", "UPPER", "xn--bcher-kva", "-", "a_b", ".", "a..test", "10.0.0.1", "ü.test"] {
        assert_eq!(directory.find(text).await.unwrap(), None, "{text}");
    }
    assert_eq!(world.lookups(), 0);
    for number in 0..100 {
        assert_eq!(directory.find(&format!("unknown-{number}")).await.unwrap(), None);
    }
    assert_eq!(world.lookups(), 100);
    assert_eq!(directory.find("acme").await.unwrap(), Some(acme));
    assert_eq!(world.lookups(), 0);

    // A name that a tenant has taken is found after five seconds.
    assert_eq!(directory.find("later").await.unwrap(), None);
    let later = world.tenant("later").await;
    assert_eq!(directory.find("later").await.unwrap(), None);
    world.clock.advance(TimeDelta::seconds(5));
    assert_eq!(directory.find("later").await.unwrap(), Some(later));
}

#[tokio::test]
async fn database_outage_answers_503_and_is_not_remembered() {
    let world = World::new().await;
    let acme = world.tenant("acme").await;
    let directory = world.directory();
    assert_eq!(resolved(&at(directory.clone(), "acme.example.org").await), acme);
    // Names that are remembered outlast it.
    world.database.close().await;
    assert_eq!(resolved(&at(directory.clone(), "acme.example.org").await), acme);
    for host in ["other.example.org", "tasks.acme.test"] {
        assert_eq!(at(directory.clone(), host).await.refused(), "unavailable", "{host}");
    }
    assert_eq!(below(directory.clone(), "other").await.refused(), "unavailable");
    world.clock.advance(TimeDelta::seconds(31));
    assert_eq!(at(directory, "acme.example.org").await.refused(), "unavailable");
}
