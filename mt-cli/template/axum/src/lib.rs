//! Notebooks with notes.

use axum::Json;
use axum::http::StatusCode;
use mt::axum::{Result, Routes, Service, Tenant};
use mt::endpoints::{SignIn, Tenants};
use mt::prelude::*;
use uuid::Uuid;

mt::model! {
    /// Notebooks: members read notes, owners write them.
    pub Notebook: audited;
    roles Role { Owner = "owner" (owner), Reader = "reader" }
    plans Plan { Free = "free" (initial), Team = "team" }
    permissions Permission {
        //                             Owner Reader  Free Team
        NotesRead = "notes.read"      [yes   yes]   [yes  yes] exempt   read;
        NotesWrite = "notes.write"    [yes   no]    [yes  yes] required write + NotesRead;
        NotesDelete = "notes.delete"  [yes   no]    [yes  yes] exempt   write + NotesRead;
    }
    caps { Notes of notebook.notes { Free: 5, Team: none } }
}

const NOTE_CREATED: Action = Action::new("note.created", "note");

/// The newest notes. Were the `where` forgotten, row-level security would stand in for it.
async fn list(notebook: Tenant<NotesRead>) -> Result<Json<Vec<String>>> {
    let texts = query_scalar(
        "select text from notebook.notes where tenant_id = mt.tenant_id() order by id desc limit 50",
    );
    Ok(Json(notebook.fetch_all(texts).await?))
}

/// A new note, if the plan allows one more.
async fn create(
    notebook: Tenant<NotesWrite>,
    Json(text): Json<String>,
) -> Result<(StatusCode, Json<Uuid>)> {
    let id = Uuid::now_v7();
    let insert = query_scalar("insert into notebook.notes (id, text) values ($1, $2) returning id")
        .bind(id)
        .bind(text);
    Ok((StatusCode::CREATED, Json(notebook.create::<Notes, _>(NOTE_CREATED.on(id), insert).await?)))
}

/// Each route, with the permission that its handler asks for.
pub fn routes() -> Routes<Notebook> {
    Routes::under("/notebooks/{notebook_id}").get("/notes", list).post("/notes", create)
}

/// The service: these routes, sign-in, and `/notebooks` to list, create, rename and delete one.
pub fn service() -> Service<Notebook> {
    Service::new(SCHEMA, routes()).mount(SignIn).mount(Tenants {
        read: NotesRead,
        update: NotesWrite,
        delete: NotesDelete,
        usage: Notebook::usage(),
    })
}

/// The tables of the service.
pub const SCHEMA: ProductSchema<'_> = ProductSchema { name: "notebook", migrator: &MIGRATIONS };
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
