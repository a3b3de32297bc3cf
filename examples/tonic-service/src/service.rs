//! The methods.

use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use mt_core::pg::Tenants;
use mt_tonic::refused;
use mt_tower::authorize::authorize;
use tonic::{Request, Response, Status};

use crate::model::{Notebook, NotesAdd, NotesRead};
use crate::note::{Next, Note};
use crate::pb;

/// Notes of all workspaces. It stands behind [`guards`](crate::guards).
#[derive(Debug)]
pub struct NoteService {
    tenants: Tenants<Notebook>,
}

impl NoteService {
    /// Opens its transactions in `tenants`.
    #[must_use]
    pub const fn new(tenants: Tenants<Notebook>) -> Self {
        Self { tenants }
    }
}

#[tonic::async_trait]
impl pb::notes_server::Notes for NoteService {
    async fn add_note(
        &self,
        request: Request<pb::AddNoteRequest>,
    ) -> Result<Response<pb::Note>, Status> {
        let grant = authorize::<NotesAdd>(request.extensions()).map_err(refused)?;
        let mut tx = self.tenants.begin(grant).await.map_err(refused)?;
        let note = Note::insert(&mut tx, request.into_inner().text).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        Ok(Response::new(note.into()))
    }

    type ListNotesStream = BoxStream<'static, Result<pb::Note, Status>>;

    async fn list_notes(
        &self,
        request: Request<pb::ListNotesRequest>,
    ) -> Result<Response<Self::ListNotesStream>, Status> {
        let grant = authorize::<NotesRead>(request.extensions()).map_err(refused)?;
        let tenants = self.tenants.clone();
        let pages = stream::try_unfold(Some(Next::first(grant)), move |next| {
            let tenants = tenants.clone();
            async move {
                let Some(next) = next else { return Ok(None) };
                Note::page(&tenants, next).await.map(Some).map_err(refused)
            }
        });
        let notes = pages
            .map_ok(|page| stream::iter(page.into_iter().map(|note| Ok(note.into()))))
            .try_flatten();
        Ok(Response::new(notes.boxed()))
    }
}
