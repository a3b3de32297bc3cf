//! Whether changes need audit entries, as types that the compiler checks.

use super::model::Permission;

/// Whether the changes of a model need audit entries: [`Audited`] or [`Unaudited`], as
/// [`AccessModel::Auditing`](super::AccessModel::Auditing).
pub trait Auditing: private::Sealed + Send + Sync + 'static {
    /// Whether they do.
    const REQUIRES_ENTRIES: bool;
}

/// Each change in a tenant needs an audit entry.
///
/// A statement that writes without an entry does not compile: `TenantTx::query` takes permissions that [need
/// none](NeedsNoEntry), and `TenantTx::execute` asks for the entry.
#[derive(Clone, Copy, Debug)]
pub enum Audited {}

/// Changes in a tenant may have audit entries, and need none.
#[derive(Clone, Copy, Debug)]
pub enum Unaudited {}

impl Auditing for Audited {
    const REQUIRES_ENTRIES: bool = true;
}

impl Auditing for Unaudited {
    const REQUIRES_ENTRIES: bool = false;
}

/// A permission whose statements need no audit entry in a model whose auditing is `A`.
///
/// In an [`Unaudited`] model each permission is one. In an [`Audited`] model those are that only read:
/// [`model!`](crate::model!) implements the trait for them, and beside a [`Permission`] that is written by hand it is one
/// line. For a permission that writes, that line fails the build at the first query.
///
/// ```
/// use mt_core::access::{NeedsNoEntry, Permission};
///
/// mt_core::model! {
///     pub Notebook: audited;
///     roles Role { Owner = "owner" (owner) }
///     plans Plan { Free = "free" (initial) }
///     permissions Action {
///         NotesRead = "notes.read" [yes] [yes] exempt read;
///         NotesWrite = "notes.write" [yes] [yes] required write;
///     }
/// }
///
/// fn query<P: NeedsNoEntry>() {}
/// query::<NotesRead>();
/// ```
#[diagnostic::on_unimplemented(
    message = "a statement under `{Self}` may change rows, and each change in this model needs an audit entry",
    label = "takes permissions that only read",
    note = "to change rows, use `tx.execute::<{Self}>(entry)`",
    note = "to lock rows, or to change rows that need no entry, use `tx.execute_unaudited::<{Self}>()`"
)]
pub trait NeedsNoEntry<A: Auditing = Audited>: Permission {}

impl<P: Permission> NeedsNoEntry<Unaudited> for P {}

mod private {
    pub trait Sealed {}
    impl Sealed for super::Audited {}
    impl Sealed for super::Unaudited {}
}
