//! The application of the tests: notebooks with notes.

use axum::Json;
use axum::http::StatusCode;
use mt_axum::testing::TestApp;
use mt_axum::{Result, Routes, Tenant};
use mt_core::pg::audit_log::Action;
use mt_core::pg::query_scalar;
use sqlx::Executor as _;
use uuid::Uuid;

mt_core::model! {
    pub(crate) Notebook: audited;
    roles Role { Owner = "owner" (owner), Reader = "reader" }
    plans Plan { Free = "free" (initial), Team = "team" }
    permissions Permission {
        //                        Owner Reader  Free Team
        NotesRead = "notes.read" [yes   yes]   [yes  yes] exempt read;
        NotesAdd = "notes.add"   [yes   no]    [yes  yes] required write + NotesRead;
    }
    caps {
        Notes of public.notes { Free: 3, Team: none }
        Seats of members { Free: 4, Team: none }
    }
}

pub(crate) const NOTE_ADDED: Action = Action::new("note.added", "note");
pub(crate) const INSERT: &str = "insert into public.notes (id, text) values ($1, $2) returning id";
const SEED: &str = "insert into public.notes (tenant_id, id, text) \
    values ($1, gen_random_uuid(), $2) returning id::text";

pub(crate) async fn list(notebook: Tenant<NotesRead>) -> Result<Json<Vec<String>>> {
    let texts = "select text from public.notes where tenant_id = mt.tenant_id() order by id";
    Ok(Json(notebook.fetch_all(query_scalar(texts)).await?))
}

pub(crate) async fn add(
    notebook: Tenant<NotesAdd>,
    Json(text): Json<String>,
) -> Result<(StatusCode, Json<Uuid>)> {
    let id = Uuid::now_v7();
    let insert = query_scalar(INSERT).bind(id).bind(text);
    Ok((StatusCode::CREATED, Json(notebook.create::<Notes, _>(NOTE_ADDED.on(id), insert).await?)))
}

pub(crate) fn routes() -> Routes<Notebook> {
    Routes::under("/notebooks/{notebook_id}").get("/notes", list).post("/notes", add)
}

/// The application with these routes, and its table.
pub(crate) async fn app(routes: Routes<Notebook>) -> TestApp<Notebook> {
    let app = TestApp::new(routes, &[]).await;
    app.database()
        .admin()
        .execute(
            "create table public.notes (tenant_id uuid not null default mt.tenant_id(), \
                 id uuid not null, text text not null, primary key (tenant_id, id)); \
             select mt.isolate('public.notes')",
        )
        .await
        .unwrap();
    app.seed("note_id", SEED).body("POST", "/notes", "a note".into())
}
