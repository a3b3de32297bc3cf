//! Changes to roles, payment and sign-in take effect on the next request, with and without a rate limit by plan.

use serde_json::json;

use crate::support::{Person, Server, problem};

async fn scene(settings: &[(&str, &str)]) -> (Server, Person, Person, String) {
    let server = Server::start_with(settings).await;
    let (owner, member) = (server.sign_in("owner").await, server.sign_in("member").await);
    let org = server.org(&owner).await;
    server.join(&org, &owner, &member, "member").await;
    // Asked twice, so that the server remembers both as members.
    for _ in 0..2 {
        assert_eq!(server.get(&org, &member).await.status, 200);
        assert_eq!(server.get(&org, &owner).await.status, 200);
    }
    (server, owner, member, org)
}

const CONFIGURATIONS: [&[(&str, &str)]; 2] = [&[], &[("RATE_LIMIT_API_PER_MIN", "1000")]];

#[tokio::test]
async fn removed_member_gets_404_on_next_request() {
    for settings in CONFIGURATIONS {
        let (server, _, member, org) = scene(settings).await;
        server
            .sql(&format!("delete from mt.memberships where principal_id = '{}'", member.id))
            .await;
        let answer = server.get(&format!("{org}/projects"), &member).await;
        assert_eq!(answer.outcome(), problem(404, "not-found"), "{settings:?}");
        assert_eq!(server.get(&org, &member).await.outcome(), problem(404, "not-found"));
        server.stop().await;
    }
}

#[tokio::test]
async fn role_changes_take_effect_on_the_next_request() {
    for settings in CONFIGURATIONS {
        let (server, _, member, org) = scene(settings).await;
        let projects = format!("{org}/projects");
        for (role, status) in [("admin", 201), ("member", 403), ("admin", 201)] {
            let change = "update mt.memberships set role";
            server.sql(&format!("{change} = '{role}' where principal_id = '{}'", member.id)).await;
            let answer = server.post(&projects, &member, json!({"name": role})).await;
            assert_eq!(answer.status, status, "{settings:?} {role}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn payment_and_sign_out_take_effect_on_the_next_request() {
    for settings in CONFIGURATIONS {
        let (server, owner, _, org) = scene(settings).await;
        let projects = format!("{org}/projects");
        for (status, answer) in [("unpaid", 402), ("active", 201), ("unpaid", 402)] {
            server.sql(&format!("update mt.tenants set subscription_status = '{status}'")).await;
            let made = server.post(&projects, &owner, json!({"name": status})).await;
            assert_eq!(made.status, answer, "{settings:?} {status}");
        }
        server.sql("update mt.users set generation = generation + 1").await;
        assert_eq!(server.get(&projects, &owner).await.outcome(), problem(401, "unauthenticated"));
        server.stop().await;
    }
}
