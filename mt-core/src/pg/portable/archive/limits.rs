//! Permits for exports: one at a time for each tenant and principal, a few at once, and a share of the disk.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::id::{PrincipalId, TenantId};

/// The maximum number of concurrent exports: each holds a connection until its archive is written.
const AT_ONCE: usize = 2;
/// How long an export waits for another one to finish.
const WAITS: Duration = Duration::from_secs(2);
/// The share of the disk space that one archive may take: one in four.
const ONE_OF: u32 = 4;

const MIB: u64 = 1024 * 1024;

/// Limits on exports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExportLimits {
    /// The maximum time from the request to the last byte of the archive.
    pub within: Duration,
    /// The maximum space of all archives of the process in the temporary directory, in MiB. One archive may take a
    /// quarter of it.
    pub disk_mib: NonZeroU32,
}

impl Default for ExportLimits {
    /// Ten minutes, 4 GiB.
    fn default() -> Self {
        Self { within: Duration::from_mins(10), disk_mib: NonZeroU32::new(4096).unwrap() }
    }
}

/// The permits of a process.
#[derive(Debug)]
pub(super) struct Permits {
    at_once: Arc<Semaphore>,
    disk: Arc<Semaphore>,
    largest_mib: u32,
    within: Duration,
    under_way: Arc<Mutex<HashSet<Subject>>>,
}

/// A tenant or principal, which has at most one export at a time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Subject {
    Tenant(TenantId),
    Principal(PrincipalId),
}

/// The permit to export one tenant for one principal, until a deadline. Further exports of either are refused until it
/// is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    under_way: Arc<Mutex<HashSet<Subject>>>,
    subjects: [Subject; 2],
    deadline: Instant,
}

/// The error when there is no disk space for an archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoRoom {
    /// Other archives take the space.
    AtPresent,
    /// The archive is larger than the maximum.
    Ever { mib: u64, largest_mib: u32 },
}

impl Permits {
    pub(super) fn new(limits: ExportLimits) -> Self {
        let disk_mib = limits.disk_mib.get();
        Self {
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            disk: Arc::new(Semaphore::new(usize::try_from(disk_mib).unwrap_or(usize::MAX))),
            largest_mib: disk_mib.div_ceil(ONE_OF),
            within: limits.within,
            under_way: Arc::default(),
        }
    }

    /// Returns a permit to export `tenant`; `None` while another export of the tenant or of the principal runs.
    pub(super) fn begin(&self, tenant: TenantId, principal: PrincipalId) -> Option<Slot> {
        let subjects = [Subject::Tenant(tenant), Subject::Principal(principal)];
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if subjects.iter().any(|subject| under_way.contains(subject)) {
            return None;
        }
        under_way.extend(subjects);
        let deadline = Instant::now() + self.within;
        Some(Slot { under_way: Arc::clone(&self.under_way), subjects, deadline })
    }

    /// Waits for a permit to read a tenant; `None` if all are taken for longer than the limit.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.at_once).acquire_owned();
        tokio::time::timeout(WAITS, turn).await.ok()?.ok()
    }

    /// Reserves disk space for an archive of this length, until the permit is dropped.
    pub(super) fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit, NoRoom> {
        let mib = bytes.div_ceil(MIB);
        let largest_mib = self.largest_mib;
        let fitting = u32::try_from(mib).ok().filter(|mib| *mib <= largest_mib);
        let fitting = fitting.ok_or(NoRoom::Ever { mib, largest_mib })?;
        Arc::clone(&self.disk).try_acquire_many_owned(fitting).map_err(|_| NoRoom::AtPresent)
    }
}

impl Slot {
    /// Returns the deadline of the export.
    pub(super) const fn deadline(&self) -> Instant {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn permits() -> Permits {
        Permits::new(ExportLimits { disk_mib: NonZeroU32::new(8).unwrap(), ..Default::default() })
    }

    #[test]
    fn tenant_and_principal_have_one_export_at_a_time() {
        let permits = permits();
        let (tenant, other) = (TenantId::generate(), TenantId::generate());
        let [ada, ben] = [PrincipalId::generate(), PrincipalId::generate()];
        let slot = permits.begin(tenant, ada).unwrap();
        assert!(permits.begin(tenant, ben).is_none());
        assert!(permits.begin(other, ada).is_none());
        assert!(permits.begin(other, ben).is_some());
        drop(slot);
        assert!(permits.begin(tenant, ben).is_some());
    }

    #[test]
    fn archive_takes_a_quarter_of_the_disk_space_at_most() {
        let permits = permits();
        let too_large = NoRoom::Ever { mib: 3, largest_mib: 2 };
        assert_eq!(permits.room(2 * MIB + 1).unwrap_err(), too_large);
        let rooms: Vec<_> = (0..4).map(|_| permits.room(2 * MIB).unwrap()).collect();
        assert_eq!(permits.room(1).unwrap_err(), NoRoom::AtPresent);
        drop(rooms);
        assert!(permits.room(1).is_ok());
    }
}
