//! Notes and their rows.

use mt_core::access::AccessRequest;
use mt_core::pg::{BeginError, Tenants, query_as};
use uuid::Uuid;

use crate::model::{Notebook, NotesAdd, NotesRead};
use crate::pb;

/// How many notes a transaction reads.
pub(crate) const PAGE: usize = 50;

const FIND: &str = "select id, text from notebook.notes \
    where tenant_id = mt.tenant_id() and id > $1 order by id limit $2";
const INSERT: &str = "insert into notebook.notes (id, text) values ($1, $2) returning id, text";

/// A note.
#[derive(sqlx::FromRow)]
pub(crate) struct Note {
    pub(crate) id: Uuid,
    text: String,
}

impl Note {
    /// Adds a note to the requested workspace.
    pub(crate) async fn add(
        tenants: &Tenants<Notebook>,
        request: AccessRequest<NotesAdd>,
        text: String,
    ) -> Result<Self, BeginError> {
        let mut tx = tenants.begin(request).await?;
        let insert = query_as(INSERT).bind(Uuid::now_v7()).bind(text);
        let note = insert.fetch_one(tx.query::<NotesAdd>()).await?;
        tx.commit().await?;
        Ok(note)
    }

    /// Reads the notes after one, a page at most, in a transaction of its own, which decides again. So a client that reads
    /// slowly holds no connection, and one that loses its membership in the middle of a list sees no more than the page it had.
    pub(crate) async fn page(
        tenants: &Tenants<Notebook>,
        request: AccessRequest<NotesRead>,
        after: Uuid,
    ) -> Result<Vec<Self>, BeginError> {
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        query_as(FIND).bind(after).bind(limit).fetch_all(tenants.read(request)).await
    }
}

impl From<Note> for pb::Note {
    fn from(note: Note) -> Self {
        Self { id: note.id.to_string(), text: note.text }
    }
}
