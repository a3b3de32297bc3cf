//! Caps: the most of a resource that a plan allows, exact under any number of concurrent creates.
//!
//! The tenant row is the mutex. The message that opens a capped transaction locks it in one
//! statement and counts in the next, at READ COMMITTED, so the count sees everything that the holder
//! before us committed. The plausible alternatives are all wrong under load: counting and then
//! inserting, counting inside the insert, locking in the same statement as the count, a shared lock,
//! REPEATABLE READ with or without a lock.
//!
//! Plans without a cap do not lock and do not count.

use std::fmt;
use std::marker::PhantomData;

use crate::access::AccessModel;

/// Something that a plan allows so many of in a tenant.
///
/// # Example
///
/// ```
/// # use mt_core::access::AccessModel;
/// # use mt_core::word::Word;
/// # #[derive(Clone, Copy, Debug, PartialEq, Eq)] enum Plan { Free, Team }
/// # impl Word for Plan {
/// #     const ALL: &'static [Self] = &[Self::Free, Self::Team];
/// #     fn as_str(self) -> &'static str { match self { Self::Free => "free", Self::Team => "team" } }
/// # }
/// # #[derive(Clone, Copy, Debug, PartialEq, Eq)] enum Role { Owner }
/// # impl Word for Role {
/// #     const ALL: &'static [Self] = &[Self::Owner];
/// #     fn as_str(self) -> &'static str { "owner" }
/// # }
/// # struct Acme;
/// # impl AccessModel for Acme {
/// #     type Role = Role; type Plan = Plan; type Permission = Role;
/// #     fn role_grants(_: Role, _: Role) -> bool { true }
/// #     fn plan_includes(_: Plan, _: Role) -> bool { true }
/// # }
/// use mt_core::pg::Resource;
///
/// /// Three projects on the free plan.
/// struct Projects;
///
/// impl Resource for Projects {
///     type Model = Acme;
///     const NAME: &'static str = "projects";
///     const ROWS: &'static str =
///         "select 1 from app.projects where tenant_id = (select mt.tenant_id())";
///     fn cap(plan: Plan) -> Option<u32> {
///         match plan {
///             Plan::Free => Some(3),
///             Plan::Team => None,
///         }
///     }
/// }
/// ```
pub trait Resource: Send + Sync + 'static {
    /// The application it belongs to.
    type Model: AccessModel;
    /// What messages call it.
    const NAME: &'static str;
    /// A `select` with one row for each one that counts, in the transaction's own tenant. Name the
    /// tenant in it (`mt.tenant_id()`): row-level security is the second line, not the first.
    const ROWS: &'static str;
    /// The most that `plan` allows; `None` for no cap.
    fn cap(plan: <Self::Model as AccessModel>::Plan) -> Option<u32>;
}

/// Proof that there was room for one more `R`, under a lock that lasts as long as the transaction.
///
/// An insert that asks for `Room<R>` by value cannot be reached without the count, and not twice on
/// one count.
#[must_use = "room is proof of a count; hand it to the insert"]
pub struct Room<R: Resource> {
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> Room<R> {
    // INVARIANT: called where the count was taken under the lock, or where there is no cap.
    pub(super) const fn proven() -> Self {
        Self { resource: PhantomData }
    }

    /// States that one more is allowed, without a count.
    ///
    /// Named so that it can be found. For resources that an embedder counts by other means.
    pub const fn assertion() -> Self {
        Self::proven()
    }
}

impl<R: Resource> fmt::Debug for Room<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("resource", &R::NAME).finish()
    }
}

/// The plan allows no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the plan allows at most {cap} {resource}")]
pub struct CapReached {
    /// [`Resource::NAME`].
    pub resource: &'static str,
    /// The most that the plan allows.
    pub cap: u32,
}

/// The decision: whether one more fits beside `used`.
pub(super) const fn room<R: Resource>(
    cap: Option<u32>,
    used: Option<u32>,
) -> Result<Room<R>, CapReached> {
    match (cap, used) {
        (None, _) => Ok(Room::proven()),
        (Some(cap), Some(used)) if used < cap => Ok(Room::proven()),
        // A cap without a count cannot be: the caller counts wherever there is a cap.
        (Some(cap), _) => Err(CapReached { resource: R::NAME, cap }),
    }
}
