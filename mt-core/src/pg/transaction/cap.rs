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
/// [`model!`](crate::model!) declares one in a line: `Projects of app.projects { Free: 3, Team: none }`. By hand:
///
/// ```
/// mt_core::model! {
///     pub Acme;
///     roles Role { Owner = "owner" (owner) }
///     plans Plan { Free = "free" (initial), Team = "team" }
///     permissions Action { ProjectsCreate = "projects.create" [yes] [yes yes] required write; }
/// }
///
/// use mt_core::pg::Resource;
///
/// /// Three projects that are not archived on the free plan.
/// struct Projects;
///
/// impl Resource for Projects {
///     type Model = Acme;
///     const NAME: &'static str = "projects";
///     const ROWS: &'static str =
///         "select 1 from app.projects where tenant_id = (select mt.tenant_id()) and archived_at is null";
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

/// A plan's cap on `R`, and how many there were when the transaction began
/// ([`Begin::capped`](crate::pg::Begin::capped)).
#[must_use = "a permit is what the insert asks for"]
pub struct Cap<R: Resource> {
    most: Option<u32>,
    used: Option<u32>,
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> Cap<R> {
    // INVARIANT: `used` was counted under the lock, or there is no cap.
    pub(in crate::pg) const fn counted(most: Option<u32>, used: Option<u32>) -> Self {
        Self { most, used, resource: PhantomData }
    }

    /// The permit for one more.
    ///
    /// Ask for it after you have looked at what the new row refers to: a task in a project that does not exist is not
    /// found, whether or not the cap is reached.
    ///
    /// # Errors
    ///
    /// [`CapReached`].
    pub fn permit(self) -> Result<CapPermit<R>, CapReached> {
        match (self.most, self.used) {
            (None, _) => Ok(CapPermit::proven()),
            (Some(cap), Some(used)) if used < cap => Ok(CapPermit::proven()),
            // A cap without a count cannot be: the rows are counted wherever there is a cap.
            (Some(cap), _) => Err(CapReached { resource: R::NAME, cap }),
        }
    }
}

impl<R: Resource> fmt::Debug for Cap<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cap").field("most", &self.most).field("used", &self.used).finish()
    }
}

/// Proof that the plan allowed one more `R`, under a lock that lasts as long as the transaction.
///
/// An insert that asks for a `CapPermit<R>` by value cannot be reached without the count, and not twice on one count.
#[must_use = "a permit is proof of a count; hand it to the insert"]
pub struct CapPermit<R: Resource> {
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> CapPermit<R> {
    // INVARIANT: called where the count was taken under the lock, or where there is no cap.
    const fn proven() -> Self {
        Self { resource: PhantomData }
    }

    /// States that one more is allowed, without a count.
    ///
    /// Named so that it can be found. For resources that an embedder counts by other means.
    pub const fn assertion() -> Self {
        Self::proven()
    }
}

impl<R: Resource> fmt::Debug for CapPermit<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapPermit").field("resource", &R::NAME).finish()
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
