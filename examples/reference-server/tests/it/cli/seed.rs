//! `mt-server seed`: the demo org, and orgs for load tests.

use std::process::Output;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use serde_json::{Value, json};

use crate::support::cli::run;
use crate::support::{Server, production};

async fn seed(database_url: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let all = [&[("APP_ENV", "test"), ("DATABASE_URL", database_url)], settings].concat();
    run(&[&["seed"], arguments].concat(), &all).await
}

async fn json_of(database_url: &str, arguments: &[&str]) -> Value {
    let output = seed(database_url, &[arguments, &["--json"]].concat(), &[]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeding_is_idempotent() {
    let server = Server::start().await;
    // A user who has signed in before is the user that the seed finds.
    let before = server.redeem(&server.link("owner@acme.example").await).await;
    assert_eq!(before.status, 200);
    let url = server.db.login_url();
    let seeded = json_of(&url, &[]).await;
    assert_eq!(seeded.as_object().unwrap().len(), 4, "{seeded}");
    let users: Vec<_> = seeded["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["email"].as_str().unwrap(), user["role"].as_str().unwrap()))
        .collect();
    assert_eq!(
        users,
        [
            ("owner@acme.example", "owner"),
            ("admin@acme.example", "admin"),
            ("member@acme.example", "member")
        ]
    );
    let (org, task) = (seeded["org_id"].as_str().unwrap(), seeded["task_id"].as_str().unwrap());
    let org = format!("/orgs/{org}");
    for (email, role) in users {
        let redeemed = server.redeem(&server.link(email).await).await.json();
        let token = redeemed["access_token"].as_str();
        let seen = server.send(reqwest::Method::GET, &org, token, None).await;
        assert_eq!((seen.status, &seen.json()["role"]), (200, &json!(role)));
        assert_eq!(seen.json()["plan"], "free");
        let path = format!("{org}/tasks/{task}");
        let seen = server.send(reqwest::Method::GET, &path, token, None).await;
        assert_eq!(seen.json()["project_id"], seeded["project_id"], "{seen:?}");
    }
    // Again: nothing is doubled, what was changed stays, what was taken away is back.
    server.sql("update mt.tenants set name = 'Renamed'").await;
    server.sql("delete from app.tasks").await;
    server.sql("delete from mt.memberships where not is_owner").await;
    assert_eq!(json_of(&url, &[]).await, seeded);
    let rows: (i64, i64, i64, i64, String) = sqlx::query_as(
        "select (select count(*) from app.tasks), (select count(*) from app.projects), \
             (select count(*) from mt.memberships), (select count(*) from mt.users), \
             (select string_agg(name, ',') from mt.tenants)",
    )
    .fetch_one(server.db.admin())
    .await
    .unwrap();
    assert_eq!(rows, (1, 1, 3, 3, "Renamed".to_owned()));
    let again = seed(&url, &[], &[]).await;
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(text.contains(task) && text.contains("/auth/request-link"), "{text}");
    let at = reqwest::Url::parse(&url).unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    let (host, port) = (at.host_str().unwrap(), at.port().unwrap());
    let database = format!("the database `{}` of the Postgres at {host}:{port}", &at.path()[1..]);
    assert!(said.contains(&database) && !said.contains(at.password().unwrap()), "{said}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_seed_creates_the_stated_amount_once() {
    let db = TestDatabase::create_with(&[schema::product()]).await.unwrap();
    let url = db.login_url();
    for _ in 0..2 {
        let seeded = json_of(&url, &["--size", "small"]).await;
        assert_eq!(
            (&seeded["load"]["orgs"], &seeded["load"]["tasks"]),
            (&json!(100), &json!(1000))
        );
        let k6: String = sqlx::query_scalar("select plan from mt.tenants where id = $1::uuid")
            .bind(seeded["load"]["k6"]["org_id"].as_str())
            .fetch_one(db.admin())
            .await
            .unwrap();
        assert_eq!(k6, "pro");
        let rows: (i64, i64, i64, i64, i64) = sqlx::query_as(
            "select (select count(*) from mt.tenants), (select count(*) from mt.memberships), \
                 (select count(*) from app.projects), (select count(*) from app.tasks), \
                 (select count(distinct id) from app.tasks)",
        )
        .fetch_one(db.admin())
        .await
        .unwrap();
        assert_eq!(rows, (102, 306, 302, 1002, 1002));
    }
}

#[tokio::test]
async fn production_refuses_seeding_and_sizes_are_named() {
    let prod = production();
    let prod: Vec<_> = prod.iter().map(|(name, value)| (&**name, &**value)).collect();
    // It says no before it would find that there is no such database.
    let refused = seed("postgres://u:p@127.0.0.1:1/d", &[], &prod).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`APP_ENV` is `prod`"));
    let wrong = seed("postgres://u:p@127.0.0.1:1/d", &["--size", "huge"], &[]).await;
    assert_eq!(wrong.status.code(), Some(2));
}
