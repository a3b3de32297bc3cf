//! Identifiers, one type for each thing identified.
//!
//! All are `UUIDv7` (RFC 9562 §5.7): ordered by time of making, so that an index on them is walked
//! in order and a list needs no sort.

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
            /// Makes a fresh, time-ordered identifier.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// Names an existing row. There is no `From<Uuid>`: a bare UUID does not say
            /// what it identifies, so the caller has to.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Reads the hyphenated form, in either case, and no other: not the simple, braced or
            /// URN form, so that one thing has one spelling in paths, caches and logs.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text.len() {
                    uuid::fmt::Hyphenated::LENGTH => Uuid::try_parse(text).ok().map(Self),
                    _ => None,
                }
            }

            /// The value as stored.
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
    /// Identifies an invite.
    InviteId
}
define_id! {
    /// Identifies a person or machine that can hold memberships.
    PrincipalId
}
define_id! {
    /// Identifies a tenant.
    TenantId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_in_either_case() {
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
