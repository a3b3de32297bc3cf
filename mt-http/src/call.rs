//! One request to an endpoint.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use mt_core::access::{AccessModel, AccessRequest, Permission};
use mt_core::auth::Principal;
use mt_core::auth::jwt::JwtAuthenticator;
use mt_core::id::InviteId;
use mt_core::pg::api_keys::ApiKeys;
use mt_core::pg::idempotency::IdempotentRequest;
#[cfg(feature = "stripe")]
use mt_stripe::billing::StripeBilling;
use mt_tower::authorize::access_request;
use mt_tower::problem::Problem;
use mt_tower::rate_limit::{ClientAddress, PeerAddr};
use mt_tower::resolve_tenant::PathParams;
use serde::de::DeserializeOwned;
use uuid::Uuid;

#[cfg(feature = "stripe")]
use crate::body;
use crate::body::{BodyBudget, Received};
use crate::context::Context;
use crate::incoming::Incoming;
use crate::json;
use crate::operator_token::operator_id;
use crate::page::{Page, PageQuery, Place};
use crate::problems::invalid_request;

/// The header with the client's name for a request.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The most characters in an idempotency key.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;

/// A request that has passed the guards.
pub(crate) struct Call<'c, M: AccessModel> {
    pub(crate) context: &'c Context<M>,
    pub(crate) parts: &'c Parts,
    pub(crate) body: Incoming,
}

impl<M: AccessModel> Call<'_, M> {
    /// Returns the caller's request to use `P` in the tenant of the path.
    pub(crate) fn access<P: Permission<Model = M>>(&self) -> Result<AccessRequest<P>, Problem> {
        access_request(&self.parts.extensions)
    }

    /// Returns the caller. The guards have left one; without guards the request fails.
    pub(crate) fn caller(&self) -> Result<Principal, Problem> {
        self.parts.extensions.get().copied().ok_or_else(|| {
            tracing::error!("an endpoint that needs a caller has no authentication before it");
            Problem::INTERNAL
        })
    }

    /// Checks that the guard of operators has let the request pass.
    pub(crate) fn operator(&self) -> Result<(), Problem> {
        match self.parts.extensions.get::<Principal>() {
            Some(principal) if principal.id() == operator_id() => Ok(()),
            _ => {
                tracing::error!("an endpoint of operators has no guard before it");
                Err(Problem::INTERNAL)
            }
        }
    }

    /// Returns what issues access tokens.
    pub(crate) fn tokens(&self) -> Result<&JwtAuthenticator, Problem> {
        self.context.options.tokens.as_deref().ok_or_else(|| missing("tokens"))
    }

    /// Returns what issues API keys.
    pub(crate) fn api_keys(&self) -> Result<&ApiKeys, Problem> {
        self.context.options.api_keys.as_ref().ok_or_else(|| missing("api_keys"))
    }

    /// Returns Stripe's side of billing.
    #[cfg(feature = "stripe")]
    pub(crate) fn stripe(&self) -> Result<&StripeBilling, Problem> {
        self.context.options.stripe.as_ref().ok_or_else(|| missing("stripe"))
    }

    /// Returns the text of a path parameter.
    pub(crate) fn path_text(&self, name: &str) -> Result<&str, Problem> {
        let params = self.parts.extensions.get::<PathParams>();
        params.and_then(|params| params.value(name)).ok_or_else(|| {
            tracing::error!(name, "the path has no such parameter");
            Problem::INTERNAL
        })
    }

    /// Returns the id in a path parameter. Text that is not an id is answered like an unknown id; so that the two cannot be
    /// told apart, read it after the body.
    pub(crate) fn path_id(&self, name: &str) -> Result<Uuid, Problem> {
        // All ids have one form; the type of any of them parses it.
        let id = InviteId::parse(self.path_text(name)?);
        id.map(InviteId::as_uuid).ok_or(Problem::NOT_FOUND)
    }

    /// Returns the page that the query asks for.
    pub(crate) fn page<K: Place>(&self, query: PageQuery, scope: &str) -> Result<Page<K>, Problem> {
        query.of(&self.context.options.cursors, scope)
    }

    /// Reads the body as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let received = self.json_bytes().await?;
        json::from_slice(&received)
    }

    /// Reads the body as JSON, and the idempotency key if there is one.
    pub(crate) async fn json_once<T: DeserializeOwned>(
        &mut self,
    ) -> Result<(T, Option<IdempotentRequest>), Problem> {
        let received = self.json_bytes().await?;
        let request = repeatable(self.parts.uri.path(), &self.parts.headers, &received)?;
        Ok((json::from_slice(&received)?, request))
    }

    async fn json_bytes(&mut self) -> Result<Received, Problem> {
        let body = std::mem::take(&mut self.body);
        json::read(&self.parts.headers, body, self.budget()).await
    }

    /// Reads the body as bytes.
    #[cfg(feature = "stripe")]
    pub(crate) async fn bytes(&mut self, limit: u64) -> Result<Received, Problem> {
        let body = std::mem::take(&mut self.body);
        body::read(&self.parts.headers, body, self.budget(), limit).await
    }

    fn budget(&self) -> &BodyBudget {
        let of_service = &self.context.options.body_budget;
        self.parts.extensions.get().unwrap_or(of_service)
    }

    /// Returns the client's network, as limits on mails count it: an IPv4 address or an IPv6 /48.
    pub(crate) fn network(&self) -> IpNet {
        // A listener without addresses, such as a Unix socket, counts as one network.
        let peer = self.parts.extensions.get::<PeerAddr>().map(|PeerAddr(peer)| peer.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        ClientAddress::site(self.context.options.clients.client(peer, &self.parts.headers))
    }
}

/// A group was mounted whose option is not set.
fn missing(option: &str) -> Problem {
    tracing::error!("an endpoint needs `EndpointOptions::{option}`, which is not set");
    Problem::INTERNAL
}

/// Returns the request that a client may repeat, if it has an idempotency key: the same key, path and body are the same
/// request.
///
/// # Errors
///
/// `invalid-request` for a key that is not 1 to 255 visible ASCII characters, or is given twice.
pub fn repeatable(
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Option<IdempotentRequest>, Problem> {
    let Some(key) = key(headers)? else { return Ok(None) };
    // Ids are taken in either case, and nothing else in a path has capitals.
    Ok(Some(IdempotentRequest::new(&path.to_ascii_lowercase(), key, body)))
}

/// The one key of a request, if it has one.
fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(key), rest) = (keys.next(), keys.next()) else { return Ok(None) };
    let is_name = |key: &str| {
        (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match key.to_str() {
        Ok(key) if rest.is_none() && is_name(key) => Ok(Some(key)),
        _ => {
            Err(invalid_request("`idempotency-key` takes 1 to 255 visible ASCII characters, once"))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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
        let longest = [b'~'; MAX_IDEMPOTENCY_KEY];
        for key in [b"a".as_slice(), b"\"8e03978e-40d5\"", b"!", &longest] {
            let text = String::from_utf8(key.to_vec()).unwrap();
            assert_eq!(read(&[key]), Ok(Some(text)));
        }
        let too_long = [b'~'; MAX_IDEMPOTENCY_KEY + 1];
        for keys in
            [&[b"".as_slice()][..], &[b"a b"], &[b"\xe9"], &[b"a\tb"], &[&too_long], &[b"a", b"a"]]
        {
            assert_eq!(read(keys), Err(()), "{keys:?}");
        }
    }
}
