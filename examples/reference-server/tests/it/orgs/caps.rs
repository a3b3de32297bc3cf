//! The caps of the free plan under concurrent requests, and after a downgrade.

use mt_core::testing::caps::{Attempt, CapRace, Capped};
use serde_json::json;

use crate::support::{Answer, Person, Server, problem};

/// An org with its owner, as each test of a cap needs it.
struct Orgs {
    server: Server,
    owner: Person,
}

impl Orgs {
    async fn new() -> Self {
        let server = Server::start().await;
        let owner = server.sign_in("owner").await;
        Self { server, owner }
    }

    async fn count(&self, sql: &str, org: &str) -> usize {
        let id = uuid::Uuid::parse_str(org.rsplit('/').next().unwrap()).unwrap();
        let stored: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
            .bind(id)
            .fetch_one(self.server.db.admin())
            .await
            .unwrap();
        usize::try_from(stored).unwrap()
    }

    /// Deletes the first of what a list has.
    async fn delete_first(&self, list: &str) {
        let listed = self.server.get(list, &self.owner).await.json();
        let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
        let deleted = self.server.delete(&format!("{list}/{id}"), &self.owner).await;
        assert_eq!(deleted.status, 204, "{deleted:?}");
    }
}

fn attempt(answer: &Answer) -> Attempt {
    match answer.outcome() {
        (201, _) => Attempt::Created,
        refused if refused == problem(402, "cap-reached") => Attempt::Refused,
        _ => panic!("neither created nor refused: {answer:?}"),
    }
}

struct Projects(Orgs);

impl Capped for Projects {
    type Place = String;

    fn cap(&self) -> usize {
        3
    }

    async fn place(&self) -> String {
        self.0.server.org(&self.0.owner).await
    }

    async fn create(&self, org: &String) -> Attempt {
        let path = format!("{org}/projects");
        attempt(&self.0.server.post(&path, &self.0.owner, json!({"name": "P"})).await)
    }

    async fn remove(&self, org: &String) {
        self.0.delete_first(&format!("{org}/projects")).await;
    }

    async fn count(&self, org: &String) -> usize {
        self.0.count("select count(*) from app.projects where tenant_id = $1", org).await
    }
}

/// Members and pending invites share their seats; the owner has the first of four.
struct Invites(Orgs);

impl Capped for Invites {
    type Place = String;

    fn cap(&self) -> usize {
        3
    }

    async fn place(&self) -> String {
        self.0.server.org(&self.0.owner).await
    }

    async fn create(&self, org: &String) -> Attempt {
        let email = format!("{}@example.org", uuid::Uuid::now_v7().simple());
        let body = json!({"email": email, "role": "member"});
        attempt(&self.0.server.post(&format!("{org}/invites"), &self.0.owner, body).await)
    }

    async fn remove(&self, org: &String) {
        self.0.delete_first(&format!("{org}/invites")).await;
    }

    async fn count(&self, org: &String) -> usize {
        let pending = "select count(*) from mt.invites where tenant_id = $1 \
             and accepted_at is null and revoked_at is null and expires_at > now()";
        self.0.count(pending, org).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_plan_has_three_projects() {
    CapRace::default().run(Projects(Orgs::new().await)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_plan_has_four_seats() {
    CapRace::default().run(Invites(Orgs::new().await)).await.unwrap();
}

#[tokio::test]
async fn downgrade_deletes_nothing_and_blocks_additions() {
    let Orgs { server, owner } = Orgs::new().await;
    let org = server.org(&owner).await;
    let (projects, invites) = (format!("{org}/projects"), format!("{org}/invites"));
    server.sql("update mt.tenants set plan = 'pro'").await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(server.make(&projects, &owner, json!({"name": number.to_string()})).await);
        let invite = json!({"email": format!("{number}@example.org"), "role": "member"});
        server.make(&invites, &owner, invite).await;
    }
    server.sql("update mt.tenants set plan = 'free'").await;

    assert_eq!(server.get(&projects, &owner).await.json()["items"].as_array().unwrap().len(), 5);
    assert_eq!(server.get(&invites, &owner).await.json()["items"].as_array().unwrap().len(), 5);
    for id in &ids {
        let path = format!("{projects}/{id}");
        assert_eq!(server.get(&path, &owner).await.status, 200);
        let renamed = server.patch(&path, &owner, json!({"name": "still mine"})).await;
        assert_eq!(renamed.status, 200, "{renamed:?}");
    }
    let usage = server.get(&org, &owner).await.json()["usage"].clone();
    assert_eq!(usage["projects"], json!({"used": 5, "cap": 3}));
    assert_eq!(usage["members"], json!({"used": 6, "cap": 4}));

    // Room comes back only below the cap.
    let create = async || server.post(&projects, &owner, json!({"name": "new"})).await.outcome();
    for id in &ids[..3] {
        assert_eq!(create().await, problem(402, "cap-reached"));
        assert_eq!(server.delete(&format!("{projects}/{id}"), &owner).await.status, 204);
    }
    assert_eq!(create().await.0, 201);
    assert_eq!(create().await, problem(402, "cap-reached"));
    let invite = json!({"email": "new@example.org", "role": "member"});
    let refused = server.post(&invites, &owner, invite).await;
    assert_eq!(refused.outcome(), problem(402, "cap-reached"));
}
