//! The claims of a token.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AuthError, refused};
use crate::id::{ServiceAccountId, TenantId};

#[derive(Deserialize, Serialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) iss: String,
    // Not read here: `jsonwebtoken` checks it, in either of the two forms of RFC 7519 §4.1.3.
    #[serde(skip_deserializing)]
    pub(super) aud: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iat: Option<i64>,
    pub(super) exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jti: Option<String>,
    pub(super) ver: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) act: Option<Actor>,
}

/// The party that acts on behalf of the subject (RFC 8693, section 4.1).
#[derive(Deserialize, Serialize)]
pub(in crate::auth) struct Actor {
    pub(in crate::auth) sub: String,
}

impl Actor {
    /// Returns the service account that acts. Prior actors, in an `act` of its own, are for information only.
    pub(in crate::auth) fn account(&self) -> Result<ServiceAccountId, AuthError> {
        ServiceAccountId::parse(&self.sub)
            .ok_or_else(|| refused("`act.sub` is not the id of a service account"))
    }
}

impl Claims {
    /// The names of the claims, which cannot name the tenant.
    pub(super) const NAMES: [&str; 9] =
        ["sub", "iss", "aud", "iat", "exp", "nbf", "jti", "ver", "act"];

    /// Returns the claims with an additional claim that names the tenant.
    pub(super) fn with_tenant(&self, claim: &str, tenant: TenantId) -> serde_json::Result<Value> {
        let mut claims = serde_json::to_value(self)?;
        claims[claim] = tenant.to_string().into();
        Ok(claims)
    }
}

/// Separates the tenant's claim from the others.
pub(super) fn apart(
    all: Map<String, Value>,
    tenant_claim: &str,
) -> Result<(Claims, Option<TenantId>), AuthError> {
    let tenant = match all.get(tenant_claim) {
        None => None,
        Some(tenant) => {
            let tenant = tenant.as_str().and_then(TenantId::parse);
            Some(tenant.ok_or_else(|| refused(&format!("`{tenant_claim}` is not a UUID")))?)
        }
    };
    let claims = Claims::deserialize(Value::Object(all));
    Ok((claims.map_err(|error| refused(&error.to_string()))?, tenant))
}
