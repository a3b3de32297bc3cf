//! What an embedder writes: its vocabulary, its two tables, and a type for each permission.

use crate::word::Word;

/// What roles, plans and permissions mean in one application.
///
/// Write both functions as an exhaustive `match` without a `_` arm: a permission added later then
/// fails to compile until somebody has decided about it.
pub trait AccessModel: Send + Sync + 'static {
    /// A role that a membership can carry.
    type Role: Word;
    /// A plan that a tenant can be on.
    type Plan: Word;
    /// The closed list of permissions, for tables and messages.
    type Permission: Word;

    /// Whether whatever changes a tenant says what to record of it. Then a statement that writes and names
    /// no entry does not compile: see `pg::audit_log`.
    const AUDITED: bool = false;

    /// Whether `role` carries `permission`.
    fn role_grants(role: Self::Role, permission: Self::Permission) -> bool;

    /// Whether `plan` includes the feature behind `permission`.
    fn plan_includes(plan: Self::Plan, permission: Self::Permission) -> bool;
}

/// A permission as a type, so that a function can ask for it in its signature.
pub trait Permission: Send + Sync + 'static {
    /// The application it belongs to.
    type Model: AccessModel;
    /// The same permission as a value.
    const KEY: <Self::Model as AccessModel>::Permission;
    /// Whether an unpaid tenant still has it. No default: leaving it out does not compile.
    const BILLING: Billing;
    /// Whether it covers writing. A transaction opened for reading is `read only` in Postgres.
    const EFFECT: Effect;
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

/// What a permission lets a transaction do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Read rows.
    Read,
    /// Read and change rows.
    Write,
}
