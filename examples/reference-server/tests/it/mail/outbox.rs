//! Mail in the outbox: none is lost, none is sent for a rolled-back request, and its contents are encrypted.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use serde_json::json;
use test_support::packages::{pypi, skip};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::process::ServerProcess;
use crate::support::smtp::{Answers, mail_server, relay};
use crate::support::{Server, problem};

const SECRET: &str = "the secret of this test, 32 bytes long";
const TIMEOUT: Duration = Duration::from_secs(20);

/// No process listens there; the port is free again at once.
async fn nowhere() -> (String, u16) {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    (format!("smtp://127.0.0.1:{port}"), port)
}

fn settings(smtp: &str) -> [(&'static str, String); 3] {
    [
        ("SMTP_URL", smtp.to_owned()),
        ("MAIL_FROM", "mt <no-reply@example.org>".to_owned()),
        ("JWT_SECRET", SECRET.to_owned()),
    ]
}

fn borrowed<'s>(settings: &'s [(&'static str, String); 3]) -> Vec<(&'static str, &'s str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

async fn text_of(db: &TestDatabase, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(db.admin()).await.unwrap()
}

const STATUSES: &str = "select coalesce(string_agg(status, ' ' order by id), '') from mt.outbox";

async fn eventually(db: &TestDatabase, sql: &'static str, expected: &str) {
    let asking = async {
        while text_of(db, sql).await != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let came = tokio::time::timeout(TIMEOUT, asking).await.is_ok();
    assert!(came, "`{expected}`, and not `{}`", text_of(db, sql).await);
}

/// The mail server is away, and then the server is killed: the mail is sent when both are back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queued_mail_survives_a_server_crash() {
    let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
    let (away, _port) = nowhere().await;
    let first = ServerProcess::start(&db.login_url(), &borrowed(&settings(&away))).await;
    let body = json!({"email": "ada@example.org"});
    let link =
        reqwest::Client::new().post(format!("{}/auth/request-link", first.base_url)).json(&body);
    let token = link.send().await.unwrap().json::<serde_json::Value>().await.unwrap();
    let token = token["token"].as_str().unwrap().to_owned();
    eventually(&db, STATUSES, "pending").await;
    let payload = text_of(&db, "select payload::text || dedupe_key from mt.outbox").await;
    assert!(payload.contains("sealed"), "{payload}");
    assert!(!payload.contains(&token) && !payload.contains("ada@"), "{payload}");
    // As `kill -9` does.
    drop(first);

    let (smtp, mut received) = mail_server(None).await;
    sqlx::query("update mt.outbox set next_attempt_at = now()").execute(db.admin()).await.unwrap();
    let settings = settings(&smtp);
    let second = Server::start_on(Arc::clone(&db), &borrowed(&settings)).await;
    let mail = tokio::time::timeout(TIMEOUT, received.recv()).await.expect("a mail").unwrap();
    assert_eq!(mail.recipients, ["RCPT TO:<ada@example.org>\r\n"]);
    assert!(mail.text().contains(&format!("#token={token}\r\n")), "{}", mail.text());
    eventually(&db, STATUSES, "sent").await;
    assert_eq!(text_of(&db, "select payload::text from mt.outbox").await, "null");
    assert!(received.try_recv().is_err(), "once");
    assert_eq!(second.redeem(&token).await.status, 200);
    second.stop().await;
}

/// The control: under another secret it cannot be opened, and is not sent. It waits for the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queued_mail_is_encrypted_with_the_servers_secret() {
    let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
    let (away, _port) = nowhere().await;
    let here = settings(&away);
    let first = Server::start_on(Arc::clone(&db), &borrowed(&here)).await;
    first.link("ada@example.org").await;
    first.stop().await;
    let (smtp, mut received) = mail_server(None).await;
    let [url, from, _] = settings(&smtp);
    let there = [url, from, ("JWT_SECRET", "another secret, which is as long".to_owned())];
    sqlx::query(
        "update mt.outbox set status = 'pending', lease_token = null, lease_until = null, \
             next_attempt_at = now()",
    )
    .execute(db.admin())
    .await
    .unwrap();
    let second = Server::start_on(Arc::clone(&db), &borrowed(&there)).await;
    let why = "select coalesce(last_error, '') from mt.outbox";
    eventually(&db, why, "sealed: it is sealed under another JWT_SECRET").await;
    assert_eq!(text_of(&db, STATUSES).await, "pending");
    assert!(received.try_recv().is_err());
    second.stop().await;
    let [url, from, _] = settings(&smtp);
    let back = [url, from, ("JWT_SECRET", SECRET.to_owned())];
    sqlx::query("update mt.outbox set next_attempt_at = now()").execute(db.admin()).await.unwrap();
    let third = Server::start_on(Arc::clone(&db), &borrowed(&back)).await;
    eventually(&db, STATUSES, "sent").await;
    assert!(received.recv().await.is_some());
    third.stop().await;
}

/// The operator's password is wrong for longer than any number of attempts would last: the invite waits, and
/// is sent when it is right. The control: a refused recipient ends a mail at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relay_outage_drops_no_mail_that_is_still_useful() {
    let answers = Answers::new(&[("AUTH", "535 5.7.8 bad credentials")]);
    let (smtp, mut received) = relay(answers.clone()).await;
    let settings = settings(&smtp.replace("smtp://", "smtp://user:secret@"));
    let server = Server::start_with(&borrowed(&settings)).await;
    server.link("ada@example.org").await;
    let error = "select coalesce(last_error, '') from mt.outbox";
    let expected = "auth: the mail server answered 535 5.7.8 at AUTH";
    eventually(&server.db, error, expected).await;
    // Far more attempts than are allowed to what fails by itself.
    server.sql("update mt.outbox set attempts = 40, next_attempt_at = now()").await;
    eventually(&server.db, "select attempts::text from mt.outbox", "41").await;
    eventually(&server.db, STATUSES, "pending").await;
    let due = "select (next_attempt_at < expires_at)::text from mt.outbox";
    assert_eq!(text_of(&server.db, due).await, "true");
    answers.clear();
    server.sql("update mt.outbox set next_attempt_at = now()").await;
    let mail = tokio::time::timeout(TIMEOUT, received.recv()).await.expect("a mail").unwrap();
    assert_eq!(mail.recipients, ["RCPT TO:<ada@example.org>\r\n"]);
    eventually(&server.db, STATUSES, "sent").await;
    server.stop().await;

    let (smtp, _received) = mail_server(Some("550 5.1.1 no such user")).await;
    let settings = self::settings(&smtp);
    let server = Server::start_with(&borrowed(&settings)).await;
    server.link("ada@example.org").await;
    eventually(&server.db, STATUSES, "dead").await;
    server.stop().await;
}

/// A mail about a change that was rolled back, or one that has expired, is not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolled_back_request_sends_no_mail() {
    let (smtp, mut received) = mail_server(None).await;
    let settings = settings(&smtp);
    let server = Server::start_with(&borrowed(&settings)).await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    let mail = tokio::time::timeout(TIMEOUT, received.recv()).await.expect("a mail").unwrap();
    assert_eq!(mail.header("Subject"), "Your link to sign in");
    let before = text_of(&server.db, "select count(*)::text from mt.outbox").await;
    // The plan's seats are full after some: the invite is refused, and nothing is mailed.
    let mut refused = None;
    let mut invited = 0;
    for number in 0..50 {
        let body = json!({"email": format!("guest-{number}@example.org"), "role": "member"});
        let answer = server.post(&format!("{path}/invites"), &owner, body).await;
        if answer.status == 201 {
            invited += 1;
        } else {
            refused = Some(answer);
            break;
        }
    }
    assert_eq!(refused.expect("a cap").outcome(), problem(402, "cap-reached"));
    for _ in 0..invited {
        let mail = tokio::time::timeout(TIMEOUT, received.recv()).await.expect("a mail").unwrap();
        assert_eq!(mail.header("Subject"), "You are invited to join An org");
    }
    let after = text_of(&server.db, "select count(*)::text from mt.outbox").await;
    assert_eq!(after.parse::<usize>().unwrap(), before.parse::<usize>().unwrap() + invited);
    assert!(received.try_recv().is_err());
    server.stop().await;
}

/// To a mail server that others wrote, which refuses at first, and into a file that is read as mail programs
/// do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_was_mailed_signs_in() {
    let packages = match pypi("aiosmtpd==1.4.6") {
        Ok(packages) => packages,
        Err(why) => return skip("a mail server of others", &why),
    };
    let folder = tempfile::tempdir().unwrap();
    let (smtp, port) = nowhere().await;
    let settings = settings(&smtp);
    let server = Server::start_with(&borrowed(&settings)).await;
    server.link("ada@example.org").await;
    eventually(&server.db, STATUSES, "pending").await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/sink.py");
    let mut sink = Command::new("python3")
        .arg(script)
        .arg(&packages)
        .arg(port.to_string())
        .arg(folder.path())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let link = async {
        loop {
            server
                .sql("update mt.outbox set next_attempt_at = now() where status = 'pending'")
                .await;
            if let Ok(link) = std::fs::read_to_string(folder.path().join("link")) {
                return link;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let link = tokio::time::timeout(TIMEOUT, link).await.expect("a link");
    let (page, token) = link.split_once("#token=").expect("a token in the fragment");
    assert_eq!(page, "http://localhost:8000/auth/magic");
    assert_eq!(server.redeem(token).await.status, 200);
    eventually(&server.db, STATUSES, "sent").await;
    sink.kill().await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("count")).unwrap(), "1");
    server.stop().await;
}
