//! The server behind PgBouncer in transaction mode.

use std::sync::Arc;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use reqwest::Method;
use serde_json::json;
use sqlx::ConnectOptions as _;
use tokio::task::JoinSet;

use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_behind_a_pooler_serves_all_requests() {
    for limit in ["0", "1000000"] {
        let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
        let Some(login) = db.pooled_login() else {
            eprintln!("SKIPPED: no PgBouncer in MT_TEST_PGBOUNCER_URL");
            return;
        };
        let url = login.to_url_lossy().to_string();
        let settings = [("DATABASE_URL", url.as_str()), ("RATE_LIMIT_API_PER_MIN", limit)];
        let server = Arc::new(Server::start_on(db, &settings).await);
        let ready = server.send(Method::GET, "/ready", None, None).await;
        assert_eq!(ready.status, 200, "{ready:?}");

        // More clients than the pooler has connections, each with a statement of its own first.
        let mut clients = JoinSet::new();
        for client in 0..24 {
            let server = Arc::clone(&server);
            clients.spawn(async move {
                let owner = server.sign_in(&format!("owner-{client}")).await;
                let member = server.sign_in(&format!("member-{client}")).await;
                let org = server.org(&owner).await;
                server.join(&org, &owner, &member, "member").await;
                let projects = format!("{org}/projects");
                let name = format!("of {client}");
                let id = server.make(&projects, &owner, json!({"name": name})).await;
                for _ in 0..5 {
                    let seen = server.get(&projects, &member).await.json();
                    let seen = seen["items"].as_array().unwrap().clone();
                    assert_eq!((seen.len(), &seen[0]["id"]), (1, &json!(id)), "{client}");
                }
                let path = format!("{org}/members/{}", member.id);
                assert_eq!(server.delete(&path, &owner).await.status, 204);
                assert_eq!(server.get(&projects, &member).await.status, 404, "{client}");
            });
        }
        clients.join_all().await;

        // The next ones find nothing on the pooler's connections that would be in their way.
        for _ in 0..3 {
            let next = Server::start_on(Arc::clone(&server.db), &settings).await;
            let owner = next.sign_in("owner-0").await;
            assert_eq!(next.get("/orgs", &owner).await.status, 200);
            next.stop().await;
        }
    }
}

#[tokio::test]
async fn migrations_through_a_pooler_are_refused() {
    let db = TestDatabase::create().await.unwrap();
    let Some(login) = db.pooled_login() else {
        eprintln!("SKIPPED: no PgBouncer in MT_TEST_PGBOUNCER_URL");
        return;
    };
    let refused = schema::migration().run(&login).await.unwrap_err();
    assert!(refused.to_string().contains("pooler"), "{refused}");
    // What is there already can be asked for through one.
    let pending = schema::migration().pending(&login).await.unwrap();
    assert_eq!(pending.len(), 1, "{pending:?}");
}
