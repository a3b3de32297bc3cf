//! Creates that a client may repeat: `Idempotency-Key`.
//!
//! The key is the client's name for a request. The first response is stored with the change that it tells of, and sent to
//! each request with the same body to the same path under the same key, byte for byte. A request with another body is
//! refused. A request that failed or was refused is not remembered.

use bytes::Bytes;
use mt_core::access::{Implies, Permission};
use mt_core::auth::Principal;
use mt_core::pg::audit_log::NewEntry;
use mt_core::pg::idempotency::{IdempotentRequest, StoredResponse};
use mt_core::pg::{PgError, Query, SystemTx, TenantTx};
use salvo::extract::{Extractible, Metadata};
use salvo::http::header::{HeaderMap, HeaderName, HeaderValue};
use salvo::prelude::*;
use salvo_oapi::{Components, EndpointArgRegister, Operation, ParameterIn, ToSchema};
use serde::de::DeserializeOwned;

use crate::http::answer::{Created, Made};
use crate::http::json::{self, Body};
use crate::http::openapi::describe::{may, pattern, takes};
use crate::http::problem::ApiError;
use crate::http::problems;
use crate::model::Product;
use crate::refusals::internal;

/// The header that carries the key.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The most characters in a key.
pub(super) const MAX_KEY: usize = 255;

/// The body of a create, and the request's idempotency key if it has one.
#[derive(Debug)]
pub(super) struct Once<T> {
    /// The body.
    pub(super) body: T,
    request: Option<IdempotentRequest>,
}

impl<T> Once<T> {
    /// The request, if it has an idempotency key.
    pub(super) const fn request(&self) -> Option<&IdempotentRequest> {
        self.request.as_ref()
    }

    /// Runs the statement that makes one row and commits, and stores the response if the request has an idempotency key;
    /// in one round trip if it has none. `path` is the address of what was made, and `refused` turns what Postgres refuses
    /// into a response.
    pub(super) async fn create<P, Q, A>(
        &self,
        mut tx: TenantTx<P>,
        (insert, entry): (Query<A>, NewEntry),
        path: impl FnOnce(&A) -> String,
        refused: impl FnOnce(PgError) -> ApiError,
    ) -> Result<Created<A>, ApiError>
    where
        P: Permission<Model = Product> + Implies<Q>,
        Q: Permission<Model = Product>,
        A: Made + Send,
    {
        if self.request.is_none() {
            let made = insert.fetch_one(tx.execute_and_commit::<Q>(entry)).await;
            let made = made.map_err(refused)?;
            return Ok(Created::new(&path(&made), &made));
        }
        let made = insert.fetch_one(tx.execute::<Q>(entry)).await.map_err(refused)?;
        let created = Created::new(&path(&made), &made);
        tx.store_response(&response_of(&created)?).await?;
        tx.commit().await?;
        Ok(created)
    }

    /// The response to this request of `caller` outside of every org, if it was carried out before.
    pub(super) async fn stored_response<A>(
        &self,
        tx: &mut SystemTx,
        caller: Principal,
    ) -> Result<Option<Created<A>>, ApiError> {
        let Some(request) = &self.request else { return Ok(None) };
        request.stored_response(tx, caller.id()).await?.map(again).transpose()
    }

    /// Stores the response to this request of `caller` outside of every org.
    pub(super) async fn store_response<A>(
        &self,
        tx: &mut SystemTx,
        caller: Principal,
        created: &Created<A>,
    ) -> Result<(), ApiError> {
        let Some(request) = &self.request else { return Ok(()) };
        Ok(request.store_response(tx, caller.id(), &response_of(created)?).await?)
    }
}

/// A response as it is stored.
pub(super) fn response_of<A>(answer: &Created<A>) -> Result<StoredResponse, ApiError> {
    let (headers, json) = answer.parts();
    let headers = headers.iter().map(|(name, value)| {
        let value = value.to_str().map_err(|error| internal(&error))?;
        Ok((name.as_str().to_owned(), value.to_owned()))
    });
    Ok(StoredResponse {
        status: StatusCode::CREATED.as_u16(),
        headers: headers.collect::<Result<_, ApiError>>()?,
        body: json.to_vec(),
    })
}

/// A stored response, to be sent again.
pub(super) fn again<A>(answer: StoredResponse) -> Result<Created<A>, ApiError> {
    let headers = answer.headers.iter().map(|(name, value)| {
        let name = HeaderName::try_from(name).map_err(|error| internal(&error))?;
        let value = HeaderValue::try_from(value).map_err(|error| internal(&error))?;
        Ok((name, value))
    });
    Ok(Created::again(headers.collect::<Result<_, ApiError>>()?, answer.body))
}

impl<'ex, T: DeserializeOwned + Send> Extractible<'ex> for Once<T> {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Once");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        let received = json::bytes(req).await?;
        let request = named(req, &received)?;
        Ok(Self { body: json::from_slice(&received)?, request })
    }
}

impl<T: ToSchema> EndpointArgRegister for Once<T> {
    fn register(components: &mut Components, operation: &mut Operation, name: &str) {
        Body::<T>::register(components, operation, name);
        let key = pattern("^[!-~]+$").min_length(1).max_length(MAX_KEY);
        let description = "The client's name for this request. Sent again with it and the same body \
            and within a day, the request is answered as it was the first time and not carried out.";
        takes(operation, ParameterIn::Header, IDEMPOTENCY_KEY.as_str(), description, key);
        may(operation, &[&problems::IDEMPOTENCY_MISMATCH]);
    }
}

fn named(req: &Request, body: &Bytes) -> Result<Option<IdempotentRequest>, ApiError> {
    let Some(key) = key(req.headers())? else { return Ok(None) };
    // Ids are taken in either case, and nothing else in a path has capitals.
    let path = req.uri().path().to_ascii_lowercase();
    Ok(Some(IdempotentRequest::new(&path, key, body)))
}

/// The one key of a request, if it has one.
fn key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(key), rest) = (keys.next(), keys.next()) else { return Ok(None) };
    let is_name = |key: &str| {
        (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match key.to_str() {
        Ok(key) if rest.is_none() && is_name(key) => Ok(Some(key)),
        _ => Err(ApiError::invalid_request(
            "`idempotency-key` takes 1 to 255 visible ASCII characters, once",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(keys: &[&[u8]]) -> Result<Option<String>, ()> {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(key).unwrap());
        }
        key(&headers).map(|key| key.map(str::to_owned)).map_err(|_| ())
    }

    #[test]
    fn keys_are_visible_ascii() {
        assert_eq!(read(&[]), Ok(None));
        let longest = [b'~'; MAX_KEY];
        for key in [b"a".as_slice(), b"\"8e03978e-40d5\"", b"!", &longest] {
            let text = String::from_utf8(key.to_vec()).unwrap();
            assert_eq!(read(&[key]), Ok(Some(text)));
        }
        let too_long = [b'~'; MAX_KEY + 1];
        for keys in
            [&[b"".as_slice()][..], &[b"a b"], &[b"\xe9"], &[b"a\tb"], &[&too_long], &[b"a", b"a"]]
        {
            assert_eq!(read(keys), Err(()), "{keys:?}");
        }
    }

    #[test]
    fn an_answer_comes_back_as_it_was_kept() {
        let headers = vec![(HeaderName::from_static("etag"), HeaderValue::from_static("\"x\""))];
        let answer = Created::<()>::again(headers, b"{}".to_vec());
        let back: Created<()> = again(response_of(&answer).unwrap()).unwrap();
        assert_eq!(back.parts(), answer.parts());
    }
}
