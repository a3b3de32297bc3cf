//! `POST /admin/orgs/{org_id}/suspension`, seen from a second server.

use std::sync::Arc;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Server, problem};

/// Two servers on one database, of which the second has a rate limit by plan.
async fn two_servers() -> [Server; 2] {
    let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
    let limited = [("RATE_LIMIT_API_PER_MIN", "1000000")];
    [Server::start_on(Arc::clone(&db), &[]).await, Server::start_on(db, &limited).await]
}

async fn suspend(server: &Server, org: &str, mode: &str) -> Answer {
    let path = format!("/admin{org}/suspension");
    server.send(Method::POST, &path, Some("dev-admin"), Some(json!({"mode": mode}))).await
}

/// Returns the outcomes of a read and of a write in the org.
async fn outcomes(server: &Server, org: &str, who: &Person) -> [(u16, String); 2] {
    let write = json!({"name": "Another"});
    [server.get(org, who).await.outcome(), server.patch(org, who, write).await.outcome()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_on_every_server_from_the_next_transaction_on() {
    let [first, second] = two_servers().await;
    let (owner, stranger) = (first.sign_in("owner").await, first.sign_in("stranger").await);
    let (org, other) = (first.org(&owner).await, first.org(&owner).await);
    let ok = || problem(200, "");
    let suspended = || problem(403, "org-suspended");
    for (mode, expected) in [
        ("none", [ok(), ok()]),
        ("read_only", [ok(), suspended()]),
        ("full", [suspended(), suspended()]),
        ("read_only", [ok(), suspended()]),
        ("none", [ok(), ok()]),
    ] {
        // So that the second server remembers how it was.
        second.get(&org, &owner).await;
        let answer = suspend(&first, &org, mode).await;
        let id = org.rsplit('/').next().unwrap();
        assert_eq!((answer.status, answer.json()), (200, json!({"org_id": id, "mode": mode})));
        for server in [&second, &first] {
            assert_eq!(outcomes(server, &org, &owner).await, expected, "{mode}");
            let hidden = problem(404, "not-found");
            assert_eq!(outcomes(server, &org, &stranger).await, [hidden.clone(), hidden]);
            assert_eq!(outcomes(server, &other, &owner).await, [ok(), ok()], "{mode}");
        }
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_org_stays_in_its_members_list() {
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let (org, other) = (server.org(&owner).await, server.org(&owner).await);
    for (mode, usage) in [("none", true), ("read_only", true), ("full", false)] {
        assert_eq!(suspend(&server, &org, mode).await.status, 200);
        let listing = server.get("/orgs", &owner).await.json();
        let [second, first] = &listing["items"].as_array().unwrap()[..] else {
            panic!("{listing}")
        };
        assert!(other.ends_with(second["id"].as_str().unwrap()));
        assert_eq!(
            (&second["suspension"], &second["usage"]["members"]["used"]),
            (&json!("none"), &json!(1))
        );
        assert_eq!((&first["name"], &first["suspension"]), (&json!("An org"), &json!(mode)));
        assert_eq!((&first["role"], &first["plan"]), (&json!("owner"), &json!("free")));
        assert_eq!(first["usage"].is_object(), usage, "{first}");
    }
    assert_eq!(server.get(&org, &owner).await.outcome(), problem(403, "org-suspended"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_operators_suspend_and_the_log_records_it() {
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let path = format!("/admin{org}/suspension");
    let mode = || Some(json!({"mode": "full"}));
    for token in [None, Some("dev-admi"), Some(owner.token.as_str())] {
        let refused = server.send(Method::POST, &path, token, mode()).await;
        assert_eq!(refused.outcome(), problem(401, "unauthenticated"), "{token:?}");
    }
    let admin = Some("dev-admin");
    for body in [json!({"mode": "half"}), json!({}), json!({"mode": "full", "x": 1}), json!([])] {
        let refused = server.send(Method::POST, &path, admin, Some(body.clone())).await;
        assert_eq!(refused.outcome(), problem(422, "invalid-fields"), "{body}");
    }
    for unknown in ["0", "01890000-0000-7000-8000-000000000000"] {
        let path = format!("/admin/orgs/{unknown}/suspension");
        let refused = server.send(Method::POST, &path, admin, mode()).await;
        assert_eq!(refused.outcome(), problem(404, "not-found"), "{unknown}");
    }
    assert_eq!(server.get(&org, &owner).await.status, 200);

    for mode in ["read_only", "read_only", "none"] {
        assert_eq!(suspend(&server, &org, mode).await.status, 200);
    }
    let log = server.get(&format!("{org}/audit?actor=operator"), &owner).await.json();
    let told: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["actor"]["name"], &entry["action"], &entry["detail"]))
        .collect();
    let (by, action) = (json!("admin token"), json!("org.suspension_changed"));
    let changes =
        [json!({"from": "read_only", "to": "none"}), json!({"from": "none", "to": "read_only"})];
    let expected: Vec<(&Value, &Value, &Value)> =
        changes.iter().map(|change| (&by, &action, change)).collect();
    assert_eq!(told, expected);
    server.stop().await;
}
