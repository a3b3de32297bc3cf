//! The caller's request for access, as an argument of a handler.

use mt_core::access::{Access, Denied, Facts};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use mt_tower::resolve_tenant::RequestedTenant;
use reference_server::http::caller::{InOrg, Undecided};
use reference_server::model::{Plan, Product, ProjectsCreate, Role};
use salvo::prelude::*;

use crate::support::raw_http::TestService;

/// Leaves what the query asks for, as the guards would.
#[handler]
async fn guards(req: &mut Request) {
    let query = req.uri().query().unwrap_or_default().to_owned();
    if query.contains("caller") {
        req.extensions_mut().insert(Principal::new(PrincipalId::generate()));
    }
    if query.contains("org") {
        req.extensions_mut().insert(RequestedTenant(TenantId::generate()));
    }
}

#[handler]
async fn create(org: InOrg<ProjectsCreate>, req: &mut Request) -> String {
    let undecided = req.extensions().get::<Undecided<Product>>().unwrap();
    assert_eq!((undecided.principal, undecided.tenant), (org.0.principal(), org.0.tenant()));
    for (role, outcome) in [(Role::Owner, Ok(())), (Role::Member, Err(Denied::Forbidden))] {
        let facts = Facts::new(role, Plan::Free, Standing::Good);
        let access = Access::assertion(org.0.tenant(), org.0.principal(), facts);
        assert_eq!((undecided.check)(&access), outcome);
    }
    "it ran".to_owned()
}

#[tokio::test]
async fn handler_of_an_org_does_not_run_without_its_guards() {
    let router = Router::with_path("projects").hoop(guards).post(create);
    let server = TestService::start(router).await;
    // A mistake in the order of guards, never a pass.
    for query in ["none", "caller", "org"] {
        let reply = server.ask(&format!("POST /projects?{query}"), "", "").await;
        reply.assert_problem(500, "internal");
    }
    let reply = server.ask("POST /projects?caller-and-org", "", "").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "it ran"));
    server.stop().await;
}
