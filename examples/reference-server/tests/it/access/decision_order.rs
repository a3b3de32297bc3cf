//! The decision on the caller's access comes before every refusal of the request itself, on every operation of an org.

use reqwest::Method;

use crate::access::signed_out::{SignedIn, operations};
use crate::support::{Person, Server};

fn in_org() -> impl Iterator<Item = SignedIn> {
    operations().into_iter().filter(|operation| operation.template.starts_with("/orgs/{org_id}"))
}

/// Sends malformed requests to every operation of `org`, and returns the statuses that differ from `expected`.
async fn other_than(expected: u16, server: &Server, org: &str, caller: &Person) -> Vec<String> {
    let mut others = Vec::new();
    for operation in in_org() {
        let answers = operation.malformed(server, org, caller).await;
        others.extend(answers.into_iter().filter(|(status, _)| *status != expected));
    }
    others.into_iter().map(|(status, told)| format!("{status} {told}")).collect()
}

#[tokio::test]
async fn malformed_requests_of_strangers_get_404_and_of_a_suspended_org_403() {
    let server = Server::start().await;
    let (owner, stranger) = (server.sign_in("owner").await, server.sign_in("stranger").await);
    let org = server.org(&owner).await;
    assert!(in_org().count() >= 20, "{}", in_org().count());
    assert_eq!(other_than(404, &server, &org, &stranger).await, [""; 0]);

    // The control: the owner learns what is wrong with the same requests.
    let mut unprocessable = 0;
    // A deletion has no body that could be malformed.
    for operation in in_org().filter(|operation| operation.method != Method::DELETE) {
        let answers = operation.malformed(&server, &org, &owner).await;
        unprocessable += answers.iter().filter(|(status, _)| *status == 422).count();
    }
    assert!(unprocessable > 10, "{unprocessable}");

    server.sql("update mt.tenants set suspension = 'full'").await;
    assert_eq!(other_than(403, &server, &org, &owner).await, [""; 0]);
    assert_eq!(other_than(404, &server, &org, &stranger).await, [""; 0]);
    server.stop().await;
}

#[tokio::test]
async fn malformed_requests_without_permission_or_payment_get_403_and_402() {
    let server = Server::start().await;
    let (owner, member) = (server.sign_in("owner").await, server.sign_in("member").await);
    let org = server.org(&owner).await;
    server.join(&org, &owner, &member, "member").await;
    let post = async |path: &str, caller: &Person| {
        let token = Some(caller.token.as_str());
        let path = format!("{org}/{path}");
        server.send_bytes(Method::POST, &path, token, "{".into()).await.status
    };
    assert_eq!(post("invites", &member).await, 403);
    assert_eq!(post("projects", &owner).await, 400);
    server.sql("update mt.tenants set subscription_status = 'unpaid'").await;
    assert_eq!(post("projects", &owner).await, 402);
    assert_eq!(post("invites", &member).await, 403, "the role comes first");
    server.stop().await;
}
