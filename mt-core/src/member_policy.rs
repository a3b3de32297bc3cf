//! Rules for inviting members, assigning roles and removing members.
//!
//! The rules are pure and are asked three times over: when an invite is made, when a role is
//! assigned, and again when an invite is accepted, with the inviter's role *at that moment*.
//!
//! Beside the rules of the application there is one law, over sets of permissions: a change is made only by a caller who
//! holds each set that it is about. Those are the set that it hands out and, of a custom role, also the set that it takes
//! away. So a member never holds a permission that the one who gave it did not hold.

use crate::access::{AccessModel, PermissionSet};
use crate::text_enum::TextEnum as _;

/// The part of an [`AccessModel`] that is about the members themselves.
///
/// Whatever it says, a caller hands out no more than they hold: `mt-core` refuses to invite as, or to assign, a role whose
/// permissions are not a subset of the caller's. [`unsound_rules`] lists such rules. A custom role counts as the role that
/// it is based on in these rules, and as its own set in that check. Where a service account acts on behalf of a member, the
/// rules have to allow it to both roles.
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

/// Whether a caller who holds `held` may make a change that is about `sets`: only if they hold each of them.
#[cfg(feature = "postgres")]
pub(crate) fn holds_each<M: AccessModel>(
    held: PermissionSet<M>,
    sets: impl IntoIterator<Item = PermissionSet<M>>,
) -> bool {
    sets.into_iter().all(|set| set.is_subset_of(held))
}

/// Returns the rules by which a member would hand out more than they hold, a sentence for each. A test expects none.
///
/// ```
/// mt_core::model! {
///     pub Shop;
///     roles Role { Owner = "owner" (owner), Clerk = "clerk", Auditor = "auditor" }
///     plans Plan { Free = "free" (initial) }
///     permissions Action {
///         OrdersRead = "orders.read" [yes yes yes] [yes] exempt read;
///         LogRead = "log.read"       [yes no  yes] [yes] exempt read;
///     }
///     members {
///         Owner invites [Clerk, Auditor];
///         Clerk invites [Auditor];
///     }
/// }
///
/// let unsound = mt_core::member_policy::unsound_rules::<Shop>();
/// assert_eq!(unsound, ["clerk may invite as auditor, which has `log.read`"]);
/// ```
#[must_use]
pub fn unsound_rules<M: MemberPolicy>() -> Vec<String> {
    let mut unsound = Vec::new();
    for by in M::Role::ALL {
        for role in M::Role::ALL {
            let held = PermissionSet::<M>::of_role(*by);
            let lacking = PermissionSet::of_role(*role).difference(held).iter().next();
            let Some(lacking) = lacking else { continue };
            let may_assign = M::Role::ALL.iter().any(|from| M::may_assign(*by, *from, *role));
            for (rule, may) in [("invite as", M::may_invite(*by, *role)), ("assign", may_assign)] {
                if may {
                    unsound.push(format!(
                        "{} may {rule} {}, which has `{}`",
                        by.as_str(),
                        role.as_str(),
                        lacking.as_str()
                    ));
                }
            }
        }
    }
    unsound
}
