//! Archives for clients of a running service.

use std::io;
use std::sync::OnceLock;

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::OwnedSemaphorePermit;

use super::limits::{ExportLimits, NoRoom, Permits, Slot};
use super::spool::{Spool, SpoolError};
use super::write::ArchiveWriter;
use crate::access::{AccessModel, AccessRequest, Permission};
use crate::pg::audit_log::TENANT_EXPORTED;
use crate::pg::portable::{Contents, Inventory, InventoryError};
use crate::pg::{BeginError, Database, PgError, SystemReason, Tenants};

const RECORD: SystemReason = SystemReason::new("record that a tenant is exported");

/// Exports tenants for clients of a running service.
///
/// A tenant and a principal have one export at a time, and a process writes two archives at once. An archive is written
/// to a temporary file first: a client that is slow to read it holds neither a connection nor a transaction.
#[derive(Debug)]
pub struct Exports {
    database: Database,
    inventory: Inventory,
    /// The tables, which do not change while a service runs.
    contents: OnceLock<Contents>,
    permits: Permits,
}

/// An archive that is ready to be sent. Dropping it removes its file.
#[derive(Debug)]
pub struct ExportedArchive {
    spool: Spool,
    room: OwnedSemaphorePermit,
    slot: Slot,
}

impl Exports {
    /// Creates exports from `database`, of the tables of `inventory`.
    #[must_use]
    pub fn new(database: Database, inventory: Inventory, limits: ExportLimits) -> Self {
        let permits = Permits::new(limits);
        Self { database, inventory, contents: OnceLock::new(), permits }
    }

    /// Writes an archive of the requested tenant to a temporary file.
    ///
    /// The permission is checked at the start, and again in the snapshot. Each export is recorded in the audit log of
    /// the tenant, also of one that is suspended.
    ///
    /// # Errors
    ///
    /// [`ExportError`]. Nothing but the audit entry is left behind then.
    pub async fn export<M: AccessModel, P: Permission<Model = M>>(
        &self,
        tenants: &Tenants<M>,
        request: impl Into<AccessRequest<P>>,
    ) -> Result<ExportedArchive, ExportError> {
        let request = request.into();
        // Before it takes a slot, of which the tenant has one.
        tenants.begin(request).await?.commit().await?;
        let (tenant, principal) = (request.tenant(), request.principal().id());
        let slot = self.permits.begin(tenant, principal).ok_or(ExportError::UnderWay)?;
        let written = tokio::time::timeout_at(slot.deadline(), self.write(tenants, request)).await;
        let (spool, room) = written.map_err(|_elapsed| ExportError::Deadline)??;
        Ok(ExportedArchive { spool, room, slot })
    }

    /// Writes the archive to a file, for which space is reserved. It holds no connection when it returns.
    async fn write<M: AccessModel, P: Permission<Model = M>>(
        &self,
        tenants: &Tenants<M>,
        request: AccessRequest<P>,
    ) -> Result<(Spool, OwnedSemaphorePermit), ExportError> {
        let contents = self.contents().await?;
        let _turn = self.permits.turn().await.ok_or(ExportError::TooMany)?;
        let (tenant, principal) = (request.tenant(), request.principal());
        // Decided on the facts of the moment, then recorded, then done. The system records it, because a suspended
        // tenant can be exported.
        tenants.begin(request).await?.commit().await?;
        let mut tx = self.database.system().begin_for(principal, RECORD).await?;
        tx.record(tenant, TENANT_EXPORTED.on(tenant.as_uuid()));
        tx.commit().await?;
        let archive = ArchiveWriter::new(tenants.snapshot(request).await?, contents).await?;
        let room = self.permits.room(archive.length())?;
        Ok((Spool::write(archive).await?, room))
    }

    /// Returns the tables of the inventory, read once.
    async fn contents(&self) -> Result<&Contents, InventoryError> {
        if let Some(contents) = self.contents.get() {
            return Ok(contents);
        }
        let contents = self.inventory.clone().take(&self.database).await?;
        Ok(self.contents.get_or_init(|| contents))
    }
}

impl ExportedArchive {
    /// Returns the exact length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.spool.length()
    }

    /// Returns the archive as a stream. The file is closed before the last chunk is sent, when the stream is dropped,
    /// and at the deadline of the export even if the client reads nothing.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let deadline = self.slot.deadline();
        self.spool.into_stream((self.room, self.slot), deadline)
    }
}

/// The error when a tenant was not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The caller may not export the tenant, or a transaction of the caller could not be opened.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The archive was not written in [`ExportLimits::within`]. The caller may try again later.
    #[error("the tenant could not be read in time")]
    Deadline,
    /// Other archives take the space in the temporary directory. The caller may try again later.
    #[error("other exports take up the space for archives")]
    DiskSpace,
    /// The inventory does not match the database.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The archive could not be written.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The archive is larger than the maximum. An operator can export the tenant.
    #[error("the archive would have {mib} MiB; the maximum is {largest_mib}")]
    TooLarge {
        /// The size of the archive.
        mib: u64,
        /// The maximum size, a quarter of [`ExportLimits::disk_mib`].
        largest_mib: u32,
    },
    /// As many archives are written as may be at once. The caller may try again in a moment.
    #[error("as many exports are being written as may be at once")]
    TooMany,
    /// The tenant or the principal has an export that is not finished. The caller may try again later.
    #[error("another export of the tenant or of the caller is under way")]
    UnderWay,
}

impl From<NoRoom> for ExportError {
    fn from(error: NoRoom) -> Self {
        match error {
            NoRoom::AtPresent => Self::DiskSpace,
            NoRoom::Ever { mib, largest_mib } => Self::TooLarge { mib, largest_mib },
        }
    }
}
