//! The kit passes an application that is right, and finds faults in one that is not.

use std::sync::OnceLock;

use axum::Json;
use axum::http::StatusCode;
use mt_axum::{Result, Routes, Tenant};
use mt_core::pg::query_scalar;
use uuid::Uuid;

use crate::notebook::{
    INSERT, NOTE_ADDED, Notebook, Notes, NotesAdd, NotesRead, add, app, list, routes,
};

#[tokio::test]
async fn a_sound_application_passes() {
    let app = app(routes()).await;
    app.isolation().await.assert_none();
    app.isolation_without_policies().await.assert_none();
    assert!(app.audit().await.is_clean(), "{}", app.audit().await);
    // The control: a table that shows every tenant's rows.
    let open = "create table public.open (tenant_id uuid); grant select on public.open to mt_app";
    sqlx::query(open.split_once("; ").unwrap().0).execute(app.database().admin()).await.unwrap();
    sqlx::query(open.split_once("; ").unwrap().1).execute(app.database().admin()).await.unwrap();
    assert!(app.audit().await.to_string().contains("public.open"));
}

#[tokio::test]
async fn tables_are_checked_without_the_routes() {
    let app = app(routes()).await;
    app.tables().await.assert_none();
    // The control.
    let open = "alter table public.notes disable row level security";
    sqlx::query(open).execute(app.database().admin()).await.unwrap();
    assert!(app.tables().await.to_string().contains("public.notes"));
}

/// A handler that goes past the library.
#[tokio::test]
async fn a_handler_without_a_transaction_is_found() {
    static ADMIN: OnceLock<sqlx::PgPool> = OnceLock::new();
    async fn list(notebook: Tenant<NotesRead>) -> Result<Json<Vec<String>>> {
        let texts = sqlx::query_scalar("select text from public.notes where tenant_id = $1")
            .bind(notebook.tenant().as_uuid())
            .fetch_all(ADMIN.get().unwrap());
        Ok(Json(texts.await.unwrap()))
    }
    let routes = Routes::under("/notebooks/{notebook_id}").get("/notes", list).post("/notes", add);
    let app = app(routes).await;
    ADMIN.set(app.database().admin().clone()).unwrap();
    let findings = app.isolation().await;
    let text = findings.to_string();
    assert!(text.contains("the response holds A's canary"), "{text}");
    assert!(!text.contains("row-level security off"), "{text}");
}

#[tokio::test]
async fn the_matrix_has_each_role_and_api_keys() {
    let matrix = app(routes()).await.matrix().await;
    let expected = "\
GET /notebooks/{tenant}/notes
    owner      200
    reader     200
    api key    200
    account    200
    agent      200
    outsider   404
    anonymous  401

POST /notebooks/{tenant}/notes \"a note\"
    owner      201  insert mt.audit_log, insert public.notes
    reader     403
    api key    201  insert mt.audit_log, insert public.notes
    account    403
    agent      403
    outsider   404
    anonymous  401
";
    assert_eq!(matrix.to_string(), expected);
}

/// A query that relies on row-level security alone.
#[tokio::test]
async fn a_query_without_tenant_is_found() {
    async fn list(notebook: Tenant<NotesRead>) -> Result<Json<Vec<String>>> {
        let texts = query_scalar("select text from public.notes order by id");
        Ok(Json(notebook.fetch_all(texts).await?))
    }
    let routes = Routes::under("/notebooks/{notebook_id}").get("/notes", list).post("/notes", add);
    let app = app(routes).await;
    app.isolation().await.assert_none();
    let findings = app.isolation_without_policies().await;
    let text = findings.to_string();
    assert!(
        text.contains(" with row-level security off:\n") && text.contains("the response holds"),
        "{text}"
    );
}

#[tokio::test]
async fn a_route_without_a_valid_body_is_found() {
    let app = app(routes()).await.body("POST", "/notes", 7.into());
    // The first body of a route counts, so this one changes nothing.
    app.isolation().await.assert_none();
    let routes = Routes::under("/notebooks/{notebook_id}").get("/notes", list).post("/more", add);
    let findings = super::notebook::app(routes).await.isolation().await;
    assert!(findings.to_string().contains("POST /notebooks/{tenant}/more"), "{findings}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_holds_in_a_race() {
    app(routes()).await.cap_race::<Notes>("/notes", "public.notes").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_does_not_count_loses_the_race() {
    async fn add(notebook: Tenant<NotesAdd>, Json(text): Json<String>) -> Result<StatusCode> {
        let id = Uuid::now_v7();
        let insert = query_scalar::<Uuid>(INSERT).bind(id).bind(text);
        notebook.execute(NOTE_ADDED.on(id), insert).await?;
        Ok(StatusCode::CREATED)
    }
    let routes = Routes::<Notebook>::under("/notebooks/{notebook_id}").post("/notes", add);
    let broken = app(routes).await.cap_race::<Notes>("/notes", "public.notes").await.unwrap_err();
    assert!(broken.created > broken.room, "{broken}");
}

#[test]
fn routes_know_their_permissions() {
    let routes = routes();
    let list: Vec<_> = routes
        .list()
        .iter()
        .map(|route| (route.method.as_str(), route.path.as_str(), route.permission))
        .collect();
    assert_eq!(
        list,
        [
            ("GET", "/notebooks/{notebook_id}/notes", "notes.read"),
            ("POST", "/notebooks/{notebook_id}/notes", "notes.add"),
        ]
    );
}

#[test]
#[should_panic(expected = "needs one parameter, the tenant's id")]
fn a_prefix_without_parameter_is_refused() {
    let _: Routes<Notebook> = Routes::under("/notebooks");
}
