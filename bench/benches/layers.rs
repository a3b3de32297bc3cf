//! What the layers cost a request inside each framework, without sockets and without I/O.
//!
//! Each framework answers a request bare and through the whole stack: authenticate, resolve the tenant,
//! load access, rate limit in the process, require a permission. All variants take turns in each round, so that
//! what else the machine does falls on all of them; the figure of a variant is its median over
//! the rounds, and its ratio the median of its ratios to the bare framework in the same round. Tokens
//! are looked up and not verified: see `decisions` for what a JWT costs. With sockets:
//! `bench/throughput`.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::Full;
use mt_bench::spread::Spread;
use mt_bench::stack::{all, authenticate, limit, load, require, resolve};
use mt_core::id::TenantId;
use mt_salvo::GuardHandler;
use mt_tower::layer::GuardLayer;
use salvo::http::ReqBody;
use salvo::prelude::{Router, Service, TowerLayerCompat as _, handler};
use tower::{ServiceBuilder, ServiceExt as _};

const ROUNDS: usize = 15;
const REQUESTS: u32 = 4_000;

fn request<B: Default>(tenant: TenantId) -> Request<B> {
    Request::post(format!("/orgs/{tenant}/tasks"))
        .header("authorization", "Bearer token")
        .body(B::default())
        .expect("a request")
}

#[handler]
async fn hello() -> &'static str {
    "hello"
}

/// Sends [`REQUESTS`] one after the other and returns the nanoseconds of one.
async fn timed<F: Future<Output = u16>>(mut send: impl FnMut(TenantId) -> F) -> f64 {
    let tenant = TenantId::generate();
    let start = Instant::now();
    for _ in 0..REQUESTS {
        assert_eq!(black_box(send(tenant).await), 200);
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(REQUESTS)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let bare = || {
        tower::service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
        })
    };
    let five = ServiceBuilder::new()
        .layer(GuardLayer::new(authenticate()))
        .layer(GuardLayer::new(resolve()))
        .layer(GuardLayer::new(load()))
        .layer(GuardLayer::new(limit()))
        .layer(GuardLayer::new(require()));
    let tower_bare = bare();
    let tower_all = ServiceBuilder::new().layer(GuardLayer::new(all())).service(bare());
    let tower_five = five.service(bare());

    let route = || {
        axum::Router::new().route("/orgs/{tenant}/tasks", axum::routing::post(|| async { "hello" }))
    };
    let (axum_bare, axum_all) = (route(), route().layer(GuardLayer::new(all())));

    let path = "orgs/{tenant}/tasks";
    let salvo_bare = Service::new(Router::with_path(path).post(hello));
    let native = GuardHandler::new(all());
    let salvo_all = Service::new(Router::with_path(path).hoop(native).post(hello));
    let one_hop = GuardLayer::new(all()).compat();
    let salvo_compat = Service::new(Router::with_path(path).hoop(one_hop).post(hello));

    // Generic closures would have to name the services' types; a macro need not.
    macro_rules! in_tower {
        ($service:expr, $body:ty) => {
            timed(|tenant| async move {
                let sent = $service.clone().oneshot(request::<$body>(tenant)).await;
                sent.expect("it cannot fail").status().as_u16()
            })
            .await
        };
    }
    macro_rules! in_salvo {
        ($service:expr) => {
            timed(|tenant| async move {
                let request = salvo::Request::from_hyper(request::<ReqBody>(tenant), Scheme::HTTP);
                let answer = $service.handle(request).await;
                answer.status_code.map_or(0, |status| status.as_u16())
            })
            .await
        };
    }

    let (tower_bare, tower_all, tower_five) = (&tower_bare, &tower_all, &tower_five);
    let (axum_bare, axum_all) = (&axum_bare, &axum_all);
    let (salvo_bare, salvo_all, salvo_compat) = (&salvo_bare, &salvo_all, &salvo_compat);
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let times = [
            in_tower!(tower_bare, Full<Bytes>),
            in_tower!(tower_all, Full<Bytes>),
            in_tower!(tower_five, Full<Bytes>),
            in_tower!(axum_bare, Body),
            in_tower!(axum_all, Body),
            in_salvo!(salvo_bare),
            in_salvo!(salvo_all),
            in_salvo!(salvo_compat),
        ];
        // The first one warms up.
        if round > 0 {
            rounds.push(times);
        }
    }

    println!("{ROUNDS} rounds of {REQUESTS} requests; ns a request, median (least to most)");
    let lines = [
        ("tower, bare", 0, 0),
        ("tower, all guards, one layer", 1, 0),
        ("tower, all guards, five layers", 2, 0),
        ("axum, bare", 3, 3),
        ("axum, all guards", 4, 3),
        ("salvo, bare", 5, 5),
        ("salvo, all guards, native", 6, 5),
        ("salvo, all guards, .compat()", 7, 5),
    ];
    for (name, of, base) in lines {
        let times = Spread::of(rounds.iter().map(|times| times[of]));
        let added = Spread::of(rounds.iter().map(|times| times[of] - times[base]));
        let ratio = Spread::of(rounds.iter().map(|times| times[of] / times[base]));
        println!(
            "{name:<33} {:>6.0} ({:.0} to {:.0})   +{:.0} ns   x{:.2} ({:.2} to {:.2})",
            times.median,
            times.least,
            times.most,
            added.median,
            ratio.median,
            ratio.least,
            ratio.most
        );
    }
}
