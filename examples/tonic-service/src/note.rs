//! Notes and their rows.

use mt_core::access::Grant;
use mt_core::pg::{BeginError, PgError, TenantTx, Tenants};
use uuid::Uuid;

use crate::model::{Notebook, NotesAdd, NotesRead};
use crate::pb;

/// How many notes a transaction reads.
pub(crate) const PAGE: usize = 50;

/// A note.
#[derive(sqlx::FromRow)]
pub(crate) struct Note {
    id: Uuid,
    text: String,
}

/// Where in the list of notes the next page begins, and the grant to read it.
pub(crate) struct Next {
    grant: Grant<NotesRead>,
    after: Uuid,
}

impl Next {
    /// The first page.
    pub(crate) const fn first(grant: Grant<NotesRead>) -> Self {
        Self { grant, after: Uuid::nil() }
    }
}

impl Note {
    /// Adds a note to the transaction's workspace.
    pub(crate) async fn insert(tx: &mut TenantTx<NotesAdd>, text: String) -> Result<Self, PgError> {
        let note = Self { id: Uuid::now_v7(), text };
        sqlx::query("insert into notebook.notes (tenant_id, id, text) values ($1, $2, $3)")
            .bind(tx.tenant().as_uuid())
            .bind(note.id)
            .bind(&note.text)
            .execute(tx.query::<NotesAdd>())
            .await?;
        Ok(note)
    }

    /// Reads a page in a transaction of its own, and takes the grant for the next page from the facts
    /// of this one. So a client that reads slowly holds no connection, and one that loses its
    /// membership in the middle of a list sees no more than the page it had.
    pub(crate) async fn page(
        tenants: &Tenants<Notebook>,
        Next { grant, after }: Next,
    ) -> Result<(Vec<Self>, Option<Next>), BeginError> {
        let mut tx = tenants.begin(grant).await?;
        let notes = Self::after(&mut tx, after).await?;
        let next = match notes.last() {
            Some(last) if notes.len() == PAGE => {
                Some(Next { grant: tx.access().authorize()?, after: last.id })
            }
            _ => None,
        };
        tx.commit().await?;
        Ok((notes, next))
    }

    async fn after(tx: &mut TenantTx<NotesRead>, id: Uuid) -> Result<Vec<Self>, PgError> {
        let tenant = tx.tenant().as_uuid();
        let notes = sqlx::query_as(
            "select id, text from notebook.notes where tenant_id = $1 and id > $2 \
             order by id limit $3",
        )
        .bind(tenant)
        .bind(id)
        .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
        .fetch_all(tx.query::<NotesRead>())
        .await?;
        Ok(notes)
    }
}

impl From<Note> for pb::Note {
    fn from(note: Note) -> Self {
        Self { id: note.id.to_string(), text: note.text }
    }
}
