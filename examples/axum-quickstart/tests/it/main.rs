//! Runs the quickstart against a database of its own: members read, everybody else finds nothing.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum_quickstart::{Notebook, router};
use http_body_util::BodyExt as _;
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::StandingPolicy;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::testing::TestDatabase;
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

#[tokio::test]
async fn members_read_their_notes_and_nobody_elses() {
    let db = TestDatabase::create().await.unwrap();
    db.admin()
        .execute(
            "create table public.notes (tenant_id uuid not null, \
                 id uuid not null default gen_random_uuid(), text text not null, \
                 primary key (tenant_id, id)); \
             select mt.isolate('public.notes')",
        )
        .await
        .unwrap();
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
