//! The whole policy of the test model as a committed table, and the laws behind every policy.
//!
//! The table is `policy.txt` beside this file. A change to a role, a plan, a permission or to the
//! decision itself shows up as a change to it, to be read in review; `MT_BLESS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use mt_core::access::{
    Access, AccessModel, Billing, Denied, Effect, Facts, Implies, Permission,
    PermissionEffect as _, PermissionSet, Reads, Suspension, Unaudited, Writes,
};
use mt_core::auth::Principal;
use mt_core::billing::{Standing, StandingPolicy, SubscriptionStatus};
use mt_core::id::{PrincipalId, TenantId};
use mt_core::text_enum::TextEnum as _;
use proptest::prelude::*;

use crate::support::{Acme, Leave, Manage, NotesRead, NotesWrite, Perm};

/// One marker type, with what has to be asked of it.
struct Marker<M: AccessModel> {
    key: M::Permission,
    billing: Billing,
    effect: Effect,
    check: fn(&Access<M>) -> Result<(), Denied>,
    authorize: fn(&Access<M>) -> Result<(), Denied>,
}

impl<M: AccessModel> Marker<M> {
    const fn of<P: Permission<Model = M>>() -> Self {
        Self {
            key: P::KEY,
            billing: P::BILLING,
            effect: P::Effect::VALUE,
            check: |access| access.check::<P>(),
            authorize: |access| access.authorize::<P>().map(drop),
        }
    }
}

const MARKERS: [Marker<Acme>; 4] = [
    Marker::of::<Leave>(),
    Marker::of::<Manage>(),
    Marker::of::<NotesRead>(),
    Marker::of::<NotesWrite>(),
];

fn access<M: AccessModel>(facts: Facts<M>) -> Access<M> {
    let principal = Principal::new(PrincipalId::generate());
    Access::assertion(TenantId::generate(), principal, facts)
}

fn answer(decided: Result<(), Denied>) -> &'static str {
    match decided {
        Ok(()) => "granted",
        Err(Denied::Forbidden) => "forbidden",
        Err(Denied::PaymentRequired) => "payment",
        Err(Denied::Suspended) => "suspended",
        Err(_) => "?",
    }
}

/// Every combination of facts, a line for each and a column for each standing.
fn table() -> String {
    let mut table = format!("{:12} {:7} {:5} {:10}", "permission", "role", "plan", "suspension");
    for standing in Standing::ALL {
        _ = write!(table, " {:9}", standing.as_str());
    }
    for marker in &MARKERS {
        table.push('\n');
        for &role in <Acme as AccessModel>::Role::ALL {
            for &plan in <Acme as AccessModel>::Plan::ALL {
                for &suspension in Suspension::ALL {
                    let mut line = format!(
                        "\n{:12} {:7} {:5} {:10}",
                        marker.key.as_str(),
                        role.as_str(),
                        plan.as_str(),
                        suspension.as_str()
                    );
                    for &standing in Standing::ALL {
                        let facts = Facts { suspension, ..Facts::new(role, plan, standing) };
                        _ = write!(line, " {:9}", answer((marker.check)(&access(facts))));
                    }
                    table.push_str(line.trim_end());
                }
            }
        }
    }
    table.push('\n');
    table
}

#[test]
fn policy_matches_the_committed_table() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/access/policy.txt");
    let now = table();
    if std::env::var_os("MT_BLESS").is_some() {
        std::fs::write(&committed, &now).unwrap();
    }
    let then = std::fs::read_to_string(&committed).unwrap_or_default();
    for (line, (then, now)) in then.lines().zip(now.lines()).enumerate() {
        assert_eq!(then, now, "line {} of policy.txt; MT_BLESS=1 accepts it", line + 1);
    }
    assert_eq!(then, now, "policy.txt is longer or shorter; MT_BLESS=1 accepts it");
}

#[test]
fn each_permission_is_one_marker_type_and_each_marker_is_in_the_list() {
    for word in Perm::ALL {
        let of_word = MARKERS.iter().filter(|marker| marker.key == *word).count();
        assert_eq!(of_word, 1, "`{}` has {of_word} marker types", word.as_str());
    }
    for marker in &MARKERS {
        assert!(Perm::ALL.contains(&marker.key), "`{}` is not in the list", marker.key.as_str());
    }
}

/// An implication promises that a role with the one permission has the other.
#[test]
fn roles_with_a_permission_have_the_implied_ones_too() {
    fn holds<P: Permission<Model = Acme> + Implies<Q>, Q: Permission<Model = Acme>>() {
        for &role in <Acme as AccessModel>::Role::ALL {
            assert!(
                !Acme::role_grants(role, P::KEY) || Acme::role_grants(role, Q::KEY),
                "`{}` carries `{}` without `{}`",
                role.as_str(),
                P::KEY.as_str(),
                Q::KEY.as_str()
            );
        }
    }
    holds::<NotesWrite, NotesRead>();
}

// The laws. A decision looks at a model through two answers only, whether the role carries the
// permission and whether the plan includes it. So a model in which those two answers are the role and
// the plan stands for every model, and its 288 cases for every decision that there is.

mt_core::text_enum! {
    enum Answer { Yes = "yes", No = "no" }
}

#[derive(Debug)]
struct AnyModel;

impl AccessModel for AnyModel {
    type Role = Answer;
    type Plan = Answer;
    type Permission = Answer;
    type Auditing = Unaudited;
    const INITIAL_PLAN: Answer = Answer::Yes;

    fn role_grants(role: Answer, _: Answer) -> bool {
        role == Answer::Yes
    }

    fn plan_includes(plan: Answer, _: Answer) -> bool {
        plan == Answer::Yes
    }
}

macro_rules! any_permission {
    ($name:ident, $billing:ident, $effect:ident) => {
        struct $name;
        impl Permission for $name {
            type Model = AnyModel;
            type Effect = $effect;
            const KEY: Answer = Answer::Yes;
            const BILLING: Billing = Billing::$billing;
        }
    };
}
any_permission!(ExemptRead, Exempt, Reads);
any_permission!(ExemptWrite, Exempt, Writes);
any_permission!(RequiredRead, Required, Reads);
any_permission!(RequiredWrite, Required, Writes);

const EVERY_KIND: [Marker<AnyModel>; 4] = [
    Marker::of::<ExemptRead>(),
    Marker::of::<ExemptWrite>(),
    Marker::of::<RequiredRead>(),
    Marker::of::<RequiredWrite>(),
];

/// Calls `law` with every kind of permission and all facts.
fn for_all(law: impl Fn(&Marker<AnyModel>, Facts<AnyModel>)) {
    let mut cases = 0;
    for marker in &EVERY_KIND {
        for &role in Answer::ALL {
            for &plan in Answer::ALL {
                for &standing in Standing::ALL {
                    for &suspension in Suspension::ALL {
                        for limit in [PermissionSet::all(), PermissionSet::empty()] {
                            let facts = Facts::new(role, plan, standing);
                            law(marker, Facts { suspension, limit, ..facts });
                            cases += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(cases, 288);
}

fn granted(marker: &Marker<AnyModel>, facts: Facts<AnyModel>) -> bool {
    (marker.check)(&access(facts)).is_ok()
}

#[test]
fn checking_and_authorizing_decide_alike() {
    for_all(|marker, facts| {
        let access = access(facts);
        assert_eq!((marker.check)(&access), (marker.authorize)(&access), "{facts:?}");
    });
}

#[test]
fn limit_of_a_credential_never_adds_permissions() {
    for_all(|marker, facts| {
        let unlimited = Facts { limit: PermissionSet::all(), ..facts };
        let expected = facts.limit.contains(marker.key) && granted(marker, unlimited);
        assert_eq!(granted(marker, facts), expected, "{facts:?}");
        assert!(facts.permissions().is_subset_of(unlimited.permissions()), "{facts:?}");
    });
}

#[test]
fn overdue_payment_never_adds_permissions() {
    for_all(|marker, facts| {
        for better in [Standing::Good, Standing::Grace] {
            let paid = Facts { standing: better, ..facts };
            assert!(!granted(marker, facts) || granted(marker, paid), "{facts:?}");
        }
    });
}

#[test]
fn exempt_permission_depends_neither_on_standing_nor_on_plan() {
    for_all(|marker, facts| {
        if marker.billing != Billing::Exempt {
            return;
        }
        let decided = (marker.check)(&access(facts));
        for &standing in Standing::ALL {
            for &plan in Answer::ALL {
                let other = Facts { standing, plan, ..facts };
                assert_eq!((marker.check)(&access(other)), decided, "{facts:?}, {other:?}");
            }
        }
    });
}

#[test]
fn suspension_never_widens_and_a_full_one_stops_everything() {
    for_all(|marker, facts| {
        let read_only = Facts { suspension: Suspension::ReadOnly, ..facts };
        let full = Facts { suspension: Suspension::Full, ..facts };
        let none = Facts { suspension: Suspension::None, ..facts };
        assert!(!granted(marker, full), "{facts:?}");
        assert!(!granted(marker, read_only) || granted(marker, none), "{facts:?}");
        if marker.effect == Effect::Write {
            assert!(!granted(marker, read_only), "{facts:?}");
        } else {
            assert_eq!(granted(marker, read_only), granted(marker, none), "{facts:?}");
        }
    });
}

#[test]
fn missing_role_is_reported_before_payment() {
    for_all(|marker, facts| {
        if facts.role == Answer::No {
            let decided = (marker.check)(&access(facts));
            assert_ne!(decided, Ok(()), "{facts:?}");
            assert_ne!(decided, Err(Denied::PaymentRequired), "{facts:?}");
        }
    });
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
}

/// The place of a standing in the list, which goes from good to bad.
fn rank(standing: Standing) -> Option<usize> {
    Standing::ALL.iter().position(|known| *known == standing)
}

proptest! {
    /// Time alone never mends a standing, and grace ends exactly when it was said to end.
    #[test]
    fn grace_period_never_grows(
        grace in 0_u32..5_000_000,
        age in 0_i64..10_000_000,
        later in 0_i64..10_000_000,
    ) {
        let policy = StandingPolicy::default().with_grace(Duration::from_secs(grace.into()));
        let standing = |age| policy.standing(&SubscriptionStatus::PastDue, Some(at(0)), at(age));
        prop_assert!(rank(standing(age)) <= rank(standing(age + later)));
        let expected = if age < grace.into() { Standing::Grace } else { Standing::Lapsed };
        prop_assert_eq!(standing(age), expected);
    }

    /// Any status that a provider sends, at any time: only a blocking status changes the standing.
    #[test]
    fn unknown_subscription_status_does_not_block(word in "[a-z_]{1,24}", since in proptest::option::of(-9_i64..9)) {
        let status = SubscriptionStatus::from_word(&word);
        let known = !matches!(status, SubscriptionStatus::Other(_));
        prop_assert_eq!(status.as_str(), word.as_str());
        let since = since.map(|days| at(0) + TimeDelta::days(days));
        let standing = StandingPolicy::default().standing(&status, since, at(0));
        prop_assert!(known || standing == Standing::Good);
    }
}
