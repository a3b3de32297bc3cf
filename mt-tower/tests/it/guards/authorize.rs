//! Refusals are decided on fresh access, never on cached access.

use http::Extensions;
use mt_core::access::{Access, AccessError, AccessSource, Facts};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use mt_tower::authorize::authorize;
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::LoadAccess;
use mt_tower::require::Require;
use mt_tower::resolve_tenant::RequestedTenant;

use crate::support::{Acme, Counter, EDITOR, Role, TasksWrite, access, request, send};

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

/// A request with loaded access, and how often the source was asked.
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
async fn cached_access_is_enough_to_pass() {
    let (mut extensions, looks) = loaded(EDITOR, || Ok(VIEWER)).await;
    assert!(authorize::<TasksWrite>(&mut extensions).await.is_ok());
    // Good enough here: the transaction decides on facts of its own.
    assert_eq!(looks.value(), 0);
}

#[tokio::test]
async fn promotion_takes_effect_at_once() {
    let (mut extensions, looks) = loaded(VIEWER, || Ok(EDITOR)).await;
    assert!(authorize::<TasksWrite>(&mut extensions).await.is_ok());
    assert_eq!(looks.value(), 1);
    // The next decision of this request knows.
    assert!(authorize::<TasksWrite>(&mut extensions).await.is_ok());
    assert_eq!(looks.value(), 1);
    assert!(!extensions.get::<Access<Acme>>().unwrap().is_cached());
}

#[tokio::test]
async fn refusal_is_decided_on_fresh_access() {
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
async fn fresh_access_is_not_loaded_again() {
    let mut extensions = Extensions::new();
    extensions.insert(access(VIEWER));
    let refused = authorize::<TasksWrite>(&mut extensions).await.unwrap_err();
    assert_eq!(refused.code(), "forbidden");
    // Cached by a source without a layer of this crate: there is no source to ask again.
    extensions.insert(access(VIEWER).into_cached());
    let refused = authorize::<TasksWrite>(&mut extensions).await.unwrap_err();
    assert_eq!(refused.code(), "forbidden");
    let nothing = authorize::<TasksWrite>(&mut Extensions::new()).await.unwrap_err();
    assert_eq!(nothing.code(), "internal");
}

#[tokio::test]
async fn guards_reload_access_before_refusing() {
    let require = GuardLayer::new(Require::<TasksWrite>::new());
    let (extensions, looks) = loaded(VIEWER, || Ok(EDITOR)).await;
    let carried = request("/", |empty| *empty = extensions);
    assert_eq!((send(&require, carried).await.status(), looks.value()), (200, 1));
}
