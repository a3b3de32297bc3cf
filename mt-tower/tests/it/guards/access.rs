//! Loading access and deciding on it.

use http::{Extensions, Method};
use mt_core::access::{Access, AccessError, AccessSource, Facts, Suspension};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::LoadAccess;
use mt_tower::require::Require;
use mt_tower::resolve_tenant::{RequestedTenant, TenantFree};

use crate::support::{Acme, EDITOR, Role, TasksWrite, access, having, request, send};

/// Answers with what it is given.
struct Source(fn() -> Result<Facts<Acme>, AccessError>);

impl AccessSource<Acme> for Source {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<Acme>, AccessError> {
        Ok(Access::assertion(tenant, principal, (self.0)()?))
    }
}

fn loads(source: fn() -> Result<Facts<Acme>, AccessError>) -> GuardLayer<LoadAccess<Acme, Source>> {
    GuardLayer::new(LoadAccess::new(Source(source)))
}

fn known(extensions: &mut Extensions) {
    extensions.insert(Principal::new(PrincipalId::generate()));
    extensions.insert(RequestedTenant(TenantId::generate()));
}

#[tokio::test]
async fn access_is_loaded_for_this_caller_and_this_tenant() {
    let (ada, acme) = (Principal::new(PrincipalId::generate()), TenantId::generate());
    let request = request("/", |extensions| {
        extensions.insert(ada);
        extensions.insert(RequestedTenant(acme));
    });
    let access: Access<Acme> = send(&loads(|| Ok(EDITOR)), request).await.left();
    assert_eq!((access.principal(), access.tenant(), access.role()), (ada, acme, Role::Editor));
}

#[tokio::test]
async fn each_denial_reason_has_its_response() {
    let refused = async |source| {
        let outcome = send(&loads(source), request("/", known)).await;
        assert!(!String::from_utf8_lossy(outcome.answer.body()).contains("secret cause"));
        (outcome.status(), outcome.refused())
    };
    assert_eq!(refused(|| Err(AccessError::NotAMember)).await, (404, "not-found"));
    assert_eq!(refused(|| Err(AccessError::SignedOut)).await, (401, "unauthenticated"));
    let away = || Err(AccessError::Unavailable("secret cause".into()));
    assert_eq!(refused(away).await, (503, "unavailable"));
    let broken = || Err(AccessError::Internal("secret cause".into()));
    assert_eq!(refused(broken).await, (500, "internal"));
}

#[tokio::test]
async fn missing_extension_never_passes() {
    let load = loads(|| Ok(EDITOR));
    let no_tenant = request("/", having(Principal::new(PrincipalId::generate())));
    assert_eq!(send(&load, no_tenant).await.refused(), "internal");
    let no_principal = request("/", having(RequestedTenant(TenantId::generate())));
    assert_eq!(send(&load, no_principal).await.refused(), "internal");
    let require = GuardLayer::new(Require::<TasksWrite>::new());
    assert_eq!(send(&require, request("/", known)).await.refused(), "internal");
}

#[tokio::test]
async fn require_responds_as_the_access_decision() {
    let layer = GuardLayer::new(Require::<TasksWrite>::new());
    for (facts, expected) in [
        (EDITOR, None),
        (Facts { standing: Standing::Grace, ..EDITOR }, None),
        (Facts { role: Role::Viewer, ..EDITOR }, Some("forbidden")),
        (Facts { standing: Standing::Lapsed, ..EDITOR }, Some("billing-required")),
        (Facts { role: Role::Viewer, standing: Standing::Lapsed, ..EDITOR }, Some("forbidden")),
        (Facts { suspension: Suspension::ReadOnly, ..EDITOR }, Some("tenant-suspended")),
        (Facts { suspension: Suspension::Full, ..EDITOR }, Some("tenant-suspended")),
    ] {
        let outcome = send(&layer, request("/", having(access(facts)))).await;
        match expected {
            None => assert!(outcome.reached.is_some(), "{facts:?}"),
            Some(code) => assert_eq!(outcome.refused(), code, "{facts:?}"),
        }
    }
}

#[tokio::test]
async fn bound_credential_is_valid_in_its_tenant_only() {
    let (acme, blue) = (TenantId::generate(), TenantId::generate());
    let ada = Principal::new(PrincipalId::generate());
    let load = loads(|| Ok(EDITOR));
    let as_member = async |principal: Principal, tenant| {
        let request = request("/", |extensions| {
            extensions.insert(principal);
            extensions.insert(RequestedTenant(tenant));
        });
        send(&load, request).await
    };
    // A member of both, by what the source says.
    for tenant in [acme, blue] {
        assert_eq!(as_member(ada, tenant).await.status(), 200);
    }
    assert_eq!(as_member(ada.bound_to(acme), acme).await.status(), 200);
    assert_eq!(as_member(ada.bound_to(acme), blue).await.refused(), "not-found");
}

#[tokio::test]
async fn request_without_a_tenant_passes_where_declared() {
    let free = |method: Method| {
        let mut request = request("/health", having(TenantFree));
        *request.method_mut() = method;
        request
    };
    let layer = GuardLayer::new(LoadAccess::<Acme, _>::new(Source(|| unreachable!())));
    for method in [Method::GET, Method::POST] {
        let outcome = send(&layer, free(method)).await;
        assert!(outcome.reached.expect("passes").get::<Access<Acme>>().is_none());
    }
    // A handler that extracts access finds none.
    let require = GuardLayer::new(Require::<TasksWrite>::new());
    assert_eq!(send(&require, free(Method::GET)).await.refused(), "internal");
}
