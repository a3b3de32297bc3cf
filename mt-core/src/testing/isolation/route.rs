//! A route under test.

use serde_json::Value;

use super::fixture::TenantFixture;

/// A route of the application, with slots in braces: `/shops/{tenant}/tickets/{ticket}`.
///
/// `{tenant}` is the tenant; other slots are those of [`TenantFixture::id`]. By default the check requires that a
/// member can call the route, that a read shows the tenant's canary, and that a write changes rows of the tenant.
#[derive(Clone, Debug)]
#[must_use]
pub struct Route {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body: Option<String>,
    pub(super) is_silent: bool,
    pub(super) is_exempt: bool,
}

impl Route {
    /// Creates a route. `path` may have a query, such as `?q=canary`: all canaries begin with that word.
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        let (method, path) = (method.into(), path.into());
        Self { method, path, body: None, is_silent: false, is_exempt: false }
    }

    /// Sets a body that the route accepts. Its texts may be slots: `json!({"assignee": "{user}"})`.
    #[expect(clippy::needless_pass_by_value, reason = "called with `json!`")]
    pub fn json(mut self, body: Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    /// Declares that a read shows no canary or that a write changes no row of the tenant. `reason` is for readers of
    /// the code.
    pub fn silent(mut self, reason: &'static str) -> Self {
        debug_assert!(!reason.is_empty(), "state why the route is silent");
        self.is_silent = true;
        self
    }

    /// Declares that the route belongs to no tenant: its responses are searched for data of tenants, but it need not
    /// work. `reason` is for readers of the code.
    pub fn exempt(mut self, reason: &'static str) -> Self {
        debug_assert!(!reason.is_empty(), "state why the route is exempt");
        self.is_exempt = true;
        self
    }

    /// Returns whether the method may change data (RFC 9110 §9.2.1).
    pub(super) fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }

    /// Returns whether the path names the tenant.
    pub(super) fn names_tenant(&self) -> bool {
        self.path.contains("{tenant}")
    }

    /// Returns the slots of path and body that one of the two tenants can fill.
    pub(super) fn slots(&self, a: &TenantFixture, b: &TenantFixture) -> Vec<&'static str> {
        let mut slots: Vec<&'static str> = a.slots().chain(b.slots()).collect();
        slots.sort_unstable();
        slots.dedup();
        slots.retain(|slot| {
            let place = format!("{{{slot}}}");
            self.path.contains(&place) || self.body.as_ref().is_some_and(|b| b.contains(&place))
        });
        slots
    }

    /// Returns method, path and body, as findings and the matrix show them.
    pub(super) fn name(&self) -> String {
        let name = format!("{} {}", self.method, self.path);
        match &self.body {
            Some(body) => format!("{name} {body}"),
            None => name,
        }
    }
}
