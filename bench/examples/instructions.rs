//! Repeats one operation: `instructions OPERATION TIMES`. `bench/instructions` counts its CPU instructions.

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mt_bench::stack;
use mt_core::access::{Access, Facts};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::{InProcessLimiter, Policy, Quota};
use mt_tower::Guard;
use mt_tower::layer::GuardLayer;
use reference_server::model::{Plan, Product, Role, TasksCreate, TasksRead};
use tower::{Layer as _, Service, service_fn};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let operation = arguments.next().expect("an operation");
    let times: u32 = arguments.next().and_then(|times| times.parse().ok()).expect("how often");
    let principal = Principal::in_generation(PrincipalId::generate(), 1);
    let facts = Facts::new(Role::Member, Plan::Pro, Standing::Good);
    let access: Access<Product> = Access::assertion(TenantId::generate(), principal, facts);
    match operation.as_str() {
        "request_bare" => return requests(&mut inner(), times),
        "request_1_guard" => return guarded(stack::authenticate(), times),
        "request_2_guards" => return guarded((stack::authenticate(), stack::resolve()), times),
        "request_3_guards" => {
            let guards = (stack::authenticate(), stack::resolve(), stack::load());
            return guarded(guards, times);
        }
        "request_4_guards" => {
            let guards = (stack::authenticate(), stack::resolve(), stack::load(), stack::limit());
            return guarded(guards, times);
        }
        "request_5_guards" => return guarded(stack::all(), times),
        _ => {}
    }
    let limiter = InProcessLimiter::new();
    let caller = format!("p/{}", principal.id());
    let quota = |policy| Quota::per_minute(NonZeroU32::MAX).with_policy(policy);
    let count = |policy| {
        black_box(limiter.count(black_box(&caller), quota(policy)));
    };
    for _ in 0..times {
        let access = black_box(&access);
        match operation.as_str() {
            "authorize_read" => drop(black_box(access.authorize::<TasksRead>())),
            "authorize_write" => drop(black_box(access.authorize::<TasksCreate>())),
            "count_in_fixed_window" => count(Policy::FixedWindow),
            "count_by_gcra" => count(Policy::Gcra),
            "nothing" => {}
            other => panic!("`{other}` is none of the operations in `bench/instructions`"),
        }
    }
}

fn inner() -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future: Future,
> + Clone {
    service_fn(|_| std::future::ready(Ok(Response::new(Full::from("hello")))))
}

fn guarded<G: Guard>(guard: G, times: u32) {
    requests(&mut GuardLayer::new(guard).layer(inner()), times);
}

/// Builds and sends the same request each time.
fn requests<S>(service: &mut S, times: u32)
where
    S: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        let mut request = Request::new(Full::default());
        *request.uri_mut() =
            http::Uri::from_static("/orgs/01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20/tasks");
        let token = http::HeaderValue::from_static("Bearer token");
        request.headers_mut().insert(http::header::AUTHORIZATION, token);
        let answer = pin!(service.call(request)).poll(&mut context);
        let Poll::Ready(Ok(answer)) = answer else { panic!("it waits") };
        assert!(black_box(answer).status().is_success());
    }
}
