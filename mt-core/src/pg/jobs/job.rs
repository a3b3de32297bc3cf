//! What a job is.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::JobAuthority;
use crate::access::{Permission, Writes};
use crate::pg::{Shared, TenantTx};

/// A kind of work in one tenant, with the data that it needs. `examples/helpdesk/src/purge.rs` in the repository has an
/// example, which `docs/jobs.md` explains.
///
/// The value is stored as JSON, and its transaction's tenant can read it: it holds no secrets. A release that is rolled out
/// meets jobs that the one before has enqueued, so fields are added with `#[serde(default)]`.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The permission that its transaction is opened under.
    type Permission: Permission<Effect = Writes>;
    /// Whose authority it has: [`AsPrincipal`](super::AsPrincipal), [`AsService`](super::AsService) or
    /// [`AsBoth`](super::AsBoth).
    type Authority: JobAuthority<Self::Permission>;
    /// The name of the kind: lower-case letters, digits, hyphens, underscores and dots. It is stored with each job, so it
    /// never changes.
    const NAME: &'static str;
}

/// The transaction that a job runs in: a member's for [`AsPrincipal`](super::AsPrincipal) and
/// [`AsBoth`](super::AsBoth), a service's for [`AsService`](super::AsService).
pub type JobTx<J> = TenantTx<
    <J as Job>::Permission,
    Shared,
    <<J as Job>::Authority as JobAuthority<<J as Job>::Permission>>::Acting,
>;

/// Whether a name is one of a kind: it becomes part of the text of statements.
pub(super) fn is_name(name: &str) -> bool {
    let is_plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    (1..=255).contains(&name.len()) && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_are_plain_words() {
        assert!(["report", "mail.send-2", "a_b"].into_iter().all(is_name));
        let others = ["", "Report", "a b", "a,b", "a\"", "{}", "é"];
        assert!(!others.into_iter().any(is_name) && !is_name(&"a".repeat(256)));
    }
}
