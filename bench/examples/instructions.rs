//! One decision, over and over: `instructions OPERATION TIMES`. `scripts/instructions` counts what it costs.

use std::hint::black_box;
use std::time::Duration;

use mt_core::access::{Access, AccessCache, Facts};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use reference_server::model::{Plan, Product, Role, TasksCreate, TasksRead};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let operation = arguments.next().expect("an operation");
    let times: u32 = arguments.next().and_then(|times| times.parse().ok()).expect("how often");
    let principal = Principal::in_generation(PrincipalId::generate(), 1);
    let facts = Facts::new(Role::Member, Plan::Pro, Standing::Good);
    let access: Access<Product> = Access::assertion(TenantId::generate(), principal, facts);
    let cache = AccessCache::new(1000, Duration::from_mins(10));
    cache.learn(cache.ticket(), &access);
    for _ in 0..times {
        let access = black_box(&access);
        match operation.as_str() {
            "authorize_read" => drop(black_box(access.authorize::<TasksRead>())),
            "authorize_write" => drop(black_box(access.authorize::<TasksCreate>())),
            "access_cache_hit" => drop(black_box(cache.get(access.principal(), access.tenant()))),
            "nothing" => {}
            other => panic!("`{other}` is none of the operations in `scripts/instructions`"),
        }
    }
}
