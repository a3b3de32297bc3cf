//! A job as operators see it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::jobs::{JobEntry, JobStatus, RunsAs};
use mt_core::text_enum::TextEnum as _;
use serde::Serialize;
use uuid::Uuid;

use crate::Noun;
use crate::openapi::{Schema, date_time, id, integer, nullable, text, words};

/// A job without its payload, as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct JobView {
    /// The id.
    pub id: Uuid,
    /// The tenant's id, by its name in the service.
    #[serde(flatten)]
    pub tenant: BTreeMap<String, String>,
    /// The name of its kind.
    pub kind: String,
    /// The status.
    pub status: &'static str,
    /// The number of attempts that have begun.
    pub attempts: u32,
    /// The number of those that failed, or never ended.
    pub failures: u32,
    /// What the present attempt has done; `null` if it has not said so.
    pub progress_done: Option<u64>,
    /// What it has to do.
    pub progress_total: Option<u64>,
    /// Why the last attempt did not succeed, with a word for it first.
    pub last_error: Option<String>,
    /// Whose authority it has.
    pub runs_as: &'static str,
    /// The principal that it runs as; `null` for a service.
    pub principal_id: Option<Uuid>,
    /// The service that it runs as; `null` for a principal.
    pub service: Option<String>,
    /// The key that makes it unique.
    pub unique_key: Option<String>,
    /// The request that has enqueued it.
    pub request_id: Option<String>,
    /// The time at which it was enqueued.
    pub created_at: DateTime<Utc>,
    /// The time of the next attempt; `null` if none is planned, or it waits for a worker.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The time at which the last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// The time at which the lease of the present attempt ends.
    pub lease_until: Option<DateTime<Utc>>,
    /// The time at which it was finished.
    pub done_at: Option<DateTime<Utc>>,
}

impl JobView {
    /// Shows a job in a service that calls its tenants `noun`.
    #[must_use]
    pub fn new(noun: Noun, entry: JobEntry) -> Self {
        let is_scheduled = entry.status == JobStatus::Scheduled;
        let (progress_done, progress_total) = entry.progress.unzip();
        Self {
            id: entry.id.as_uuid(),
            tenant: [(noun.id_name(), TenantId::to_string(&entry.tenant))].into(),
            kind: entry.kind,
            status: entry.status.as_str(),
            attempts: entry.attempts,
            failures: entry.failures,
            progress_done,
            progress_total,
            last_error: entry.last_error,
            runs_as: entry.runs_as.as_str(),
            principal_id: entry.principal.map(PrincipalId::as_uuid),
            service: entry.service,
            unique_key: entry.unique_key,
            request_id: entry.request_id,
            created_at: entry.created_at,
            next_attempt_at: is_scheduled.then_some(entry.run_at),
            started_at: entry.started_at,
            lease_until: entry.lease_until,
            done_at: entry.done_at,
        }
    }
}

/// The schema of [`JobView`].
pub(super) fn schema(name: &str, noun: Noun) -> Schema {
    Schema::new(name)
        .with("id", id())
        .with(noun.id_name(), id())
        .with("kind", text())
        .with("status", words::<JobStatus>())
        .with("attempts", integer())
        .with("failures", integer())
        .with("progress_done", nullable(integer()))
        .with("progress_total", nullable(integer()))
        .with("last_error", nullable(text()))
        .with("runs_as", words::<RunsAs>())
        .with("principal_id", nullable(id()))
        .with("service", nullable(text()))
        .with("unique_key", nullable(text()))
        .with("request_id", nullable(text()))
        .with("created_at", date_time())
        .with("next_attempt_at", nullable(date_time()))
        .with("started_at", nullable(date_time()))
        .with("lease_until", nullable(date_time()))
        .with("done_at", nullable(date_time()))
}
