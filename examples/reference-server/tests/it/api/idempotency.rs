//! Idempotency keys: a repeated create runs once and gets the first answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mt_core::id::TenantId;
use mt_core::testing::isolation::fingerprint;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::concurrent::at_once;
use crate::support::{Answer, Person, Server, problem};

const CROWD: usize = 64;

struct Fixture {
    server: Arc<Server>,
    owner: Person,
    org: String,
    /// Every create: where, a body, another body, and how many there are.
    creates: [(String, Value, Value, &'static str); 4],
}

async fn fixture() -> Fixture {
    let server = Arc::new(Server::start().await);
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    server.sql("update mt.tenants set plan = 'pro'").await;
    let project = server.make(&format!("{org}/projects"), &owner, json!({"name": "P"})).await;
    let invite = |email: &str| json!({"email": email, "role": "member"});
    let creates = [
        ("/orgs".to_owned(), json!({"name": "a"}), json!({"name": "b"}), "mt.tenants"),
        (format!("{org}/projects"), json!({"name": "a"}), json!({"name": "b"}), "app.projects"),
        (
            format!("{org}/projects/{project}/tasks"),
            json!({"title": "a"}),
            json!({"title": "b"}),
            "app.tasks",
        ),
        (format!("{org}/invites"), invite("a@x.org"), invite("b@x.org"), "mt.invites"),
    ];
    Fixture { server, owner, org, creates }
}

impl Fixture {
    async fn create(&self, path: &str, who: &Person, key: &str, body: &Value) -> Answer {
        let headers = [("idempotency-key", key)];
        self.server.send_with((Method::POST, path), who, &headers, Some(body.clone())).await
    }

    async fn count(&self, table: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(sql).fetch_one(self.server.db.admin()).await.unwrap()
    }
}

/// Returns everything of an answer except headers that differ for each answer.
fn same(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id" && *name != "date")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (answer.status, headers, answer.text.clone())
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_another_body_is_refused() {
    let fixture = fixture().await;
    for (path, body, other, table) in &fixture.creates {
        let before = fixture.count(table).await;
        let first = fixture.create(path, &fixture.owner, "k", body).await;
        assert_eq!(first.status, 201, "{first:?}");
        assert!(!first.header("location").is_empty());
        let again = fixture.create(path, &fixture.owner, "k", body).await;
        assert_eq!(same(&again), same(&first), "{path}");
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
        let refused = fixture.create(path, &fixture.owner, "k", other).await;
        assert_eq!(refused.outcome(), problem(409, "idempotency-mismatch"), "{path}");
        assert_eq!(fixture.count(table).await, before + 1, "{path}");
        // Ids in a path are the same in either case.
        let shouted =
            path.replace(&fixture.org, &fixture.org.to_uppercase().replace("/ORGS", "/orgs"));
        let again = fixture.create(&shouted, &fixture.owner, "k", body).await;
        assert_eq!(same(&again), same(&first), "{shouted}");
        // Another key, or none, is another request. (An invite to the same address turns its token.)
        let third = fixture.create(path, &fixture.owner, "k2", body).await;
        assert_eq!(third.status, 201);
        assert_ne!(third.text, first.text);
        assert_eq!(fixture.server.post(path, &fixture.owner, body.clone()).await.status, 201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_concurrent_requests_create_one_and_get_one_answer() {
    let fixture = Arc::new(fixture().await);
    for create in 0..fixture.creates.len() {
        let (path, _, _, table) = &fixture.creates[create];
        let before = fixture.count(table).await;
        let answers = at_once(CROWD, |_| {
            let fixture = Arc::clone(&fixture);
            async move {
                let (path, body, ..) = &fixture.creates[create];
                loop {
                    let answer = fixture.create(path, &fixture.owner, "crowd", body).await;
                    // More than the pool serves in its time: said as such, and sent again.
                    if answer.status != 503 {
                        return answer;
                    }
                }
            }
        })
        .await;
        assert_eq!(answers[0].status, 201, "{path}: {:?}", answers[0]);
        for answer in &answers {
            assert_eq!(same(answer), same(&answers[0]), "{path}");
        }
        assert_eq!(fixture.count(table).await, before + 1, "{path}");
    }
    // The control: as many without a key make as many.
    let (path, body, _, table) = fixture.creates[2].clone();
    let before = fixture.count(table).await;
    let answers = at_once(8, |_| {
        let (fixture, path, body) = (Arc::clone(&fixture), path.clone(), body.clone());
        async move { fixture.server.post(&path, &fixture.owner, body).await.status }
    })
    .await;
    assert_eq!(answers, [201; 8]);
    assert_eq!(fixture.count(table).await, before + 8);
}

#[tokio::test]
async fn keys_are_checked_and_count_for_one_caller_and_path() {
    let fixture = fixture().await;
    let (server, owner, org) = (&fixture.server, &fixture.owner, &fixture.org);
    let admin = server.sign_in("admin").await;
    server.join(org, owner, &admin, "admin").await;
    let (projects, name) = (format!("{org}/projects"), json!({"name": "x"}));
    for bad in ["", "a b", "a\tb", &"k".repeat(256)] {
        let refused = fixture.create(&projects, owner, bad, &name).await;
        assert_eq!(refused.outcome(), problem(400, "invalid-request"), "{bad}");
    }
    let longest = "k".repeat(255);
    let first = fixture.create(&projects, owner, &longest, &name).await;
    let theirs = fixture.create(&projects, &admin, &longest, &name).await;
    assert_eq!((first.status, theirs.status), (201, 201));
    assert_ne!(first.json()["id"], theirs.json()["id"]);
    let elsewhere = server.org(owner).await;
    let there = fixture.create(&format!("{elsewhere}/projects"), owner, &longest, &name).await;
    assert_ne!(first.json()["id"], there.json()["id"]);
    // The body's own faults are told first.
    let wrong = fixture.create(&projects, owner, &longest, &json!({"name": 1})).await;
    assert_eq!(wrong.outcome(), problem(422, "invalid-fields"));
    // Authority comes before memory.
    let gone = server.delete(&format!("{org}/members/{}", admin.id), owner).await;
    assert_eq!(gone.status, 204);
    let refused = fixture.create(&projects, &admin, &longest, &name).await;
    assert_eq!(refused.outcome(), problem(404, "not-found"));
}

#[tokio::test]
async fn refused_or_failed_request_stores_no_answer() {
    let fixture = fixture().await;
    let (server, owner, org) = (&fixture.server, &fixture.owner, &fixture.org);
    let (projects, name) = (format!("{org}/projects"), json!({"name": "x"}));
    server.sql("update mt.tenants set plan = 'free'").await;
    for number in 0..2 {
        server.make(&projects, owner, json!({"name": number.to_string()})).await;
    }
    let tenant = TenantId::parse(org.rsplit('/').next().unwrap()).unwrap();
    let before = fingerprint(&server.db, tenant).await;
    let full = fixture.create(&projects, owner, "k", &name).await;
    assert_eq!(full.outcome(), problem(402, "cap-reached"));
    assert_eq!(fingerprint(&server.db, tenant).await, before, "a refusal leaves nothing");
    server.sql("update mt.tenants set plan = 'pro'").await;
    // A statement that fails: 500, rolled back.
    server.sql("alter table app.projects add constraint not_x check (name <> 'x') not valid").await;
    let failed = fixture.create(&projects, owner, "k", &name).await;
    assert_eq!(failed.outcome(), problem(500, "internal"));
    server.sql("alter table app.projects drop constraint not_x").await;
    let made = fixture.create(&projects, owner, "k", &name).await;
    assert_eq!(made.status, 201, "{made:?}");
    // And what was made is answered although there is no room any more, or no project for it.
    server.sql("update mt.tenants set plan = 'free'").await;
    let again = fixture.create(&projects, owner, "k", &name).await;
    assert_eq!(same(&again), same(&made));
    let (tasks, title) = (&fixture.creates[2].0, json!({"title": "t"}));
    let task = fixture.create(tasks, owner, "k", &title).await;
    let project = tasks.strip_suffix("/tasks").unwrap();
    assert_eq!(server.delete(project, owner).await.status, 204);
    assert_eq!(same(&fixture.create(tasks, owner, "k", &title).await), same(&task));
    let other = fixture.create(tasks, owner, "k2", &title).await;
    assert_eq!(other.outcome(), problem(404, "not-found"));
}

#[tokio::test]
async fn idempotency_key_expires_after_a_day_and_is_purged_at_start() {
    let fixture = fixture().await;
    let (server, owner) = (&fixture.server, &fixture.owner);
    let (path, body, other, table) = &fixture.creates[1];
    let before = fixture.count(table).await;
    assert_eq!(fixture.create(path, owner, "k", body).await.status, 201);
    server.sql("update mt.idempotency_keys set created_at = now() - interval '1 day'").await;
    assert_eq!(fixture.create(path, owner, "k", other).await.status, 201);
    assert_eq!(fixture.count(table).await, before + 2);
    server.sql("update mt.idempotency_keys set created_at = now() - interval '1 day'").await;
    let _second = Server::start_on(Arc::clone(&server.db), &[]).await;
    let forgotten = async { while fixture.count("mt.idempotency_keys").await > 0 {} };
    tokio::time::timeout(Duration::from_secs(20), forgotten).await.expect("it stays");
}

fn raw(path: &str, who: &Person, key: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\nidempotency-key: {key}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        who.token,
        body.len()
    )
    .into_bytes()
}

/// A listener that passes a request on and swallows its answer: the change is committed and the client
/// sees nothing but the end of its connection. Returns what was swallowed.
async fn swallow(listener: &TcpListener, server: &Server) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut upstream = TcpStream::connect(server.address).await.unwrap();
    let mut request = vec![0; 64 * 1024];
    let length = client.read(&mut request).await.unwrap();
    upstream.write_all(&request[..length]).await.unwrap();
    let mut answer = String::new();
    upstream.read_to_string(&mut answer).await.unwrap();
    drop(client);
    answer
}

#[tokio::test]
async fn lost_answer_is_returned_to_the_repeated_request() {
    let fixture = fixture().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (path, body, _, table) in &fixture.creates {
        let before = fixture.count(table).await;
        let ask = async {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(&raw(path, &fixture.owner, "lost", body)).await.unwrap();
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let (heard, swallowed) = tokio::join!(ask, swallow(&listener, &fixture.server));
        assert!(heard.is_empty());
        let (head, lost) = swallowed.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 201"), "{head}");
        let again = fixture.create(path, &fixture.owner, "lost", body).await;
        assert_eq!((again.status, again.text.as_str()), (201, lost), "{path}");
        for name in ["location", "etag"] {
            let line = format!("{name}: {}", again.header(name));
            assert!(again.header(name).is_empty() || head.contains(&line), "{line} in {head}");
        }
        assert_eq!(fixture.count(table).await, before + 1, "{path}");
    }
}

/// Hanging up at any moment and sending it again until it is answered makes one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_and_repeating_creates_one() {
    let fixture = fixture().await;
    let (tasks, owner) = (&fixture.creates[2].0, &fixture.owner);
    // How long a create takes here, so that clients hang up in the middle of one.
    let begun = Instant::now();
    for number in 0..10 {
        let title = json!({"title": format!("first {number}")});
        fixture.create(tasks, owner, &format!("first-{number}"), &title).await;
    }
    let whole = begun.elapsed() / 10;
    let mut hung_up = 0;
    for number in 0..60_u32 {
        let (key, title) = (format!("key-{number}"), json!({"title": format!("task {number}")}));
        for attempt in 0..3 {
            let mut stream = TcpStream::connect(fixture.server.address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            stream.write_all(&raw(tasks, owner, &key, &title)).await.unwrap();
            let delay = whole * ((number * 977 + attempt * 357) % 1000) / 1000;
            let mut first = [0];
            let answered = tokio::time::timeout(delay, stream.read(&mut first)).await.is_ok();
            hung_up += usize::from(!answered);
            stream.set_zero_linger().unwrap();
        }
        let answer = fixture.create(tasks, owner, &key, &title).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let sql = "select count(*), count(distinct title) from app.tasks where title like 'task %'";
    let (all, distinct): (i64, i64) =
        sqlx::query_as(sql).fetch_one(fixture.server.db.admin()).await.unwrap();
    assert_eq!((all, distinct), (60, 60), "{hung_up} hung up");
    assert!(hung_up > 20, "only {hung_up} hung up");
}
