//! Nobody is refused for what a cache remembers.

use http::{Extensions, Method};
use mt_core::access::{Access, AccessError, AccessSource, Facts};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use mt_tower::authorize::authorize;
use mt_tower::billing_gate::BillingGate;
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::LoadAccess;
use mt_tower::require::Require;
use mt_tower::resolve_tenant::RequestedTenant;

use crate::support::{Acme, Counter, EDITOR, Role, TasksWrite, access, having, request, send};

const VIEWER: Facts<Acme> = Facts { role: Role::Viewer, ..EDITOR };
const LAPSED: Facts<Acme> = Facts { standing: Standing::Lapsed, ..EDITOR };

/// Remembers one thing, and finds another when it is made to look.
struct Remembers {
    then: Facts<Acme>,
    now: fn() -> Result<Facts<Acme>, AccessError>,
    looks: Counter,
}

impl AccessSource<Acme> for Remembers {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<Acme>, AccessError> {
        Ok(Access::assertion(tenant, principal, self.then).into_cached())
    }

    async fn fresh(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<Acme>, AccessError> {
        self.looks.add();
        Ok(Access::assertion(tenant, principal, (self.now)()?))
    }
}

/// What a request carries once access was loaded, and how often the source was made to look.
async fn loaded(
    then: Facts<Acme>,
    now: fn() -> Result<Facts<Acme>, AccessError>,
) -> (Extensions, Counter) {
    let looks = Counter::default();
    let source = Remembers { then, now, looks: looks.clone() };
    let layer = GuardLayer::new(LoadAccess::<Acme, _>::new(source));
    let known = request("/", |extensions| {
        extensions.insert(Principal::new(PrincipalId::generate()));
        extensions.insert(RequestedTenant(TenantId::generate()));
    });
    (send(&layer, known).await.reached.unwrap(), looks)
}

#[tokio::test]
async fn what_is_remembered_suffices_to_pass() {
    let (mut extensions, looks) = loaded(EDITOR, || Ok(VIEWER)).await;
    assert!(authorize::<TasksWrite>(&mut extensions).await.is_ok());
    // Good enough here: the transaction decides on facts of its own.
    assert_eq!(looks.value(), 0);
}

#[tokio::test]
async fn a_promotion_counts_at_once() {
    let (mut extensions, looks) = loaded(VIEWER, || Ok(EDITOR)).await;
    assert!(authorize::<TasksWrite>(&mut extensions).await.is_ok());
    assert_eq!(looks.value(), 1);
    // The next decision of this request knows.
    assert!(authorize::<TasksWrite>(&mut extensions).await.is_ok());
    assert_eq!(looks.value(), 1);
    assert!(!extensions.get::<Access<Acme>>().unwrap().is_cached());
}

#[tokio::test]
async fn a_refusal_is_of_the_moment() {
    for (now, code) in [
        ((|| Ok(VIEWER)) as fn() -> Result<Facts<Acme>, AccessError>, "forbidden"),
        (|| Ok(LAPSED), "billing-required"),
        (|| Err(AccessError::NotAMember), "not-found"),
        (|| Err(AccessError::SignedOut), "unauthenticated"),
        (|| Err(AccessError::Unavailable("away".into())), "unavailable"),
    ] {
        let (mut extensions, looks) = loaded(VIEWER, now).await;
        let refused = authorize::<TasksWrite>(&mut extensions).await.unwrap_err();
        assert_eq!((refused.code(), looks.value()), (code, 1));
    }
}

#[tokio::test]
async fn what_was_read_just_now_is_not_read_again() {
    let mut extensions = Extensions::new();
    extensions.insert(access(VIEWER));
    let refused = authorize::<TasksWrite>(&mut extensions).await.unwrap_err();
    assert_eq!(refused.code(), "forbidden");
    // Cached by a source whose layer is not ours: there is nobody to ask.
    extensions.insert(access(VIEWER).into_cached());
    let refused = authorize::<TasksWrite>(&mut extensions).await.unwrap_err();
    assert_eq!(refused.code(), "forbidden");
    let nothing = authorize::<TasksWrite>(&mut Extensions::new()).await.unwrap_err();
    assert_eq!(nothing.code(), "internal");
}

#[tokio::test]
async fn the_guards_look_again_too() {
    let require = GuardLayer::new(Require::<TasksWrite>::new());
    let (extensions, looks) = loaded(VIEWER, || Ok(EDITOR)).await;
    let carried = request("/", |empty| *empty = extensions);
    assert_eq!((send(&require, carried).await.status(), looks.value()), (200, 1));

    let gate = GuardLayer::new(BillingGate::<Acme>::new());
    let (extensions, looks) = loaded(LAPSED, || Ok(EDITOR)).await;
    let mut carried = request("/", |empty| *empty = extensions);
    *carried.method_mut() = Method::POST;
    assert_eq!((send(&gate, carried).await.status(), looks.value()), (200, 1));

    let mut lapsed = request("/", having(access(LAPSED)));
    *lapsed.method_mut() = Method::POST;
    assert_eq!(send(&gate, lapsed).await.refused(), "billing-required");
}
