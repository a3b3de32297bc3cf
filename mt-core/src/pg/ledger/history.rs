//! The history of an event: its attempts and replays.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::pg::{PgError, SystemTx};

/// An attempt at an event, or an operator's request for one.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// The number of the attempt, counted from the last replay on.
    pub attempt: i32,
    /// `processed`, `ignored`, `failed` or `dead`; `abandoned` if the attempt never ended; `replay` for a request.
    pub outcome: String,
    /// Why; for a replay, the status of the event before.
    pub detail: Option<String>,
    /// The operator who asked for a replay.
    pub actor: Option<String>,
    /// When the attempt began.
    pub began_at: Option<DateTime<Utc>>,
    /// When the attempt ended or was found abandoned, or the replay was requested.
    pub ended_at: DateTime<Utc>,
}

type Row = (i32, String, Option<String>, Option<String>, Option<DateTime<Utc>>, DateTime<Utc>);

/// Lists the history of an event, oldest first; at most its last `limit` entries.
///
/// # Errors
///
/// [`PgError`].
pub async fn history(
    tx: &mut SystemTx,
    event: Uuid,
    limit: i64,
) -> Result<Vec<HistoryEntry>, PgError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select attempt, outcome, detail, actor, began_at, ended_at \
         from mt.webhook_attempts where event = $1 order by seq desc limit $2",
    )
    .bind(event)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    let entry = |(attempt, outcome, detail, actor, began_at, ended_at)| HistoryEntry {
        attempt,
        outcome,
        detail,
        actor,
        began_at,
        ended_at,
    };
    Ok(rows.into_iter().rev().map(entry).collect())
}
