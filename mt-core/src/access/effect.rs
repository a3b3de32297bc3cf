//! What a permission lets a transaction do, as types that the compiler checks.

/// What a permission lets a transaction do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Read rows.
    Read,
    /// Read and change rows.
    Write,
}

/// The effect of a permission: [`Reads`] or [`Writes`], as [`Permission::Effect`](super::Permission::Effect).
pub trait PermissionEffect: private::Sealed + Send + Sync + 'static {
    /// The same as a value.
    const VALUE: Effect;
}

/// It reads rows. A transaction that is opened with such a permission is `read only` in Postgres.
#[derive(Clone, Copy, Debug)]
pub enum Reads {}

/// It reads and changes rows.
#[derive(Clone, Copy, Debug)]
pub enum Writes {}

impl PermissionEffect for Reads {
    const VALUE: Effect = Effect::Read;
}

impl PermissionEffect for Writes {
    const VALUE: Effect = Effect::Write;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::Reads {}
    impl Sealed for super::Writes {}
}
