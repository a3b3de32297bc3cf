//! Requests, answers and tenants, in the words of no framework.

use uuid::Uuid;

use crate::id::TenantId;
use crate::token::SecretToken;

/// A request to the application under test.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET`, `POST` and so on.
    pub method: &'static str,
    /// The path, filled in.
    pub path: String,
    /// What goes into `Authorization: Bearer`.
    pub bearer: String,
    /// A body of JSON.
    pub body: Option<String>,
}

/// What the application answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case, with values.
    pub headers: Vec<(String, String)>,
    /// The body, as it came.
    pub body: Vec<u8>,
}

/// One of the two tenants: who is in it, and what it has.
#[derive(Clone, Debug)]
pub struct Party {
    pub(super) tenant: TenantId,
    pub(super) canary: String,
    pub(super) people: Vec<(&'static str, String)>,
    pub(super) ids: Vec<(&'static str, Uuid)>,
}

impl Party {
    /// A tenant that somebody has made.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        // 256 random bits: nobody else says that by chance.
        let canary = format!("canary-{}", SecretToken::generate().reveal());
        Self { tenant, canary, people: Vec::new(), ids: Vec::new() }
    }

    /// The text to put into everything that this tenant stores.
    #[must_use]
    pub fn canary(&self) -> &str {
        &self.canary
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Somebody in the tenant, by a name for messages and a bearer token.
    #[must_use]
    pub fn person(mut self, name: &'static str, bearer: impl Into<String>) -> Self {
        self.people.push((name, bearer.into()));
        self
    }

    /// Something that the tenant has, to fill `{slot}` of a path or a body with.
    #[must_use]
    pub fn id(mut self, slot: &'static str, id: Uuid) -> Self {
        self.ids.push((slot, id));
        self
    }

    /// What fills a slot; `{tenant}` is the tenant.
    pub(super) fn fill(&self, slot: &str) -> Option<Uuid> {
        match slot {
            "tenant" => Some(self.tenant.as_uuid()),
            _ => self.ids.iter().find(|(name, _)| *name == slot).map(|(_, id)| *id),
        }
    }
}
