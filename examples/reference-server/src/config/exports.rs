//! Settings of exports over HTTP.

use mt_core::pg::portable::archive::ExportLimits;

use mt_service::settings::{Reader, Setting};

/// Reads `EXPORT_MAX_SECONDS` and `EXPORT_DISK_MB`.
pub(super) fn read(r: &mut Reader<'_>) -> ExportLimits {
    ExportLimits {
        within: r.seconds("EXPORT_MAX_SECONDS", 600, 1..=86_400),
        disk_mib: r.count("EXPORT_DISK_MB", 4096, 1_000_000),
    }
}

/// Returns the settings in force.
pub(super) fn shown(limits: ExportLimits) -> [Setting; 2] {
    let ExportLimits { within, disk_mib } = limits;
    [Setting::seconds("EXPORT_MAX_SECONDS", within), Setting::new("EXPORT_DISK_MB", disk_mib)]
}
