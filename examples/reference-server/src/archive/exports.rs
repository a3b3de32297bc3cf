//! The limits and the inventory that exports over HTTP share.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::Database;
use mt_core::pg::portable::{Contents, InventoryError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::inventory;
use crate::config::ExportConfig;

/// The maximum number of concurrent exports: each holds a connection until its archive is written.
const AT_ONCE: usize = 2;
/// How long an export waits for another one to finish.
const WAITS: Duration = Duration::from_secs(2);
/// The share of the disk space that one archive may take: one in four.
const ONE_OF: u32 = 4;

const MIB: u64 = 1024 * 1024;

/// The state that exports of a process share: the inventory, which does not change while a server runs, the permits
/// for connections, and the permits for disk space.
#[derive(Debug)]
pub struct Exports {
    database: Database,
    contents: OnceLock<Contents>,
    at_once: Arc<Semaphore>,
    disk: Arc<Semaphore>,
    largest_mib: u32,
    within: Duration,
    under_way: Arc<Mutex<HashSet<Subject>>>,
}

/// An org or principal, which has at most one export at a time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Subject {
    Org(TenantId),
    Principal(PrincipalId),
}

/// The permit to export one org for one principal, until a deadline. Further exports of either are refused until it
/// is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    under_way: Arc<Mutex<HashSet<Subject>>>,
    subjects: [Subject; 2],
    deadline: Instant,
}

/// The error when there is no disk space for an archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// Other archives take the space.
    #[error("other exports take up the space for archives")]
    AtPresent,
    /// The archive is larger than the maximum.
    #[error("the archive would have {mib} MiB; the maximum is {largest_mib}")]
    Ever {
        /// The size of the archive.
        mib: u64,
        /// The maximum size.
        largest_mib: u32,
    },
}

impl Exports {
    /// Creates the state for exports from `database`, with the limits of `config`.
    #[must_use]
    pub fn of(database: Database, config: &ExportConfig) -> Self {
        let disk_mib = config.disk_mib.get();
        Self {
            database,
            contents: OnceLock::new(),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            disk: Arc::new(Semaphore::new(usize::try_from(disk_mib).unwrap_or(usize::MAX))),
            largest_mib: disk_mib.div_ceil(ONE_OF),
            within: config.within,
            under_way: Arc::default(),
        }
    }

    /// Returns a permit to export `org`; `None` while another export of the org or of the principal runs.
    pub(crate) fn begin(&self, org: TenantId, principal: PrincipalId) -> Option<Slot> {
        let subjects = [Subject::Org(org), Subject::Principal(principal)];
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if subjects.iter().any(|subject| under_way.contains(subject)) {
            return None;
        }
        under_way.extend(subjects);
        let deadline = Instant::now() + self.within;
        Some(Slot { under_way: Arc::clone(&self.under_way), subjects, deadline })
    }

    /// Waits for a permit to read an org; `None` if all are taken for longer than the limit.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.at_once).acquire_owned();
        tokio::time::timeout(WAITS, turn).await.ok()?.ok()
    }

    /// Reserves disk space for an archive of this length, until the permit is dropped.
    pub(crate) fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit, NoRoom> {
        let mib = bytes.div_ceil(MIB);
        let largest_mib = self.largest_mib;
        let fitting = u32::try_from(mib).ok().filter(|mib| *mib <= largest_mib);
        let fitting = fitting.ok_or(NoRoom::Ever { mib, largest_mib })?;
        Arc::clone(&self.disk).try_acquire_many_owned(fitting).map_err(|_| NoRoom::AtPresent)
    }

    /// Returns the tables of the inventory, read once.
    ///
    /// # Errors
    ///
    /// [`InventoryError`] when the inventory does not match the database.
    pub async fn contents(&self) -> Result<&Contents, InventoryError> {
        if let Some(contents) = self.contents.get() {
            return Ok(contents);
        }
        let contents = inventory().take(&self.database).await?;
        Ok(self.contents.get_or_init(|| contents))
    }
}

impl Slot {
    /// Returns the deadline of the export.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for subject in &self.subjects {
            under_way.remove(subject);
        }
    }
}
