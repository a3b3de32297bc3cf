//! Default guards, and endpoints whose settings are missing.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use mt_core::limit::Quota;
use mt_http::{EndpointOptions, Endpoints, Noun, SignIn};
use mt_tower::rate_limit::PeerAddr;
use serde_json::json;

use crate::shop::{Shops, World, endpoints, guards, options, send_to, serve};

fn redeem(peer: SocketAddr) -> Request<Full<Bytes>> {
    let body = json!({"token": "none"}).to_string();
    let request = Request::post("/auth/redeem").header("content-type", "application/json");
    request.extension(PeerAddr(peer)).body(Full::new(body.into())).unwrap()
}

#[tokio::test]
async fn secrets_are_guessed_thirty_times_a_minute_from_one_address() {
    let world = World::new().await;
    let [here, there] = [1, 2].map(|last| SocketAddr::from(([192, 0, 2, last], 1)));
    let mut limited = 0;
    for _ in 0..40 {
        let reply = world.send_raw(redeem(here)).await;
        if reply.status == 429 {
            assert!(reply.headers.contains_key("retry-after"), "{reply:?}");
            assert!(reply.headers.contains_key("ratelimit-policy"), "{reply:?}");
            limited += 1;
        }
    }
    // A minute may end in between.
    assert!((1..=10).contains(&limited), "{limited}");
    assert_eq!(world.send_raw(redeem(there)).await.status, 400, "another address");

    // The control: without the limit, no guess is refused for its number.
    let open = guards(&world.database).redeem(Option::<NoLimit>::None);
    let open = serve(&world.database, endpoints(), open, options(&world.database));
    for _ in 0..40 {
        assert_eq!(send_to(&open, redeem(here)).await.status, 400);
    }
}

/// A limit that is not set.
type NoLimit = mt_tower::rate_limit::RateLimit<
    mt_core::limit::InProcessLimiter,
    mt_tower::rate_limit::ClientAddress,
    Quota,
>;

#[tokio::test]
async fn a_group_without_its_option_does_not_start() {
    let world = World::new().await;
    let started = catch_unwind(AssertUnwindSafe(|| {
        let options = EndpointOptions::new(b"secret", "https://shops.example");
        let endpoints = Endpoints::<Shops>::new(Noun::new("shop", "shops")).mount(SignIn);
        serve(&world.database, endpoints, guards(&world.database), options)
    }));
    let text = *started.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(text, "`POST /auth/redeem` is mounted and `EndpointOptions::tokens` is not set");
}

#[test]
fn a_group_is_mounted_once() {
    let mounted = catch_unwind(|| {
        let endpoints = Endpoints::<Shops>::new(Noun::new("shop", "shops"));
        endpoints.mount(SignIn).mount(SignIn)
    });
    let text = *mounted.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(text, "`POST /auth/request-link` is mounted twice");
}
