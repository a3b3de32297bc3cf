//! A refused call reaches no method.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{self, Empty};
use mt_core::id::TenantId;
use tonic::service::LayerExt as _;
use tonic::transport::Server as TonicServer;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};
use tonic_service::guards;
use tonic_service::pb::notes_server::{Notes, NotesServer};
use tonic_service::pb::{AddNoteRequest, ListNotesRequest, Note};

use crate::support::{Client, PLENTY, Server, call, note, per_minute, socket, tokens};

/// Methods without a permission check that count how often they are called.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Counting {
    fn calls(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[tonic::async_trait]
impl Notes for Counting {
    async fn add_note(&self, _: Request<AddNoteRequest>) -> Result<Response<Note>, Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Response::new(Note::default()))
    }

    type ListNotesStream = Empty<Result<Note, Status>>;

    async fn list_notes(
        &self,
        _: Request<ListNotesRequest>,
    ) -> Result<Response<Self::ListNotesStream>, Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Response::new(stream::empty()))
    }
}

#[tokio::test]
async fn a_refused_call_reaches_no_method() {
    let server = Server::start(PLENTY).await;
    let own = server.workspace().await;
    let foreign = server.workspace().await;

    let counting = Counting::default();
    let (listener, endpoint) = socket().await;
    let layer = guards(server.tenants(), tokens(), per_minute(PLENTY));
    // Around one service, where `serve` puts them around all.
    let guarded = layer.named_layer(NotesServer::new(counting.clone()));
    let guarded = TonicServer::builder().add_service(guarded);
    tokio::spawn(guarded.serve_with_incoming(TcpIncoming::from(listener)));
    let mut guarded = Client::new(endpoint.connect().await.unwrap());

    // The control: the same methods without guards.
    let reached = Counting::default();
    let (listener, endpoint) = socket().await;
    let open = TonicServer::builder().add_service(NotesServer::new(reached.clone()));
    tokio::spawn(open.serve_with_incoming(TcpIncoming::from(listener)));
    let mut open = Client::new(endpoint.connect().await.unwrap());

    for (calls, (workspace, signed_in, expected)) in [
        (foreign.id, true, Code::NotFound),
        (TenantId::generate(), true, Code::NotFound),
        (own.id, false, Code::Unauthenticated),
    ]
    .into_iter()
    .enumerate()
    {
        let add = || {
            let mut request = call(own.editor, workspace, note("a note"));
            if !signed_in {
                request.metadata_mut().remove("authorization");
            }
            request
        };
        let list = || add().map(|_| ListNotesRequest {});
        assert_eq!(guarded.add_note(add()).await.unwrap_err().code(), expected);
        assert_eq!(guarded.list_notes(list()).await.unwrap_err().code(), expected);
        assert_eq!(counting.calls(), 0);
        open.add_note(add()).await.unwrap();
        open.list_notes(list()).await.unwrap();
        assert_eq!(reached.calls(), 2 * (calls + 1));
    }
    guarded.add_note(call(own.editor, own.id, note("a note"))).await.unwrap();
    assert_eq!(counting.calls(), 1);
}
