//! What was tried, and who asked for it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::pg::{PgError, SystemTx};

/// One attempt at an event, or one request for another.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// Which attempt, counted from the last replay on.
    pub attempt: i32,
    /// `processed`, `ignored`, `failed`, `dead`; `abandoned` if nobody came back from it; `replay` where
    /// somebody asked for another.
    pub outcome: String,
    /// Why. Of a replay: how the event stood before.
    pub detail: Option<String>,
    /// Who asked.
    pub actor: Option<String>,
    /// When it began.
    pub began_at: Option<DateTime<Utc>>,
    /// When it ended, was found abandoned, or was asked for.
    pub ended_at: DateTime<Utc>,
}

type Row = (i32, String, Option<String>, Option<String>, Option<DateTime<Utc>>, DateTime<Utc>);

/// The history of an event, oldest first; at most the last `limit` entries of it.
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
