//! The law of chains: a caller may use a permission if and only if each link between them and the tenant has it.
//!
//! The links are stated here one by one, apart from the decision. The controls leave one link out of the facts and expect
//! the law to notice.

use mt_core::access::{
    Access, AccessModel, Billing, Denied, Effect, Facts, Permission, PermissionEffect as _,
    PermissionSet, Reads, Suspension, Unaudited, Writes,
};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, ServiceAccountId, TenantId};
use mt_core::text_enum::TextEnum;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

mt_core::text_enum! {
    /// One permission of each kind.
    enum Kind { ExemptRead = "exempt-read", ExemptWrite = "exempt-write", PaidRead = "paid-read", PaidWrite = "paid-write" }
}

/// A role or a plan that has the permissions whose bits are set. All of them together are every table of roles and plans.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Bits(u8);

const WHOLE: Bits = Bits(0b1111);

impl Bits {
    const fn has(self, kind: Kind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }
}

impl TextEnum for Bits {
    const ALL: &'static [Self] = &{
        let mut all = [Self(0); 16];
        let mut bits = 0;
        while bits < 16 {
            all[bits as usize] = Self(bits);
            bits += 1;
        }
        all
    };

    fn as_str(self) -> &'static str {
        const TEXTS: [&str; 16] =
            ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
        TEXTS[usize::from(self.0)]
    }
}

#[derive(Debug)]
struct EveryTable;

impl AccessModel for EveryTable {
    type Role = Bits;
    type Plan = Bits;
    type Permission = Kind;
    type Auditing = Unaudited;
    const INITIAL_PLAN: Bits = Bits(0);

    fn role_grants(role: Bits, permission: Kind) -> bool {
        role.has(permission)
    }

    fn plan_includes(plan: Bits, permission: Kind) -> bool {
        plan.has(permission)
    }
}

macro_rules! permission {
    ($name:ident, $billing:ident, $effect:ident) => {
        struct $name;
        impl Permission for $name {
            type Model = EveryTable;
            type Effect = $effect;
            const KEY: Kind = Kind::$name;
            const BILLING: Billing = Billing::$billing;
        }
    };
}
permission!(ExemptRead, Exempt, Reads);
permission!(ExemptWrite, Exempt, Writes);
permission!(PaidRead, Required, Reads);
permission!(PaidWrite, Required, Writes);

type Check = fn(&Access<EveryTable>) -> Result<(), Denied>;

/// Each permission with what matters of it to a link, and the decision about it.
fn permissions() -> [(Kind, Billing, Effect, Check); 4] {
    const fn of<P: Permission<Model = EveryTable>>() -> (Kind, Billing, Effect, Check) {
        (P::KEY, P::BILLING, P::Effect::VALUE, |access| access.check::<P>())
    }
    [of::<ExemptRead>(), of::<ExemptWrite>(), of::<PaidRead>(), of::<PaidWrite>()]
}

/// Who asks, by which credential, and for which tenant.
#[derive(Clone, Copy, Debug)]
struct Chain {
    role: Bits,
    custom_role: Option<Bits>,
    actor_role: Option<Bits>,
    limit: Option<Bits>,
    plan: Bits,
    standing: Standing,
    suspension: Suspension,
    bound_elsewhere: bool,
}

fn set(bits: Bits) -> PermissionSet<EveryTable> {
    Kind::ALL.iter().copied().filter(|kind| bits.has(*kind)).collect()
}

impl Chain {
    fn any() -> impl Strategy<Value = Self> {
        // Half of the sets are whole, or most chains would hold nothing.
        let bits = || prop_oneof![Just(WHOLE), select(Bits::ALL)];
        let optional = move || proptest::option::of(bits());
        let tenant = (bits(), select(Standing::ALL), select(Suspension::ALL));
        (bits(), optional(), optional(), optional(), tenant, proptest::bool::weighted(0.1))
            .prop_map(|(role, custom_role, actor_role, limit, tenant, bound_elsewhere)| {
                let (plan, standing, suspension) = tenant;
                Self {
                    role,
                    custom_role,
                    actor_role,
                    limit,
                    plan,
                    standing,
                    suspension,
                    bound_elsewhere,
                }
            })
    }

    /// The chain as the decision sees it.
    fn access(self) -> Access<EveryTable> {
        let tenant = TenantId::generate();
        let principal = Principal::new(PrincipalId::generate());
        let principal = match self.actor_role {
            Some(_) => principal.acted_by(ServiceAccountId::generate()),
            None => principal,
        };
        let bound_to = if self.bound_elsewhere { TenantId::generate() } else { tenant };
        let facts = Facts {
            custom_role: self.custom_role.map(set),
            actor_role: self.actor_role,
            suspension: self.suspension,
            limit: self.limit.map_or_else(PermissionSet::all, set),
            ..Facts::new(self.role, self.plan, self.standing)
        };
        Access::assertion(tenant, principal.bound_to(bound_to), facts)
    }

    /// What each link has of one permission, by itself.
    fn links(self, kind: Kind, billing: Billing, effect: Effect) -> [(&'static str, bool); 7] {
        let is_paid_for = billing == Billing::Exempt;
        [
            ("credential", !self.bound_elsewhere),
            ("member", self.custom_role.unwrap_or(self.role).has(kind)),
            ("service account", self.actor_role.is_none_or(|role| role.has(kind))),
            ("limit", self.limit.is_none_or(|limit| limit.has(kind))),
            ("plan", is_paid_for || self.plan.has(kind)),
            ("standing", is_paid_for || self.standing != Standing::Lapsed),
            (
                "suspension",
                match self.suspension {
                    Suspension::None => true,
                    Suspension::ReadOnly => effect == Effect::Read,
                    Suspension::Full => false,
                },
            ),
        ]
    }
}

/// Decides on `chain` through `decide`, and compares with the links of `chain`.
fn law(chain: Chain, decide: impl Fn(Chain) -> Access<EveryTable>) -> Result<(), TestCaseError> {
    let access = decide(chain);
    for (kind, billing, effect, check) in permissions() {
        let links = chain.links(kind, billing, effect);
        let lacking: Vec<_> = links.iter().filter(|(_, has)| !has).map(|(link, _)| *link).collect();
        let decided = check(&access);
        prop_assert_eq!(decided.is_ok(), lacking.is_empty(), "{:?}: {:?} lack it", kind, lacking);
        // What a caller can hand on is what the links before the tenant have.
        let held = links[1..=3].iter().all(|(_, has)| *has);
        prop_assert_eq!(access.permissions().contains(kind), held, "{:?}", kind);
    }
    Ok(())
}

fn runner() -> TestRunner {
    let config = Config { cases: 4096, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
}

#[test]
fn no_chain_holds_what_one_link_lacks() {
    runner().run(&Chain::any(), |chain| law(chain, Chain::access)).unwrap();
}

#[test]
fn law_notices_a_decision_without_one_of_the_links() {
    type Forget = fn(Chain) -> Chain;
    let without: [(&str, Forget); 8] = [
        ("credential", |chain| Chain { bound_elsewhere: false, ..chain }),
        ("role", |chain| Chain { role: WHOLE, ..chain }),
        ("custom role", |chain| Chain { custom_role: None, ..chain }),
        ("service account", |chain| Chain { actor_role: None, ..chain }),
        ("limit", |chain| Chain { limit: None, ..chain }),
        ("plan", |chain| Chain { plan: WHOLE, ..chain }),
        ("standing", |chain| Chain { standing: Standing::Good, ..chain }),
        ("suspension", |chain| Chain { suspension: Suspension::None, ..chain }),
    ];
    for (link, forget) in without {
        let found = runner().run(&Chain::any(), |chain| law(chain, |chain| forget(chain).access()));
        assert!(matches!(found, Err(TestError::Fail(..))), "without the {link}: {found:?}");
    }
}
