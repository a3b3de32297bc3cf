//! The service as a process: which database it refuses, what it logs, and its jobs and API keys.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use helpdesk::SCHEMA;
use mt::testing::TestDatabase;
use serde_json::{Value, json};

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(db: &TestDatabase) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_helpdesk"));
        for name in ["MIGRATE_DATABASE_URL", "RUST_LOG", "LOG_FORMAT"] {
            command.env_remove(name);
        }
        command
            .env("DATABASE_URL", db.login_url())
            .env("JWT_SECRET", mt::token::SecretToken::generate().reveal())
            .env("LISTEN", "127.0.0.1:0")
            .env("INSECURE_REVEAL_TOKENS", "yes")
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// The lines of the log, as they come.
    fn log(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stderr.take().unwrap()).lines().map(Result::unwrap)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_database_without_the_migrations_is_refused() {
    let db = TestDatabase::create().await.unwrap();
    let mut service = Process::start(&db);
    let mut log = service.log();
    let text = log.find(|line| line.contains("migrations") || line.contains("listening")).unwrap();
    let lacks = "the database lacks migrations: 1, the first is `helpdesk/0001 tickets`";
    assert!(text.contains(lacks), "{text}");
    assert!(text.contains("`mt migrate --schema helpdesk=migrations --login mt_test_"), "{text}");
    assert_eq!(service.0.wait().unwrap().code(), Some(1));
}

/// The address that the log names.
fn address(log: &mut impl Iterator<Item = String>) -> String {
    let line = log.find(|line| line.contains("listening on http://")).unwrap();
    let (_, address) = line.split_once("http://").unwrap();
    address.split_once('"').unwrap().0.to_owned()
}

#[tokio::test]
async fn the_log_has_the_address_and_a_line_for_each_request() {
    let db = TestDatabase::create_with(&[SCHEMA]).await.unwrap();
    let mut service = Process::start(&db);
    let mut log = service.log();
    let address = &address(&mut log);

    let mut client = TcpStream::connect(address).unwrap();
    let head = "GET /shops/x/tickets HTTP/1.1\r\nhost: x\r\nx-request-id: of-the-client\r\nconnection: close\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains(r#""request_id":"of-the-client""#), "{answer}");

    let line = log.find(|line| line.contains("answered")).unwrap();
    assert!(line.contains("of-the-client") && line.contains("401"), "{line}");
}

/// Sends a request, and returns the status and the body of the answer.
fn send(address: &str, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let mut client = TcpStream::connect(address).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    client.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_beside_the_requests_and_keys_are_accepted() {
    let db = TestDatabase::create_with(&[SCHEMA]).await.unwrap();
    let mut service = Process::start(&db);
    let mut log = service.log();
    let address = &address(&mut log);
    let post = |path: &str, token: &str, body: Value| send(address, "POST", path, token, &body);

    let (_, link) = post("/auth/request-link", "", json!({"email": "ada@example.org"}));
    let (_, signed_in) = post("/auth/redeem", "", json!({"token": link["token"]}));
    let ada = signed_in["access_token"].as_str().unwrap();
    let (_, shop) = post("/shops", ada, json!({"name": "Acme"}));
    let shop = format!("/shops/{}", shop["id"].as_str().unwrap());
    let tickets = format!("{shop}/tickets");
    let (_, ticket) = post(&tickets, ada, json!({"subject": "closed"}));
    let ticket = format!("{tickets}/{}", ticket["id"].as_str().unwrap());
    let closed = send(address, "PATCH", &ticket, ada, &json!({"status": "closed"}));
    assert_eq!(closed.0, 200, "{closed:?}");

    // A key opens the routes of the service, until it is revoked.
    let reader = json!({"name": "a report", "permissions": ["tickets.read"]});
    let (status, key) = post(&format!("{shop}/api-keys"), ada, reader);
    assert_eq!(status, 201, "{key}");
    let text = key["key"].as_str().unwrap();
    assert!(text.starts_with("helpdesk_"));
    let read = |token: &str| send(address, "GET", &ticket, token, &Value::Null).0;
    assert_eq!((read(text), post(&tickets, text, json!({"subject": "x"})).0), (200, 403));
    let key = format!("{shop}/api-keys/{}", key["id"].as_str().unwrap());
    assert_eq!(send(address, "DELETE", &key, ada, &Value::Null).0, 204);
    assert_eq!(read(text), 401);

    // The job waits for an hour. When that is over, the process runs it.
    assert_eq!(post(&format!("{shop}/purges"), ada, Value::Null).0, 202);
    assert_eq!(read(ada), 200);
    let now = "update mt.jobs set run_at = now() where kind = 'purge-tickets'";
    assert_eq!(sqlx::query(now).execute(db.admin()).await.unwrap().rows_affected(), 1);
    let purged = async {
        while read(ada) != 404 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), purged).await.expect("the job runs");

    let id = service.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(service.0.wait().unwrap().code(), Some(0), "it stops its workers, and ends");
}
