//! Streams pass the guards completely, in order, and no faster than they are read.

use tonic::{Code, Streaming};
use tonic_service::pb::{ListNotesRequest, Note};

use crate::support::{Client, PLENTY, Server, Workspace, call, note};

/// The number of notes that one transaction of the service reads.
const PAGE: usize = 50;

#[tokio::test]
async fn list_streams_all_notes_in_order() {
    let server = Server::start(PLENTY).await;
    let mut client = server.client().await;
    let (workspace, other) = (server.workspace().await, server.workspace().await);
    client.add_note(call(other.editor, other.id, note("of another workspace"))).await.unwrap();
    let mut added = Vec::new();
    // None, less than a page, a page, and more.
    for many in [0, 1, PAGE, 2 * PAGE + 1] {
        while added.len() < many {
            let text = format!("note {}", added.len());
            client.add_note(call(workspace.editor, workspace.id, note(&text))).await.unwrap();
            added.push(text);
        }
        let request = call(workspace.reader, workspace.id, ListNotesRequest {});
        let mut notes = client.list_notes(request).await.unwrap().into_inner();
        for expected in &added {
            assert_eq!(notes.message().await.unwrap().unwrap().text, *expected);
        }
        assert!(notes.message().await.unwrap().is_none());
    }
}

/// How many notes are left in a stream, and the status that it ends with.
async fn drain(mut notes: Streaming<Note>) -> (usize, Code) {
    let mut left = 0;
    loop {
        match notes.message().await {
            Ok(Some(_)) => left += 1,
            Ok(None) => return (left, Code::Ok),
            Err(status) => return (left, status.code()),
        }
    }
}

#[tokio::test]
async fn list_ends_at_the_page_after_its_reader_is_removed() {
    let server = Server::start(PLENTY).await;
    let Workspace { id, reader, .. } = server.workspace().await;
    // A page is two megabytes, of which an unread stream takes less than one from the server.
    server
        .sql(format!(
            "insert into notebook.notes (tenant_id, id, text) \
             select '{id}', gen_random_uuid(), repeat('x', 40000) from generate_series(1, {})",
            3 * PAGE
        ))
        .await;
    let endpoint = server.endpoint.clone();
    let endpoint =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let mut client = Client::new(endpoint.connect().await.unwrap());

    // The control: a reader who stays.
    let all = client.list_notes(call(reader, id, ListNotesRequest {})).await.unwrap().into_inner();
    assert_eq!(drain(all).await, (3 * PAGE, Code::Ok));

    let notes = client.list_notes(call(reader, id, ListNotesRequest {})).await.unwrap();
    let mut notes = notes.into_inner();
    assert!(notes.message().await.unwrap().is_some());
    server.sql(format!("delete from mt.memberships where principal_id = '{reader}'")).await;
    assert_eq!(drain(notes).await, (PAGE - 1, Code::NotFound));
}
