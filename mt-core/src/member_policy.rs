//! Rules for inviting members, assigning roles and removing members.
//!
//! The rules are pure and are asked three times over: when an invite is made, when a role is
//! assigned, and again when an invite is accepted, with the inviter's role *at that moment*.

use crate::access::AccessModel;

/// The part of an [`AccessModel`] that is about the members themselves.
///
/// A sound implementation never lets a member grant a role above their own.
pub trait MemberPolicy: AccessModel {
    /// The role that at least one member must carry, always.
    const OWNER: Self::Role;

    /// Whether a holder of `by` may invite a person as `role`.
    fn may_invite(by: Self::Role, role: Self::Role) -> bool;

    /// Whether a holder of `by` may change a member's role from `from` to `to`.
    fn may_assign(by: Self::Role, from: Self::Role, to: Self::Role) -> bool;

    /// Whether a holder of `by` may remove another member whose role is `member`. Leaving is
    /// always allowed, except for the last owner.
    fn may_remove(by: Self::Role, member: Self::Role) -> bool;
}
