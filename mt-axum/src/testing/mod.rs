//! Tests of an application's routes: isolation, roles and caps, without naming a route twice.
//!
//! [`TestApp`] serves [`Routes`] on a database of the test. It creates tenants with a member of each role, and callers sign
//! in by their id. `MT_TEST_DATABASE_URL` names the Postgres server ([`TestDatabase`]).
//!
//! # Example
//!
//! ```no_run
//! # use mt_axum::Routes;
//! # mt_core::model! {
//! #     pub Notebook;
//! #     roles Role { Owner = "owner" (owner), Reader = "reader" }
//! #     plans Plan { Free = "free" (initial) }
//! #     permissions Action { NotesRead = "notes.read" [yes yes] [yes] exempt read; }
//! #     caps { Notes of notebook.notes { Free: 5 } }
//! # }
//! # fn routes() -> Routes<Notebook> { Routes::under("/notebooks/{notebook_id}") }
//! # static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;
//! use mt_axum::testing::TestApp;
//! use mt_core::pg::ProductSchema;
//! use serde_json::json;
//!
//! async fn app() -> TestApp<Notebook> {
//!     TestApp::new(routes(), &[ProductSchema { name: "notebook", migrator: &MIGRATIONS }])
//!         .await
//!         .seed("note_id", "insert into notebook.notes (tenant_id, text) values ($1, $2) returning id::text")
//!         .body("POST", "/notes", json!({"text": "x"}))
//! }
//!
//! #[tokio::test]
//! async fn tenants_are_isolated() {
//!     let app = app().await;
//!     app.isolation().await.assert_none();
//!     app.isolation_without_policies().await.assert_none();
//! }
//!
//! #[tokio::test]
//! async fn roles() {
//!     app().await.matrix().await.assert_file("tests/matrix.txt");
//! }
//!
//! #[tokio::test]
//! async fn five_notes() {
//!     app().await.cap_race::<Notes>("/notes", "notebook.notes").await.unwrap();
//! }
//! ```

mod race;
mod requests;

use std::fmt::{self, Write as _};
use std::marker::PhantomData;

use axum::Router;
use mt_core::access::AccessModel;
use mt_core::billing::StandingPolicy;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::audit::{Audit, Report, Rule};
use mt_core::pg::{Database, ProductSchema, Resource, Tenants};
use mt_core::testing::TestDatabase;
use mt_core::testing::caps::{CapBroken, CapRace};
use mt_core::testing::isolation::{
    Findings, Harness, KeyCallers, Matrix, Route, TenantFixture, TestRequest, TestResponse,
    check_tables,
};
use mt_core::text_enum::TextEnum as _;
use mt_core::token::TokenHasher;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use self::race::Racing;
use self::requests::{BearerIsPrincipal, send};
use crate::Routes;

/// The connections of an application under test.
const CONNECTIONS: u32 = 16;

/// What API keys of the application under test begin with.
const PREFIX: &str = "test";

fn hasher() -> TokenHasher {
    TokenHasher::new(b"of tests, and of no application")
}

/// An application under test. See the [module docs](self).
pub struct TestApp<M: AccessModel> {
    db: TestDatabase,
    database: Database,
    schemas: Vec<String>,
    router: Router,
    routes: Vec<crate::Route>,
    parameter: &'static str,
    seeds: Vec<(&'static str, &'static str)>,
    bodies: Vec<(String, String, Value)>,
    model: PhantomData<fn() -> M>,
}

impl<M: MemberPolicy> TestApp<M> {
    /// Serves `routes` on a new database with the library's schema and those of the application.
    ///
    /// # Panics
    ///
    /// When the database cannot be created.
    pub async fn new(routes: Routes<M>, schemas: &[ProductSchema<'_>]) -> Self {
        let db = TestDatabase::create_with(schemas).await.expect("a database for the test");
        let database = db.connect(CONNECTIONS).await.expect("the database's login");
        let tenants: Tenants<M> = database.tenants(StandingPolicy::default());
        let (all, parameter) = (routes.list().to_vec(), routes.parameter());
        let keys = database.api_keys(PREFIX, hasher());
        let router = routes.into_router(tenants, keys.or(BearerIsPrincipal));
        let (seeds, bodies) = (Vec::new(), Vec::new());
        let schemas = schemas.iter().map(|schema| schema.name.to_owned()).collect();
        Self {
            db,
            database,
            schemas,
            router,
            routes: all,
            parameter,
            seeds,
            bodies,
            model: PhantomData,
        }
    }

    /// Adds a row to each new tenant. `sql` is a statement with the tenant's id as `$1` and its canary as `$2`, a text that
    /// belongs into the row if it has one; it returns the text that fills `{slot}` in paths.
    #[must_use]
    pub fn seed(mut self, slot: &'static str, sql: &'static str) -> Self {
        self.seeds.push((slot, sql));
        self
    }

    /// Sets a body that a route accepts. `path` continues the prefix of the routes.
    #[must_use]
    pub fn body(mut self, method: &str, path: &str, body: Value) -> Self {
        self.bodies.push((method.to_owned(), path.to_owned(), body));
        self
    }

    /// Returns the database, for setup and verification.
    #[must_use]
    pub const fn database(&self) -> &TestDatabase {
        &self.db
    }

    /// Returns the application as a service.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Creates a tenant and a member of each role, without rows, and returns it with its owner. The owner's bearer token is
    /// their id.
    pub async fn tenant_and_owner(&self) -> (TenantId, PrincipalId) {
        let tenant = self.tenant_with("alone", &[]).await.tenant();
        (tenant, self.owner_of(tenant).await)
    }

    /// Reads the Postgres catalogue for ways between tenants ([`Audit`]).
    ///
    /// # Panics
    ///
    /// When a query fails.
    pub async fn audit(&self) -> Report {
        let audit = self.schemas.iter().fold(Audit::library(), |audit, schema| {
            let record = format!("{schema}.schema_migrations");
            audit.schema(schema).except(Rule::TenantMissing, record, "the applied migrations")
        });
        audit.run(&self.database).await.expect("the catalogue can be read")
    }

    /// Sends requests to all routes and returns the violations of tenant isolation ([`Harness::check`]).
    pub async fn isolation(&self) -> Findings {
        self.harness().check(self.all()).await
    }

    /// Does the same with row-level security off, which finds queries that rely on it alone.
    pub async fn isolation_without_policies(&self) -> Findings {
        self.harness().without_policies().check(self.all()).await
    }

    /// Reads and writes the tables directly, as a member of each of two tenants ([`check_tables`]).
    pub async fn tables(&self) -> Findings {
        let (a, b) = (self.tenant("table-a").await, self.tenant("table-b").await);
        check_tables(&self.db, a.tenant(), b.tenant()).await
    }

    /// Checks isolation by everything above: the routes with and without row-level security, the tables, the catalogue.
    ///
    /// # Panics
    ///
    /// When one of them finds something; the text says what.
    pub async fn assert_isolated(&self) {
        self.isolation().await.assert_none();
        self.isolation_without_policies().await.assert_none();
        self.tables().await.assert_none();
        let report = self.audit().await;
        assert!(report.is_clean(), "{report}");
    }

    /// Returns the status and the tables written for each route and role ([`Harness::matrix`]).
    pub async fn matrix(&self) -> Matrix {
        self.harness().matrix(self.all()).await
    }

    /// Races many owners' `POST` requests to `path` against the cap on `R` of the initial plan ([`CapRace`]). `table` is
    /// where the rows are.
    ///
    /// # Errors
    ///
    /// [`CapBroken`].
    ///
    /// # Panics
    ///
    /// If the initial plan has no cap on `R`, and for a response that is neither a success nor 402.
    pub async fn cap_race<R: Resource<Model = M>>(
        self,
        path: &str,
        table: &'static str,
    ) -> Result<(), CapBroken> {
        let cap = R::cap(M::INITIAL_PLAN).expect("the initial plan has a cap");
        let route =
            self.routes.iter().find(|route| route.method == "POST" && route.path.ends_with(path));
        let route = route.unwrap_or_else(|| panic!("there is no route `POST {path}`")).clone();
        let cap = usize::try_from(cap).expect("a cap fits");
        CapRace::default()
            .clients(cap + 8)
            .rounds(5)
            .run(Racing { app: self, route, table, cap })
            .await
    }

    fn harness(
        &self,
    ) -> Harness<'_, impl AsyncFn(String) -> TenantFixture, impl AsyncFn(TestRequest) -> TestResponse>
    {
        let served = self.routes.iter().map(|route| (route.method.to_string(), route.path.clone()));
        Harness::new(
            &self.db,
            async |canary: String| self.tenant(&canary).await,
            async |request: TestRequest| send(&self.router, request).await,
        )
        .with_api_keys(KeyCallers::new(PREFIX, hasher()))
        .serving(served)
        .ignoring("x-request-id")
        .ignoring("request_id")
    }

    /// The routes as the harness takes them: `{tenant}` for the tenant's id.
    fn all(&self) -> Vec<Route> {
        let tenant = format!("{{{}}}", self.parameter);
        let route = |route: &crate::Route| {
            let tested = Route::new(route.method.as_str(), route.path.replace(&tenant, "{tenant}"));
            match self.body_of(route) {
                Some(body) => tested.json(body),
                None => tested,
            }
        };
        self.routes.iter().map(route).collect()
    }

    fn body_of(&self, route: &crate::Route) -> Option<Value> {
        let found = self.bodies.iter().find(|(method, path, _)| {
            route.method == method.as_str() && route.path.ends_with(path)
        });
        found.map(|(_, _, body)| body.clone())
    }

    /// Creates a tenant with a member of each role and the seeded rows. Every text of it holds `canary`.
    async fn tenant(&self, canary: &str) -> TenantFixture {
        self.tenant_with(canary, &self.seeds).await
    }

    async fn tenant_with(
        &self,
        canary: &str,
        seeds: &[(&'static str, &'static str)],
    ) -> TenantFixture {
        let tenant = TenantId::generate();
        let mut sql = format!(
            "insert into mt.tenants (id, name, plan) values ('{tenant}', '{canary}', '{}');",
            M::INITIAL_PLAN.as_str()
        );
        let mut fixture = TenantFixture::new(tenant);
        for role in M::Role::ALL {
            let (member, word) = (PrincipalId::generate(), role.as_str());
            let is_owner = *role == M::OWNER;
            _ = write!(
                sql,
                "insert into mt.users (id, email) values ('{member}', '{word}-{canary}-{tenant}@example.org'); \
                 insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
                     values ('{tenant}', '{member}', '{word}', {is_owner});"
            );
            fixture = fixture.member(word, member.to_string());
        }
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.db.admin()).await;
        done.expect("the library's tables take a tenant and its members");
        for (slot, seed) in seeds {
            let insert = sqlx::query_scalar(AssertSqlSafe(*seed)).bind(tenant.as_uuid());
            // A row without a text has no place for the canary.
            let insert = if seed.contains("$2") { insert.bind(canary) } else { insert };
            let id: String = insert
                .fetch_one(self.db.admin())
                .await
                .unwrap_or_else(|error| panic!("the seed of `{slot}` fails: {error}"));
            fixture = fixture.id(slot, id);
        }
        fixture
    }

    async fn owner_of(&self, tenant: TenantId) -> PrincipalId {
        let sql = "select principal_id from mt.memberships where tenant_id = $1 and is_owner";
        let owner = sqlx::query_scalar(sql).bind(tenant.as_uuid()).fetch_one(self.db.admin()).await;
        PrincipalId::from_uuid(owner.expect("each tenant has an owner"))
    }
}

impl<M: AccessModel> fmt::Debug for TestApp<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestApp").field("routes", &self.routes).finish_non_exhaustive()
    }
}
