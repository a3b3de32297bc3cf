//! Who may hand out, change and take away which role.
//!
//! The rules are pure and are asked three times over: when an invite is made, when a role is
//! assigned, and again when an invite is accepted, with the inviter's role *at that moment*.

use crate::access::AccessModel;

/// The part of an [`AccessModel`] that is about the members themselves.
///
/// A sound implementation never lets anybody grant a role above their own.
pub trait Roster: AccessModel {
    /// The role that at least one member must carry, always.
    const OWNER: Self::Role;

    /// Whether a holder of `by` may invite somebody as `role`.
    fn may_invite(by: Self::Role, role: Self::Role) -> bool;

    /// Whether a holder of `by` may change a member's role from `from` to `to`.
    fn may_assign(by: Self::Role, from: Self::Role, to: Self::Role) -> bool;

    /// Whether a holder of `by` may remove somebody else whose role is `member`. Leaving is
    /// always allowed, except for the last owner.
    fn may_remove(by: Self::Role, member: Self::Role) -> bool;
}
