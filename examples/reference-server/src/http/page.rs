//! Lists in pages: `?limit=` and `?cursor=`, newest first.
//!
//! Keyset, not offset: a cursor is the last id that the client has seen, so a page is one walk
//! along an index and rows that come or go in between neither repeat nor hide others. A cursor is
//! opaque and bound to its list: given to another list it is refused instead of silently starting
//! somewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use salvo::Request;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::problem::ApiError;

/// Items on a page where the client does not say.
pub const DEFAULT_LIMIT: u8 = 50;
/// The most items on a page.
pub const MAX_LIMIT: u8 = 100;

const ID_BYTES: usize = 16;
const SCOPE_BYTES: usize = 8;

/// Which page of a list a request asks for.
#[derive(Clone, Debug)]
pub struct Page {
    limit: u8,
    after: Option<Uuid>,
    scope: Scope,
}

/// Says which list a cursor belongs to. Not a secret and no protection: what a caller may see is
/// decided by the query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Scope([u8; SCOPE_BYTES]);

impl Page {
    /// Reads the page out of the query of `req`. `scope` names the list and everything that
    /// selects its rows, such as `tasks:{project_id}:{status}`.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming the parameter, for a `limit` outside of 1 to 100 and for a
    /// `cursor` that this list did not give out.
    pub fn of(req: &Request, scope: &str) -> Result<Self, ApiError> {
        let limit = match single(req, "limit")? {
            None => DEFAULT_LIMIT,
            Some(text) => parse_limit(text).ok_or_else(|| {
                ApiError::invalid_parameter("limit", "takes a number from 1 to 100")
            })?,
        };
        Self::at(limit, single(req, "cursor")?, scope).ok_or_else(|| {
            ApiError::invalid_parameter("cursor", "takes the `next_cursor` of this very list")
        })
    }

    /// The page of `limit` items that `cursor` leads to, or the first; `None` if this list did not give
    /// the cursor out.
    #[must_use]
    pub fn at(limit: u8, cursor: Option<&str>, scope: &str) -> Option<Self> {
        let scope = Scope::of(scope);
        let after = match cursor {
            None => None,
            Some(text) => Some(scope.open(text)?),
        };
        Some(Self { limit, after, scope })
    }

    /// How many rows to ask the database for: one more than fits, to know whether there is a next
    /// page.
    #[must_use]
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The id below which the page begins; none for the first page.
    #[must_use]
    pub fn after(&self) -> Option<Uuid> {
        self.after
    }

    /// Makes the answer of `rows`, which are at most [`Page::fetch`] many and newest first.
    pub fn answer<T>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> Listing<T> {
        let is_last = rows.len() <= usize::from(self.limit);
        rows.truncate(usize::from(self.limit));
        let last = rows.last().filter(|_| !is_last);
        let next_cursor = last.map(|row| self.scope.seal(id(row)));
        Listing { items: rows, next_cursor }
    }
}

/// One page, as it is sent.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Listing<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// What to send as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

impl Scope {
    fn of(name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let mut scope = [0; SCOPE_BYTES];
        scope.copy_from_slice(&digest[..SCOPE_BYTES]);
        Self(scope)
    }

    fn seal(self, id: Uuid) -> String {
        URL_SAFE_NO_PAD.encode([id.as_bytes().as_slice(), &self.0].concat())
    }

    fn open(self, cursor: &str) -> Option<Uuid> {
        // Refused before decoding: a cursor has one length, a hostile query need not.
        let bytes = match cursor.len() {
            32 => URL_SAFE_NO_PAD.decode(cursor).ok()?,
            _ => return None,
        };
        let (id, scope) = bytes.split_at_checked(ID_BYTES)?;
        if scope != self.0 {
            return None;
        }
        Uuid::from_slice(id).ok()
    }
}

/// The value of a query parameter that may be given once.
fn single<'a>(req: &'a Request, name: &str) -> Result<Option<&'a str>, ApiError> {
    match req.queries().get_vec(name).map(Vec::as_slice) {
        None | Some([]) => Ok(None),
        Some([value]) => Ok(Some(value)),
        Some(_) => Err(ApiError::invalid_parameter(name, "may be given once")),
    }
}

fn parse_limit(text: &str) -> Option<u8> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str, scope: &str) -> Result<Page, ApiError> {
        let mut req = Request::new();
        *req.uri_mut() = format!("/list{query}").parse().unwrap();
        Page::of(&req, scope)
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
            assert_eq!(problem.kind().code, "invalid-request", "{query}");
            assert_eq!(problem.field_errors()[0].pointer, "?limit", "{query}");
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
        let cursor = Scope::of("tasks:a").seal(Uuid::now_v7());
        assert!(page(&format!("?cursor={cursor}"), "tasks:a").is_ok());
        let truncated = &cursor[..31];
        for bad in [cursor.as_str(), "", "x", truncated, &"!".repeat(32), &"A".repeat(5000)] {
            let problem = page(&format!("?cursor={bad}"), "tasks:b").unwrap_err();
            assert_eq!(problem.field_errors()[0].pointer, "?cursor", "{bad}");
        }
    }
}
