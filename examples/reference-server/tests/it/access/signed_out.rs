//! Tokens of deleted and signed-out users get 401 before any other error, on every operation of the OpenAPI
//! document.

use reference_server::http::openapi::BEARER;
use reqwest::Method;
use serde_json::Value;

use crate::openapi::conformance::document;
use crate::support::{Person, Server};

const MALFORMED: [&str; 4] = ["", "{", "[]", r#"{"unknown":1}"#];
const PATHS: [&str; 2] = ["", "?limit=none&cursor=none"];

/// An operation that takes a bearer token.
pub(super) struct SignedIn {
    pub(super) method: Method,
    pub(super) template: String,
    pub(super) has_body: bool,
}

/// Every signed-in operation.
pub(super) fn operations() -> Vec<SignedIn> {
    let takes_bearer = |operation: &Value| {
        let mut schemes = operation["security"].as_array().into_iter().flatten();
        schemes.any(|scheme| scheme.get(BEARER).is_some())
    };
    let signed_in = document().operations().filter(|(.., operation)| takes_bearer(operation));
    let operations = signed_in.map(|(template, method, operation)| SignedIn {
        method: method.to_uppercase().parse().unwrap(),
        template: template.to_owned(),
        has_body: operation["requestBody"].is_object(),
    });
    operations.collect()
}

impl SignedIn {
    /// The path in `org`, with ids of nothing for the rest.
    fn path(&self, org: &str) -> String {
        let path = self.template.replace("/orgs/{org_id}", org);
        let segments = path.split('/').map(|segment| match segment.starts_with('{') {
            true => "01890a5d-ac96-774b-bcce-b302099a8057",
            false => segment,
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// Returns the responses to malformed requests, each with what to show of it.
    pub(super) async fn malformed(
        &self,
        server: &Server,
        org: &str,
        caller: &Person,
    ) -> Vec<(u16, String)> {
        let mut answers = Vec::new();
        for query in PATHS {
            for body in MALFORMED {
                let path = format!("{}{query}", self.path(org));
                let (method, token) = (self.method.clone(), Some(caller.token.as_str()));
                let answer = server.send_bytes(method, &path, token, body.into()).await;
                answers
                    .push((answer.status, format!("{} {path} {body:?}: {answer:?}", self.method)));
            }
        }
        answers
    }
}

async fn callers_who_are_gone_get_401(settings: &[(&str, &str)]) {
    let server = Server::start_with(settings).await;
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let unknown = server.sign_in("unknown").await;
    let signed_out = server.sign_in("signed-out").await;
    for gone in [&unknown, &signed_out] {
        server.join(&org, &owner, gone, "admin").await;
        assert_eq!(server.get(&org, gone).await.status, 200);
    }
    server.sql(&format!("delete from mt.memberships where principal_id = '{}'", unknown.id)).await;
    server.sql(&format!("delete from mt.users where id = '{}'", unknown.id)).await;
    let out = server.send(Method::POST, "/auth/logout", Some(&signed_out.token), None).await;
    assert_eq!(out.status, 204, "{out:?}");

    let operations = operations();
    assert!(operations.len() >= 30, "{}", operations.len());
    for operation in &operations {
        for org in [org.as_str(), "/orgs/none", "/orgs/01890a5d-ac96-774b-bcce-b302099a8057"] {
            for gone in [&unknown, &signed_out] {
                for (status, told) in operation.malformed(&server, org, gone).await {
                    assert_eq!(status, 401, "{} {told}", gone.email);
                }
            }
        }
    }
    // The control: the same requests are refused for what is wrong with them once the caller is known.
    for operation in operations.iter().filter(|operation| operation.has_body) {
        for (status, told) in operation.malformed(&server, &org, &owner).await {
            assert!(matches!(status, 400 | 404 | 422), "{told}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn malformed_requests_of_deleted_users_get_401() {
    callers_who_are_gone_get_401(&[]).await;
}

#[tokio::test]
async fn rate_limit_by_plan_does_not_delay_a_401() {
    callers_who_are_gone_get_401(&[("RATE_LIMIT_API_PER_MIN", "1000000")]).await;
}
