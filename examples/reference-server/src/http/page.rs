//! Lists in pages: `?limit=` and `?cursor=`, newest first.
//!
//! Keyset, not offset: a cursor is the place of the last row that the client has seen, so a page is one
//! walk along an index, and rows that come or go in between neither repeat nor hide others. A cursor is
//! opaque and sealed: it carries an HMAC of its place and its list, so that one that was made up,
//! changed, or taken from another list is refused instead of silently starting somewhere.
//!
//! What a caller may see is decided by the query. The seal keeps clients from depending on what is in a
//! cursor, which may change.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use salvo::extract::{Extractible, Metadata};
use salvo::{Depot, Request};
use salvo_oapi::schema::{BasicType, Object};
use salvo_oapi::{Components, EndpointArgRegister, Operation, ParameterIn, ToSchema};
use serde::Serialize;
use sha2::Sha256;
use uuid::Uuid;

use super::openapi::describe::{may, pattern, takes};
use super::problem::ApiError;
use super::problems;
use super::query::single;

/// Items on a page where the client does not say.
pub const DEFAULT_LIMIT: u8 = 50;
/// The most items on a page.
pub const MAX_LIMIT: u8 = 100;

/// How long a cursor may be. The seal decides; this only keeps what is absurd from being decoded.
const MAX_CURSOR: usize = 64;
const SEAL_BYTES: usize = 16;

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
    pub fn of<K: Place>(self, cursors: &Cursors, scope: &str) -> Result<Page<K>, ApiError> {
        Page::at(self.limit, self.cursor.as_deref(), cursors.list(scope)).ok_or_else(|| {
            ApiError::invalid_parameter("cursor", "takes the `next_cursor` of this very list")
        })
    }

    /// Reads the query of `req`.
    fn read(req: &Request) -> Result<Self, ApiError> {
        let limit = match single(req, "limit")? {
            None => DEFAULT_LIMIT,
            Some(text) => parse_limit(text).ok_or_else(|| {
                ApiError::invalid_parameter("limit", "takes a number from 1 to 100")
            })?,
        };
        Ok(Self { limit, cursor: single(req, "cursor")?.map(str::to_owned) })
    }
}

impl<'ex> Extractible<'ex> for PageQuery {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("PageQuery");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        Self::read(req)
    }
}

impl EndpointArgRegister for PageQuery {
    fn register(_: &mut Components, operation: &mut Operation, _: &str) {
        let limit = Object::with_type(BasicType::Integer)
            .minimum(1)
            .maximum(u32::from(MAX_LIMIT))
            .default_value(DEFAULT_LIMIT.into());
        takes(
            operation,
            ParameterIn::Query,
            "limit",
            "The largest number of items on the page.",
            limit,
        );
        let cursor = pattern("^[A-Za-z0-9_-]+$").max_length(MAX_CURSOR);
        let from = "The `next_cursor` of the page before. Good for this very list.";
        takes(operation, ParameterIn::Query, "cursor", from, cursor);
        may(operation, &[&problems::INVALID_REQUEST]);
    }
}

/// Seals cursors, under a key derived from the server's secret and, while that is being replaced, opens
/// those of the one before.
#[derive(Clone)]
pub struct Cursors {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl Cursors {
    /// Seals under a key derived from `secret`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { current: derive(secret), previous: None }
    }

    /// Also opens what was sealed under `secret`.
    #[must_use]
    pub fn with_previous(mut self, secret: &[u8]) -> Self {
        self.previous = Some(derive(secret));
        self
    }

    /// The cursors of the list that `scope` names.
    #[must_use]
    pub fn list(&self, scope: &str) -> ListCursors {
        let of_list = |key: &Hmac<Sha256>| {
            let mut seal = key.clone();
            seal.update(scope.as_bytes());
            // No scope ends like another goes on.
            seal.update(&[0]);
            seal
        };
        ListCursors {
            current: of_list(&self.current),
            previous: self.previous.as_ref().map(of_list),
        }
    }
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursors").finish_non_exhaustive()
    }
}

/// The cursors of one list.
#[derive(Clone)]
pub struct ListCursors {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl fmt::Debug for ListCursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListCursors").finish_non_exhaustive()
    }
}

/// Derives a key of its own purpose, so that the same secret may also sign JWTs.
fn derive(secret: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(b"mt list cursor v1");
    Hmac::new_from_slice(&mac.finalize().into_bytes()).expect("HMAC takes a key of any length")
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
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Listing<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` on the last page.
    #[salvo(schema(required = true))]
    pub next_cursor: Option<String>,
}

impl ListCursors {
    fn seal<K: Place>(&self, place: K) -> String {
        let place = place.to_bytes();
        let mut seal = self.current.clone();
        seal.update(&place);
        let seal = seal.finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([place.as_slice(), &seal[..SEAL_BYTES]].concat())
    }

    fn open<K: Place>(&self, cursor: &str) -> Option<K> {
        let bytes = match cursor.len() {
            ..=MAX_CURSOR => URL_SAFE_NO_PAD.decode(cursor).ok()?,
            _ => return None,
        };
        let (place, seal) = bytes.split_last_chunk::<SEAL_BYTES>()?;
        let is_ours = std::iter::once(&self.current).chain(&self.previous).any(|key| {
            let mut expected = key.clone();
            expected.update(place);
            expected.verify_truncated_left(seal).is_ok()
        });
        is_ours.then(|| K::from_bytes(place)).flatten()
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
        PageQuery::read(&req)?.of(&Cursors::new(b"secret"), scope)
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
            assert_eq!(problem.problem().code(), "invalid-request", "{query}");
            assert_eq!(problem.problem().errors()[0].pointer, "?limit", "{query}");
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
            assert_eq!(problem.problem().errors()[0].pointer, "?cursor", "{bad}");
        }
    }

    #[test]
    fn every_bit_of_a_cursor_is_under_its_seal() {
        let list = Cursors::new(b"secret").list("tasks:a");
        let sealed = URL_SAFE_NO_PAD.decode(list.seal(Uuid::now_v7())).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(list.open::<Uuid>(&changed), None, "bit {bit}");
        }
        assert!(list.open::<Uuid>(&URL_SAFE_NO_PAD.encode(sealed)).is_some());
    }

    #[test]
    fn a_time_and_an_id_make_a_place_as_well() {
        let list = Cursors::new(b"secret").list("members");
        let place =
            (DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(), Uuid::now_v7());
        let cursor = list.seal(place);
        assert!(cursor.len() <= MAX_CURSOR);
        assert_eq!(list.open(&cursor), Some(place));
        assert_eq!(list.open::<Uuid>(&cursor), None);
    }

    #[test]
    fn the_secret_before_still_opens() {
        let id = Uuid::now_v7();
        let old = Cursors::new(b"old").list("s").seal(id);
        let rotated = Cursors::new(b"new").with_previous(b"old").list("s");
        assert_eq!(rotated.open(&old), Some(id));
        assert_eq!(rotated.open(&rotated.seal(id)), Some(id));
        assert_eq!(Cursors::new(b"new").list("s").open::<Uuid>(&old), None);
    }
}
