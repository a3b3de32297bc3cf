//! Lists in pages: `?limit=` and `?cursor=`, newest first.
//!
//! Keyset, not offset: a cursor is the place of the last row that the client has seen, so a page is one
//! walk along an index, and rows that come or go in between neither repeat nor hide others. A cursor is
//! opaque and sealed: it carries an HMAC of its place and its list, so that one that was made up,
//! changed, or taken from another list is refused instead of silently starting somewhere.
//!
//! What a caller may see is decided by the query. The seal keeps clients from depending on what is in a
//! cursor, which may change.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use http::Uri;
use mt_tower::problem::Problem;
use serde::Serialize;
use uuid::Uuid;

use crate::cursors::{Cursors, ListCursors};
use crate::problems::invalid_parameter;
use crate::query;

/// Items on a page where the client does not say.
pub const DEFAULT_LIMIT: u8 = 50;
/// The most items on a page.
pub const MAX_LIMIT: u8 = 100;

/// How long a cursor may be. The seal decides; this only keeps what is absurd from being decoded.
pub const MAX_CURSOR: usize = 64;

/// What a list is ordered by: the place of a row in it.
pub trait Place: Copy {
    /// The place as bytes, always as many.
    fn to_bytes(&self) -> Vec<u8>;

    /// The place that is written in `bytes`, if it is one.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// Things whose ids are made in the order of time.
impl Place for Uuid {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes).ok()
    }
}

/// Things that came at a time which their ids do not tell. To the microsecond, as Postgres keeps it.
impl Place for (DateTime<Utc>, Uuid) {
    fn to_bytes(&self) -> Vec<u8> {
        [self.0.timestamp_micros().to_be_bytes().as_slice(), self.1.as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (micros, id) = bytes.split_first_chunk()?;
        let at = DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?;
        Some((at, Uuid::from_slice(id).ok()?))
    }
}

/// The `limit` and the `cursor` of a request, not yet tied to a list.
#[derive(Clone, Debug)]
pub struct PageQuery {
    limit: u8,
    cursor: Option<String>,
}

impl PageQuery {
    /// The page that is asked for. `scope` names the list and everything that selects its rows, such as
    /// `tasks:{project_id}:{status}`.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming the parameter, for a `cursor` that this list did not give out.
    pub fn of<K: Place>(self, cursors: &Cursors, scope: &str) -> Result<Page<K>, Problem> {
        Page::at(self.limit, self.cursor.as_deref(), cursors.list(scope))
            .ok_or_else(|| invalid_parameter("cursor", "takes the `next_cursor` of this very list"))
    }

    /// Reads `limit` and `cursor` from the query of `uri`.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming the parameter, for one that is given twice or has a value that it does not take.
    pub fn read(uri: &Uri) -> Result<Self, Problem> {
        let limit = match query::single(uri, "limit")? {
            None => DEFAULT_LIMIT,
            Some(text) => parse_limit(&text)
                .ok_or_else(|| invalid_parameter("limit", "takes a number from 1 to 100"))?,
        };
        Ok(Self { limit, cursor: query::single(uri, "cursor")?.map(Cow::into_owned) })
    }
}

/// Which page of a list a request asks for.
#[derive(Clone, Debug)]
pub struct Page<K = Uuid> {
    limit: u8,
    after: Option<K>,
    cursors: ListCursors,
}

impl<K: Place> Page<K> {
    /// The page of `limit` items that `cursor` leads to, or the first; `None` if this list did not give
    /// the cursor out.
    #[must_use]
    pub fn at(limit: u8, cursor: Option<&str>, cursors: ListCursors) -> Option<Self> {
        let after = match cursor {
            None => None,
            Some(text) => Some(cursors.open(text)?),
        };
        Some(Self { limit, after, cursors })
    }

    /// How many rows to ask the database for: one more than fits, to know whether there is a next
    /// page.
    #[must_use]
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The place after which the page begins; none for the first page.
    #[must_use]
    pub fn after(&self) -> Option<K> {
        self.after
    }

    /// Makes the answer of `rows`, which are at most [`Page::fetch`] many and newest first.
    pub fn answer<T>(&self, mut rows: Vec<T>, place: impl Fn(&T) -> K) -> Listing<T> {
        let is_last = rows.len() <= usize::from(self.limit);
        rows.truncate(usize::from(self.limit));
        let last = rows.last().filter(|_| !is_last);
        let next_cursor = last.map(|row| self.cursors.seal(place(row)));
        Listing { items: rows, next_cursor }
    }
}

/// A page of a list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Listing<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` on the last page.
    pub next_cursor: Option<String>,
}

fn parse_limit(text: &str) -> Option<u8> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str, scope: &str) -> Result<Page, Problem> {
        let uri = format!("/list{query}").parse().unwrap();
        PageQuery::read(&uri)?.of(&Cursors::new(b"secret"), scope)
    }

    #[test]
    fn limits() {
        for (query, limit) in
            [("", 50), ("?limit=1", 1), ("?limit=100&x=y", 100), ("?limit=007", 7)]
        {
            assert_eq!(page(query, "s").unwrap().limit, limit, "{query}");
        }
        for query in [
            "?limit=",
            "?limit=0",
            "?limit=101",
            "?limit=-1",
            "?limit=+5",
            "?limit=%2B5",
            "?limit=1.0",
            "?limit=x",
            "?limit=256",
            "?limit=1&limit=2",
            "?limit=%D9%A1",
        ] {
            let problem = page(query, "s").unwrap_err();
            assert_eq!(problem.code(), "invalid-request", "{query}");
            assert_eq!(problem.errors()[0].pointer, "?limit", "{query}");
        }
    }

    #[test]
    fn pages_chain_and_end() {
        let ids: Vec<Uuid> = (0..5).map(|_| Uuid::now_v7()).rev().collect();
        let first = page("?limit=2", "s").unwrap();
        let listing = first.answer(ids[..3].to_vec(), |id| *id);
        assert_eq!(listing.items, ids[..2]);
        let cursor = listing.next_cursor.unwrap();
        let second = page(&format!("?limit=2&cursor={cursor}"), "s").unwrap();
        assert_eq!(second.after(), Some(ids[1]));
        assert_eq!(second.answer(ids[2..4].to_vec(), |id| *id).next_cursor, None);
    }

    #[test]
    fn foreign_and_broken_cursors_are_refused() {
        let cursors = Cursors::new(b"secret");
        let cursor = cursors.list("tasks:a").seal(Uuid::now_v7());
        assert!(page(&format!("?cursor={cursor}"), "tasks:a").is_ok());
        let elsewhere = Cursors::new(b"another secret").list("tasks:a").seal(Uuid::now_v7());
        let other_list = cursors.list("tasks:b").seal(Uuid::now_v7());
        let truncated = &cursor[..42];
        for bad in [
            elsewhere.as_str(),
            &other_list,
            "",
            "x",
            truncated,
            &"!".repeat(43),
            &"A".repeat(43),
            &"A".repeat(5000),
        ] {
            let problem = page(&format!("?cursor={bad}"), "tasks:a").unwrap_err();
            assert_eq!(problem.errors()[0].pointer, "?cursor", "{bad}");
        }
    }
}
