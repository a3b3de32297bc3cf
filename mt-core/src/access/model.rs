//! What an embedder writes: its vocabulary, its two tables, and a type for each permission.

use super::auditing::Auditing;
use super::effect::PermissionEffect;
use crate::text_enum::TextEnum;

/// What roles, plans and permissions mean in one application.
///
/// Write both functions as an exhaustive `match` without a `_` arm: a permission added later then
/// fails to compile until both functions decide about it.
pub trait AccessModel: Send + Sync + 'static {
    /// A role that a membership can carry.
    type Role: TextEnum;
    /// A plan that a tenant can be on.
    type Plan: TextEnum;
    /// The closed list of permissions, for tables and messages.
    type Permission: TextEnum;
    /// Whether each change in a tenant needs an audit entry: [`Audited`](super::Audited) or
    /// [`Unaudited`](super::Unaudited). No default: leaving it out does not compile. See `pg::audit_log`.
    type Auditing: Auditing;

    /// The plan of new tenants.
    const INITIAL_PLAN: Self::Plan;

    /// Whether `role` carries `permission`.
    fn role_grants(role: Self::Role, permission: Self::Permission) -> bool;

    /// Whether `plan` includes the feature behind `permission`.
    fn plan_includes(plan: Self::Plan, permission: Self::Permission) -> bool;

    /// Whether holders of `role` may use the connection that each tenant keeps in reserve for its owners
    /// ([`shares`](crate::shares)), so that they can act while others use up the tenant's share. By
    /// default, no role is an owner's.
    fn is_owner(role: Self::Role) -> bool {
        let _ = role;
        false
    }
}

/// A permission as a type, so that a function can ask for it in its signature.
pub trait Permission: Send + Sync + 'static {
    /// The application it belongs to.
    type Model: AccessModel;
    /// The same permission as a value.
    const KEY: <Self::Model as AccessModel>::Permission;
    /// Whether an unpaid tenant still has it. No default: leaving it out does not compile.
    const BILLING: Billing;
    /// Whether it covers writing: [`Reads`](super::Reads) or [`Writes`](super::Writes). No default: leaving it out does
    /// not compile. A transaction opened for reading is `read only` in Postgres.
    type Effect: PermissionEffect;
}

/// `Self` is enough wherever `Q` is asked for.
///
/// Every permission implies itself. Declaring more is a promise about the role table, which
/// [`AccessModel`] tests should check row by row.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not cover `{Q}`",
    note = "authorize the permission that this query asks for, or declare `impl Implies<{Q}> for {Self}`"
)]
pub trait Implies<Q: Permission>: Permission<Model = Q::Model> {}

impl<P: Permission> Implies<P> for P {}

/// How a permission depends on payment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Billing {
    /// Usable by a lapsed tenant: reading, shrinking, leaving, paying.
    Exempt,
    /// Needs a plan that includes it, in good standing.
    Required,
}
