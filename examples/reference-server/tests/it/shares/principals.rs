//! A member or principal with slow transactions waits only for itself.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::task::JoinHandle;

use super::{SOON, count, held, id_of, let_go, soon, until_at_rest, until_waiting};
use crate::support::{Person, Server};

type Pending = JoinHandle<reqwest::Result<Response>>;

/// Sends `count` requests, each on a connection of its own.
fn send(
    server: &Server,
    count: usize,
    (method, path): (Method, &str),
    who: &Person,
    body: &Value,
) -> Vec<Pending> {
    let url = format!("{}{path}", server.base_url());
    let client = reqwest::Client::new();
    let requests = (0..count).map(|_| {
        let request = client.request(method.clone(), &url);
        tokio::spawn(request.bearer_auth(&who.token).json(body).send())
    });
    requests.collect()
}

async fn statuses(pending: Vec<Pending>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for request in pending {
        statuses.push(request.await.unwrap().unwrap().status().as_u16());
    }
    statuses
}

/// An org with an owner and two members.
struct Fixture {
    server: Server,
    owner: Person,
    hog: Person,
    member: Person,
    org: String,
}

impl Fixture {
    async fn new(settings: &[(&str, &str)]) -> Self {
        let server = Server::start_with(settings).await;
        let (owner, hog) = (server.sign_in("owner").await, server.sign_in("hog").await);
        let member = server.sign_in("member").await;
        let org = server.org(&owner).await;
        server.join(&org, &owner, &hog, "member").await;
        server.join(&org, &owner, &member, "member").await;
        // The first request of a member in a process uses the member's own share.
        for who in [&owner, &hog, &member] {
            assert_eq!(server.get(&org, who).await.status, 200);
        }
        Self { server, owner, hog, member, org }
    }

    /// Sends requests of one member that wait for a lock, until so many do.
    async fn make_noise(&self, most: i64) -> (PoolConnection<Postgres>, Vec<Pending>) {
        let lock = held(&self.server, "lock table app.projects in access exclusive mode").await;
        let path = format!("{}/projects", self.org);
        let noise = send(&self.server, 24, (Method::GET, &path), &self.hog, &Value::Null);
        until_waiting(&self.server, most).await;
        (lock, noise)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_removes_a_member_who_uses_their_whole_share() {
    let fixture = Fixture::new(&[]).await;
    // Half of the org's twelve.
    let (lock, noise) = fixture.make_noise(4).await;
    let Fixture { server, owner, hog, member, org } = fixture;
    let members = format!("{org}/members");
    for who in [&member, &owner] {
        assert_eq!(soon(server.get(&members, who)).await.status, 200);
    }
    let made = soon(server.post("/orgs", &member, json!({"name": "Another"}))).await;
    assert_eq!(made.status, 201, "{made:?}");
    let removed = soon(server.delete(&format!("{members}/{}", hog.id), &owner)).await;
    assert_eq!(removed.status, 204, "{removed:?}");
    let_go(lock).await;
    let statuses = statuses(noise).await;
    // Those that had read their facts before the removal are answered, and no other.
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!(served <= 4, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 404, 503].contains(status)), "{statuses:?}");
    until_at_rest(&server).await;
    server.stop().await;
}

/// The control: without shares a member has all connections but those of the system, and the others wait until
/// one of the member's requests has come to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_shares_a_member_blocks_the_others() {
    let fixture = Fixture::new(&[("ORG_MAX_IN_FLIGHT", "0")]).await;
    let (lock, noise) = fixture.make_noise(14).await;
    let Fixture { server, member, org, .. } = fixture;
    let answer = server.get(&format!("{org}/members"), &member).await;
    let ended = noise.iter().filter(|request| request.is_finished()).count();
    assert!(answer.status == 503 || ended > 0, "{answer:?}");
    let_go(lock).await;
    statuses(noise).await;
    server.stop().await;
}

/// Signing out waits for the user's row, outside of every org.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_requests_outside_of_orgs_leave_the_others_alone() {
    let Fixture { server, owner, member: hog, org, .. } = Fixture::new(&[]).await;
    let lock = format!("select 1 from mt.users where id = '{}' for update", hog.id);
    let lock = held(&server, &lock).await;
    let noise = send(&server, 20, (Method::POST, "/auth/logout"), &hog, &Value::Null);
    // A sixteenth of sixteen.
    until_waiting(&server, 1).await;
    for (path, who) in [("/ready", None), ("/me", Some(&owner)), (&org, Some(&owner))] {
        let token = who.map(|who| who.token.as_str());
        let answer = soon(server.send(Method::GET, path, token, None)).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let newcomer = server.link("newcomer@example.org");
    let link = tokio::time::timeout(SOON, newcomer).await.unwrap();
    assert_eq!(soon(server.redeem(&link)).await.status, 200);
    until_waiting(&server, 1).await;
    let_go(lock).await;
    let statuses = statuses(noise).await;
    assert!(statuses.iter().all(|status| [204, 401, 503].contains(status)), "{statuses:?}");
    until_at_rest(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_principal_of_many_orgs_gets_one_share() {
    let server = Server::start().await;
    let (hog, quiet) = (server.sign_in("hog").await, server.sign_in("quiet").await);
    let theirs = server.org(&quiet).await;
    let mut orgs = Vec::new();
    for _ in 0..16 {
        orgs.push(server.org(&hog).await);
    }
    for org in &orgs {
        assert_eq!(server.get(org, &hog).await.status, 200);
    }
    let lock = format!("select 1 from mt.tenants where id <> '{}' for update", id_of(&theirs));
    let lock = held(&server, &lock).await;
    let body = json!({"name": "P"});
    let noise = orgs.iter().flat_map(|org| {
        let path = format!("{org}/projects");
        send(&server, 2, (Method::POST, &path), &hog, &body)
    });
    let noise: Vec<_> = noise.collect();
    until_waiting(&server, 4).await;
    // And never more than that, though others would be free.
    for _ in 0..20 {
        assert_eq!(soon(server.get(&theirs, &quiet)).await.status, 200);
        let waiting = count(&server, "wait_event_type = 'Lock'").await;
        assert!(waiting <= 4, "{waiting} wait");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    let_go(lock).await;
    let statuses = statuses(noise).await;
    assert!(statuses.iter().all(|status| [201, 503].contains(status)), "{statuses:?}");
    until_at_rest(&server).await;
    server.stop().await;
}
