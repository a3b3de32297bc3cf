//! Limits on rows that users create, and how long rows are kept.

use std::num::NonZeroU32;
use std::time::Duration;

use mt_service::settings::{Reader, Setting};

/// Limits on rows that users create, and retention.
#[derive(Clone, Copy, Debug)]
pub struct GrowthConfig {
    /// `USER_MAX_ORGS`: how many orgs a user may own; `None`: unlimited.
    pub orgs_per_user: Option<NonZeroU32>,
    /// `AUDIT_RETENTION_DAYS`: how long entries of the audit log are kept; `None`: as long as their org.
    pub audit_entries: Option<Duration>,
    /// `INVITE_RETENTION_DAYS`: how long accepted, revoked and expired invites are kept; `None`: as long as their
    /// org.
    pub invites: Option<Duration>,
}

const DAY: Duration = Duration::from_hours(24);

impl GrowthConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let days = |days| (days > 0).then(|| DAY * days);
        // The minimum is the age below which Postgres refuses to delete an entry.
        let audit_entries =
            r.optional("AUDIT_RETENTION_DAYS", "0 or a whole number from 30 to 36500", |value| {
                value.parse().ok().filter(|days| matches!(days, 0 | 30..=36_500))
            });
        Self {
            audit_entries: days(audit_entries.unwrap_or(730)),
            invites: days(r.number("INVITE_RETENTION_DAYS", 90, 0..=36_500)),
            orgs_per_user: r.quota("USER_MAX_ORGS", 1000),
        }
    }

    pub(super) fn shown(&self) -> [Setting; 3] {
        let Self { orgs_per_user, audit_entries, invites } = self;
        let days = |kept: &Option<Duration>| kept.map_or(0, |kept| kept.as_secs() / DAY.as_secs());
        [
            Setting::quota("USER_MAX_ORGS", *orgs_per_user),
            Setting::new("AUDIT_RETENTION_DAYS", days(audit_entries)),
            Setting::new("INVITE_RETENTION_DAYS", days(invites)),
        ]
    }
}
