//! A tenant as a whole: read out, made again elsewhere, deleted without a rest.
//!
//! Which rows are a tenant's is read from the catalogue and compared with an [`Inventory`], in which
//! somebody has said of each table what becomes of it. A table that nobody has thought of stops all three,
//! before anything happens.
//!
//! ```no_run
//! use mt_core::pg::portable::Inventory;
//! use mt_core::pg::{Database, SystemReason};
//!
//! async fn size_of_notes(database: &Database, tenant: mt_core::id::TenantId) -> Result<u64, Box<dyn std::error::Error>> {
//!     let contents = Inventory::library()
//!         .schema("app")
//!         .of_no_tenant("app.schema_migrations", "which versions are applied")
//!         .travels("app.notes")
//!         .stays("app.sessions", "of machines that are not there on the other side")
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
//! | [`Inventory`] → [`Contents`] | what each table is, checked against the catalogue |
//! | [`Snapshot`] | all rows of one moment, as lines of JSON, in bounded memory |
//! | [`Manifest`] | what was read out, and whether it fits a database |
//! | [`Import`] | the rows again, as those of a new tenant, in one transaction |
//! | [`delete`] | everything that is a tenant's, and the count of it |
//!
//! # What travels
//!
//! Columns as Postgres says them in JSON, without `tenant_id`, and without what opens anything: the library
//! withholds the hashes of tokens. Of users it is the members, by id and address. Billing stays: who pays for
//! what is between the provider and the tenant that was.
//!
//! # Ids
//!
//! A new tenant's rows get new ids, in every column of type `uuid` and inside of `jsonb`: the old one with
//! its last 32 bits exchanged, by a keyed hash. So all references stay references without a table of them in memory, rows
//! keep their order (a `UUIDv7` begins with its time), and two imports of one archive share no id.

mod catalogue;
mod erase;
mod import;
mod inventory;
mod manifest;
mod renaming;
mod snapshot;

pub use self::erase::{DeleteError, Deleted, delete};
pub use self::import::{Import, ImportError, Imported};
pub use self::inventory::{Contents, Fate, Inventory, InventoryError, Table};
pub use self::manifest::{Manifest, Misfit, TableManifest};
pub use self::snapshot::{Measure, Snapshot};
