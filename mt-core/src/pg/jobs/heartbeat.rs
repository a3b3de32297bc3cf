//! Renewing the leases of the jobs that run in this process.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::JobRun;
use super::claim::Claimed;
use crate::pg::{PgError, System, SystemReason};

const RENEW: SystemReason = SystemReason::new("renew the leases of jobs");

/// The jobs that run in this process, by the tokens of their leases.
#[derive(Debug, Default)]
pub(super) struct Heartbeat(Mutex<HashMap<Uuid, JobRun>>);

/// A job that runs; dropping it ends the renewals of its lease.
pub(super) struct Beating<'h> {
    heartbeat: &'h Heartbeat,
    token: Uuid,
}

impl Heartbeat {
    /// Renews the lease of `job` from here on.
    pub(super) fn start(&self, job: &Claimed, run: JobRun) -> Beating<'_> {
        self.runs().insert(job.token, run);
        Beating { heartbeat: self, token: job.token }
    }

    /// Renews leases three times in their length, until `stopping`.
    pub(super) async fn run(&self, system: &System, lease: Duration, stopping: &CancellationToken) {
        let mut ticks = interval((lease / 3).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.renew(system, lease).await {
                // The leases may still last; the mark finds out.
                tracing::warn!(cause = error.source(), "the leases of jobs were not renewed");
            }
        }
    }

    /// Renews all leases, stores how far the jobs have come, and tells those that have lost their lease.
    async fn renew(&self, system: &System, lease: Duration) -> Result<(), PgError> {
        let runs: Vec<(Uuid, JobRun)> =
            self.runs().iter().map(|(token, run)| (*token, run.clone())).collect();
        if runs.is_empty() {
            return Ok(());
        }
        let column = |of: fn(&(Uuid, JobRun)) -> Uuid| runs.iter().map(of).collect::<Vec<_>>();
        let progress = |of: fn((u64, u64)) -> u64| {
            let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
            runs.iter().map(|(_, run)| run.progress().map(of).map(count)).collect::<Vec<_>>()
        };
        let mut tx = system.begin(RENEW).await?;
        let kept: Vec<Uuid> = sqlx::query_scalar(
            "update mt.jobs j set lease_until = clock_timestamp() + make_interval(secs => $1), \
                 progress_done = r.done, progress_total = r.total \
             from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[]) \
                 as r (tenant, id, token, done, total) \
             where j.tenant_id = r.tenant and j.id = r.id and j.lease_token = r.token \
             returning j.lease_token",
        )
        .bind(lease.as_secs_f64())
        .bind(column(|(_, run)| run.tenant().as_uuid()))
        .bind(column(|(_, run)| run.id().as_uuid()))
        .bind(column(|(token, _)| *token))
        .bind(progress(|(done, _)| done))
        .bind(progress(|(_, total)| total))
        .fetch_all(tx.conn())
        .await?;
        tx.commit().await?;
        for (token, run) in runs {
            if !kept.contains(&token) {
                run.cancel();
            }
        }
        Ok(())
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, JobRun>> {
        // No code that may panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Beating<'_> {
    fn drop(&mut self) {
        self.heartbeat.runs().remove(&self.token);
    }
}
