//! An org as a file: a tar archive of JSON lines, one file per table, and a manifest.
//!
//! ```text
//! mt.tenants.jsonl  mt.users.jsonl  mt.memberships.jsonl  …  app.tasks.jsonl  manifest.json
//! ```
//!
//! It is written and read as a stream, with a hundred rows in memory. The manifest is last, because it holds the
//! digests of the files before it. A reader checks the whole file against the manifest before it creates anything.
//!
//! | module | holds |
//! | --- | --- |
//! | [`write`](mod@write) | an archive, as a stream of bytes |
//! | [`read`] | an archive in a file, checked |
//! | [`import`] | a new org from one |
//! | `spool` | an archive in a temporary file, for a client that may be slow |
//! | `exports` | limits on concurrent exports and their size |

mod exports;
pub mod import;
pub mod read;
pub(crate) mod spool;
pub mod write;

use mt_core::pg::portable::Inventory;

pub use self::exports::Exports;
pub(crate) use self::exports::NoRoom;

/// The name of the manifest's file.
const MANIFEST: &str = "manifest.json";
/// The block size of tar.
const BLOCK: u64 = 512;

/// Returns the name of the file with the rows of a table.
fn file_of(table: &str) -> String {
    format!("{table}.jsonl")
}

/// Returns the policy for each of the product's tables. A table without one stops exports, imports and deletions by
/// operators, and fails a test.
pub fn inventory() -> Inventory {
    Inventory::library()
        .schema("app")
        .without_tenant("app.schema_migrations", "which versions are applied")
        .export("app.projects")
        .export("app.tasks")
}
