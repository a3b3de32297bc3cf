//! Allocations per request, counted.
//!
//! The figures are exact: one more is a regression, one less a reason to write down a smaller one.

use std::convert::Infallible;
use std::num::NonZeroU32;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::Full;
use mt_core::access::{Access, AccessError, AccessSource};
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::{InProcessLimiter, Quota};
use mt_tower::Guard;
use mt_tower::authenticate::Authenticate;
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::LoadAccess;
use mt_tower::rate_limit::{ByPrincipal, ByTenant, RateLimit};
use mt_tower::require::Require;
use mt_tower::resolve_tenant::{PathTemplate, ResolveTenant};
use tower::{Service, service_fn};
use tower_layer::Layer as _;

use crate::support::{Acme, EDITOR, Open, TasksWrite, access};

struct Known(PrincipalId);

impl Authenticator for Known {
    async fn authenticate(&self, _: &str) -> Result<Principal, AuthError> {
        Ok(Principal::new(self.0))
    }
}

impl AccessSource<Acme> for Known {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<Acme>, AccessError> {
        Ok(Access::assertion(tenant, principal, EDITOR))
    }
}

fn known() -> Known {
    Known(PrincipalId::generate())
}

fn authenticate() -> Authenticate<Known> {
    Authenticate::new(known())
}

fn resolve() -> ResolveTenant<PathTemplate> {
    ResolveTenant::new(PathTemplate::new("/orgs/{tenant}").unwrap())
}

fn load() -> LoadAccess<Acme, Known> {
    LoadAccess::new(known())
}

fn limit() -> RateLimit<InProcessLimiter, (ByPrincipal, ByTenant<Acme>), Quota> {
    let quota = Quota::per_minute(NonZeroU32::MAX);
    RateLimit::new("api", InProcessLimiter::new(), (ByPrincipal, ByTenant::new()), quota)
}

fn request() -> Request<Full<Bytes>> {
    let path = "/orgs/01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20/tasks";
    Request::post(path).header("authorization", "Bearer token").body(Full::default()).unwrap()
}

/// How often one request allocates, from the layer on to the answer, once everything is warm.
fn allocations<G: Guard>(guard: G, fill: impl Fn(&mut http::Extensions)) -> u64 {
    let inner = service_fn(|_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let mut service = GuardLayer::new(guard).layer(inner);
    let mut count = 0;
    for _ in 0..3 {
        let mut request = request();
        fill(request.extensions_mut());
        count = allocation_counter::measure(|| {
            let answer = service.call(request).now_or_never().expect("no guard waits").unwrap();
            assert_eq!(answer.status(), 200);
        })
        .count_total;
    }
    count
}

fn nothing(_: &mut http::Extensions) {}

/// The box of a check, of one guard as of a tuple of them.
const CHECK: u64 = 1;

#[test]
fn tuple_of_guards_allocates_one_box() {
    assert_eq!(allocations(Open, nothing), CHECK);
    assert_eq!(allocations((Open, Open, Open, Open), nothing), CHECK);
}

#[test]
fn guards_allocate_only_for_request_extensions() {
    // The map of the extensions, its table, and the value in it.
    let first = CHECK + 3;
    assert_eq!(allocations(authenticate(), nothing), first);
    assert_eq!(allocations(resolve(), nothing), first);
    // One for each further value.
    assert_eq!(allocations((authenticate(), resolve()), nothing), first + 1);
    assert_eq!(allocations((authenticate(), resolve(), load()), nothing), first + 2);
    // Nothing for a decision.
    let with_access = |extensions: &mut http::Extensions| {
        extensions.insert(access(EDITOR));
    };
    assert_eq!(allocations(Require::<TasksWrite>::new(), with_access), CHECK);
}

#[test]
fn rate_limit_allocates_only_for_response_headers() {
    let asked = |extensions: &mut http::Extensions| {
        extensions.insert(Principal::new(PrincipalId::generate()));
        extensions.insert(access(EDITOR));
    };
    // The list of two fields, the text of one (the other is kept), and the answer's map of headers:
    // its table and its entries. The keys are new, but the counter's map grows by doubling.
    assert!(allocations(limit(), asked) <= CHECK + 5);
}

#[test]
fn whole_stack_allocates_one_box_and_its_extensions() {
    let stack = (authenticate(), resolve(), load(), limit(), Require::<TasksWrite>::new());
    assert_eq!(allocations(stack, nothing), CHECK + 5 + 4);
}

#[test]
fn a_token_allocates_where_it_is_decoded() {
    let key = JwtKey::hs256("a secret of the tests, 32 bytes or more").unwrap();
    let tokens = JwtAuthenticator::new(JwtConfig::new("mt", "mt", key)).unwrap();
    let token = tokens.issue(PrincipalId::generate(), 0).unwrap().token;
    let counted = allocation_counter::measure(|| {
        tokens.verify(&token).unwrap();
    });
    // Header and claims are decoded one after the other, and the claims are owned.
    assert_eq!(counted.count_total, 14, "{counted:?}");
}
