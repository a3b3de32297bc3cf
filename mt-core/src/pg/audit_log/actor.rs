//! Who did it.

use std::fmt;

use uuid::Uuid;

use crate::id::PrincipalId;
use crate::pg::SystemReason;
use crate::text_enum::TextEnum as _;

/// The longest name that is kept.
const LONGEST: usize = 255;

/// Who has changed something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Actor {
    kind: ActorKind,
    id: Option<PrincipalId>,
    name: Option<String>,
}

crate::text_enum! {
    /// The kind of actor.
    pub enum ActorKind {
        /// A principal: a person, or a key of theirs.
        User = "user",
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
    /// A principal.
    #[must_use]
    pub const fn user(id: PrincipalId) -> Self {
        Self { kind: ActorKind::User, id: Some(id), name: None }
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
        Self { kind, id: None, name: Some(clean) }
    }

    /// The kind of actor.
    #[must_use]
    pub const fn kind(&self) -> ActorKind {
        self.kind
    }

    pub(super) fn id(&self) -> Option<Uuid> {
        self.id.map(PrincipalId::as_uuid)
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
