//! Rate limits: keys, quotas and response headers.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use http::{Extensions, Request};
use http_body_util::Full;
use mt_core::access::{Access, Facts};
use mt_core::auth::Principal;
use mt_core::clock::ManualClock;
use mt_core::id::{ApiKeyId, PrincipalId, TenantId};
use mt_core::limit::{InProcessLimiter, Quota};
use mt_tower::RequestContext;
use mt_tower::layer::GuardLayer;
use mt_tower::problem::Problem;
use mt_tower::rate_limit::{
    ByPrincipal, ByTenant, ClientAddress, KeyPrefix, PeerAddr, QuotaByAccess, QuotaSource, RateKey,
    RateLimit,
};
use mt_tower::resolve_tenant::{RequestedTenant, TenantFree};

use crate::support::{Acme, EDITOR, Outcome, Plan, access, having, request, send};

type Limiter = Arc<InProcessLimiter<Arc<ManualClock>>>;

fn limiter() -> (Limiter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(DateTime::from_timestamp(1_795_000_000, 0).unwrap()));
    (Arc::new(InProcessLimiter::with_capacity(1024, clock.clone())), clock)
}

fn a_minute(limit: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(limit).unwrap())
}

fn layer<K: RateKey, Q: QuotaSource>(key: K, quota: Q) -> GuardLayer<RateLimit<Limiter, K, Q>> {
    GuardLayer::new(RateLimit::new("api", limiter().0, key, quota))
}

fn from(peer: &str) -> Request<Full<Bytes>> {
    let peer: SocketAddr = peer.parse().unwrap();
    request("/", having(PeerAddr(peer)))
}

/// Whether requests with these extensions count together under a limit of one.
async fn share<K: RateKey>(
    key: K,
    first: impl FnOnce(&mut Extensions),
    second: impl FnOnce(&mut Extensions),
) -> bool {
    let layer = layer(key, a_minute(1));
    assert_eq!(send(&layer, request("/", first)).await.status(), 200);
    send(&layer, request("/", second)).await.status() == 429
}

fn fields(outcome: &Outcome) -> (Vec<&str>, Vec<&str>) {
    (outcome.header("ratelimit-policy"), outcome.header("ratelimit"))
}

#[tokio::test]
async fn responses_carry_rate_limit_headers() {
    let (limiter, clock) = limiter();
    let by_address = ClientAddress::direct();
    let layer = GuardLayer::new(RateLimit::new("login", limiter, by_address, a_minute(2)));
    let send = async || send(&layer, from("192.0.2.1:4711")).await;

    let policy = vec![r#""login";q=2;w=60"#];
    assert_eq!(fields(&send().await), (policy.clone(), vec![r#""login";r=1;t=60"#]));
    clock.advance(TimeDelta::milliseconds(17_500));
    assert_eq!(fields(&send().await), (policy.clone(), vec![r#""login";r=0;t=43"#]));

    let refused = send().await;
    assert_eq!(refused.refused(), "rate-limited");
    assert_eq!(fields(&refused), (policy, vec![r#""login";r=0;t=43"#]));
    assert_eq!(refused.header("retry-after"), ["43"]);

    clock.advance(TimeDelta::milliseconds(42_499));
    assert_eq!(send().await.header("retry-after"), ["1"]);
    clock.advance(TimeDelta::milliseconds(1));
    assert_eq!(send().await.status(), 200);
}

#[tokio::test]
async fn without_a_quota_nothing_is_counted_or_reported() {
    let layer = layer(ClientAddress::direct(), None::<Quota>);
    for _ in 0..100 {
        // Not even the key is asked for: there is no peer address here.
        let outcome = send(&layer, request("/", |_| {})).await;
        assert_eq!(fields(&outcome), (vec![], vec![]));
        assert_eq!(outcome.status(), 200);
    }
}

#[tokio::test]
async fn forged_forwarded_header_gets_no_new_count() {
    let layer = layer(ClientAddress::direct(), a_minute(1));
    let forging = |value: &str| {
        let mut request = from("203.0.113.9:4711");
        request.headers_mut().insert("x-forwarded-for", value.parse().unwrap());
        request
    };
    assert_eq!(send(&layer, forging("198.51.100.1")).await.status(), 200);
    assert_eq!(send(&layer, forging("198.51.100.2")).await.refused(), "rate-limited");

    // The control: the same two behind a proxy that is listed are two clients.
    let trusting = ClientAddress::behind(["203.0.113.0/24".parse().unwrap()]);
    let layer = self::layer(trusting, a_minute(1));
    assert_eq!(send(&layer, forging("198.51.100.1")).await.status(), 200);
    assert_eq!(send(&layer, forging("198.51.100.2")).await.status(), 200);
    assert_eq!(send(&layer, forging("192.0.2.66, 198.51.100.1")).await.status(), 429);
}

#[tokio::test]
async fn addresses_of_one_client_count_together() {
    let together = async |first: &str, second: &str| {
        let layer = layer(ClientAddress::direct(), a_minute(1));
        assert_eq!(send(&layer, from(first)).await.status(), 200);
        send(&layer, from(second)).await.status() == 429
    };
    assert!(together("192.0.2.1:1", "192.0.2.1:2").await, "another port");
    assert!(together("[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:1").await, "one /64");
    assert!(together("[::ffff:192.0.2.1]:1", "192.0.2.1:1").await, "mapped");
    assert!(!together("192.0.2.1:1", "192.0.2.2:1").await);
    assert!(!together("[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1").await);
}

/// The controls are another site, the same address as IPv4, and networks that are as wide as a site.
#[tokio::test]
async fn site_of_many_ipv6_networks_has_twice_the_quota_of_one() {
    let layer = layer(KeyPrefix("login", ClientAddress::direct()), a_minute(3));
    let mut allowed = 0;
    for network in 0..50 {
        let outcome = send(&layer, from(&format!("[2001:db8:1:{network:x}::1]:1"))).await;
        allowed += u32::from(outcome.status() == 200);
        match outcome.status() {
            200 => assert_eq!(fields(&outcome).0, [r#""api";q=3;w=60"#]),
            _ => {
                assert_eq!(outcome.refused(), "rate-limited");
                assert_eq!(fields(&outcome).0, [r#""api";q=3;w=60"#, r#""api-site";q=6;w=60"#]);
                assert_eq!(outcome.header("retry-after").len(), 1);
            }
        }
    }
    assert_eq!(allowed, 6);
    assert_eq!(send(&layer, from("[2001:db8:2::1]:1")).await.status(), 200);
    for host in 1..=50 {
        assert_eq!(send(&layer, from(&format!("192.0.2.{host}:1"))).await.status(), 200);
    }
    let by_48 = ClientAddress::direct().with_ipv6_prefix(48);
    let layer = self::layer(by_48, a_minute(3));
    for (network, status) in [(1, 200), (2, 200), (3, 200), (4, 429)] {
        let outcome = send(&layer, from(&format!("[2001:db8:1:{network}::1]:1"))).await;
        assert_eq!((outcome.status(), fields(&outcome).0.len()), (status, 1));
    }
}

/// In a tuple the keys without a wider one take part as they are.
#[tokio::test]
async fn network_is_counted_separately_for_each_caller() {
    let layer = layer((ByPrincipal, ClientAddress::direct()), a_minute(1));
    let callers = [(); 2].map(|()| Principal::new(PrincipalId::generate()));
    for caller in callers {
        let mut allowed = 0;
        for network in 0..10 {
            let peer: SocketAddr = format!("[2001:db8:1:{network}::1]:1").parse().unwrap();
            let sent = request("/", |extensions: &mut Extensions| {
                extensions.insert(PeerAddr(peer));
                extensions.insert(caller);
            });
            allowed += u32::from(send(&layer, sent).await.status() == 200);
        }
        assert_eq!(allowed, 2);
    }
}

#[tokio::test]
async fn keys_separate_callers_and_tenants() {
    let (ada, bob) = [(); 2].map(|()| Principal::new(PrincipalId::generate())).into();
    let (acme, blue) = [(); 2].map(|()| TenantId::generate()).into();
    let known = |principal: Principal, tenant: TenantId| {
        move |extensions: &mut Extensions| {
            extensions.insert(principal);
            extensions.insert(RequestedTenant(tenant));
            extensions.insert(Access::<Acme>::assertion(tenant, principal, EDITOR));
        }
    };
    assert!(share(ByPrincipal, known(ada, acme), known(ada, blue)).await);
    assert!(!share(ByPrincipal, known(ada, acme), known(bob, acme)).await);
    let by_both = || (ByPrincipal, ByTenant::<Acme>::new());
    assert!(share(by_both(), known(ada, acme), known(ada, acme)).await);
    assert!(!share(by_both(), known(ada, acme), known(ada, blue)).await);
    assert!(!share(by_both(), known(ada, acme), known(bob, acme)).await);
    assert!(share(ByTenant::<Acme>::new(), known(ada, acme), known(bob, acme)).await);
    assert!(!share(ByTenant::<Acme>::new(), known(ada, acme), known(ada, blue)).await);
    let by_path = |request: &RequestContext<'_>| Ok::<_, Problem>(request.uri.path().to_owned());
    assert!(share(by_path, known(ada, acme), known(bob, blue)).await);
}

#[tokio::test]
async fn names_and_classes_share_one_limiter_without_sharing_counts() {
    let (limiter, _) = limiter();
    let limit = |name, class| {
        let key = KeyPrefix(class, ClientAddress::direct());
        GuardLayer::new(RateLimit::new(name, limiter.clone(), key, a_minute(1)))
    };
    let send = async |layer| send(&layer, from("192.0.2.1:1")).await.status();
    assert_eq!(send(limit("auth", "redeem")).await, 200);
    assert_eq!(send(limit("auth", "request-link")).await, 200);
    assert_eq!(send(limit("api", "redeem")).await, 200);
    assert_eq!(send(limit("auth", "redeem")).await, 429);
}

#[tokio::test]
async fn missing_extension_for_a_key_or_quota_never_passes() {
    let by_plan = QuotaByAccess::<Acme, _>::new(|_| None);
    let by_path = |request: &RequestContext<'_>| Ok::<_, Problem>(request.uri.path().to_owned());
    let quota = a_minute(1);
    assert_eq!(send(&layer(by_path, by_plan), request("/", |_| {})).await.refused(), "internal");
    assert_eq!(
        send(&layer(ClientAddress::direct(), quota), request("/", |_| {})).await.refused(),
        "internal"
    );
    assert_eq!(send(&layer(ByPrincipal, quota), request("/", |_| {})).await.refused(), "internal");
    // A tenant that was only asked for is not enough to spend that tenant's quota.
    let stranger = request("/", |extensions| {
        extensions.insert(Principal::new(PrincipalId::generate()));
        extensions.insert(RequestedTenant(TenantId::generate()));
    });
    assert_eq!(send(&layer(ByTenant::<Acme>::new(), quota), stranger).await.refused(), "internal");
}

#[tokio::test]
async fn the_quota_follows_the_plan() {
    let by_plan = QuotaByAccess::new(|access: &Access<Acme>| match access.plan() {
        Plan::Free => Some(a_minute(1)),
        Plan::Pro => None,
    });
    let layer = layer(ByTenant::<Acme>::new(), by_plan);
    for (plan, expected) in [(Plan::Free, [200, 429]), (Plan::Pro, [200, 200])] {
        let access = access(Facts { plan, ..EDITOR });
        for status in expected {
            let request = request("/", having(access));
            assert_eq!(send(&layer, request).await.status(), status, "{plan:?}");
        }
    }
}

#[test]
#[should_panic(expected = "cannot name a policy")]
fn a_name_that_would_break_the_header_is_refused() {
    let _ = RateLimit::new("a\"b", limiter().0, ByPrincipal, a_minute(1));
}

#[tokio::test]
async fn tuple_of_keys_separates_by_each_key() {
    let known = |peer: &str, principal: Principal| {
        let peer: SocketAddr = peer.parse().unwrap();
        move |extensions: &mut Extensions| {
            extensions.insert(PeerAddr(peer));
            extensions.insert(principal);
        }
    };
    let (ada, bob) = [(); 2].map(|()| Principal::new(PrincipalId::generate())).into();
    let (one, two) = ("192.0.2.1:1", "192.0.2.2:1");
    let key = || (ClientAddress::direct(), ByPrincipal);
    assert!(share(key(), known(one, ada), known(one, ada)).await);
    assert!(!share(key(), known(one, ada), known(two, ada)).await);
    assert!(!share(key(), known(one, ada), known(one, bob)).await);
    let three = || (KeyPrefix("a", ClientAddress::direct()), ByPrincipal, ByPrincipal);
    assert!(share(three(), known(one, ada), known(one, ada)).await);
    // One part that is missing refuses the request.
    let layer = layer(key(), a_minute(1));
    assert_eq!(send(&layer, from(one)).await.refused(), "internal");
}

#[tokio::test]
async fn each_api_key_of_a_principal_has_a_quota() {
    let ada = Principal::new(PrincipalId::generate());
    let tenant = TenantId::generate();
    let [one, two] = [(); 2].map(|()| ada.by_key(ApiKeyId::generate(), tenant));
    let known = |principal: Principal| {
        move |extensions: &mut Extensions| {
            extensions.insert(principal);
        }
    };
    assert!(share(ByPrincipal, known(one), known(one)).await);
    assert!(share(ByPrincipal, known(ada), known(ada)).await);
    assert!(!share(ByPrincipal, known(one), known(two)).await);
    assert!(!share(ByPrincipal, known(one), known(ada)).await);
}

#[tokio::test]
async fn limit_by_tenant_skips_requests_without_a_tenant() {
    let known = |extensions: &mut Extensions| {
        extensions.insert(Principal::new(PrincipalId::generate()));
        extensions.insert(TenantFree);
    };
    let by_tenant = (ByPrincipal, ByTenant::<Acme>::new());
    let (alone, both) =
        (layer(ByTenant::<Acme>::new(), a_minute(1)), layer(by_tenant, a_minute(1)));
    let by_plan = QuotaByAccess::<Acme, _>::new(|_| Some(a_minute(1)));
    let by_plan = layer(ByPrincipal, by_plan);
    for _ in 0..3 {
        for outcome in [
            send(&alone, request("/", known)).await,
            send(&both, request("/", known)).await,
            send(&by_plan, request("/", known)).await,
        ] {
            assert_eq!(fields(&outcome), (vec![], vec![]));
            assert_eq!(outcome.status(), 200);
        }
    }
}
