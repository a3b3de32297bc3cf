//! Mail with sign-in links is sent before other mail.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::Server;
use crate::support::smtp::{Answers, Received, relay};

const WITHIN: Duration = Duration::from_secs(20);
const INVITES: usize = 300;

async fn number(server: &Server, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(server.db.admin()).await.unwrap()
}

async fn eventually(server: &Server, sql: &'static str, expected: i64) {
    let asking = async {
        while number(server, sql).await != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(WITHIN, asking).await.is_ok(), "{sql} is not {expected}");
}

async fn next(received: &mut UnboundedReceiver<Received>) -> Received {
    tokio::time::timeout(WITHIN, received.recv()).await.expect("a mail").unwrap()
}

/// The mail server takes its time over invites, of which hundreds wait. The control is a link that is not urgent: it
/// waits with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_in_link_is_sent_before_hundreds_of_waiting_invites() {
    let (answers, go_on) = Answers::holding("You are invited");
    let (smtp, mut received) = relay(answers).await;
    let settings = [("SMTP_URL", smtp.as_str()), ("MAIL_FROM", "mt <no-reply@example.org>")];
    let server = Server::start_with(&settings).await;
    let owner = server.sign_in("owner").await;
    assert_eq!(next(&mut received).await.header("Subject"), "Your link to sign in");
    let path = server.org(&owner).await;
    server.sql("update mt.tenants set plan = 'pro', subscription_status = 'active'").await;
    for guest in 0..INVITES {
        let invite = json!({"email": format!("guest-{guest}@example.org"), "role": "member"});
        let made = server.post(&format!("{path}/invites"), &owner, invite).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    // As many as are handed over at once are with the mail server, which does not answer.
    let sending = "select count(*) from mt.outbox where status = 'sending'";
    eventually(&server, sending, 4).await;

    server
        .sql(
            "create function public.not_urgent() returns trigger language plpgsql \
             as $$ begin new.is_urgent := false; return new; end $$",
        )
        .await;
    server
        .sql(
            "create trigger not_urgent before insert on mt.outbox \
             for each row execute function public.not_urgent()",
        )
        .await;
    server.link("control@example.org").await;
    server.sql("drop trigger not_urgent on mt.outbox").await;
    server.link("ada@example.org").await;
    let mail = next(&mut received).await;
    assert_eq!(mail.recipients, ["RCPT TO:<ada@example.org>\r\n"]);
    assert_eq!(mail.header("Subject"), "Your link to sign in");
    let waiting = number(&server, "select count(*) from mt.outbox where status = 'pending'").await;
    assert_eq!(usize::try_from(waiting).unwrap(), INVITES - 4 + 1, "invites, and the control");
    assert!(received.try_recv().is_err());

    go_on.send(true).unwrap();
    let mut mails = 0;
    let mut control = None;
    while mails <= INVITES {
        let mail = next(&mut received).await;
        if mail.recipients == ["RCPT TO:<control@example.org>\r\n"] {
            control = Some(mails);
        }
        mails += 1;
    }
    assert!(control.expect("the control arrives") > INVITES / 2, "{control:?} of {mails}");
    let ready = server.send(Method::GET, "/ready", None, None).await;
    assert_eq!(ready.status, 200);
    server.stop().await;
}
