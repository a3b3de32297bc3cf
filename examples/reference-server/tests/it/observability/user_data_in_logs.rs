//! User data reaches neither the log nor other users' answers, whatever error Postgres raises.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use mt_core::testing::TestDatabase;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgPool};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::Answer;
use crate::support::process::{ServerProcess, database, parsed};

/// In every text that this test writes.
const CANARY: &str = "Canary7f3a";
/// The log message of the server about a slow exchange with Postgres.
const SLOW: &str = "Postgres was slow to answer";
/// Every level of this project's crates and of the driver.
const TRACE: &str = "info,mt_core=trace,mt_http=trace,mt_mail=trace,mt_service=trace,mt_stripe=trace,mt_tower=trace,\
                     reference_server=trace,sqlx=trace,\
                     sqlx_core=trace,sqlx_postgres=trace";

/// Has Postgres refuse or delay a project, or a task, by the end of its name, each with the name in its error.
const PROVOKE: &str = r"
create function app.provoke() returns trigger language plpgsql as $$
declare said text := coalesce(to_jsonb(new)->>'title', to_jsonb(new)->>'name');
begin
    case
        when said like '%sleeps' then perform pg_sleep(60);
        when said like '%number' then perform said::int;
        when said like '%time' then perform said::timestamptz;
        when said like '%json' then perform said::json;
        when said like '%serial' then
            raise exception 'could not serialize access' using errcode = '40001', detail = said;
        when said like '%deadlock' then
            raise exception 'deadlock detected' using errcode = '40P01', detail = said, hint = said;
        else null;
    end case;
    return new;
end $$;
create trigger provoke before insert on app.projects for each row execute function app.provoke();
create trigger provoke before insert on app.tasks for each row execute function app.provoke();
alter table app.tasks add constraint no_refused check (title not like '%refused');
create unique index one_name on app.projects (tenant_id, name) where name like '%unique';
";

const TABLES: &str = "app.projects, app.tasks, mt.tenants, mt.invites, mt.magic_links, mt.webhook_events, \
                      mt.idempotency_keys, mt.principal_idempotency_keys";

struct Fixture {
    server: ServerProcess,
    db: Arc<TestDatabase>,
    bearer: String,
    org: String,
}

impl Fixture {
    async fn start(level: &str) -> Self {
        let db = database().await;
        db.admin().execute(PROVOKE).await.unwrap();
        // No mail server listens there, which is logged as well.
        let mail = [("SMTP_URL", "smtp://127.0.0.1:1"), ("MAIL_FROM", "mt@example.org")];
        let settings = [[("RUST_LOG", level), ("RATE_LIMIT_AUTH_PER_MIN", "0")], mail].concat();
        let server = ServerProcess::start(&db.login_url(), &settings).await;
        let mut fixture = Self { server, db, bearer: String::new(), org: String::new() };
        let email = json!({"email": format!("{CANARY}.owner@example.org")});
        let link = fixture.post("/auth/request-link", email).await.json()["token"].clone();
        let token = fixture.post("/auth/redeem", json!({"token": link})).await.json();
        fixture.bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
        let made = fixture.post("/orgs", json!({"name": format!("{CANARY} org, 'quoted'")})).await;
        fixture.org = format!("/orgs/{}", made.json()["id"].as_str().unwrap());
        // Without caps.
        let paid = "update mt.tenants set plan = 'pro', subscription_status = 'active'";
        fixture.db.admin().execute(paid).await.unwrap();
        fixture
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        more: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut headers = vec![
            ("user-agent", "Canary7f3a agent"),
            ("x-of-a-user", "Canary7f3a header"),
            ("if-none-match", "\"Canary7f3a\""),
        ];
        if !self.bearer.is_empty() {
            headers.push(("authorization", &self.bearer));
        }
        headers.extend(more);
        self.server.send(method, path, &headers, body).await
    }

    fn projects(&self) -> String {
        format!("{}/projects", self.org)
    }

    /// Writes into every field that there is, with success and without.
    async fn write_everywhere(&self) -> String {
        let text = |what: &str| format!("{CANARY} {what} with 'quotes' and \\");
        let key = [("idempotency-key", "Canary7f3a-key")];
        let name = Some(json!({"name": text("project")}));
        let made = self.send(Method::POST, &self.projects(), &key, name).await;
        assert_eq!(made.status, 201, "{made:?}");
        let project = format!("{}/{}", self.projects(), made.json()["id"].as_str().unwrap());
        let task = json!({"title": text("task"), "description": text("description")});
        let made = self.post(&format!("{project}/tasks"), task).await;
        assert_eq!(made.status, 201, "{made:?}");
        let task = format!("{}/tasks/{}", self.org, made.json()["id"].as_str().unwrap());
        let renamed = json!({"title": text("renamed"), "description": text("again")});
        let patched = self.send(Method::PATCH, &task, &[], Some(renamed)).await;
        assert_eq!(patched.status, 200, "{patched:?}");
        for (path, body) in [(&project, "project"), (&self.org, "org")] {
            let body = Some(json!({"name": text(body)}));
            assert_eq!(self.send(Method::PATCH, path, &[], body).await.status, 200);
        }
        let invite = json!({"email": format!("{CANARY}.guest@example.org"), "role": "member"});
        assert_eq!(self.post(&format!("{}/invites", self.org), invite).await.status, 201);
        for query in ["status=Canary7f3a", "cursor=Canary7f3a", "limit=Canary7f3a", "x=Canary7f3a"]
        {
            self.send(Method::GET, &format!("{project}/tasks?{query}"), &[], None).await;
        }
        for query in ["action=Canary7f3a", "actor=Canary7f3a"] {
            self.send(Method::GET, &format!("{}/audit?{query}", self.org), &[], None).await;
        }
        let event = json!({
            "id": "evt_Canary7f3a", "type": "customer.subscription.updated", "created": 1, "livemode": false,
            "data": {"object": {
                "id": "sub_Canary7f3a", "object": "subscription", "customer": "cus_Canary7f3a",
                "status": "Canary7f3a", "metadata": {"said": text("event")},
            }},
        });
        assert_eq!(self.post("/webhooks/stripe", event).await.status, 200);
        for (path, body) in [
            ("/orgs", json!({"name": [CANARY]})),
            ("/orgs", json!({CANARY: CANARY})),
            ("/auth/redeem", json!({"token": CANARY})),
            ("/auth/request-link", json!({"email": format!("{CANARY} and no address")})),
            ("/invites/accept", json!({"token": CANARY})),
        ] {
            let refused = self.post(path, body).await;
            assert!(matches!(refused.status, 400 | 422), "{refused:?}");
        }
        project
    }

    /// The requests whose statements wait for a lock on [`TABLES`].
    async fn send_into_locks(&self, project: &str, round: u32) -> Vec<Answer> {
        let (tasks, text) = (format!("{project}/tasks"), format!("{CANARY} locked, {round}"));
        let email = json!({"email": format!("{CANARY}.{round}@example.org")});
        let key = format!("{CANARY}-{round}");
        let key = [("idempotency-key", &*key)];
        let name = || Some(json!({"name": text}));
        let event = json!({"id": format!("evt_{CANARY}{round}"), "type": "x", "said": text});
        let task = json!({"title": text, "description": text});
        let invite = json!({"email": email["email"], "role": "member"});
        let (invites, projects) = (format!("{}/invites", self.org), self.projects());
        let listed = format!("{tasks}?status=todo");
        let requests = [
            (Method::POST, &*projects, &[][..], name()),
            (Method::POST, &projects, &key, name()),
            (Method::POST, &tasks, &[], Some(task)),
            (Method::GET, &listed, &[], None),
            (Method::POST, &invites, &[], Some(invite)),
            (Method::POST, "/auth/request-link", &[], Some(email)),
            (Method::POST, "/orgs", &[], name()),
            (Method::POST, "/webhooks/stripe", &[], Some(event)),
        ];
        join_all(
            requests.map(|(method, path, headers, body)| self.send(method, path, headers, body)),
        )
        .await
    }
}

/// A session that holds [`TABLES`].
struct Holder(sqlx::PgConnection);

impl Holder {
    async fn start(url: &str) -> Self {
        let mut session = sqlx::PgConnection::connect(url).await.unwrap();
        let lock = format!("begin; lock table {TABLES} in access exclusive mode");
        session.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(lock))).await.unwrap();
        Self(session)
    }

    /// Gives the tables back once so many sessions have waited for more than a second.
    async fn release_when_waited_for(self, admin: &PgPool, sessions: i64) {
        loop {
            let slow: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where datname = current_database() \
                 and wait_event_type = 'Lock' and clock_timestamp() - query_start > '1.2 s'",
            )
            .fetch_one(admin)
            .await
            .unwrap();
            if slow >= sessions {
                return self.release().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn release(self) {
        self.0.close().await.unwrap();
    }
}

/// The lines that hold what a user wrote.
fn with_canary(lines: &[String]) -> Vec<&String> {
    // Postgres and the log may write it in another case, or as hex digits.
    let hex = hex::encode(CANARY);
    let holds = |line: &&String| {
        let line = line.to_lowercase();
        line.contains(&CANARY.to_lowercase()) || line.contains(&hex)
    };
    lines.iter().filter(holds).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_data_is_not_logged() {
    for level in ["debug", TRACE] {
        let fixture = Fixture::start(level).await;
        let project = fixture.write_everywhere().await;
        let admin = fixture.db.admin();
        let url = admin_url(&fixture.db).await;

        // Slow, and answered: the tables are given back in time.
        let holder = Holder::start(&url).await;
        let requests = fixture.send_into_locks(&project, 1);
        let (slow, ()) = tokio::join!(requests, holder.release_when_waited_for(admin, 3));
        assert!(slow.iter().any(|answer| answer.status < 300), "{slow:?}");
        // Until `lock_timeout`: refused.
        let holder = Holder::start(&url).await;
        let mut failed = fixture.send_into_locks(&project, 2).await;
        holder.release().await;
        assert!(failed.iter().filter(|answer| answer.status == 503).count() >= 5, "{failed:?}");

        // Refused by Postgres, with the text in the error; the first of two with one name is made.
        for end in ["number", "time", "json", "serial", "deadlock", "unique", "unique", "sleeps"] {
            let name = json!({"name": format!("{CANARY} {end}")});
            failed.push(fixture.post(&fixture.projects(), name).await);
        }
        for end in ["refused", "number"] {
            let task = json!({"title": format!("{CANARY} {end}"), "description": CANARY});
            failed.push(fixture.post(&format!("{project}/tasks"), task).await);
        }
        let statuses: Vec<_> = failed.iter().rev().take(10).rev().map(|a| a.status).collect();
        assert_eq!(statuses, [500, 500, 500, 503, 503, 201, 500, 503, 500, 500]);
        for answer in failed.iter().filter(|answer| answer.status >= 400) {
            assert!(!answer.text.contains(CANARY), "{answer:?}");
        }

        let (status, lines) = fixture.server.stop();
        assert!(status.success(), "{status}");
        assert_eq!(with_canary(&lines), Vec::<&String>::new(), "at {level}");
        // Slow and failed statements are named all the same.
        let parsed = parsed(&lines);
        let slow: Vec<_> = parsed.iter().filter(|line| line["message"] == SLOW).collect();
        assert!(slow.len() >= 8, "{slow:#?}");
        assert!(slow.iter().any(|line| line["took_ms"].as_u64().unwrap() >= 1000));
        assert!(slow.iter().any(|line| line["span"]["request_id"].is_string()), "{slow:#?}");
        let log = lines.join("\n");
        for part in ["SQLSTATE 22P02", "SQLSTATE 22007", "no_refused", "one_name", "lock timeout"] {
            assert!(log.contains(part), "{part}");
        }
    }
}

async fn admin_url(db: &TestDatabase) -> String {
    let name: String =
        sqlx::query_scalar("select current_database()").fetch_one(db.admin()).await.unwrap();
    let superuser = std::env::var("MT_TEST_DATABASE_URL").expect("`make test` names a Postgres");
    format!("{}/{name}", superuser.rsplit_once('/').unwrap().0)
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Heard {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The control: left to itself, the driver logs the text of a slow statement and of every other one, and the error
/// of a statement shows its values. What this file looks for would be found.
#[tokio::test]
async fn control_driver_logging_shows_user_data() {
    let db = database().await;
    let heard = Heard::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(heard.clone())
        .finish();
    let logging = tracing::subscriber::set_default(subscriber);
    let mut conn = sqlx::PgConnection::connect(&db.login_url()).await.unwrap();
    let slow = format!("select pg_sleep(1.1), '{CANARY}'");
    conn.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(slow))).await.unwrap();
    let wrong = format!("select '{CANARY}'::int");
    let error = conn.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(wrong))).await.unwrap_err();
    tracing::error!(%error);
    conn.close().await.unwrap();
    drop(logging);
    let heard = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = heard.split("\u{1b}[2m20").map(str::to_owned).collect();
    let found = with_canary(&lines);
    assert!(found.iter().any(|line| line.contains("slow statement")), "{heard}");
    assert!(found.iter().any(|line| line.contains("invalid input syntax")), "{heard}");
}
