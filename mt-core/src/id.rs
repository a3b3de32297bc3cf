//! Typed identifiers.
//!
//! All are `UUIDv7` (RFC 9562 §5.7), ordered by creation time, so that indexes grow at one end and lists need no
//! sort.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! define_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Generates a new, time-ordered identifier.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// Converts the id of an existing row. There is no `From<Uuid>`, so that the caller states what a UUID
            /// identifies.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Parses the hyphenated form in either case. The simple, braced and URN forms are refused, so that an id
            /// has one form in paths, caches and logs.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text.len() {
                    uuid::fmt::Hyphenated::LENGTH => Uuid::try_parse(text).ok().map(Self),
                    _ => None,
                }
            }

            /// Returns the stored value.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

define_id! {
    /// The id of an API key.
    ApiKeyId
}
define_id! {
    /// The id of a tenant's claim of a domain.
    DomainId
}
define_id! {
    /// The id of an identity: the link between a subject at an identity provider and a user.
    IdentityId
}
define_id! {
    /// The id of an invite.
    InviteId
}
define_id! {
    /// The id of a job.
    JobId
}
define_id! {
    /// The id of a principal: a person or machine that can have memberships.
    PrincipalId
}
define_id! {
    /// The id of a role that a tenant made.
    RoleId
}
define_id! {
    /// The id of a service account. It is the id of a principal too ([`Principal::service_account`](crate::auth::Principal::service_account)).
    ServiceAccountId
}
define_id! {
    /// The id of a tenant.
    TenantId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_accepted_in_either_case() {
        let id = TenantId::generate();
        assert_eq!(TenantId::parse(&id.to_string()), Some(id));
        assert_eq!(TenantId::parse(&id.to_string().to_uppercase()), Some(id));
        for other in [
            id.as_uuid().simple().to_string(),
            id.as_uuid().braced().to_string(),
            id.as_uuid().urn().to_string(),
            format!(" {id}"),
            format!("{id}0"),
            String::new(),
            "é".repeat(18),
        ] {
            assert_eq!(TenantId::parse(&other), None, "{other}");
        }
    }
}
