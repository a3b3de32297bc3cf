//! The access cache of the server: changes take effect on the next request, with and without notifications.

use serde_json::json;

use crate::support::{Person, Server, problem};

/// Keeps changes from being told, as a pooler in transaction mode would.
const DEAFEN: [&str; 3] = [
    "alter table mt.memberships disable trigger memberships_tell_access_changed",
    "alter table mt.tenants disable trigger tenants_tell_access_changed",
    "alter table mt.users disable trigger users_tell_access_changed",
];

async fn scene(settings: &[(&str, &str)], deaf: bool) -> (Server, Person, Person, String) {
    let server = Server::start_with(settings).await;
    if deaf {
        for sql in DEAFEN {
            server.sql(sql).await;
        }
    }
    let (owner, member) = (server.sign_in("owner").await, server.sign_in("member").await);
    let org = server.org(&owner).await;
    server.join(&org, &owner, &member, "member").await;
    // Asked twice, so that the second answer is from memory where there is one.
    for _ in 0..2 {
        assert_eq!(server.get(&org, &member).await.status, 200);
        assert_eq!(server.get(&org, &owner).await.status, 200);
    }
    (server, owner, member, org)
}

const CONFIGURATIONS: [(&[(&str, &str)], bool); 3] = [
    (&[], false),
    (&[("ACCESS_CACHE_SECONDS", "600")], false),
    (&[("ACCESS_CACHE_SECONDS", "600")], true),
];

#[tokio::test]
async fn removed_member_gets_404_on_next_request() {
    for (settings, deaf) in CONFIGURATIONS {
        let (server, _, member, org) = scene(settings, deaf).await;
        server
            .sql(&format!("delete from mt.memberships where principal_id = '{}'", member.id))
            .await;
        let answer = server.get(&format!("{org}/projects"), &member).await;
        assert_eq!(answer.outcome(), problem(404, "not-found"), "{settings:?} {deaf}");
        assert_eq!(server.get(&org, &member).await.outcome(), problem(404, "not-found"));
        server.stop().await;
    }
}

#[tokio::test]
async fn role_changes_take_effect_on_the_next_request() {
    for (settings, deaf) in CONFIGURATIONS {
        let (server, _, member, org) = scene(settings, deaf).await;
        let projects = format!("{org}/projects");
        for (role, status) in [("admin", 201), ("member", 403), ("admin", 201)] {
            let change = "update mt.memberships set role";
            server.sql(&format!("{change} = '{role}' where principal_id = '{}'", member.id)).await;
            let answer = server.post(&projects, &member, json!({"name": role})).await;
            assert_eq!(answer.status, status, "{settings:?} {deaf} {role}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn payment_and_sign_out_take_effect_on_the_next_request() {
    for (settings, deaf) in CONFIGURATIONS {
        let (server, owner, _, org) = scene(settings, deaf).await;
        let projects = format!("{org}/projects");
        for (status, answer) in [("unpaid", 402), ("active", 201), ("unpaid", 402)] {
            server.sql(&format!("update mt.tenants set subscription_status = '{status}'")).await;
            let made = server.post(&projects, &owner, json!({"name": status})).await;
            assert_eq!(made.status, answer, "{settings:?} {deaf} {status}");
        }
        server.sql("update mt.users set generation = generation + 1").await;
        assert_eq!(server.get(&projects, &owner).await.outcome(), problem(401, "unauthenticated"));
        server.stop().await;
    }
}
