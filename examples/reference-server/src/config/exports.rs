//! Settings of exports over HTTP.

use std::num::NonZeroU32;
use std::time::Duration;

use mt_service::settings::{Reader, Setting};

/// Settings of exports of orgs over HTTP.
#[derive(Clone, Copy, Debug)]
pub struct ExportConfig {
    /// `EXPORT_MAX_SECONDS`: the maximum time from the request to the last byte of the archive.
    pub within: Duration,
    /// `EXPORT_DISK_MB`: the maximum space of all archives of the process in the temporary directory.
    pub disk_mib: NonZeroU32,
}

impl ExportConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            within: r.seconds("EXPORT_MAX_SECONDS", 600, 1..=86_400),
            disk_mib: r.count("EXPORT_DISK_MB", 4096, 1_000_000),
        }
    }

    pub(super) fn shown(&self) -> [Setting; 2] {
        let Self { within, disk_mib } = self;
        [Setting::seconds("EXPORT_MAX_SECONDS", *within), Setting::new("EXPORT_DISK_MB", disk_mib)]
    }
}
