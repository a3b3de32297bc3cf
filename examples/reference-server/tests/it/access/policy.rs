//! The policy of the server as a committed table, so that a change to it shows in a diff.

use std::fmt::Write as _;
use std::path::Path;

use mt_core::access::{AccessModel as _, Billing, Effect, Implies, Permission};
use mt_core::member_policy::MemberPolicy as _;
use mt_core::pg::Resource;
use mt_core::text_enum::TextEnum as _;
use reference_server::model::{
    BillingManage, BillingRead, OrgRead, OrgUpdate, Perm, Plan, Product, Projects, Role, Seats,
    Tasks,
};

/// Where the committed table is. `MT_BLESS=1` writes it anew.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/access/policy.txt");

fn table() -> String {
    let mut out = String::new();
    let mark = |yes: bool| if yes { "yes" } else { "-" };
    _ = writeln!(out, "{:<18} {:<8} {:<6} owner  admin  member", "permission", "lapsed", "effect");
    for permission in Perm::ALL {
        let lapsed = match permission.billing() {
            Billing::Exempt => "yes",
            Billing::Required => "402",
            other => panic!("{other:?} has no word yet"),
        };
        let effect = match permission.effect() {
            Effect::Read => "read",
            Effect::Write => "write",
            other => panic!("{other:?} has no word yet"),
        };
        _ = write!(out, "{:<18} {lapsed:<8} {effect:<6}", permission.as_str());
        for role in Role::ALL {
            _ = write!(out, " {:<6}", mark(Product::role_grants(*role, *permission)));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    for (title, rule) in [
        ("may invite as", Product::may_invite as fn(Role, Role) -> bool),
        ("may assign", |by, to| Product::may_assign(by, Role::Member, to)),
        ("may remove", Product::may_remove),
    ] {
        out.push('\n');
        for by in Role::ALL {
            let may: Vec<_> =
                Role::ALL.iter().filter(|role| rule(*by, **role)).map(|r| r.as_str()).collect();
            let may = if may.is_empty() { "none".to_owned() } else { may.join(", ") };
            _ = writeln!(out, "{:<7} {title}: {may}", by.as_str());
        }
    }
    out.push('\n');
    for plan in Plan::ALL {
        let cap = |cap: Option<u32>| cap.map_or("no cap".to_owned(), |cap| cap.to_string());
        _ = writeln!(
            out,
            "{:<5} projects: {}, tasks: {}, members: {}",
            plan.as_str(),
            cap(Projects::cap(*plan)),
            cap(Tasks::cap(*plan)),
            cap(Seats::cap(*plan)),
        );
    }
    out
}

#[test]
fn policy_matches_the_committed_table() {
    let now = table();
    println!("{now}");
    if std::env::var_os("MT_BLESS").is_some() {
        std::fs::write(TABLE, &now).unwrap();
    }
    let committed = std::fs::read_to_string(Path::new(TABLE)).unwrap_or_default();
    assert_eq!(now, committed, "MT_BLESS=1 writes the table anew");
}

/// Declaring that one permission covers another is a promise about the table.
#[test]
fn implied_permissions_hold_in_the_policy_table() {
    fn holds<P, Q>()
    where
        P: Permission<Model = Product> + Implies<Q>,
        Q: Permission<Model = Product>,
    {
        for role in Role::ALL {
            let (p, q) = (Product::role_grants(*role, P::KEY), Product::role_grants(*role, Q::KEY));
            assert!(!p || q, "{role:?} has {:?} and not {:?}", P::KEY, Q::KEY);
        }
    }
    holds::<BillingManage, BillingRead>();
    holds::<OrgUpdate, OrgRead>();
}

#[test]
fn no_role_grants_a_role_above_itself() {
    // In the order of `ALL`: owner, admin, member.
    let rank = |role: Role| Role::ALL.iter().rev().position(|known| *known == role).unwrap();
    for by in Role::ALL {
        for role in Role::ALL {
            for from in Role::ALL {
                assert!(!Product::may_invite(*by, *role) || rank(*role) <= rank(*by));
                assert!(!Product::may_assign(*by, *from, *role) || rank(*role) <= rank(*by));
                assert!(!Product::may_remove(*by, *from) || rank(*from) <= rank(*by));
            }
        }
    }
}

#[test]
fn reads_are_never_gated_by_billing() {
    for permission in Perm::ALL {
        if permission.effect() == Effect::Read {
            assert_eq!(permission.billing(), Billing::Exempt, "{permission:?}");
        }
    }
}
