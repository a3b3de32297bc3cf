//! Tenant isolation tests for the routes and tables of an application.
//!
//! A [`Harness`] creates tenants and puts a *canary*, a unique text, into all their data. [`Harness::check`] passes
//! only if it has shown for every [`Route`] that
//!
//! * the route works: a read shows members the canary of their own tenant, and a write to a new tenant succeeds and
//!   changes data. A wrong body, a misspelled path and a route that always fails are findings;
//! * no response holds data of another tenant in any encoding, whether the request names that tenant in the path, a
//!   header, the query or the body, or the data comes from a cache, also for a member of both tenants;
//! * no request changes data of another tenant or copies it into other rows;
//! * an id of another tenant gets the same bytes as an id that does not exist;
//! * activity of other tenants changes no response: no count, number or entity tag covers all tenants;
//! * with [`Harness::with_api_keys`], keys call the routes too: one of an owner, one of a service account, one of an
//!   account that acts on behalf of the owner. None works in another tenant, after it was revoked, or without its holder;
//! * with [`Harness::serving`], the application has this route, and the check covers all routes of the application.
//!
//! [`Harness::without_policies`] runs the check with row-level security off, which finds queries that rely on
//! policies alone. [`Harness::matrix`] records which role may call which route, for review. [`check_tables`] checks
//! the tables themselves, without the application.
//!
//! The result does not depend on the order of routes.
//!
//! # Example
//!
//! An application whose one route lists notes. In a real test, `send` passes the request to the router.
//!
//! ```
//! use mt_core::id::{PrincipalId, TenantId};
//! use mt_core::testing::TestDatabase;
//! use mt_core::testing::isolation::{Harness, Route, TenantFixture, TestRequest, TestResponse};
//! # use sqlx::Executor as _;
//!
//! async fn seed(db: &TestDatabase, canary: String) -> TenantFixture {
//!     let (tenant, owner) = (TenantId::generate(), PrincipalId::generate());
//!     let sql = format!(
//!         "insert into mt.tenants (id, name) values ('{tenant}', '{canary}'); \
//!          insert into mt.users (id, email) values ('{owner}', 'owner-{canary}@example.org'); \
//!          insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
//!              values ('{tenant}', '{owner}', 'owner', true); \
//!          insert into public.notes (tenant_id, text) values ('{tenant}', '{canary}')"
//!     );
//!     sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(db.admin()).await.unwrap();
//!     TenantFixture::new(tenant).member("owner", owner.to_string())
//! }
//!
//! async fn send(db: &TestDatabase, request: TestRequest) -> TestResponse {
//!     // …
//! #    let tenant: uuid::Uuid = request.path.split('/').nth(2).unwrap().parse().unwrap();
//! #    let caller = request.bearer().and_then(|bearer| bearer.parse::<uuid::Uuid>().ok());
//! #    let sql = "select text from public.notes join mt.memberships using (tenant_id) \
//! #        where tenant_id = $1 and principal_id = $2";
//! #    let notes: Vec<String> = sqlx::query_scalar(sql).bind(tenant).bind(caller)
//! #        .fetch_all(db.admin()).await.unwrap();
//! #    let status = if notes.is_empty() { 404 } else { 200 };
//! #    TestResponse { status, headers: Vec::new(), body: notes.concat().into() }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # if std::env::var_os("MT_TEST_DATABASE_URL").is_none() { return }
//! let db = TestDatabase::create().await.unwrap();
//! # db.admin().execute("create table public.notes (tenant_id uuid not null, \
//! #     id uuid default gen_random_uuid(), text text, primary key (tenant_id, id)); \
//! #     select mt.isolate('public.notes')").await.unwrap();
//! let routes = || [Route::new("GET", "/shops/{tenant}/notes")];
//! let harness = Harness::new(&db, async |canary| seed(&db, canary).await, async |request| send(&db, request).await)
//!     .serving([("GET", "/shops/{shop_id}/notes")]);
//! harness.check(routes()).await.assert_none();
//! harness.without_policies().check(routes()).await.assert_none();
//! assert_eq!(
//!     harness.matrix(routes()).await.to_string(),
//!     "GET /shops/{tenant}/notes\n    owner      200\n    outsider   404\n    anonymous  404\n"
//! );
//! # }
//! ```

mod cross_tenant;
mod findings;
mod fingerprint;
mod fixture;
mod harness;
mod key_callers;
mod matrix;
mod normalizer;
mod operations;
mod policies;
mod reads;
mod request;
mod route;
mod run;
mod substitution;
mod tables;
mod traces;
mod write_log;
mod writes;

pub use self::findings::Findings;
pub use self::fingerprint::fingerprint;
pub use self::fixture::TenantFixture;
pub use self::harness::Harness;
pub use self::key_callers::KeyCallers;
pub use self::matrix::Matrix;
pub use self::operations::operations;
pub use self::request::{TestRequest, TestResponse};
pub use self::route::Route;
pub use self::tables::check_tables;
