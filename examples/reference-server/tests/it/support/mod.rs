//! A server on a socket and a test database, and a small client.

pub(crate) mod cli;
pub(crate) mod concurrent;
pub(crate) mod jobs;
pub(crate) mod process;
pub(crate) mod raw_http;
pub(crate) mod smtp;
pub(crate) mod stripe_api;
pub(crate) mod webhooks;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use mt_core::testing::TestDatabase;
use reference_server::config::Config;
use reference_server::http::operations::operations;
use reference_server::http::service::{Timeouts, serve};
use reference_server::schema;
use reference_server::server::{Behind, Embedded, Started, start};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::openapi::conformance::document;

pub(crate) const SECRET: &str = "whsec_of_the_tests";

/// Returns a random secret, which production accepts.
pub(crate) fn secret() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Returns settings with which production starts, except for an existing database.
pub(crate) fn production() -> HashMap<String, String> {
    let webhook = format!("whsec_{}", secret());
    let settings = [
        ("APP_ENV", "prod"),
        ("BASE_URL", "https://teams.example.org"),
        ("DATABASE_URL", "postgres://u:p@h/d"),
        ("JWT_SECRET", &secret()),
        ("MAIL_FROM", "teams@example.org"),
        ("SMTP_URL", "smtps://h"),
        ("STRIPE_WEBHOOK_SECRET", &webhook),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) db: Arc<TestDatabase>,
    /// The methods and paths of the router.
    pub(crate) operations: Vec<(String, String)>,
    http: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
    behind: Behind,
}

/// Returns `answer`, after checking that the OpenAPI document describes it.
fn conforming(method: &Method, path: &str, answer: Answer) -> Answer {
    if let Some(objection) = document().objection(method, path, &answer) {
        panic!("{objection}");
    }
    answer
}

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

/// A user who has signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) token: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with these settings, on a new test database and the Redis of the tests.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let db = TestDatabase::create_with(&[schema::product()]).await.unwrap();
        Self::start_on(Arc::new(db), settings).await
    }

    /// Starts one of several servers on a database.
    pub(crate) async fn start_on(db: Arc<TestDatabase>, settings: &[(&str, &str)]) -> Self {
        let redis = std::env::var("MT_TEST_REDIS_URL").expect("`make test` names a Redis");
        let mut vars: HashMap<String, String> = HashMap::from_iter([
            ("APP_ENV".to_owned(), "test".to_owned()),
            ("DATABASE_URL".to_owned(), db.login_url()),
            ("REDIS_URL".to_owned(), redis),
            ("RATE_LIMIT_AUTH_PER_MIN".to_owned(), "0".to_owned()),
            ("STRIPE_WEBHOOK_SECRET".to_owned(), SECRET.to_owned()),
        ]);
        for (name, value) in settings {
            vars.insert((*name).to_owned(), (*value).to_owned());
        }
        let config = Config::from_vars(|name| vars.get(name).cloned()).unwrap();
        let Started { service, readiness, behind, .. } =
            start(&config, Embedded::Temporary).await.unwrap();
        let operations = operations(&service.router);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
            readiness.stop();
        };
        let served = tokio::spawn(serve(listener, service, shutdown, Timeouts::default()));
        Self { address, db, operations, http: reqwest::Client::new(), stop, served, behind }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops the server as a signal would.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
        self.behind.stop(Timeouts::default().stop).await.unwrap();
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base_url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        conforming(&method, path, answer(request.send().await.unwrap()).await)
    }

    /// Sends arbitrary bytes with the content type of JSON.
    pub(crate) async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> Answer {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base_url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let request = request.header("content-type", "application/json").body(body);
        conforming(&method, path, answer(request.send().await.unwrap()).await)
    }

    /// Sends a request with exactly these headers, and a body.
    pub(crate) async fn send_headers(
        &self,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: Option<Vec<u8>>,
    ) -> Answer {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base_url()));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = body.into_iter().fold(request, reqwest::RequestBuilder::body);
        conforming(&method, path, answer(request.send().await.unwrap()).await)
    }

    /// Sends a request of `who` with additional headers.
    pub(crate) async fn send_with(
        &self,
        (method, path): (Method, &str),
        who: &Person,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base_url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request.bearer_auth(&who.token).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, who: &Person) -> Answer {
        self.send(Method::GET, path, Some(&who.token), None).await
    }

    pub(crate) async fn post(&self, path: &str, who: &Person, body: Value) -> Answer {
        self.send(Method::POST, path, Some(&who.token), Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, who: &Person, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(&who.token), Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, who: &Person) -> Answer {
        self.send(Method::DELETE, path, Some(&who.token), None).await
    }

    /// Requests a magic link for `email` and returns its token.
    pub(crate) async fn link(&self, email: &str) -> String {
        let body = json!({"email": email});
        let sent = self.send(Method::POST, "/auth/request-link", None, Some(body)).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        sent.json()["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn redeem(&self, link: &str) -> Answer {
        self.send(Method::POST, "/auth/redeem", None, Some(json!({"token": link}))).await
    }

    pub(crate) async fn sign_in(&self, name: &str) -> Person {
        let email = format!("{name}@example.org");
        let redeemed = self.redeem(&self.link(&email).await).await;
        let token = redeemed.json()["access_token"].as_str().unwrap().to_owned();
        let me = self.send(Method::GET, "/me", Some(&token), None).await;
        Person { id: me.json()["id"].as_str().unwrap().to_owned(), email, token }
    }

    /// Creates an org and returns its path.
    pub(crate) async fn org(&self, owner: &Person) -> String {
        let made = self.post("/orgs", owner, json!({"name": "An org"})).await;
        assert_eq!(made.status, 201, "{made:?}");
        format!("/orgs/{}", made.json()["id"].as_str().unwrap())
    }

    /// Makes `who` a member of the org at `path`, by invite.
    pub(crate) async fn join(&self, path: &str, owner: &Person, who: &Person, role: &str) {
        let invite = json!({"email": who.email, "role": role});
        let invited = self.post(&format!("{path}/invites"), owner, invite).await;
        assert_eq!(invited.status, 201, "{invited:?}");
        let token = json!({"token": invited.json()["token"]});
        let accepted = self.post("/invites/accept", who, token).await;
        assert_eq!(accepted.status, 200, "{accepted:?}");
    }

    /// Creates a resource and returns its id.
    pub(crate) async fn make(&self, path: &str, who: &Person, body: Value) -> String {
        let made = self.post(path, who, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn sql(&self, sql: &str) {
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(self.db.admin()).await.unwrap();
    }
}

pub(crate) async fn answer(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Returns the status, and the code of a problem.
    pub(crate) fn outcome(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Returns the value of a header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the body without the request id.
    pub(crate) fn without_request_id(&self) -> String {
        let mut body = self.json();
        if let Value::Object(members) = &mut body {
            assert!(members.remove("request_id").is_some(), "{self:?}");
        }
        body.to_string()
    }
}

/// Returns the [`outcome`](Answer::outcome) of a problem.
pub(crate) fn problem(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
