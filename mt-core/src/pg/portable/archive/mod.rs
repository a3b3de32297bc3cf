//! A tenant as a file: a tar archive of JSON lines, one file per table, and a manifest.
//!
//! ```text
//! mt.tenants.jsonl  mt.users.jsonl  mt.memberships.jsonl  …  app.notes.jsonl  manifest.json
//! ```
//!
//! It is written and read as a stream, with a hundred rows in memory. The manifest is last, because it holds the
//! digests of the files before it. A reader checks the whole file against the manifest before it creates anything.
//!
//! | | |
//! | --- | --- |
//! | [`ArchiveWriter`] | an archive, as a stream of bytes |
//! | [`CheckedArchive`] | an archive in a file, checked |
//! | [`import`] | a new tenant from one |
//! | [`Exports`] | archives for clients that may be slow, with limits on their number, time and size |
//!
//! A command of an operator that writes an archive to a file:
//!
//! ```no_run
//! use std::error::Error;
//! use std::io::Write as _;
//!
//! use mt_core::id::TenantId;
//! use mt_core::pg::portable::archive::ArchiveWriter;
//! use mt_core::pg::portable::{Contents, Snapshot};
//!
//! async fn export(snapshot: Snapshot, contents: &Contents) -> Result<(), Box<dyn Error>> {
//!     let mut archive = ArchiveWriter::new(snapshot, contents).await?;
//!     let mut file = std::fs::File::create_new("tenant.tar")?;
//!     while let Some(bytes) = archive.next().await? {
//!         file.write_all(&bytes)?;
//!     }
//!     Ok(archive.close().await?)
//! }
//! ```

mod exports;
mod import;
mod limits;
mod read;
mod spool;
mod write;

pub use self::exports::{ExportError, ExportedArchive, Exports};
pub use self::import::{ImportArchiveError, import};
pub use self::limits::ExportLimits;
pub use self::read::{CheckedArchive, ReadError};
pub use self::spool::SpoolError;
pub use self::write::{ArchiveWriter, WriteError};

/// The name of the manifest's file.
const MANIFEST: &str = "manifest.json";
/// The block size of tar.
const BLOCK: u64 = 512;

/// Returns the name of the file with the rows of a table.
fn file_of(table: &str) -> String {
    format!("{table}.jsonl")
}
