//! The methods.

use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use mt_core::pg::Tenants;
use mt_tonic::refused;
use mt_tower::authorize::access_request;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::model::{Notebook, NotesAdd, NotesRead};
use crate::note::{Note, PAGE};
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
        let access = access_request::<NotesAdd>(request.extensions()).map_err(refused)?;
        let text = request.into_inner().text;
        let note = Note::add(&self.tenants, access, text).await.map_err(refused)?;
        Ok(Response::new(note.into()))
    }

    type ListNotesStream = BoxStream<'static, Result<pb::Note, Status>>;

    async fn list_notes(
        &self,
        request: Request<pb::ListNotesRequest>,
    ) -> Result<Response<Self::ListNotesStream>, Status> {
        let access = access_request::<NotesRead>(request.extensions()).map_err(refused)?;
        let tenants = self.tenants.clone();
        let pages = stream::try_unfold(Some(Uuid::nil()), move |after| {
            let tenants = tenants.clone();
            async move {
                let Some(after) = after else { return Ok::<_, Status>(None) };
                let page = Note::page(&tenants, access, after).await.map_err(refused)?;
                let last = page.last().filter(|_| page.len() == PAGE).map(|note| note.id);
                Ok(Some((page, last)))
            }
        });
        let notes = pages
            .map_ok(|page| stream::iter(page.into_iter().map(|note| Ok(note.into()))))
            .try_flatten();
        Ok(Response::new(notes.boxed()))
    }
}
