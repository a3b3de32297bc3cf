//! Access to workspaces, and the gRPC status of each refusal.

use http::HeaderMap;
use mt_core::id::TenantId;
use mt_core::testing::isolation::check_tables;
use tonic::{Code, Request, Status};
use tonic_service::pb::{AddNoteRequest, ListNotesRequest};

use crate::support::{PLENTY, Server, call, note};

/// All that a client sees of a refusal but for the time and the client's own count.
fn seen(status: &Status) -> (Code, String, HeaderMap) {
    let mut metadata = status.metadata().clone().into_headers();
    for varies in ["date", "ratelimit"] {
        metadata.remove(varies).unwrap();
    }
    (status.code(), status.message().to_owned(), metadata)
}

fn code(status: &Status) -> &str {
    status.metadata().get("problem-code").unwrap().to_str().unwrap()
}

#[tokio::test]
async fn editor_adds_notes_and_reader_may_not() {
    let server = Server::start(PLENTY).await;
    let mut client = server.client().await;
    let workspace = server.workspace().await;
    let added = client.add_note(call(workspace.editor, workspace.id, note("first"))).await.unwrap();
    assert_eq!(added.get_ref().text, "first");
    assert!(added.metadata().contains_key("ratelimit"), "guards speak in good answers too");

    let refused = client.add_note(call(workspace.reader, workspace.id, note("second"))).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::PermissionDenied, "forbidden"));
    let notes: i64 = sqlx::query_scalar("select count(*) from notebook.notes")
        .fetch_one(server.db.admin())
        .await
        .unwrap();
    assert_eq!(notes, 1);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn call_without_a_credential_is_unauthenticated() {
    let server = Server::start(PLENTY).await;
    let mut client = server.client().await;
    let workspace = server.workspace().await;
    for (token, challenge) in [
        (None, "Bearer"),
        (Some("Bearer forged"), r#"Bearer error="invalid_token""#),
        (Some("Basic YTpi"), "Bearer"),
    ] {
        let mut request = call(workspace.editor, workspace.id, note("mine"));
        request.metadata_mut().remove("authorization");
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", token.parse().unwrap());
        }
        let refused = client.add_note(request).await.unwrap_err();
        assert_eq!((refused.code(), code(&refused)), (Code::Unauthenticated, "unauthenticated"));
        assert_eq!(refused.metadata().get("www-authenticate").unwrap(), challenge);
    }
}

/// The metadata of a request for a workspace that is named like this.
fn named(request: Request<AddNoteRequest>, names: &[&str]) -> Request<AddNoteRequest> {
    let mut request = request;
    request.metadata_mut().remove("x-tenant-id");
    for name in names {
        request.metadata_mut().append("x-tenant-id", name.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn foreign_and_unknown_workspace_get_the_same_status() {
    let server = Server::start(PLENTY).await;
    let mut client = server.client().await;
    let (own, foreign) = (server.workspace().await, server.workspace().await);
    let [own_id, foreign_id, unknown] =
        [own.id, foreign.id, TenantId::generate()].map(|id| id.to_string());
    let mut all_seen = Vec::new();
    for names in [
        &[foreign_id.as_str()][..],
        &[unknown.as_str()],
        &["acme"],
        &[],
        &[own_id.as_str(), foreign_id.as_str()],
    ] {
        let request = named(call(own.editor, own.id, note("theirs")), names);
        let refused = client.add_note(request).await.unwrap_err();
        assert_eq!((refused.code(), code(&refused)), (Code::NotFound, "not-found"), "{names:?}");
        all_seen.push(seen(&refused));
    }
    assert!(all_seen.iter().all(|seen| *seen == all_seen[0]), "{all_seen:#?}");
    let request = named(call(own.editor, own.id, note("mine")), &[&own_id]);
    assert_eq!(client.add_note(request).await.unwrap().into_inner().text, "mine");
}

#[tokio::test]
async fn lapsed_workspace_reads_and_does_not_write() {
    let server = Server::start(PLENTY).await;
    let mut client = server.client().await;
    let workspace = server.workspace().await;
    client.add_note(call(workspace.editor, workspace.id, note("paid"))).await.unwrap();
    server
        .sql(format!(
            "update mt.tenants set subscription_status = 'past_due' where id = '{}'",
            workspace.id
        ))
        .await;
    let refused = client.add_note(call(workspace.editor, workspace.id, note("unpaid"))).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::FailedPrecondition, "billing-required"));
    let request = call(workspace.editor, workspace.id, ListNotesRequest {});
    let mut notes = client.list_notes(request).await.unwrap().into_inner();
    assert_eq!(notes.message().await.unwrap().unwrap().text, "paid");
    assert!(notes.message().await.unwrap().is_none());
}

#[tokio::test]
async fn rate_limited_client_gets_a_retry_delay() {
    let server = Server::start(2).await;
    let mut client = server.client().await;
    let workspace = server.workspace().await;
    for _ in 0..2 {
        client.add_note(call(workspace.editor, workspace.id, note("a note"))).await.unwrap();
    }
    let refused = client.add_note(call(workspace.editor, workspace.id, note("a note"))).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::ResourceExhausted, "rate-limited"));
    let number =
        |name| -> u64 { refused.metadata().get(name).unwrap().to_str().unwrap().parse().unwrap() };
    let seconds = number("retry-after");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(number("grpc-retry-pushback-ms"), seconds * 1000);
}

#[tokio::test]
async fn rows_of_two_workspaces_are_isolated() {
    let server = Server::start(PLENTY).await;
    let mut client = server.client().await;
    let (a, b) = (server.workspace().await, server.workspace().await);
    for workspace in [&a, &b] {
        let text = workspace.id.to_string();
        client.add_note(call(workspace.editor, workspace.id, note(&text))).await.unwrap();
    }
    check_tables(&server.db, a.id, b.id).await.assert_none();
}
