//! Rechecking verified domains.

use std::error::Error as _;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Domain;
use super::claim::{Row, columns};
use super::txt_resolver::TxtResolver;
use super::verify::lock_tenant;
use crate::pg::audit_log::DOMAIN_LOST;
use crate::pg::{PgError, System, SystemReason, SystemTx};

const REASON: SystemReason = SystemReason::new("recheck a domain");

/// What a recheck has found, and made of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rechecked {
    /// The record is there.
    Proved,
    /// The record is missing. The domain stays verified until the grace period is over.
    Missing {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// The record was missing for longer than the grace period, so the domain is not verified any more.
    Lost,
    /// DNS did not answer, which changes nothing.
    Unavailable,
    /// The domain is not verified, or not claimed any more.
    NotVerified,
}

/// Decides what a record that is there or not makes of a verified domain.
fn decide(
    missing_since: Option<DateTime<Utc>>,
    is_proved: bool,
    now: DateTime<Utc>,
    grace: Duration,
) -> Rechecked {
    if is_proved {
        return Rechecked::Proved;
    }
    let since = missing_since.unwrap_or(now);
    let grace = TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX);
    match now - since >= grace && missing_since.is_some() {
        true => Rechecked::Lost,
        false => Rechecked::Missing { since },
    }
}

/// Returns verified domains whose record was not looked for since `before`, the longest ago first.
///
/// ```no_run
/// use std::time::Duration;
///
/// use chrono::TimeDelta;
/// use mt_core::clock::{Clock as _, SystemClock};
/// use mt_core::pg::domains::{self, TxtResolver};
/// use mt_core::pg::{PgError, System, SystemReason};
///
/// # async fn example(system: System, dns: impl TxtResolver) -> Result<(), PgError> {
/// // Once an hour, in one process or in several.
/// const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// let now = SystemClock.now();
/// loop {
///     let mut tx = system.begin(SystemReason::new("recheck domains")).await?;
///     let due = domains::due_for_recheck(&mut tx, now - TimeDelta::days(1), 100).await?;
///     tx.commit().await?;
///     if due.is_empty() {
///         break;
///     }
///     for domain in due {
///         domains::recheck(&system, &dns, &domain, now, WEEK).await?;
///     }
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`PgError`].
pub async fn due_for_recheck(
    tx: &mut SystemTx,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Domain>, PgError> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from mt.domains d where d.verified_at is not null and d.checked_at < $1 \
         order by d.checked_at limit $2"
    ))
    .bind(before)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Domain::try_from).collect()
}

/// Looks for the record of a verified domain again. A domain whose record was missing for the whole of `grace` is not
/// verified any more: its claim stays, requests for it find no tenant, and another tenant can verify it.
///
/// # Errors
///
/// [`PgError`].
pub async fn recheck<R: TxtResolver>(
    system: &System,
    resolver: &R,
    domain: &Domain,
    now: DateTime<Utc>,
    grace: Duration,
) -> Result<Rechecked, PgError> {
    let records = resolver.txt_records(domain.challenge.record_name()).await;
    let (tenant, id) = (domain.tenant.as_uuid(), domain.id.as_uuid());
    let mut tx = system.begin(REASON).await?;
    lock_tenant(&mut tx, domain).await?;
    let missing_since: Option<Option<DateTime<Utc>>> = sqlx::query_scalar(
        "select missing_since from mt.domains \
         where tenant_id = $1 and id = $2 and verified_at is not null for no key update",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional(tx.conn())
    .await?;
    let Some(missing_since) = missing_since else {
        tx.rollback().await?;
        return Ok(Rechecked::NotVerified);
    };
    let decided = match &records {
        Ok(records) => decide(missing_since, domain.challenge.is_met_by(records), now, grace),
        Err(error) => {
            tracing::debug!(domain = %domain.id, cause = error.source(), "{error}");
            Rechecked::Unavailable
        }
    };
    let missing_since = match decided {
        Rechecked::Missing { since } => Some(since),
        Rechecked::Unavailable => missing_since,
        Rechecked::Proved | Rechecked::Lost | Rechecked::NotVerified => None,
    };
    sqlx::query(
        "update mt.domains set checked_at = $3, missing_since = $4, \
             verified_at = case when $5 then null else verified_at end \
         where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(id)
    .bind(now)
    .bind(missing_since)
    .bind(decided == Rechecked::Lost)
    .execute(tx.conn())
    .await?;
    if decided == Rechecked::Lost {
        tx.record(domain.tenant, DOMAIN_LOST.on(id));
    }
    tx.commit().await?;
    Ok(decided)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_is_lost_only_after_its_record_was_missing_for_the_grace_period() {
        let start = DateTime::from_timestamp(1_795_449_600, 0).unwrap();
        let (day, week) = (TimeDelta::days(1), Duration::from_hours(7 * 24));
        let missing = Rechecked::Missing { since: start };
        for (since, is_proved, now, decided) in [
            (None, true, start, Rechecked::Proved),
            (None, false, start, missing),
            (Some(start), false, start + day, missing),
            (Some(start), false, start + day * 7 - TimeDelta::seconds(1), missing),
            (Some(start), false, start + day * 7, Rechecked::Lost),
            (Some(start), true, start + day * 8, Rechecked::Proved),
            // The clock was set back.
            (Some(start), false, start - day, missing),
        ] {
            assert_eq!(decide(since, is_proved, now, week), decided, "{since:?} {is_proved} {now}");
        }
        // One failed lookup alone takes nothing away, whatever the grace period.
        assert_eq!(decide(None, false, start, Duration::ZERO), missing);
        assert_eq!(decide(Some(start), false, start, Duration::ZERO), Rechecked::Lost);
        assert_eq!(decide(Some(start), false, start + day, Duration::MAX), missing);
    }
}
