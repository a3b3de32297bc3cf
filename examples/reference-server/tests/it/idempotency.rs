//! Creates that are sent again are answered as they were the first time, and done once.

use std::sync::Arc;
use std::time::Duration;

use mt_core::id::TenantId;
use mt_core::testing::isolation::fingerprint;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::concurrency::at_once;
use crate::support::{Answer, Person, Server, problem};

const CROWD: usize = 64;

struct Scene {
    server: Arc<Server>,
    owner: Person,
    org: String,
    /// Every create: where, a body, another body, and how many there are.
    creates: [(String, Value, Value, &'static str); 4],
}

async fn scene() -> Scene {
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
    Scene { server, owner, org, creates }
}

impl Scene {
    async fn create(&self, path: &str, who: &Person, key: &str, body: &Value) -> Answer {
        let headers = [("idempotency-key", key)];
        self.server.send_with((Method::POST, path), who, &headers, Some(body.clone())).await
    }

    async fn count(&self, table: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(sql).fetch_one(self.server.db.admin()).await.unwrap()
    }
}

/// What makes two answers the same: all but what every answer has of its own.
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
    let scene = scene().await;
    for (path, body, other, table) in &scene.creates {
        let before = scene.count(table).await;
        let first = scene.create(path, &scene.owner, "k", body).await;
        assert_eq!(first.status, 201, "{first:?}");
        assert!(!first.header("location").is_empty());
        let again = scene.create(path, &scene.owner, "k", body).await;
        assert_eq!(same(&again), same(&first), "{path}");
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
        let refused = scene.create(path, &scene.owner, "k", other).await;
        assert_eq!(refused.outcome(), problem(409, "idempotency-mismatch"), "{path}");
        assert_eq!(scene.count(table).await, before + 1, "{path}");
        // Ids in a path are the same in either case.
        let shouted = path.replace(&scene.org, &scene.org.to_uppercase().replace("/ORGS", "/orgs"));
        let again = scene.create(&shouted, &scene.owner, "k", body).await;
        assert_eq!(same(&again), same(&first), "{shouted}");
        // Another key, or none, is another request. (An invite to the same address turns its token.)
        let third = scene.create(path, &scene.owner, "k2", body).await;
        assert_eq!(third.status, 201);
        assert_ne!(third.text, first.text);
        assert_eq!(scene.server.post(path, &scene.owner, body.clone()).await.status, 201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_at_once_make_one_and_are_told_the_same() {
    let scene = Arc::new(scene().await);
    for create in 0..scene.creates.len() {
        let (path, _, _, table) = &scene.creates[create];
        let before = scene.count(table).await;
        let answers = at_once(CROWD, |_| {
            let scene = Arc::clone(&scene);
            async move {
                let (path, body, ..) = &scene.creates[create];
                loop {
                    let answer = scene.create(path, &scene.owner, "crowd", body).await;
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
        assert_eq!(scene.count(table).await, before + 1, "{path}");
    }
    // The control: as many without a key make as many.
    let (path, body, _, table) = scene.creates[2].clone();
    let before = scene.count(table).await;
    let answers = at_once(8, |_| {
        let (scene, path, body) = (Arc::clone(&scene), path.clone(), body.clone());
        async move { scene.server.post(&path, &scene.owner, body).await.status }
    })
    .await;
    assert_eq!(answers, [201; 8]);
    assert_eq!(scene.count(table).await, before + 8);
}

#[tokio::test]
async fn keys_are_checked_and_count_for_one_caller_and_path() {
    let scene = scene().await;
    let (server, owner, org) = (&scene.server, &scene.owner, &scene.org);
    let admin = server.sign_in("admin").await;
    server.join(org, owner, &admin, "admin").await;
    let (projects, name) = (format!("{org}/projects"), json!({"name": "x"}));
    for bad in ["", "a b", "a\tb", &"k".repeat(256)] {
        let refused = scene.create(&projects, owner, bad, &name).await;
        assert_eq!(refused.outcome(), problem(400, "invalid-request"), "{bad}");
    }
    let longest = "k".repeat(255);
    let first = scene.create(&projects, owner, &longest, &name).await;
    let theirs = scene.create(&projects, &admin, &longest, &name).await;
    assert_eq!((first.status, theirs.status), (201, 201));
    assert_ne!(first.json()["id"], theirs.json()["id"]);
    let elsewhere = server.org(owner).await;
    let there = scene.create(&format!("{elsewhere}/projects"), owner, &longest, &name).await;
    assert_ne!(first.json()["id"], there.json()["id"]);
    // The body's own faults are told first.
    let wrong = scene.create(&projects, owner, &longest, &json!({"name": 1})).await;
    assert_eq!(wrong.outcome(), problem(422, "invalid-fields"));
    // Authority comes before memory.
    let gone = server.delete(&format!("{org}/members/{}", admin.id), owner).await;
    assert_eq!(gone.status, 204);
    let refused = scene.create(&projects, &admin, &longest, &name).await;
    assert_eq!(refused.outcome(), problem(404, "not-found"));
}

#[tokio::test]
async fn what_was_refused_or_failed_is_not_remembered() {
    let scene = scene().await;
    let (server, owner, org) = (&scene.server, &scene.owner, &scene.org);
    let (projects, name) = (format!("{org}/projects"), json!({"name": "x"}));
    server.sql("update mt.tenants set plan = 'free'").await;
    for number in 0..2 {
        server.make(&projects, owner, json!({"name": number.to_string()})).await;
    }
    let tenant = TenantId::parse(org.rsplit('/').next().unwrap()).unwrap();
    let before = fingerprint(&server.db, tenant).await;
    let full = scene.create(&projects, owner, "k", &name).await;
    assert_eq!(full.outcome(), problem(402, "cap-reached"));
    assert_eq!(fingerprint(&server.db, tenant).await, before, "a refusal leaves nothing");
    server.sql("update mt.tenants set plan = 'pro'").await;
    // A statement that fails: 500, rolled back.
    server
        .sql("alter table app.projects add constraint nobody check (name <> 'x') not valid")
        .await;
    let failed = scene.create(&projects, owner, "k", &name).await;
    assert_eq!(failed.outcome(), problem(500, "internal"));
    server.sql("alter table app.projects drop constraint nobody").await;
    let made = scene.create(&projects, owner, "k", &name).await;
    assert_eq!(made.status, 201, "{made:?}");
    // And what was made is answered although there is no room any more, or no project for it.
    server.sql("update mt.tenants set plan = 'free'").await;
    let again = scene.create(&projects, owner, "k", &name).await;
    assert_eq!(same(&again), same(&made));
    let (tasks, title) = (&scene.creates[2].0, json!({"title": "t"}));
    let task = scene.create(tasks, owner, "k", &title).await;
    let project = tasks.strip_suffix("/tasks").unwrap();
    assert_eq!(server.delete(project, owner).await.status, 204);
    assert_eq!(same(&scene.create(tasks, owner, "k", &title).await), same(&task));
    let other = scene.create(tasks, owner, "k2", &title).await;
    assert_eq!(other.outcome(), problem(404, "not-found"));
}

#[tokio::test]
async fn after_a_day_a_key_is_new_and_a_server_that_starts_forgets_it() {
    let scene = scene().await;
    let (server, owner) = (&scene.server, &scene.owner);
    let (path, body, other, table) = &scene.creates[1];
    let before = scene.count(table).await;
    assert_eq!(scene.create(path, owner, "k", body).await.status, 201);
    server.sql("update mt.idempotency_keys set created_at = now() - interval '1 day'").await;
    assert_eq!(scene.create(path, owner, "k", other).await.status, 201);
    assert_eq!(scene.count(table).await, before + 2);
    server.sql("update mt.idempotency_keys set created_at = now() - interval '1 day'").await;
    let _second = Server::start_on(Arc::clone(&server.db), &[]).await;
    let forgotten = async { while scene.count("mt.idempotency_keys").await > 0 {} };
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
async fn an_answer_that_was_lost_on_its_way_is_given_to_the_next_who_asks() {
    let scene = scene().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (path, body, _, table) in &scene.creates {
        let before = scene.count(table).await;
        let ask = async {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(&raw(path, &scene.owner, "lost", body)).await.unwrap();
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let (heard, swallowed) = tokio::join!(ask, swallow(&listener, &scene.server));
        assert!(heard.is_empty());
        let (head, lost) = swallowed.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 201"), "{head}");
        let again = scene.create(path, &scene.owner, "lost", body).await;
        assert_eq!((again.status, again.text.as_str()), (201, lost), "{path}");
        for name in ["location", "etag"] {
            let line = format!("{name}: {}", again.header(name));
            assert!(again.header(name).is_empty() || head.contains(&line), "{line} in {head}");
        }
        assert_eq!(scene.count(table).await, before + 1, "{path}");
    }
}

/// Hanging up at any moment and sending it again until it is answered makes one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_up_and_asking_again_makes_one() {
    let scene = scene().await;
    let (tasks, owner) = (&scene.creates[2].0, &scene.owner);
    let mut hung_up = 0;
    for number in 0..60_u64 {
        let (key, title) = (format!("key-{number}"), json!({"title": format!("task {number}")}));
        for attempt in 0..3 {
            let mut stream = TcpStream::connect(scene.server.address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            stream.write_all(&raw(tasks, owner, &key, &title)).await.unwrap();
            let patience = Duration::from_micros((number * 977 + attempt * 3571) % 24_000);
            let mut first = [0];
            let answered = tokio::time::timeout(patience, stream.read(&mut first)).await.is_ok();
            hung_up += usize::from(!answered);
            stream.set_zero_linger().unwrap();
        }
        let answer = scene.create(tasks, owner, &key, &title).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let sql = "select count(*), count(distinct title) from app.tasks";
    let (all, distinct): (i64, i64) =
        sqlx::query_as(sql).fetch_one(scene.server.db.admin()).await.unwrap();
    assert_eq!((all, distinct), (60, 60), "{hung_up} hung up");
    assert!(hung_up > 20, "only {hung_up} hung up");
}
