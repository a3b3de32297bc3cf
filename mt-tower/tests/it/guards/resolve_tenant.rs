//! Sources of the tenant: path, header, query, slug, claim and closures.

use http::{Extensions, Request};
use http_body_util::Full;
use mt_core::auth::Principal;
use mt_core::id::{PrincipalId, TenantId};
use mt_tower::RequestContext;
use mt_tower::layer::GuardLayer;
use mt_tower::problem::Problem;
use mt_tower::resolve_tenant::{
    PathParam, PathParams, PathTemplate, RequestedTenant, ResolveTenant, Resolver, TenantClaim,
    TenantFree, TenantHeader,
};

use crate::support::{Outcome, having, request, send};

const ID: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20";
const OTHER: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b21";

async fn resolve<R: Resolver>(
    resolver: R,
    uri: &str,
    fill: impl FnOnce(&mut Extensions),
) -> Outcome {
    send(&GuardLayer::new(ResolveTenant::new(resolver)), request(uri, fill)).await
}

#[track_caller]
fn resolved(outcome: &Outcome) -> String {
    let RequestedTenant(tenant) = outcome.left();
    tenant.to_string()
}

#[tokio::test]
async fn path_templates_capture_one_segment_and_parse_it_strictly() {
    let template = || PathTemplate::new("/{version}/orgs/{tenant}").unwrap();
    for path in [format!("/v1/orgs/{ID}"), format!("/v2/orgs/{}/tasks?x=1", ID.to_uppercase())] {
        assert_eq!(resolved(&resolve(template(), &path, |_| {}).await), ID);
    }
    for path in [
        "/".to_owned(),
        "/v1/orgs".to_owned(),
        "/v1/orgs/".to_owned(),
        "/v1/orgs/acme".to_owned(),
        format!("/v1//orgs/{ID}"),
        format!("/v1/orgs//{ID}"),
        format!("/v1/orgs/./{ID}"),
        format!("/v1/Orgs/{ID}"),
        format!("/v1/%6Frgs/{ID}"),
        format!("/v1/orgs/%30{}", &ID[1..]),
        format!("/v1/orgs/{ID}%2f"),
        format!("/v1/orgs/{}", ID.replace('-', "")),
        format!("/v1/orgs/{ID}{ID}"),
        format!("/v1/teams/{ID}"),
    ] {
        assert_eq!(resolve(template(), &path, |_| {}).await.refused(), "not-found", "{path}");
    }
}

#[test]
fn templates_without_one_tenant_are_refused() {
    for text in ["", "orgs/{tenant}", "/orgs", "/{tenant}/{tenant}", "/orgs/{org}"] {
        assert!(PathTemplate::new(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn path_params_are_read_and_missing_ones_are_an_internal_error() {
    let params = |value: &str| PathParams::from_iter([("task_id", "7"), ("org_id", value)]);
    let resolve = async |params: Option<PathParams>| {
        let fill =
            |extensions: &mut Extensions| drop(params.map(|params| extensions.insert(params)));
        resolve(PathParam("org_id"), "/", fill).await
    };
    assert_eq!(resolved(&resolve(Some(params(ID))).await), ID);
    assert_eq!(resolve(Some(params("acme"))).await.refused(), "not-found");
    assert_eq!(resolve(Some(PathParams::default())).await.refused(), "not-found");
    assert_eq!(resolve(None).await.refused(), "internal");
}

#[tokio::test]
async fn two_headers_name_no_tenant() {
    let layer = GuardLayer::new(ResolveTenant::new(TenantHeader::chosen_by_client("x-tenant-id")));
    let with = async |values: &[&str]| {
        let mut request = Request::get("/");
        for value in values {
            request = request.header("X-Tenant-Id", *value);
        }
        send(&layer, request.body(Full::default()).unwrap()).await
    };
    assert_eq!(resolved(&with(&[ID]).await), ID);
    for values in [&[][..], &[ID, ID], &[ID, OTHER], &["acme"], &[""]] {
        assert_eq!(with(values).await.refused(), "not-found", "{values:?}");
    }
}

#[tokio::test]
async fn closures_can_resolve_a_tenant_or_none() {
    let by_query = |request: &RequestContext<'_>| TenantId::parse(request.uri.query()?);
    assert_eq!(resolved(&resolve(by_query, &format!("/?{ID}"), |_| {}).await), ID);
    assert_eq!(resolve(by_query, "/", |_| {}).await.refused(), "not-found");
}

#[tokio::test]
async fn tuple_continues_after_no_match_and_stops_at_an_invalid_one() {
    let both = || {
        let by_query = |request: &RequestContext<'_>| TenantId::parse(request.uri.query()?);
        (PathTemplate::new("/orgs/{tenant}").unwrap(), by_query)
    };
    let path = format!("/orgs/{ID}?{OTHER}");
    assert_eq!(resolved(&resolve(both(), &path, |_| {}).await), ID);
    let path = format!("/tasks?{OTHER}");
    assert_eq!(resolved(&resolve(both(), &path, |_| {}).await), OTHER);
    let path = format!("/orgs/acme?{OTHER}");
    assert_eq!(resolve(both(), &path, |_| {}).await.refused(), "not-found");
}

/// A lookup that waits, as one for a subdomain would.
struct Slow;

impl Resolver for Slow {
    async fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> Result<Option<TenantId>, Problem> {
        tokio::task::yield_now().await;
        match request.uri.path() {
            "/outage" => Err(Problem::unavailable()),
            _ => Ok(TenantId::parse(ID)),
        }
    }
}

#[tokio::test]
async fn lookup_may_be_async_and_fail() {
    assert_eq!(resolved(&resolve(Slow, "/", |_| {}).await), ID);
    assert_eq!(resolve(Slow, "/outage", |_| {}).await.refused(), "unavailable");
}

#[tokio::test]
async fn tenant_claim_names_the_bound_tenant() {
    let principal = Principal::new(PrincipalId::generate());
    let bound = principal.bound_to(TenantId::parse(ID).unwrap());
    assert_eq!(resolved(&resolve(TenantClaim, "/", having(bound)).await), ID);
    assert_eq!(resolve(TenantClaim, "/", having(principal)).await.refused(), "not-found");
    assert_eq!(resolve(TenantClaim, "/", |_| {}).await.refused(), "not-found");
}

#[tokio::test]
async fn request_without_a_tenant_is_refused_as_declared() {
    let misdirected = Problem::new(http::StatusCode::BAD_REQUEST, "no-tenant", "Name a tenant");
    let layer = GuardLayer::new(
        ResolveTenant::new(PathTemplate::new("/orgs/{tenant}").unwrap())
            .or_refuse_with(misdirected),
    );
    assert_eq!(send(&layer, request("/tasks", |_| {})).await.refused(), "no-tenant");
    // Named, and none: it must not differ from one that is not there.
    assert_eq!(send(&layer, request("/orgs/acme", |_| {})).await.refused(), "not-found");
}

#[tokio::test]
async fn route_can_be_declared_without_a_tenant() {
    let resolve = ResolveTenant::new(PathTemplate::new("/orgs/{tenant}").unwrap())
        .tenant_free(|request| request.uri.path() == "/health");
    let layer = GuardLayer::new(resolve);
    let free = send(&layer, request("/health", |_| {})).await;
    let TenantFree = free.left();
    assert!(free.reached.unwrap().get::<RequestedTenant>().is_none());
    // Declared by a layer outside of this one.
    let TenantFree = send(&layer, request("/metrics", having(TenantFree))).await.left();
    for path in ["/metrics", "/health/", "//health", "/%68ealth", "/Health"] {
        assert_eq!(send(&layer, request(path, |_| {})).await.refused(), "not-found", "{path}");
    }
}
