//! Transactions as closures: committed on `Ok`, rolled back on `Err`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use mt_axum::{Refusal, Result, Routes, Tenant};
use mt_core::pg::query_scalar;
use mt_tower::problem::Problem;
use uuid::Uuid;

use crate::notebook::{INSERT, NOTE_ADDED, Notebook, Notes, NotesAdd, NotesRead, app};

/// An error of the application's own.
struct Unwanted;

impl From<Unwanted> for Refusal {
    fn from(_: Unwanted) -> Self {
        Self(Problem::new(StatusCode::CONFLICT, "unwanted", "Unwanted"))
    }
}

/// Adds two notes in one transaction, and fails after the first if asked to.
async fn two(
    notebook: Tenant<NotesAdd>,
    Path((_, how)): Path<(Uuid, String)>,
) -> Result<Json<i64>> {
    let count = notebook
        .write(async |tx| {
            for text in ["one", "two"] {
                let id = Uuid::now_v7();
                let insert = query_scalar::<Uuid>(INSERT).bind(id).bind(text);
                insert.fetch_one(tx.execute::<NotesAdd>(NOTE_ADDED.on(id))).await?;
                if how == "fail" {
                    Err(Unwanted)?;
                }
            }
            let count = "select count(*) from public.notes where tenant_id = mt.tenant_id()";
            Ok(query_scalar(count).fetch_one(tx.query::<NotesRead>()).await?)
        })
        .await?;
    Ok(Json(count))
}

/// Adds a note after a look at something else, under the cap.
async fn capped(notebook: Tenant<NotesAdd>) -> Result<StatusCode> {
    notebook
        .write_capped::<Notes, _>(async |tx, cap| {
            let _permit = cap.permit()?;
            let id = Uuid::now_v7();
            let insert = query_scalar::<Uuid>(INSERT).bind(id).bind("capped");
            insert.fetch_one(tx.execute::<NotesAdd>(NOTE_ADDED.on(id))).await?;
            Ok(StatusCode::CREATED)
        })
        .await
}

/// Removes the caller, which the last owner may not do.
async fn leave(notebook: Tenant<NotesAdd>) -> Result<StatusCode> {
    let member = notebook.principal().id();
    notebook
        .write_exclusive(async |tx| {
            tx.remove_member(member).await?;
            Ok(StatusCode::NO_CONTENT)
        })
        .await
}

#[tokio::test]
async fn a_closure_commits_on_ok_and_rolls_back_on_err() {
    let routes: Routes<Notebook> = Routes::under("/notebooks/{notebook_id}")
        .post("/two/{how}", two)
        .post("/capped", capped)
        .delete("/me", leave);
    let app = app(routes).await;
    let (tenant, owner) = app.tenant_and_owner().await;
    let stored = async || {
        let count = "select count(*) from public.notes where tenant_id = $1";
        let count = sqlx::query_scalar(count).bind(tenant.as_uuid());
        let notes: i64 = count.fetch_one(app.database().admin()).await.unwrap();
        let audited =
            "select count(*) from mt.audit_log where tenant_id = $1 and action = 'note.added'";
        let audited = sqlx::query_scalar(audited).bind(tenant.as_uuid());
        let entries: i64 = audited.fetch_one(app.database().admin()).await.unwrap();
        assert_eq!(notes, entries);
        notes
    };
    let send = async |method: &str, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("/notebooks/{tenant}{path}"))
            .header("authorization", format!("Bearer {owner}"))
            .body(Body::empty())
            .unwrap();
        let response = tower::ServiceExt::oneshot(app.router(), request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };

    let (status, body) = send("POST", "/two/fail").await;
    assert_eq!((status, stored().await), (409, 0));
    assert!(body.contains(r#""code":"unwanted""#), "{body}");
    assert_eq!(send("POST", "/two/go").await, (200, "2".to_owned()));
    assert_eq!(stored().await, 2);

    assert_eq!(send("POST", "/capped").await.0, 201);
    let (status, body) = send("POST", "/capped").await;
    assert_eq!((status, stored().await), (402, 3));
    assert!(body.contains("cap-reached"), "{body}");

    let (status, body) = send("DELETE", "/me").await;
    assert!(status == 409 && body.contains("last-owner"), "{status} {body}");
}
