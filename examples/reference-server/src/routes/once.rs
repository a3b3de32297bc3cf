//! Creates that a client may repeat: `Idempotency-Key`.
//!
//! The key is the client's name for a request. The first response is stored with the change that it tells of, and sent to
//! each request with the same body to the same path under the same key, byte for byte. A request with another body is
//! refused. A request that failed or was refused is not remembered.

use mt_core::access::{Implies, Permission};
use mt_core::pg::audit_log::NewEntry;
use mt_core::pg::idempotency::{IdempotentRequest, StoredResponse};
use mt_core::pg::{PgError, Query, TenantTx};
use mt_http::{IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY, json::from_slice, repeatable};
use salvo::extract::{Extractible, Metadata};
use salvo::http::header::{HeaderName, HeaderValue};
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
        let request = repeatable(req.uri().path(), req.headers(), &received)?;
        Ok(Self { body: from_slice(&received)?, request })
    }
}

impl<T: ToSchema> EndpointArgRegister for Once<T> {
    fn register(components: &mut Components, operation: &mut Operation, name: &str) {
        Body::<T>::register(components, operation, name);
        let key = pattern("^[!-~]+$").min_length(1).max_length(MAX_IDEMPOTENCY_KEY);
        let description = "The client's name for this request. Sent again with it and the same body \
            and within a day, the request is answered as it was the first time and not carried out.";
        takes(operation, ParameterIn::Header, IDEMPOTENCY_KEY.as_str(), description, key);
        may(operation, &[&problems::IDEMPOTENCY_MISMATCH]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_as_it_was_kept() {
        let headers = vec![(HeaderName::from_static("etag"), HeaderValue::from_static("\"x\""))];
        let answer = Created::<()>::again(headers, b"{}".to_vec());
        let back: Created<()> = again(response_of(&answer).unwrap()).unwrap();
        assert_eq!(back.parts(), answer.parts());
    }
}
