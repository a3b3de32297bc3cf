//! Who did it.

use std::fmt;

use uuid::Uuid;

use crate::auth::{Principal, PrincipalKind};
use crate::id::PrincipalId;
use crate::pg::SystemReason;
use crate::text_enum::TextEnum as _;

/// The longest name that is kept.
const LONGEST: usize = 255;

/// Who has changed something, and through which keys and service accounts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Actor {
    kind: ActorKind,
    id: Option<PrincipalId>,
    name: Option<String>,
    via: Vec<Link>,
}

/// What a principal acted through: a link of the chain between a principal and a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Link {
    pub(super) kind: &'static str,
    pub(super) id: Uuid,
}

crate::text_enum! {
    /// The kind of actor.
    pub enum ActorKind {
        /// A person.
        User = "user",
        /// A service account.
        ServiceAccount = "service_account",
        /// A person who runs the service.
        Operator = "operator",
        /// A provider whose event was applied.
        Provider = "provider",
        /// The application itself, for a reason that it names.
        System = "system",
        /// A declared service of the application.
        Service = "service",
    }
}

impl Actor {
    /// A principal, with the service account that acts on its behalf and the API key that is its credential.
    #[must_use]
    pub fn of(principal: Principal) -> Self {
        let kind = match principal.kind() {
            PrincipalKind::User => ActorKind::User,
            PrincipalKind::ServiceAccount => ActorKind::ServiceAccount,
        };
        let account =
            principal.actor().map(|id| Link { kind: "service_account", id: id.as_uuid() });
        let key = principal.key().map(|id| Link { kind: "api_key", id: id.as_uuid() });
        let via = account.into_iter().chain(key).collect();
        Self { kind, id: Some(principal.id()), name: None, via }
    }

    /// An operator, by whatever tells one from another.
    #[must_use]
    pub fn operator(name: &str) -> Self {
        Self::named(ActorKind::Operator, name)
    }

    /// A provider, with the event that it sent.
    #[must_use]
    pub fn provider(name: &str, event: &str) -> Self {
        Self::named(ActorKind::Provider, &format!("{name} {event}"))
    }

    /// The service itself.
    #[must_use]
    pub fn system(reason: SystemReason) -> Self {
        Self::named(ActorKind::System, &reason.to_string())
    }

    /// A declared [`Service`](crate::access::Service), by its name.
    #[must_use]
    pub fn service(name: &'static str) -> Self {
        Self::named(ActorKind::Service, name)
    }

    /// Names come from outside: control characters go, and so does what is too long.
    fn named(kind: ActorKind, name: &str) -> Self {
        let mut clean: String = name.chars().filter(|c| !c.is_control()).collect();
        clean.truncate(clean.floor_char_boundary(LONGEST));
        Self { kind, id: None, name: Some(clean), via: Vec::new() }
    }

    /// The kind of actor.
    #[must_use]
    pub const fn kind(&self) -> ActorKind {
        self.kind
    }

    pub(super) fn id(&self) -> Option<Uuid> {
        self.id.map(PrincipalId::as_uuid)
    }

    /// The chain from the principal to the request, in its order.
    pub(super) fn via(&self) -> &[Link] {
        &self.via
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        if let Some(id) = self.id {
            write!(f, " {id}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        for Link { kind, id } in &self.via {
            write!(f, " via {kind} {id}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_outside_fits_and_is_one_line() {
        let actor = Actor::operator(&format!("a\0b\nc{}", "é".repeat(300)));
        let name = actor.name().unwrap();
        assert!(name.starts_with("abcé") && name.len() <= LONGEST, "{name}");
        assert_eq!(Actor::provider("stripe", "evt_1").to_string(), "provider stripe evt_1");
    }
}
