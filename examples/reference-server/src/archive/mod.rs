//! An org as a file: a tar archive of JSON lines, one file a table, and a manifest.
//!
//! ```text
//! mt.tenants.jsonl  mt.users.jsonl  mt.memberships.jsonl  …  app.tasks.jsonl  manifest.json
//! ```
//!
//! It is written and read as a stream: what is in memory is a hundred rows. The manifest comes last, since
//! it holds the digests of what comes before it, and is looked for first when an archive is read: nothing is
//! made before the whole file is what the manifest says.
//!
//! | module | holds |
//! | --- | --- |
//! | [`write`](mod@write) | an archive, as a stream of bytes |
//! | [`read`] | an archive in a file, checked |
//! | [`import`] | a new org from one |

pub mod import;
pub mod read;
pub mod write;

use std::sync::{Arc, OnceLock};

use mt_core::pg::Database;
use mt_core::pg::portable::{Contents, Inventory, InventoryError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The file that says what the others are.
const MANIFEST: &str = "manifest.json";
/// Tar is made of blocks of this size.
const BLOCK: u64 = 512;

/// The file that holds the rows of a table.
fn file_of(table: &str) -> String {
    format!("{table}.jsonl")
}

/// What becomes of each of the product's tables. A table that is not named here stops exports, imports and
/// deletions by operators, and the tests.
pub fn inventory() -> Inventory {
    Inventory::library()
        .schema("app")
        .of_no_tenant("app.schema_migrations", "which versions are applied")
        .travels("app.projects")
        .travels("app.tasks")
}

/// How many orgs are read out at once: each holds a connection for as long as its client takes.
const AT_ONCE: usize = 2;

/// What exports share: the inventory as it was found at first, for a running server's tables do not change,
/// and how many there may be.
#[derive(Debug)]
pub struct Exports {
    database: Database,
    contents: OnceLock<Contents>,
    at_once: Arc<Semaphore>,
}

impl Exports {
    /// Those of `database`.
    #[must_use]
    pub fn of(database: Database) -> Self {
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        Self { database, contents: OnceLock::new(), at_once }
    }

    /// Leave to begin one, for as long as it is held; none while there are enough.
    #[must_use]
    pub fn try_begin(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.at_once).try_acquire_owned().ok()
    }

    /// What becomes of each table.
    ///
    /// # Errors
    ///
    /// [`InventoryError`].
    pub async fn contents(&self) -> Result<&Contents, InventoryError> {
        if let Some(contents) = self.contents.get() {
            return Ok(contents);
        }
        let contents = inventory().take(&self.database).await?;
        Ok(self.contents.get_or_init(|| contents))
    }
}
