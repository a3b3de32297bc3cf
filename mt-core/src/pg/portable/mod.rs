//! Export, import and complete deletion of a tenant.
//!
//! The tables come from the catalogue and are compared with an [`Inventory`], which has a policy for each table. A
//! table without a policy stops all three operations before they change anything.
//!
//! ```no_run
//! use mt_core::pg::portable::Inventory;
//! use mt_core::pg::{Database, SystemReason};
//!
//! async fn size_of_notes(database: &Database, tenant: mt_core::id::TenantId) -> Result<u64, Box<dyn
//! std::error::Error>> {
//!     let contents = Inventory::library()
//!         .schema("app")
//!         .without_tenant("app.schema_migrations", "which versions are applied")
//!         .export("app.notes")
//!         .exclude("app.sessions", "of machines that are not there on the other side")
//!         .take(database)
//!         .await?;
//!     let reason = SystemReason::new("measure a tenant for an operator");
//!     let Some(mut snapshot) = database.system().snapshot(reason, tenant).await? else { return Ok(0) };
//!     let notes = contents.table("app.notes").ok_or("classified above")?;
//!     let measured = snapshot.measure(notes).await?;
//!     snapshot.close().await?;
//!     Ok(measured.bytes)
//! }
//! ```
//!
//! | | |
//! | --- | --- |
//! | [`Inventory`] → [`Contents`] | the policy of each table, checked against the catalogue |
//! | [`Snapshot`] | all rows of one moment, as lines of JSON, in bounded memory |
//! | [`Manifest`] | the contents of an export, and whether they fit a database |
//! | [`Import`] | the rows as those of a new tenant, in one transaction |
//! | [`delete`] | all rows of a tenant, with their number |
//! | `archive` | a tar file of a snapshot, and an import from one, with the feature `archive` |
//!
//! # Exported columns
//!
//! Columns are exported in the JSON form of Postgres, without `tenant_id` and without secrets: the library withholds
//! the hashes of tokens. Of users it exports members, by id and address. Billing is not exported: the subscription is
//! between the provider and the old tenant.
//!
//! # Ids
//!
//! The rows of a new tenant get new ids, in every column of type `uuid` and inside of `jsonb`: a keyed hash replaces
//! the last 32 bits of the old id. So references stay intact without a table of ids in memory, rows keep their order
//! (a `UUIDv7` begins with its time), and two imports of one archive share no id.

#[cfg(feature = "archive")]
pub mod archive;
mod catalogue;
mod erase;
mod id_map;
mod import;
mod inventory;
mod manifest;
mod snapshot;

pub use self::erase::{DeleteError, Deleted, delete};
pub use self::import::{Import, ImportError, Imported};
pub use self::inventory::{Contents, Inventory, InventoryError, Table, TablePolicy};
pub use self::manifest::{Manifest, ManifestError, TableManifest};
pub use self::snapshot::{Measure, Snapshot};
