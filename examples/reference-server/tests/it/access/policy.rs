//! The policy of the server as a committed table, so that a change to it shows in a diff.

use mt_core::access::{Billing, Effect, Permission, PermissionEffect as _, PermissionSet};
use mt_core::member_policy::{MemberPolicy as _, unsound_rules};
use mt_core::testing::assert_file;
use mt_core::text_enum::TextEnum as _;
use reference_server::model::*;

#[test]
fn policy_matches_the_committed_table() {
    assert_file("tests/it/access/policy.txt", &Product::policy());
}

#[test]
fn members_hand_out_no_more_than_they_hold() {
    assert_eq!(unsound_rules::<Product>(), Vec::<String>::new());
    for by in Role::ALL {
        for member in Role::ALL {
            let [held, of_member] = [*by, *member].map(PermissionSet::<Product>::of_role);
            let outranks = of_member.is_subset_of(held);
            assert!(!Product::may_remove(*by, *member) || outranks, "{by:?} removes {member:?}");
        }
    }
}

#[test]
fn reads_are_never_gated_by_billing() {
    for row in Product::policy().to_string().lines().skip(1).take_while(|row| !row.is_empty()) {
        let words: Vec<_> = row.split_whitespace().collect();
        assert!(words[2] == "write" || words[1] == "yes", "{row}");
    }
    // The control: a row that is gated.
    assert_eq!(
        (TasksUpdate::BILLING, <TasksUpdate as Permission>::Effect::VALUE),
        (Billing::Required, Effect::Write)
    );
}
