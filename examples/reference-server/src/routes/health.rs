//! `/health` and `/ready`: is the process up, and should it be sent requests.
//!
//! Both are open and say only yes or no. `/health` does no I/O, so that a database that is away
//! does not get the process killed by its supervisor.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use salvo::http::StatusCode;
use salvo::writing::Json;
use salvo::{Response, Router, async_trait};
use salvo_oapi::{ToSchema, endpoint};
use serde::Serialize;

/// How long a check may take. Longer is a no.
const CHECK_BUDGET: Duration = Duration::from_secs(1);

/// Asks what the server depends on whether it is there.
#[async_trait]
pub trait Checks: Send + Sync + 'static {
    /// Whether the database answers.
    async fn database(&self) -> bool;

    /// Whether Redis answers; `true` where none is configured.
    async fn redis(&self) -> bool;
}

/// Depends on nothing that is ever there: for routes that are only looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Never;

#[async_trait]
impl Checks for Never {
    async fn database(&self) -> bool {
        false
    }

    async fn redis(&self) -> bool {
        false
    }
}

/// Whether this replica should be sent requests. Clones share one state.
#[derive(Clone)]
pub struct Readiness(Arc<State>);

struct State {
    checks: Box<dyn Checks>,
    redis_required: bool,
    stopping: AtomicBool,
    /// What failed when it was asked last, for the log to tell of changes alone.
    failing: Mutex<Vec<&'static str>>,
}

impl Readiness {
    /// Ready as long as `checks` say yes. Without `redis_required` that of Redis is shown but does
    /// not count.
    pub fn new(checks: impl Checks, redis_required: bool) -> Self {
        let (stopping, failing) = (AtomicBool::new(false), Mutex::default());
        Self(Arc::new(State { checks: Box::new(checks), redis_required, stopping, failing }))
    }

    /// Not ready from now on: the process is about to stop.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    async fn report(&self) -> Report {
        let State { checks, redis_required, stopping, .. } = &*self.0;
        let (db, redis) = tokio::join!(
            tokio::time::timeout(CHECK_BUDGET, checks.database()),
            tokio::time::timeout(CHECK_BUDGET, checks.redis()),
        );
        let checks = Outcomes { db: db.unwrap_or(false), redis: redis.unwrap_or(false) };
        let failing: Vec<_> = [("db", checks.db), ("redis", checks.redis || !redis_required)]
            .into_iter()
            .filter_map(|(name, passed)| (!passed).then_some(name))
            .collect();
        let is_ready = failing.is_empty() && !stopping.load(Ordering::Relaxed);
        self.log_change(failing);
        Report { status: if is_ready { "ok" } else { "unready" }, checks, is_ready }
    }

    /// Logs which checks fail now, unless the same ones failed before.
    fn log_change(&self, failing: Vec<&'static str>) {
        let mut before = self.0.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == failing {
            return;
        }
        if failing.is_empty() {
            tracing::info!(recovered = before.join(","), "ready again");
        } else {
            tracing::warn!(failing = failing.join(","), "not ready: a check fails");
        }
        *before = failing;
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("redis_required", &self.0.redis_required)
            .field("stopping", &self.0.stopping)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Report {
    status: &'static str,
    checks: Outcomes,
    #[serde(skip)]
    is_ready: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct Outcomes {
    db: bool,
    redis: bool,
}

/// The routes of this module.
#[must_use]
pub fn routes(readiness: Readiness) -> Router {
    Router::new()
        .push(Router::with_path("health").get(health))
        .push(Router::with_path("ready").get(readiness))
}

#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
}

/// Returns 200 while the process runs.
#[endpoint(tags("meta"))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Returns whether the server is ready for requests.
#[endpoint(
    operation_id = "health.ready",
    tags("meta"),
    responses(
        (status_code = 200, description = "The server is ready.", body = Report),
        (status_code = 503, description = "The server is not ready: use another replica, or try later.", body = Report),
    )
)]
impl Readiness {
    async fn handle(&self, res: &mut Response) {
        let report = self.report().await;
        if !report.is_ready {
            res.status_code(StatusCode::SERVICE_UNAVAILABLE);
        }
        res.render(Json(report));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `None` never answers.
    struct Fixed {
        db: Option<bool>,
        redis: Option<bool>,
    }

    #[async_trait]
    impl Checks for Fixed {
        async fn database(&self) -> bool {
            answer(self.db).await
        }

        async fn redis(&self) -> bool {
            answer(self.redis).await
        }
    }

    async fn answer(outcome: Option<bool>) -> bool {
        match outcome {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    async fn report(db: Option<bool>, redis: Option<bool>, redis_required: bool) -> (bool, String) {
        let report = Readiness::new(Fixed { db, redis }, redis_required).report().await;
        (report.is_ready, serde_json::to_string(&report).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn every_check_counts_unless_it_is_not_required() {
        const OK: Option<bool> = Some(true);
        const NO: Option<bool> = Some(false);
        for (db, redis, required, is_ready, json) in [
            (OK, OK, true, true, r#"{"status":"ok","checks":{"db":true,"redis":true}}"#),
            (NO, OK, true, false, r#"{"status":"unready","checks":{"db":false,"redis":true}}"#),
            (OK, NO, true, false, r#"{"status":"unready","checks":{"db":true,"redis":false}}"#),
            (OK, NO, false, true, r#"{"status":"ok","checks":{"db":true,"redis":false}}"#),
            (
                None,
                None,
                true,
                false,
                r#"{"status":"unready","checks":{"db":false,"redis":false}}"#,
            ),
            (None, OK, false, false, r#"{"status":"unready","checks":{"db":false,"redis":true}}"#),
        ] {
            assert_eq!(report(db, redis, required).await, (is_ready, json.to_owned()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silent_dependencies_cost_one_second_together() {
        let start = tokio::time::Instant::now();
        report(None, None, true).await;
        assert_eq!(start.elapsed(), CHECK_BUDGET);
    }

    #[tokio::test]
    async fn a_stopping_replica_is_not_ready() {
        let readiness = Readiness::new(Fixed { db: Some(true), redis: Some(true) }, true);
        assert!(readiness.report().await.is_ready);
        readiness.clone().stop();
        assert!(!readiness.report().await.is_ready);
    }
}
