//! Runs the quickstart on a test database: members read their notes, and other callers get 404.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum_quickstart::{Notebook, router};
use http_body_util::BodyExt as _;
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::StandingPolicy;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::testing::TestDatabase;
use mt_core::testing::isolation::{
    Harness, Route, TenantFixture, TestRequest, TestResponse, check_tables,
};
use sqlx::Executor as _;
use tower::ServiceExt as _;

fn tokens() -> JwtAuthenticator {
    let key = JwtKey::hs256("a secret of the tests, 32 bytes or more").unwrap();
    JwtAuthenticator::new(JwtConfig::new("mt", "mt", key)).unwrap()
}

/// A workspace with one member and one note.
async fn workspace(db: &TestDatabase, name: &str) -> (TenantId, PrincipalId) {
    let (tenant, member) = (TenantId::generate(), PrincipalId::generate());
    db.admin()
        .execute(sqlx::AssertSqlSafe(format!(
            "insert into mt.users (id, email) values ('{member}', '{name}@example.org'); \
             insert into mt.tenants (id, name) values ('{tenant}', '{name}'); \
             insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
                 values ('{tenant}', '{member}', 'member', true); \
             insert into public.notes (tenant_id, text) values ('{tenant}', 'note of {name}')"
        )))
        .await
        .unwrap();
    (tenant, member)
}

async fn database() -> TestDatabase {
    let db = TestDatabase::create().await.unwrap();
    db.admin().execute(include_str!("../../notes.sql")).await.unwrap();
    db
}

#[tokio::test]
async fn members_read_only_the_notes_of_their_workspace() {
    let db = database().await;
    let (of_ada, ada) = workspace(&db, "ada").await;
    let (of_bob, _) = workspace(&db, "bob").await;
    let database = db.connect(2).await.unwrap();
    let app = router(database.tenants::<Notebook>(StandingPolicy::default()), tokens());
    let token = tokens().issue(ada, 0).unwrap().token;

    for (workspace, token, status, body) in [
        (of_ada.to_string(), Some(&token), StatusCode::OK, r#"["note of ada"]"#),
        (of_bob.to_string(), Some(&token), StatusCode::NOT_FOUND, ""),
        (TenantId::generate().to_string(), Some(&token), StatusCode::NOT_FOUND, ""),
        ("bob".to_owned(), Some(&token), StatusCode::NOT_FOUND, ""),
        (of_ada.to_string(), None, StatusCode::UNAUTHORIZED, ""),
    ] {
        let mut request = Request::get(format!("/workspaces/{workspace}/notes"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{workspace}");
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        if body.is_empty() {
            assert!(!text.contains("note of"), "{text}");
            assert!(text.contains("/problems/"), "{text}");
        } else {
            assert_eq!(text, body);
        }
    }
}

/// A workspace whose note, name and addresses hold `canary`.
async fn seed(db: &TestDatabase, canary: &str) -> TenantFixture {
    let (tenant, member) = workspace(db, canary).await;
    TenantFixture::new(tenant).member("member", tokens().issue(member, 0).unwrap().token)
}

/// Sends what the checks ask for into a router.
async fn send(app: &Router, call: TestRequest) -> TestResponse {
    let mut request = Request::builder().method(call.method.as_str()).uri(call.path);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(call.body.unwrap_or_default())).unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    let headers = answer.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    TestResponse {
        status: answer.status().as_u16(),
        headers: headers.collect(),
        body: answer.into_body().collect().await.unwrap().to_bytes().to_vec(),
    }
}

/// Every route of the quickstart.
fn routes() -> [Route; 1] {
    [Route::new("GET", "/workspaces/{tenant}/notes")]
}

#[tokio::test]
async fn nothing_leaks_from_one_workspace_to_another() {
    let db = database().await;
    let database = db.connect(2).await.unwrap();
    let app = router(database.tenants::<Notebook>(StandingPolicy::default()), tokens());
    let seed = async |canary: String| seed(&db, &canary).await;
    let world = Harness::new(&db, seed, async |call| send(&app, call).await);
    world.check(routes()).await.assert_none();
    world.without_policies().check(routes()).await.assert_none();
    world.matrix(routes()).await.assert_file("tests/it/matrix.txt");
    let [a, b] = [workspace(&db, "a").await, workspace(&db, "b").await];
    check_tables(&db, a.0, b.0).await.assert_none();
}

/// The control: a handler that takes the workspace from the path without a permission check.
#[tokio::test]
async fn handler_without_a_permission_check_is_detected() {
    async fn notes(
        State(admin): State<sqlx::PgPool>,
        axum::extract::Path(workspace): axum::extract::Path<uuid::Uuid>,
    ) -> axum::Json<Vec<String>> {
        let notes = sqlx::query_scalar("select text from public.notes where tenant_id = $1");
        axum::Json(notes.bind(workspace).fetch_all(&admin).await.unwrap())
    }
    let db = database().await;
    let app = Router::new()
        .route("/workspaces/{workspace_id}/notes", get(notes))
        .with_state(db.admin().clone());
    let seed = async |canary: String| seed(&db, &canary).await;
    let world = Harness::new(&db, seed, async |call| send(&app, call).await);
    let findings = world.check(routes()).await;
    assert!(findings.to_string().contains("the response holds A's canary"), "{findings}");
}

/// The items of the first block of Rust in a text.
fn items(markdown: &str) -> Vec<&str> {
    let (_, block) = markdown.split_once("```rust\n").unwrap();
    block.split_once("```\n").unwrap().0.trim_end().split("\n\n").collect()
}

#[test]
fn the_readme_shows_what_is_compiled() {
    let source = include_str!("../../src/lib.rs");
    let shown = items(include_str!("../../../../README.md"));
    assert!(shown.len() > 1, "{shown:?}");
    for item in shown {
        assert!(source.contains(item), "not in lib.rs:\n{item}");
    }
}
