//! A permission as an argument of a handler is checked before the handler runs.

use mt_core::access::{Access, Facts};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use reference_server::http::authorized::Authorized;
use reference_server::http::json;
use reference_server::http::problem::ApiError;
use reference_server::model::{Plan, Product, ProjectsCreate, Role};
use salvo::prelude::*;

use super::{Form, JSON};
use crate::support::raw_http::TestService;

/// Leaves the access that the query asks for, as `LoadAccess` would.
#[handler]
async fn load(req: &mut Request) {
    let facts = match req.uri().query() {
        Some("owner") => Facts::new(Role::Owner, Plan::Free, Standing::Good),
        Some("lapsed") => Facts::new(Role::Owner, Plan::Free, Standing::Lapsed),
        Some("member") => Facts::new(Role::Member, Plan::Free, Standing::Good),
        _ => return,
    };
    let principal = Principal::new(PrincipalId::generate());
    let access = Access::<Product>::assertion(TenantId::generate(), principal, facts);
    req.extensions_mut().insert(access);
}

#[handler]
async fn create(
    grant: Authorized<ProjectsCreate>,
    req: &mut Request,
    res: &mut Response,
) -> Result<String, ApiError> {
    res.headers_mut().insert("x-of-the-handler", "it ran".parse().expect("plain text"));
    let Form { name, .. } = json::from_slice(&json::bytes(req).await?)?;
    Ok(format!("{} {}", grant.0.access().role() == Role::Owner, name.as_str()))
}

#[tokio::test]
async fn grant_is_checked_before_handler_and_body() {
    let router = Router::with_path("projects").hoop(load).post(create);
    let server = TestService::start(router).await;
    for (headers, body) in [("content-length: 1\r\n", "{"), ("", "")] {
        for (who, status, code) in [
            ("member", 403, "forbidden"),
            ("lapsed", 402, "billing-required"),
            // No layer has loaded it: a mistake in the layers, never a pass.
            ("nobody", 500, "internal"),
        ] {
            let reply = server.ask(&format!("POST /projects?{who}"), headers, body).await;
            reply.assert_problem(status, code);
            assert_eq!(reply.header("x-of-the-handler"), None);
        }
        // The control: the same request is about its body once there is a grant.
        let reply = server.ask("POST /projects?owner", headers, body).await;
        reply.assert_problem(415, "unsupported-media-type");
        assert_eq!(reply.header("x-of-the-handler"), Some("it ran"));
    }
    let body = r#"{"name":"Plans"}"#;
    let headers = format!("{JSON}content-length: {}\r\n", body.len());
    let reply = server.ask("POST /projects?owner", &headers, body).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "true Plans"));
    server.stop().await;
}
