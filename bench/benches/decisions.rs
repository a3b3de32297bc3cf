//! Decisions without I/O: authorising, asking the access cache, verifying. With allocations counted.

use std::num::NonZeroU32;
use std::pin::pin;
use std::task::{Context, Waker};

use divan::{AllocProfiler, Bencher, black_box};
use mt_core::access::{Access, Facts, Permission};
use mt_core::auth::Principal;
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::Standing;
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::{InProcessLimiter, Policy, Quota, RateLimiter as _};
use mt_stripe::signature::{Verifier, sign};
use reference_server::model::{Plan, Product, ProjectsDelete, Role, TasksCreate, TasksRead};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn access(role: Role, standing: Standing) -> Access<Product> {
    let principal = Principal::in_generation(PrincipalId::generate(), 1);
    Access::assertion(TenantId::generate(), principal, Facts::new(role, Plan::Pro, standing))
}

fn authorize<P: Permission<Model = Product>>(bencher: Bencher<'_, '_>, role: Role, paid: Standing) {
    let access = access(role, paid);
    bencher.bench_local(|| black_box(&access).authorize::<P>());
}

#[divan::bench]
fn authorize_granted_read(bencher: Bencher<'_, '_>) {
    authorize::<TasksRead>(bencher, Role::Member, Standing::Lapsed);
}

#[divan::bench]
fn authorize_granted_write(bencher: Bencher<'_, '_>) {
    authorize::<TasksCreate>(bencher, Role::Member, Standing::Good);
}

#[divan::bench]
fn authorize_refused_by_role(bencher: Bencher<'_, '_>) {
    authorize::<ProjectsDelete>(bencher, Role::Member, Standing::Good);
}

#[divan::bench]
fn authorize_refused_by_billing(bencher: Bencher<'_, '_>) {
    authorize::<TasksCreate>(bencher, Role::Owner, Standing::Lapsed);
}

#[divan::bench]
fn jwt_verified(bencher: Bencher<'_, '_>) {
    let key = JwtKey::hs256("a secret of 32 bytes for the bench").expect("it is long enough");
    let tokens = JwtAuthenticator::new(JwtConfig::new("mt", "mt", key)).expect("one key");
    let token = tokens.issue(PrincipalId::generate(), 0).expect("it signs").token;
    bencher.bench_local(|| tokens.verify(black_box(&token)).is_ok());
}

const SECRET: &str = "whsec_for_the_bench";

/// A body as long as Stripe's; there are two secrets while one is being replaced.
#[divan::bench(args = [1, 2])]
fn webhook_verified(bencher: Bencher<'_, '_>, secrets: usize) {
    let (body, at) = ([b'x'; 1900], SystemClock.now());
    let signature = sign(SECRET, &body, at);
    let others = std::iter::repeat_n("whsec_that_is_not_it", secrets - 1);
    let verifier = Verifier::new(others.chain([SECRET])).expect("secrets");
    let headers = [signature.as_bytes()];
    let verify = || verifier.check_signature(black_box(&headers), black_box(&body), at).is_ok();
    assert!(verify());
    bencher.bench_local(verify);
}

/// The limit of the one above: the hash over the same bytes, and little else.
#[divan::bench]
fn webhook_signed(bencher: Bencher<'_, '_>) {
    let (body, at) = ([b'x'; 1900], SystemClock.now());
    bencher.bench_local(|| sign(SECRET, black_box(&body), at));
}

/// One of a thousand callers, on a limit that lets them all through.
#[divan::bench(args = [Policy::FixedWindow, Policy::Gcra])]
fn in_process_limiter_check(bencher: Bencher<'_, '_>, policy: Policy) {
    let quota = Quota::per_minute(NonZeroU32::MAX).with_policy(policy);
    let limiter = InProcessLimiter::new();
    let callers: Vec<_> = (0..1000).map(|_| format!("p/{}", PrincipalId::generate())).collect();
    for caller in &callers {
        limiter.count(caller, quota);
    }
    let mut next = callers.iter().cycle();
    bencher.bench_local(|| {
        let caller = black_box(next.next().expect("it goes round"));
        pin!(limiter.check(caller, quota)).poll(&mut Context::from_waker(Waker::noop()))
    });
}
