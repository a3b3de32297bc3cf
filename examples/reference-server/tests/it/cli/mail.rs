//! `mt-server mail`: lists queued mail without its contents, and retries it.

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Server;
use crate::support::cli::run;
use crate::support::smtp::{Answers, relay};

const SECRET: &str = "the secret of this test, 32 bytes long";

/// Runs the command beside a running server, on its database.
async fn mail(server: &Server, arguments: &[&str]) -> Output {
    let url = server.db.login_url();
    let settings = [("APP_ENV", "test"), ("JWT_SECRET", SECRET), ("DATABASE_URL", url.as_str())];
    run(&[&["mail"], arguments].concat(), &settings).await
}

async fn says(server: &Server, arguments: &[&str], code: i32) -> String {
    let output = mail(server, arguments).await;
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
    String::from_utf8(output.stdout).unwrap()
}

async fn json_of(server: &Server, arguments: &[&str], code: i32) -> Value {
    let out = says(server, &[arguments, &["--json"]].concat(), code).await;
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_list_and_retry_mail() {
    let answers = Answers::new(&[("RCPT", "550 5.1.1 no such user")]);
    let (smtp, mut received) = relay(answers.clone()).await;
    let settings = [
        ("SMTP_URL", smtp.as_str()),
        ("MAIL_FROM", "mt <no-reply@example.org>"),
        ("JWT_SECRET", SECRET),
    ];
    let server = Server::start_with(&settings).await;
    let token = server.link("ada@example.org").await;
    let dead = async || json_of(&server, &["list", "--status", "dead"], 0).await;
    let waiting = async {
        loop {
            let items = dead().await["items"].take();
            if items.as_array().unwrap().len() == 1 {
                return items[0].clone();
            }
        }
    };
    let email = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("a dead one");
    assert_eq!((&email["to"], &email["topic"]), (&json!("…@example.org"), &json!("mail")));
    let error = "recipient: the mail server answered 550 5.1.1 at RCPT TO";
    assert_eq!(email["last_error"], error);
    assert!(email["expires_at"].is_string() && email["next_attempt_at"].is_null(), "{email}");
    let table = says(&server, &["list"], 0).await;
    assert!(table.starts_with("EMAIL") && table.contains("…@example.org  dead"), "{table}");
    for shown in [&table, &email.to_string()] {
        assert!(!shown.contains("ada") && !shown.contains(&token) && !shown.contains("sealed"));
    }
    assert_eq!(json_of(&server, &["list", "--status", "sent"], 0).await["items"], json!([]));

    answers.clear();
    let id = email["id"].as_str().unwrap();
    let retried = json_of(&server, &["retry", id], 0).await;
    assert_eq!(retried, json!([{"id": id, "due": true}]));
    let mail = tokio::time::timeout(Duration::from_secs(20), received.recv()).await.unwrap();
    assert!(mail.unwrap().text().contains(&token));
    let sent = async {
        while json_of(&server, &["list", "--status", "sent"], 0).await["items"] == json!([]) {}
    };
    tokio::time::timeout(Duration::from_secs(20), sent).await.expect("it is sent");
    let again = json_of(&server, &["retry", id], 1).await;
    assert_eq!(again, json!([{"id": id, "due": false, "error": "the email is sent"}]));
    let none = "00000000-0000-7000-8000-000000000000";
    assert_eq!(json_of(&server, &["retry", none], 1).await[0]["error"], "no such email");
    assert_eq!(json_of(&server, &["retry", "--status", "dead"], 0).await, json!([]));
    for (arguments, code) in [
        (&["list", "--cursor", "nonsense"][..], 1),
        (&["--help"], 0),
        (&[], 2),
        (&["retry"], 2),
        (&["retry", id, "--status", "dead"], 2),
        (&["retry", "--status", "sent"], 2),
        (&["retry", "nonsense"], 2),
        (&["list", "--status", "odd"], 2),
        (&["list", "--limit", "0"], 2),
    ] {
        says(&server, arguments, code).await;
    }
    server.stop().await;
}
