//! Creates a tenant from an archive, in one transaction.

use std::io;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::read::{CheckedArchive, ReadError};
use crate::member_policy::MemberPolicy;
use crate::pg::audit_log::Actor;
use crate::pg::portable::{Contents, Import, ImportError, Imported, ManifestError, Table};
use crate::pg::{PgError, System, SystemReason};

const IMPORT: SystemReason = SystemReason::new("import a tenant for an operator");

/// The number of batches of rows that are read ahead.
const AHEAD: usize = 2;

/// Creates the tenant of an archive, under `name` if given. It calls `seen` with the number of rows written since the
/// last call.
///
/// Rows are read no faster than Postgres writes them.
///
/// # Errors
///
/// [`ImportArchiveError`] when the archive or the database refuses it. Nothing was created then.
pub async fn import<M: MemberPolicy>(
    system: &System,
    contents: &Contents,
    archive: CheckedArchive,
    name: Option<String>,
    actor: Actor,
    seen: impl FnMut(u64),
) -> Result<Imported, ImportArchiveError> {
    archive.manifest().fits(contents)?;
    let mut import = system.import::<M>(IMPORT, actor, archive.manifest(), name).await?;
    let tables: Vec<Table> = contents.exported().cloned().collect();
    let (send, mut receive) = mpsc::channel::<(Table, Vec<Value>)>(AHEAD);
    let reading = spawn_blocking(move || {
        for table in tables {
            // The receiver is gone after a refused row.
            archive.rows(&table, |rows| send.blocking_send((table.clone(), rows)).is_ok())?;
        }
        Ok::<_, ReadError>(())
    });
    let written = write(&mut import, &mut receive, seen).await;
    drop(receive);
    let read = reading.await.map_err(|error| ImportArchiveError::Thread(error.into()))?;
    written?;
    read?;
    Ok(import.commit().await?)
}

async fn write<M: MemberPolicy>(
    import: &mut Import<M>,
    receive: &mut mpsc::Receiver<(Table, Vec<Value>)>,
    mut seen: impl FnMut(u64),
) -> Result<(), ImportError> {
    while let Some((table, rows)) = receive.recv().await {
        let written = u64::try_from(rows.len()).unwrap_or_default();
        import.rows(&table, rows).await?;
        seen(written);
    }
    Ok(())
}

/// The error when a tenant could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportArchiveError {
    /// The archive does not fit this database.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The archive could no longer be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A row was refused.
    #[error(transparent)]
    Rows(#[from] ImportError),
    /// The thread that reads the archive was stopped.
    #[error("reading the archive was interrupted")]
    Thread(#[source] io::Error),
}
