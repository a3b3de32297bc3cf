//! The principal of a job, as it is stored: its id, and what tells whether the credential has ended.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::auth::{Principal, PrincipalKind};
use crate::id::{ApiKeyId, IdentityId, PrincipalId, ServiceAccountId, TenantId};

/// What identifies a principal beside its id. A new part is optional, so that older rows are read.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Credential {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityId>,
    /// Whether the principal is a service account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_service_account: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<ApiKeyId>,
    /// The service account that acts on behalf of the principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<ServiceAccountId>,
    /// The tenant that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
}

/// The columns of a principal.
pub(super) fn stored(principal: Principal) -> (Uuid, Value) {
    let credential = Credential {
        generation: principal.generation(),
        issued_at: principal.issue_time(),
        identity: principal.identity(),
        is_service_account: principal.kind() == PrincipalKind::ServiceAccount,
        key: principal.key(),
        actor: principal.actor(),
        tenant: principal.tenant(),
    };
    let credential = serde_json::to_value(credential).expect("ids, a number and a time are JSON");
    (principal.id().as_uuid(), credential)
}

/// The principal of such columns.
pub(super) fn read(id: Uuid, credential: Value) -> Result<Principal, serde_json::Error> {
    let Credential { generation, issued_at, identity, is_service_account, key, actor, tenant } =
        serde_json::from_value(credential)?;
    let mut principal = match generation {
        _ if is_service_account => Principal::service_account(ServiceAccountId::from_uuid(id)),
        Some(generation) => Principal::in_generation(PrincipalId::from_uuid(id), generation),
        None => Principal::new(PrincipalId::from_uuid(id)),
    };
    if let Some(time) = issued_at {
        principal = principal.issued_at(time);
    }
    if let Some(identity) = identity {
        principal = principal.by_identity(identity);
    }
    if let Some(actor) = actor {
        principal = principal.acted_by(actor);
    }
    Ok(match (key, tenant) {
        (Some(key), Some(tenant)) => principal.by_key(key, tenant),
        (_, Some(tenant)) => principal.bound_to(tenant),
        (_, None) => principal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principal_is_read_as_it_was_stored() {
        let time = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        let id = PrincipalId::generate();
        let parts = Principal::in_generation(id, 3)
            .issued_at(time)
            .by_identity(IdentityId::generate())
            .bound_to(TenantId::generate());
        let (account, tenant) = (ServiceAccountId::generate(), TenantId::generate());
        let by_key = |principal: Principal| principal.by_key(ApiKeyId::generate(), tenant);
        for principal in [
            Principal::new(id),
            Principal::in_generation(id, 3),
            parts,
            parts.acted_by(account),
            by_key(Principal::new(id)),
            by_key(Principal::new(id).acted_by(account)),
            by_key(Principal::service_account(account)),
        ] {
            let (stored, credential) = stored(principal);
            assert_eq!(read(stored, credential).unwrap(), principal);
        }
    }
}
