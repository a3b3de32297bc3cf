//! Ways to name a tenant, and ways to misname one.

use http::{Extensions, Request};
use http_body_util::Full;
use mt_core::auth::Principal;
use mt_core::id::{PrincipalId, TenantId};
use mt_tower::View;
use mt_tower::layer::GuardLayer;
use mt_tower::problem::Problem;
use mt_tower::resolve_tenant::{
    Directory, DirectoryError, FirstOf, MustAgree, PathParam, PathParams, PathTemplate,
    RequestedTenant, ResolveTenant, Resolver, Slug, TenantClaim, TenantFree, TenantHeader,
    TenantQuery, is_slug,
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
async fn path_params_are_read_and_their_absence_is_our_fault() {
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
async fn closures_resolve_and_find_nothing() {
    let by_query = |view: &View<'_>| TenantId::parse(view.uri.query()?);
    assert_eq!(resolved(&resolve(by_query, &format!("/?{ID}"), |_| {}).await), ID);
    assert_eq!(resolve(by_query, "/", |_| {}).await.refused(), "not-found");
}

#[tokio::test]
async fn a_chain_goes_on_after_nothing_and_stops_at_nonsense() {
    let chain = || {
        let by_query = |view: &View<'_>| TenantId::parse(view.uri.query()?);
        FirstOf(PathTemplate::new("/orgs/{tenant}").unwrap(), by_query)
    };
    let path = format!("/orgs/{ID}?{OTHER}");
    assert_eq!(resolved(&resolve(chain(), &path, |_| {}).await), ID);
    let path = format!("/tasks?{OTHER}");
    assert_eq!(resolved(&resolve(chain(), &path, |_| {}).await), OTHER);
    let path = format!("/orgs/acme?{OTHER}");
    assert_eq!(resolve(chain(), &path, |_| {}).await.refused(), "not-found");
}

/// A lookup that waits, as one for a subdomain would.
struct Slow;

impl Resolver for Slow {
    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        tokio::task::yield_now().await;
        match view.uri.path() {
            "/outage" => Err(Problem::unavailable()),
            _ => Ok(TenantId::parse(ID)),
        }
    }
}

#[tokio::test]
async fn a_lookup_may_wait_and_fail() {
    assert_eq!(resolved(&resolve(Slow, "/", |_| {}).await), ID);
    assert_eq!(resolve(Slow, "/outage", |_| {}).await.refused(), "unavailable");
}

#[tokio::test]
async fn a_query_parameter_has_one_spelling_and_one_place() {
    let resolve = async |query: &str| {
        let resolver = TenantQuery::chosen_by_client("org_id");
        resolve(resolver, &format!("/callback?{query}"), |_| {}).await
    };
    for query in
        [format!("org_id={ID}"), format!("a=b&org_id={ID}&c"), format!("Org_id=x&org_id={ID}")]
    {
        assert_eq!(resolved(&resolve(&query).await), ID, "{query}");
    }
    for query in [
        String::new(),
        "org_id".to_owned(),
        "org_id=".to_owned(),
        "org_id=acme".to_owned(),
        format!("org_id={ID}&org_id={ID}"),
        format!("org_id={ID}&org_id={OTHER}"),
        format!("org_id={ID}&org%5Fid={OTHER}"),
        format!("org%5fid={ID}"),
        format!("org_id=%30{}", &ID[1..]),
        format!("org_id={ID}+"),
        format!("a=b;org_id={ID}"),
    ] {
        assert_eq!(resolve(&query).await.refused(), "not-found", "{query}");
    }
}

/// Knows two slugs, and one on which it fails.
struct Slugs;

impl Directory for Slugs {
    async fn find(&self, name: &str) -> Result<Option<TenantId>, DirectoryError> {
        match name {
            "acme" => Ok(TenantId::parse(ID)),
            "blue-2" => Ok(TenantId::parse(OTHER)),
            "outage" => Err(DirectoryError::new("connection refused")),
            _ => Ok(None),
        }
    }
}

#[tokio::test]
async fn slugs_are_looked_up_in_their_one_spelling() {
    let resolve = async |slug: &str| {
        let template = PathTemplate::new("/orgs/{tenant}").unwrap();
        resolve(Slug(template, Slugs), &format!("/orgs/{slug}/tasks"), |_| {}).await
    };
    assert_eq!(resolved(&resolve("acme").await), ID);
    assert_eq!(resolved(&resolve("blue-2").await), OTHER);
    for slug in ["Acme", "acme-", "-acme", "blue--2", "a_c", "%61cme", "acme%20", "nobody", ID] {
        assert_eq!(resolve(slug).await.refused(), "not-found", "{slug}");
    }
    assert_eq!(resolve("outage").await.refused(), "unavailable");
    assert!(is_slug(&"a".repeat(63)) && !is_slug(&"a".repeat(64)) && !is_slug(""));
}

#[tokio::test]
async fn slugs_are_read_from_any_place() {
    let header = Slug(TenantHeader::chosen_by_client("x-org"), Slugs);
    let query = Slug(TenantQuery::chosen_by_client("org"), Slugs);
    let layer = GuardLayer::new(ResolveTenant::new(MustAgree(header, query)));
    let with = async |uri: &str, header: Option<&str>| {
        let mut request = Request::get(uri);
        if let Some(header) = header {
            request = request.header("x-org", header);
        }
        send(&layer, request.body(Full::default()).unwrap()).await
    };
    assert_eq!(resolved(&with("/?org=acme", None).await), ID);
    assert_eq!(resolved(&with("/", Some("acme")).await), ID);
    assert_eq!(resolved(&with("/?org=acme", Some("acme")).await), ID);
    assert_eq!(with("/?org=acme", Some("blue-2")).await.refused(), "not-found");
}

#[tokio::test]
async fn a_claim_names_the_tenant_that_the_credential_is_bound_to() {
    let principal = Principal::new(PrincipalId::generate());
    let bound = principal.bound_to(TenantId::parse(ID).unwrap());
    assert_eq!(resolved(&resolve(TenantClaim, "/", having(bound)).await), ID);
    assert_eq!(resolve(TenantClaim, "/", having(principal)).await.refused(), "not-found");
    assert_eq!(resolve(TenantClaim, "/", |_| {}).await.refused(), "not-found");
}

#[tokio::test]
async fn what_names_no_tenant_is_refused_as_declared() {
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
async fn a_route_can_be_declared_free_of_tenants() {
    let resolve = ResolveTenant::new(PathTemplate::new("/orgs/{tenant}").unwrap())
        .tenant_free(|view| view.uri.path() == "/health");
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
