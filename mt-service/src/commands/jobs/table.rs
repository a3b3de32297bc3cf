//! Jobs as tables.

use mt_http::JobView;
use uuid::Uuid;

use crate::commands::program::Program;
use crate::commands::table::{Table, time};

pub(super) fn of_jobs(program: &Program, jobs: &[JobView]) -> Table {
    let tenant = program.noun().one().to_ascii_uppercase();
    let head =
        ["JOB", &*tenant, "KIND", "STATUS", "TRIED", "PROGRESS", "CREATED", "DUE", "DONE", "ERROR"];
    let mut table = Table::new(&head);
    for job in jobs {
        table.row([
            job.id.to_string(),
            tenant_of(job),
            job.kind.clone(),
            job.status.to_owned(),
            job.attempts.to_string(),
            progress(job),
            time(Some(job.created_at)),
            time(job.next_attempt_at),
            time(job.done_at),
            job.last_error.clone().unwrap_or_default(),
        ]);
    }
    table
}

pub(super) fn of_job(job: &JobView) -> Table {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let tenant = job.tenant.keys().next().map_or("tenant", |name| name.trim_end_matches("_id"));
    let mut table = Table::new(&[]);
    for (name, value) in [
        ("job", job.id.to_string()),
        (tenant, tenant_of(job)),
        ("kind", job.kind.clone()),
        ("status", job.status.to_owned()),
        ("attempts", job.attempts.to_string()),
        ("failures", job.failures.to_string()),
        ("progress", progress(job)),
        ("error", text(&job.last_error)),
        ("runs as", job.runs_as.to_owned()),
        ("principal", job.principal_id.map_or_else(|| "-".to_owned(), |id: Uuid| id.to_string())),
        ("service", text(&job.service)),
        ("unique key", text(&job.unique_key)),
        ("request", text(&job.request_id)),
        ("created", time(Some(job.created_at))),
        ("due", time(job.next_attempt_at)),
        ("started", time(job.started_at)),
        ("leased until", time(job.lease_until)),
        ("done", time(job.done_at)),
    ] {
        table.row([name.to_owned(), value]);
    }
    table
}

fn tenant_of(job: &JobView) -> String {
    job.tenant.values().next().cloned().unwrap_or_default()
}

fn progress(job: &JobView) -> String {
    match job.progress_done.zip(job.progress_total) {
        Some((done, total)) => format!("{done}/{total}"),
        None => "-".to_owned(),
    }
}
