//! A server process with users and orgs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::measured_org::Org;
use crate::support::SECRET;
use crate::support::process::ServerProcess;

/// The settings of the server, as in production where tests usually disable them.
const SETTINGS: &[(&str, &str)] = &[
    ("STRIPE_WEBHOOK_SECRET", SECRET),
    ("RUST_LOG", "warn,reference_server::cli=info"),
    ("ADMIN_TOKEN", ADMIN),
    // The tests sign in from one address.
    ("RATE_LIMIT_AUTH_PER_MIN", "0"),
    ("RATE_LIMIT_API_PER_MIN", "1200"),
];
pub(super) const ADMIN: &str = "operator-of-the-fairness-tests";

/// A server, and a client with access to its database.
pub(super) struct Setup {
    pub(super) db: Arc<TestDatabase>,
    process: Arc<ServerProcess>,
    pub(super) http: reqwest::Client,
}

/// A user, and an org that the user owns.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) org: Org,
}

impl Setup {
    /// The server of `MT_FAIRNESS_SERVER`, or the one that was built for the tests.
    pub(super) async fn new(settings: &[(&str, &str)]) -> Self {
        let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
        let program = std::env::var("MT_FAIRNESS_SERVER");
        let program = program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_mt-server"));
        let all = [SETTINGS, settings].concat();
        let (program, folder) = (Path::new(program), std::env::temp_dir());
        let process = ServerProcess::start_program(program, &folder, &db.login_url(), &all).await;
        Self { db, process: Arc::new(process), http: reqwest::Client::new() }
    }

    /// The same server with new connections: connections belong to the runtime that opens them.
    pub(super) fn with_other_connections(&self) -> Self {
        let (db, process) = (Arc::clone(&self.db), Arc::clone(&self.process));
        Self { db, process, http: reqwest::Client::new() }
    }

    pub(super) fn base_url(&self) -> &str {
        &self.process.base_url
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.base_url().trim_start_matches("http://").parse().unwrap()
    }

    /// The resident memory of the server, in bytes.
    pub(super) fn memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub(super) async fn sql(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(self.db.admin()).await.unwrap();
    }

    /// Sends a request and returns its status and its body, whatever they are.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base_url()));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let Ok(answer) = request.timeout(Duration::from_secs(20)).send().await else {
            return (0, Value::Null);
        };
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn must(&self, path: &str, token: &str, body: Value) -> Value {
        let (status, answer) = self.send(Method::POST, path, token, Some(body)).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// A user who has signed in and owns an org with a project, on the plan that has no caps.
    pub(super) async fn person(&self, name: &str) -> Person {
        let email = json!({"email": format!("{name}@example.org")});
        let sent = self.must("/auth/request-link", "", email).await;
        let redeemed = self.must("/auth/redeem", "", json!({"token": sent["token"]})).await;
        let token = redeemed["access_token"].as_str().unwrap().to_owned();
        let (_, me) = self.send(Method::GET, "/me", &token, None).await;
        let org = self.must("/orgs", &token, json!({"name": name})).await;
        let id = org["id"].as_str().unwrap();
        self.sql(&format!("update mt.tenants set plan = 'pro' where id = '{id}'")).await;
        let path = format!("/orgs/{id}");
        let project = self.must(&format!("{path}/projects"), &token, json!({"name": "P"})).await;
        let tasks = format!("{path}/projects/{}/tasks", project["id"].as_str().unwrap());
        let id = me["id"].as_str().unwrap().to_owned();
        Person { id, token: token.clone(), org: Org { path, tasks, token } }
    }

    /// Adds `who` as a member to the org of `owner`, and returns them with the tasks of that org.
    pub(super) async fn join(&self, owner: &Person, who: &Person) -> Person {
        let org = owner.org.path.trim_start_matches("/orgs/");
        self.sql(&format!(
            "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
             values ('{org}', '{}', 'member', false)",
            who.id
        ))
        .await;
        let org = Org { token: who.token.clone(), ..owner.org.clone() };
        Person { org, ..who.clone() }
    }

    /// Sends the head of a request on a connection of its own, which is kept open.
    pub(super) async fn begin(&self, line: &str, headers: &str) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(self.address()).await.ok()?;
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        Some(stream)
    }
}

/// Whether the server has closed the connection. Reads what it has said.
pub(super) async fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    let mut bytes = [0; 4096];
    let read = tokio::time::timeout(within, stream.read(&mut bytes)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}
