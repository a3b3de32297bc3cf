//! A new org from an archive, in one transaction.

use mt_core::pg::audit_log::Actor;
use mt_core::pg::portable::{Contents, Import, ImportError, Imported, Misfit, Table};
use mt_core::pg::{PgError, SystemPool, SystemReason};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::read::{CheckedArchive, ReadError};
use crate::model::Product;

const IMPORT: SystemReason = SystemReason::new("import an org for an operator");

/// Batches of rows that are read ahead.
const AHEAD: usize = 2;

/// Makes the org of an archive again, under `name` if one is given, and tells `seen` how many rows are
/// written since it was told last.
///
/// Rows are read at the pace of Postgres.
///
/// # Errors
///
/// [`NotImported`]; nothing was made then.
pub async fn import(
    system: &SystemPool,
    contents: &Contents,
    archive: CheckedArchive,
    name: Option<String>,
    actor: Actor,
    seen: impl FnMut(u64),
) -> Result<Imported, NotImported> {
    archive.manifest().fits(contents)?;
    let mut import = system.import::<Product>(IMPORT, actor, archive.manifest(), name).await?;
    let tables: Vec<Table> = contents.travelling().cloned().collect();
    let (send, mut receive) = mpsc::channel::<(Table, Vec<Value>)>(AHEAD);
    let reading = spawn_blocking(move || {
        for table in tables {
            // Nobody listens any more once a row was refused.
            archive.rows(&table, |rows| send.blocking_send((table.clone(), rows)).is_ok())?;
        }
        Ok::<_, ReadError>(())
    });
    let written = write(&mut import, &mut receive, seen).await;
    drop(receive);
    let read = reading.await?;
    written?;
    read?;
    Ok(import.commit().await?)
}

async fn write(
    import: &mut Import<Product>,
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

/// Why no org was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotImported {
    /// The archive does not fit this database.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The archive cannot be read any more.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A row was refused.
    #[error(transparent)]
    Rows(#[from] ImportError),
    /// A thread that read was cut short.
    #[error("reading was cut short")]
    Thread(#[from] tokio::task::JoinError),
}
