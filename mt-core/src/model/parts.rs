//! What the expansion of `model!` uses.

use crate::access::{Billing, Effect, Permission, PermissionEffect as _};

/// What a role may do with members.
#[derive(Debug)]
pub struct MemberRule<R: 'static> {
    /// The role.
    pub by: R,
    /// The roles that it may invite people as.
    pub invites: &'static [R],
    /// The roles that it may give and take.
    pub assigns: &'static [R],
    /// The roles whose members it may remove.
    pub removes: &'static [R],
}

/// Returns whether `left` is true wherever `right` has to be: where `left` holds, so does `right`.
#[must_use]
pub const fn holds_all(left: &[bool], right: &[bool]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] && !right[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Returns whether `P` needs payment and writes wherever `Q` does.
#[must_use]
pub const fn covers<P: Permission, Q: Permission>() -> bool {
    (matches!(P::BILLING, Billing::Required) || matches!(Q::BILLING, Billing::Exempt))
        && (matches!(P::Effect::VALUE, Effect::Write) || matches!(Q::Effect::VALUE, Effect::Read))
}
