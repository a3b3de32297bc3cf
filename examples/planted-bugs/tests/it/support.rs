//! The helpdesk on a test database, in the form that the isolation checks need.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::Database;
use mt_core::testing::TestDatabase;
use mt_core::testing::isolation::{
    Harness, KeyCallers, Route, TenantFixture, TestRequest, TestResponse,
};
use planted_bugs::{App, Bug, Failure, KEY_PREFIX, key_hasher, operations, router, schema};
use serde_json::json;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPoolOptions;
use tower::ServiceExt as _;
use uuid::Uuid;

/// An operation of the router, a query, and further attributes for the check.
type Entry = (&'static str, &'static str, fn(Route) -> Route);

const PLAIN: fn(Route) -> Route = |route| route;
const SUBJECT: fn(Route) -> Route = |route| route.json(json!({"subject": "x"}));

const ROUTES: &[Entry] = &[
    ("GET /health", "", |route| route.exempt("no shop's")),
    ("GET /shops/{shop}", "", PLAIN),
    ("GET /shops/{shop}/tickets", "", PLAIN),
    ("GET /shops/{shop}/tickets", "?after={ticket}", PLAIN),
    ("GET /shops/{shop}/tickets", "?assignee={agent}", PLAIN),
    ("POST /shops/{shop}/tickets", "", SUBJECT),
    ("POST /shops/{shop}/tickets", "", |route| {
        let body = json!({"subject": "x", "reference": "{reference}"});
        route.json(body).exempt("the caller's own shop has taken the reference")
    }),
    ("GET /shops/{shop}/tickets/{ticket}", "", PLAIN),
    ("PATCH /shops/{shop}/tickets/{ticket}", "", SUBJECT),
    ("PUT /shops/{shop}/tickets/{ticket}", "", SUBJECT),
    ("DELETE /shops/{shop}/tickets/{ticket}", "", PLAIN),
    ("GET /shops/{shop}/tickets/{ticket}/comments", "", PLAIN),
    ("POST /shops/{shop}/tickets/{ticket}/comments", "", |route| route.json(json!({"text": "x"}))),
    ("POST /shops/{shop}/close", "", |route| {
        route.json(json!({"ids": ["{ticket}", "{other_ticket}"]}))
    }),
    ("POST /shops/{shop}/jobs/close", "", PLAIN),
    ("POST /shops/{shop}/jobs/digest", "", PLAIN),
    ("GET /shops/{shop}/board", "", PLAIN),
    ("GET /shops/{shop}/export", "", PLAIN),
    ("GET /shops/{shop}/search", "?q=canary", PLAIN),
    ("GET /shops/{shop}/stats", "", |route| route.silent("a number")),
    ("GET /shops/{shop}/trash", "", PLAIN),
    ("GET /shops/{shop}/t/{ticket}", "", PLAIN),
    ("GET /shops/{shop}/members", "", PLAIN),
    ("POST /shops/{shop}/invites", "", |route| {
        route.json(json!({"email": "new@example.org", "role": "viewer"}))
    }),
    ("POST /shops/{shop}/invites", "", |route| {
        route.json(json!({"email": "new@example.org", "role": "owner"}))
    }),
    ("GET /shops/{shop}/files/{file}", "", PLAIN),
    ("PUT /shops/{shop}/files/{file}", "", PLAIN),
];

/// Whether the comma-separated list `at` contains this operation. An empty list contains all.
fn is_at(at: &str, operation: &str) -> bool {
    at.is_empty() || at.split(", ").any(|one| one == operation)
}

/// Returns the routes of these operations, or all routes.
pub(crate) fn routes(at: &str) -> Vec<Route> {
    let of_bug = ROUTES.iter().filter(|(operation, ..)| is_at(at, operation));
    let route = |(operation, query, change): &Entry| {
        let (method, path) = operation.split_once(' ').unwrap();
        change(Route::new(method, path.replace("{shop}", "{tenant}") + query))
    };
    of_bug.map(route).collect()
}

/// The helpdesk with a bug.
pub(crate) struct TestHelpdesk {
    pub(crate) db: TestDatabase,
    pub(crate) database: Database,
    operations: Vec<(&'static str, &'static str)>,
    app: std::sync::Arc<App>,
    router: Router,
    tokens: JwtAuthenticator,
    /// The internal errors of the application.
    failures: Mutex<Vec<String>>,
    is_on_the_free_plan: AtomicBool,
}

impl TestHelpdesk {
    /// Starts the helpdesk with a bug. Returns also the answer of the database to the bug's statement.
    pub(crate) async fn new(bug: Option<Bug>) -> (Self, Result<(), sqlx::Error>) {
        let db = TestDatabase::create_with(&[schema()]).await.unwrap();
        let (login, _) = db.two_logins();
        let sql = bug.map_or("", Bug::sql).replace("<login>", login.get_username());
        let sql = sql.replace("<database>", login.get_database().unwrap());
        let database = db.connect(3).await.unwrap();
        // Under the running application, as a hurried fix would be made.
        let changed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(db.admin()).await.map(drop);
        let servers = PgPoolOptions::new().max_connections(2).connect_with(login).await.unwrap();
        let pools = [db.admin().clone(), servers];
        let secret = Uuid::new_v4().to_string();
        let tokens = || {
            let key = JwtKey::hs256(&secret).unwrap();
            JwtAuthenticator::new(JwtConfig::new("mt", "mt", key)).unwrap()
        };
        let app = std::sync::Arc::new(App::new(database.clone(), pools, bug));
        let router = router(std::sync::Arc::clone(&app), tokens);
        let tokens = tokens();
        let (failures, is_on_the_free_plan) = (Mutex::default(), AtomicBool::new(false));
        let at = bug.map_or("", Bug::operations);
        let served = operations(&app).into_iter();
        let operations = served.filter(|(method, path)| is_at(at, &format!("{method} {path}")));
        let operations = operations.collect();
        let helpdesk =
            Self { db, database, operations, app, router, tokens, failures, is_on_the_free_plan };
        (helpdesk, changed)
    }

    /// Creates shops on the free plan from now on.
    pub(crate) fn go_free(&self) {
        self.is_on_the_free_plan.store(true, Ordering::Relaxed);
    }

    /// Creates a shop with a member of each role and rows of each kind.
    async fn seed(&self, canary: String) -> TenantFixture {
        let shop = TenantId::generate();
        let [owner, agent, viewer] = [(); 3].map(|()| PrincipalId::generate());
        let [ticket, other, deleted, comment] = [(); 4].map(|()| Uuid::now_v7());
        let file = format!("file-{}.txt", Uuid::new_v4().simple());
        let reference = format!("ref-{}", Uuid::new_v4().simple());
        let plan = if self.is_on_the_free_plan.load(Ordering::Relaxed) { "free" } else { "plus" };
        let sql = format!(
            "insert into mt.users (id, email) values \
                 ('{owner}', 'owner-{canary}@example.org'), \
                 ('{agent}', 'agent-{canary}@example.org'), \
                 ('{viewer}', 'viewer-{canary}@example.org'); \
             insert into mt.tenants (id, name, plan, subscription_status) \
                 values ('{shop}', '{canary}', '{plan}', 'active'); \
             insert into mt.memberships (tenant_id, principal_id, role, is_owner) values \
                 ('{shop}', '{owner}', 'owner', true), ('{shop}', '{agent}', 'agent', false), \
                 ('{shop}', '{viewer}', 'viewer', false); \
             insert into helpdesk.labels (tenant_id, code, title) \
                 values ('{shop}', 'urgent', 'label {canary}'); \
             insert into helpdesk.tickets \
                     (tenant_id, id, number, subject, reference, assignee, deleted_at) values \
                 ('{shop}', '{ticket}', 1, 'first {canary}', '{reference}', '{agent}', null), \
                 ('{shop}', '{other}', 2, 'second {canary}', null, null, null), \
                 ('{shop}', '{deleted}', 3, 'third {canary}', null, null, now()); \
             insert into helpdesk.comments (tenant_id, id, ticket_id, text) \
                 values ('{shop}', '{comment}', '{ticket}', 'comment {canary}')"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.db.admin()).await.unwrap();
        self.app.put_file(shop.as_uuid(), &file, &canary);
        let token = |principal| self.tokens.issue(principal, 0).unwrap().token;
        TenantFixture::new(shop)
            .member("owner", token(owner))
            .member("agent", token(agent))
            .member("viewer", token(viewer))
            .id("ticket", ticket)
            .id("other_ticket", other)
            .id("agent", agent)
            .id("file", file)
            .id("reference", reference)
    }

    async fn send(&self, call: TestRequest) -> TestResponse {
        let mut request = Request::builder().method(call.method.as_str()).uri(call.path);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(call.body.unwrap_or_default())).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        if let Some(Failure(failure)) = answer.extensions().get() {
            self.failures.lock().unwrap().push(failure.clone());
        }
        let headers = answer.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        TestResponse {
            status: answer.status().as_u16(),
            headers: headers.collect(),
            body: answer.into_body().collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    pub(crate) fn world(
        &self,
    ) -> Harness<
        '_,
        impl AsyncFn(String) -> TenantFixture + '_,
        impl AsyncFn(TestRequest) -> TestResponse + '_,
    > {
        let seed = async |canary| self.seed(canary).await;
        Harness::new(&self.db, seed, async |call| self.send(call).await)
            .with_api_keys(KeyCallers::new(KEY_PREFIX, key_hasher()))
            .serving(self.operations.clone())
    }

    /// The internal errors of the application.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }
}
