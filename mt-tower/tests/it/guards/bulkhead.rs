//! Refusal before the body is read when the queue for a connection is full.

use std::future::Future;
use std::pin::Pin;

use futures_util::FutureExt as _;
use http::Extensions;
use mt_core::access::{Access, AccessError, AccessSource};
use mt_core::auth::Principal;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::shares::{NoSeat, Requester, Seat, Shares};
use mt_tower::bulkhead::Bulkhead;
use mt_tower::layer::GuardLayer;
use mt_tower::resolve_tenant::RequestedTenant;

use crate::support::{Acme, EDITOR, access, having, request, send};

type Waiting = Pin<Box<dyn Future<Output = Result<Seat, NoSeat>>>>;

/// Shares in which `requester` has a seat and as many requests waiting as may wait.
struct Crowded {
    shares: Shares,
    _seat: Seat,
    _waiting: Vec<Waiting>,
}

impl Crowded {
    async fn with(requester: Requester) -> Self {
        let shares = Shares::of(1);
        let seat = shares.seat(requester).await.unwrap();
        let mut waiting = Vec::new();
        while shares.check(requester).is_ok() {
            let shares = shares.clone();
            let mut one: Waiting = Box::pin(async move { shares.seat(requester).await });
            assert!((&mut one).now_or_never().is_none());
            waiting.push(one);
        }
        Self { shares, _seat: seat, _waiting: waiting }
    }
}

/// Remembers one member, and loads nothing.
#[derive(Clone, Copy)]
struct Knows(Option<Access<Acme>>);

impl AccessSource<Acme> for Knows {
    async fn access(&self, _: Principal, _: TenantId) -> Result<Access<Acme>, AccessError> {
        Err(AccessError::Unavailable("the guard has no reason to ask".into()))
    }

    fn recent(&self, principal: Principal, tenant: TenantId) -> Option<Access<Acme>> {
        self.0.filter(|known| (known.principal(), known.tenant()) == (principal, tenant))
    }
}

const NO_MEMBER: Knows = Knows(None);

fn of(access: &Access<Acme>) -> impl FnOnce(&mut Extensions) + use<> {
    let access = *access;
    move |extensions| {
        extensions.insert(access.principal());
        extensions.insert(RequestedTenant(access.tenant()));
    }
}

#[tokio::test]
async fn only_the_member_with_a_full_queue_is_refused() {
    let member = access(EDITOR);
    let crowded = Crowded::with(Requester::member(&member)).await;
    let layer = GuardLayer::new(Bulkhead::new(crowded.shares.clone(), Knows(Some(member))));
    let refused = send(&layer, request("/", of(&member))).await;
    assert_eq!((refused.status(), refused.refused()), (503, "unavailable"));
    assert_eq!(refused.header("retry-after"), ["1"]);
    let other = send(&layer, request("/", of(&access(EDITOR)))).await;
    assert!(other.reached.is_some());
    // The control: what is checked is the queue, and it has room again.
    drop(crowded);
    let layer = GuardLayer::new(Bulkhead::new(Shares::of(1), Knows(Some(member))));
    assert!(send(&layer, request("/", of(&member))).await.reached.is_some());
}

#[tokio::test]
async fn caller_who_is_not_known_as_a_member_uses_their_own_share() {
    let unknown = access(EDITOR);
    let crowded = Crowded::with(Requester::Principal(unknown.principal().id())).await;
    let layer = GuardLayer::new(Bulkhead::new(crowded.shares.clone(), NO_MEMBER));
    assert_eq!(send(&layer, request("/", of(&unknown))).await.refused(), "unavailable");
    assert!(send(&layer, request("/", of(&access(EDITOR)))).await.reached.is_some());
}

#[tokio::test]
async fn outside_of_tenants_the_share_belongs_to_the_principal() {
    let principal = Principal::new(PrincipalId::generate());
    let crowded = Crowded::with(Requester::Principal(principal.id())).await;
    let layer = GuardLayer::new(Bulkhead::new(crowded.shares.clone(), NO_MEMBER));
    let refused = send(&layer, request("/", having(principal))).await;
    assert_eq!((refused.status(), refused.refused()), (503, "unavailable"));
    let other = Principal::new(PrincipalId::generate());
    assert!(send(&layer, request("/", having(other))).await.reached.is_some());
}

#[tokio::test]
async fn request_without_a_principal_is_refused() {
    let layer = GuardLayer::new(Bulkhead::new(Shares::of(16), NO_MEMBER));
    let answer = send(&layer, request("/", |_| {})).await;
    assert_eq!((answer.status(), answer.refused()), (500, "internal"));
}
