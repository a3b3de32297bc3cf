//! The caller's access: loaded, recent, or left to the transaction.

use http::Extensions;
use mt_core::access::{Access, AccessError, AccessSource, Facts};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use mt_tower::Guard;
use mt_tower::authorize::{access_request, authorize};
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::{LoadAccess, RecentAccess};
use mt_tower::require::Require;
use mt_tower::resolve_tenant::RequestedTenant;

use crate::support::{Acme, Counter, EDITOR, Outcome, Role, TasksWrite, access, request, send};

const VIEWER: Facts<Acme> = Facts { role: Role::Viewer, ..EDITOR };
const LAPSED: Facts<Acme> = Facts { standing: Standing::Lapsed, ..EDITOR };

/// A source that found one thing before and finds another now.
struct Remembers {
    then: Option<Facts<Acme>>,
    now: fn() -> Result<Facts<Acme>, AccessError>,
    looks: Counter,
}

impl AccessSource<Acme> for Remembers {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<Acme>, AccessError> {
        self.looks.add();
        Ok(Access::assertion(tenant, principal, (self.now)()?))
    }

    fn recent(&self, principal: Principal, tenant: TenantId) -> Option<Access<Acme>> {
        Some(Access::assertion(tenant, principal, self.then?))
    }
}

/// Sends a request of a caller for a tenant.
async fn send_known(guard: impl Guard) -> Outcome {
    let known = request("/", |extensions| {
        extensions.insert(Principal::new(PrincipalId::generate()));
        extensions.insert(RequestedTenant(TenantId::generate()));
    });
    send(&GuardLayer::new(guard), known).await
}

#[tokio::test]
async fn recent_access_saves_the_query_and_decides_nothing() {
    let looks = Counter::default();
    let source = Remembers { then: Some(VIEWER), now: || Ok(EDITOR), looks: looks.clone() };
    let load = LoadAccess::<Acme, _>::new(source).or_recent();
    let reached = send_known(load.clone()).await.reached.unwrap();
    assert_eq!(looks.value(), 0);
    let RecentAccess(recent) = reached.get::<RecentAccess<Acme>>().unwrap();
    assert_eq!(recent.role(), Role::Viewer);
    assert!(reached.get::<Access<Acme>>().is_none());
    assert_eq!(authorize::<TasksWrite>(&reached).unwrap_err().code(), "internal");
    let required = send_known((load, Require::<TasksWrite>::new())).await;
    assert_eq!(required.refused(), "internal");
}

#[tokio::test]
async fn access_is_loaded_if_none_is_recent_or_recent_is_not_enough() {
    for (then, or_recent) in [(None, true), (None, false), (Some(VIEWER), false)] {
        let looks = Counter::default();
        let source = Remembers { then, now: || Ok(EDITOR), looks: looks.clone() };
        let load = LoadAccess::<Acme, _>::new(source);
        let load = if or_recent { load.or_recent() } else { load };
        let reached = send_known(load).await.reached.unwrap();
        assert_eq!(looks.value(), 1, "{then:?} {or_recent}");
        assert!(authorize::<TasksWrite>(&reached).is_ok());
        assert!(reached.get::<RecentAccess<Acme>>().is_none());
    }
}

#[tokio::test]
async fn refusals_name_their_reason() {
    for (now, code) in [
        ((|| Ok(VIEWER)) as fn() -> Result<Facts<Acme>, AccessError>, "forbidden"),
        (|| Ok(LAPSED), "billing-required"),
        (|| Err(AccessError::NotAMember), "not-found"),
        (|| Err(AccessError::SignedOut), "unauthenticated"),
        (|| Err(AccessError::Unavailable("away".into())), "unavailable"),
    ] {
        let source = Remembers { then: None, now, looks: Counter::default() };
        let guards = (LoadAccess::<Acme, _>::new(source), Require::<TasksWrite>::new());
        assert_eq!(send_known(guards).await.refused(), code);
    }
}

#[test]
fn authorize_needs_loaded_access() {
    let mut extensions = Extensions::new();
    assert_eq!(authorize::<TasksWrite>(&extensions).unwrap_err().code(), "internal");
    extensions.insert(access(VIEWER));
    assert_eq!(authorize::<TasksWrite>(&extensions).unwrap_err().code(), "forbidden");
    extensions.insert(access(EDITOR));
    assert!(authorize::<TasksWrite>(&extensions).is_ok());
}

#[test]
fn access_request_names_caller_and_tenant_and_decides_nothing() {
    let (caller, tenant) = (Principal::new(PrincipalId::generate()), TenantId::generate());
    let mut extensions = Extensions::new();
    assert_eq!(access_request::<TasksWrite>(&extensions).unwrap_err().code(), "internal");
    extensions.insert(caller);
    assert_eq!(access_request::<TasksWrite>(&extensions).unwrap_err().code(), "internal");
    extensions.insert(RequestedTenant(tenant));
    let request = access_request::<TasksWrite>(&extensions).unwrap();
    assert_eq!((request.principal(), request.tenant()), (caller, tenant));
}
